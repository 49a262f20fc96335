//! The library, loaded from where its user has put it.
#![expect(unsafe_code, reason = "a library of C++ behind a shim of C")]

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::native::{self, Create, Object, Owned};

/// The file's name on this system.
#[cfg(windows)]
pub const FILE: &str = "tensorrt_rtx_1_7.dll";
/// The file's name on this system.
#[cfg(not(windows))]
pub const FILE: &str = "libtensorrt_rtx.so.1";
/// Longest message of the library that is kept.
const MAX_MESSAGE: usize = 300;
/// Errors and warnings; what is less is of no use to anybody here.
const WORST_TOLD: i32 = 2;

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is not where it should be.
    #[error("TensorRT-RTX is not installed: there is no {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It cannot be loaded.
    #[error("{} cannot be loaded: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It refuses to begin.
    #[error("TensorRT-RTX does not start: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

impl LibraryError {
    /// The next step for the person who reads the error.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "starling-node tensorrt install fetches it from its vendor",
            Self::Unusable { .. } => "starling-node tensorrt install --again fetches it once more",
            Self::Refused { .. } => "an NVIDIA card and its driver are needed to run; building needs neither",
        }
    }
}

/// A loaded library. It stays loaded as long as anything of it is there.
pub struct Library {
    // In this order: what came of the library goes before it.
    log: Owned,
    said: Box<Said>,
    builder: Create,
    runtime: Create,
    _library: libloading::Library,
}

/// What the library said last that was an error or a warning.
#[derive(Default)]
pub(super) struct Said(Mutex<String>);

impl Library {
    /// Loads it from the folder that it was installed into.
    ///
    /// # Errors
    /// When it is not there, cannot be loaded, or is of another version than its headers here.
    pub fn load(folder: &Path) -> Result<Self, LibraryError> {
        let path = folder.join(FILE);
        if !path.is_file() {
            return Err(LibraryError::Missing { path });
        }
        let unusable = |reason: String| LibraryError::Unusable { path: path.clone(), reason };
        let library = open(&path).map_err(|error| unusable(format!("it is no library ({error})")))?;
        let missing = |_| unusable("it is not TensorRT-RTX".to_owned());
        // SAFETY: these are the types of the functions in the library's headers.
        let (builder, runtime, version) = unsafe {
            let builder = *library.get::<Create>(b"createInferBuilder_INTERNAL\0").map_err(missing)?;
            let runtime = *library.get::<Create>(b"createInferRuntime_INTERNAL\0").map_err(missing)?;
            let version = *library.get::<unsafe extern "C" fn() -> i32>(b"getInferLibVersion\0").map_err(missing)?;
            (builder, runtime, version())
        };
        // SAFETY: it takes nothing.
        let ours = unsafe { native::starling_trt_version() };
        // The order of virtual functions is that of one version.
        if version != ours {
            return Err(unusable(format!("it is version {version} and not {ours} ({})", super::VERSION)));
        }
        let said = Box::new(Said::default());
        let to = std::ptr::from_ref::<Said>(&said).cast_mut().cast::<c_void>();
        // SAFETY: `said` lies in a box that lives as long as the log, which it is freed behind.
        let log = unsafe { Owned::new(native::starling_trt_log_new(say, to), native::starling_trt_log_free) };
        let log = log.ok_or_else(|| unusable("there is no memory for its log".into()))?;
        Ok(Self { log, said, builder, runtime, _library: library })
    }

    /// Makes the object that networks are built with.
    pub(super) fn builder(&self) -> Result<Owned, LibraryError> {
        // SAFETY: the function and the log are this library's, and live as long.
        let builder = unsafe {
            Owned::new(
                native::starling_trt_builder_new(self.builder, self.log.get()),
                native::starling_trt_builder_free,
            )
        };
        builder.ok_or_else(|| LibraryError::Refused { reason: self.said() })
    }

    /// Makes the object that engines are run with. Needs a card and its driver.
    pub(super) fn runtime(&self) -> Result<Owned, LibraryError> {
        // SAFETY: as above.
        let runtime = unsafe {
            Owned::new(
                native::starling_trt_runtime_new(self.runtime, self.log.get()),
                native::starling_trt_runtime_free,
            )
        };
        runtime.ok_or_else(|| LibraryError::Refused { reason: self.said() })
    }

    /// The last error or warning of the library.
    pub(super) fn said(&self) -> String {
        let said = self.said.0.lock().map(|said| said.clone()).unwrap_or_default();
        if said.is_empty() { "it does not say why".to_owned() } else { said }
    }
}

#[cfg(not(windows))]
fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: its user has installed it; what it does when it is loaded is as trusted as what it does later.
    unsafe { libloading::Library::new(path) }
}

/// What it needs in turn is the system's, or lies beside it.
#[cfg(windows)]
fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::windows;

    let from = windows::LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | windows::LOAD_LIBRARY_SEARCH_SYSTEM32;
    // Windows wants the whole path for that.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // SAFETY: its user has installed it; what it does when it is loaded is as trusted as what it does later.
    unsafe { windows::Library::load_with_flags(path, from) }.map(Into::into)
}

/// Takes what the library says. It may come from any thread of the library's.
extern "C" fn say(to: Object, severity: i32, text: *const c_char) {
    // A panic must not cross into C++.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if severity > WORST_TOLD || text.is_null() || to.is_null() {
            return;
        }
        // SAFETY: the library gives a text that ends with a zero, and `to` is what `load` gave.
        let (said, text) = unsafe { (&*to.cast::<Said>(), CStr::from_ptr(text)) };
        let text: String = text.to_string_lossy().chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
        tracing::debug!(severity, %text, "TensorRT-RTX");
        if severity < WORST_TOLD
            && let Ok(mut said) = said.0.lock()
        {
            *said = text;
        }
    }));
}
