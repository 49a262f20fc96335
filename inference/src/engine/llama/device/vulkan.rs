//! The way to the machine's Vulkan, looked for when the program runs: one program for machines with it and without.
//!
//! Vulkan's loader is a library that comes with drivers. llama.cpp is linked against four functions of it and gets all
//! others by them. Those four are here under the loader's names for them, so that a linker needs nothing of the loader: the
//! library is opened at the first call. Where there is none, they answer in the only way that llama.cpp takes as "not here".
#![expect(unsafe_code, reason = "stands in for functions of C, and calls them")]
#![cfg_attr(
    not(all(feature = "vulkan", not(feature = "dynamic-backends"))),
    expect(dead_code, reason = "compiled for its tests alone")
)]

use std::ffi::{CStr, c_char, c_void};
use std::sync::LazyLock;

use libloading::Library;

const LIBRARY: &str = if cfg!(windows) { "vulkan-1.dll" } else { "libvulkan.so.1" };
/// What llama.cpp needs.
const LEAST: Version = Version(1, 2);
const SUCCESS: i32 = 0;
const INCOMPATIBLE_DRIVER: i32 = -9;
/// It says the loader's version, and is asked for before there is an instance.
const ASK_VERSION: &CStr = c"vkEnumerateInstanceVersion";

/// Any function of Vulkan, before it is known which.
type Function = unsafe extern "system" fn();
/// What Vulkan calls a dispatchable handle: an instance, a device and so on.
type Handle = *mut c_void;
/// `vkGetInstanceProcAddr`: the function of that name, for an instance or, with none, before there is one.
type Lookup = unsafe extern "system" fn(Handle, *const c_char) -> Option<Function>;
/// `vkGetPhysicalDeviceFeatures2`.
type GetFeatures = unsafe extern "system" fn(Handle, *mut c_void);
/// `vkCmdCopyBuffer`: from a buffer to another, so many regions.
type CopyBuffer = unsafe extern "system" fn(Handle, u64, u64, u32, *const c_void);
/// `vkEnumerateInstanceVersion`.
type AskVersion = unsafe extern "system" fn(*mut u32) -> i32;

static LOADER: LazyLock<Loader> = LazyLock::new(|| Loader::open(LIBRARY));

/// Why llama.cpp finds no GPU through Vulkan, when it finds none: what is wrong, and what to do about it.
pub(super) fn problem() -> (String, &'static str) {
    LOADER.problem()
}

/// Vulkan's own functions, for llama.cpp. But for the first, who calls them has been given a handle by the library, and so
/// there is one.
#[cfg(all(feature = "vulkan", not(feature = "dynamic-backends")))]
mod exported {
    use super::{Function, Handle, LOADER, c_char, c_void};

    #[unsafe(no_mangle)]
    unsafe extern "system" fn vkGetInstanceProcAddr(instance: Handle, name: *const c_char) -> Option<Function> {
        // SAFETY: as Vulkan has it, promised by who calls.
        unsafe { LOADER.look_up(instance, name) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "system" fn vkGetDeviceProcAddr(device: Handle, name: *const c_char) -> Option<Function> {
        // SAFETY: as Vulkan has it, promised by who calls.
        LOADER.0.as_ref().and_then(|vulkan| unsafe { (vulkan.look_up_for_device)(device, name) })
    }

    #[unsafe(no_mangle)]
    unsafe extern "system" fn vkGetPhysicalDeviceFeatures2(device: Handle, features: *mut c_void) {
        if let Some(vulkan) = &LOADER.0 {
            // SAFETY: as Vulkan has it, promised by who calls.
            unsafe { (vulkan.get_features)(device, features) }
        }
    }

    #[unsafe(no_mangle)]
    unsafe extern "system" fn vkCmdCopyBuffer(
        to: Handle,
        source: u64,
        target: u64,
        count: u32,
        regions: *const c_void,
    ) {
        if let Some(vulkan) = &LOADER.0 {
            // SAFETY: as Vulkan has it, promised by who calls.
            unsafe { (vulkan.copy_buffer)(to, source, target, count, regions) }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// The functions that llama.cpp is linked against, and the library that they are in.
struct Vulkan {
    look_up: Lookup,
    look_up_for_device: Lookup,
    get_features: GetFeatures,
    copy_buffer: CopyBuffer,
    _library: Library,
}

/// With nothing where the machine has no Vulkan, or one from before 1.1, which lacks a function.
struct Loader(Option<Vulkan>);

impl Loader {
    fn open(name: &str) -> Self {
        Self(library(name).and_then(|library| Vulkan::of(library).ok()))
    }

    /// # Safety
    /// `instance` is null or a live instance, `name` a string that ends in a zero.
    unsafe fn look_up(&self, instance: Handle, name: *const c_char) -> Option<Function> {
        // Where there is none llama.cpp would call it all the same, and of one that is too old complain on stderr.
        // SAFETY: promised by who calls.
        let asks_version = instance.is_null() && unsafe { CStr::from_ptr(name) } == ASK_VERSION;
        if asks_version && self.version().is_none_or(|version| version < LEAST) {
            // SAFETY: who has asked for it by this name calls it as what it is.
            return Some(unsafe { std::mem::transmute::<AskVersion, Function>(no_version) });
        }
        // SAFETY: promised by who calls.
        self.0.as_ref().and_then(|vulkan| unsafe { (vulkan.look_up)(instance, name) })
    }

    /// None where there is no Vulkan, or the first one, which does not say.
    fn version(&self) -> Option<Version> {
        let vulkan = self.0.as_ref()?;
        // SAFETY: without an instance, and with a string that ends in a zero.
        let ask = unsafe { (vulkan.look_up)(std::ptr::null_mut(), ASK_VERSION.as_ptr()) }?;
        // SAFETY: by this name Vulkan gives a function of this kind.
        let ask = unsafe { std::mem::transmute::<Function, AskVersion>(ask) };
        let mut packed = 0;
        // SAFETY: the place is ours for the call.
        let result = unsafe { ask(&raw mut packed) };
        (result == SUCCESS).then_some(Version(packed >> 22 & 0x7f, packed >> 12 & 0x3ff))
    }

    fn problem(&self) -> (String, &'static str) {
        const UPDATE: &str = "install the newest driver of the graphics card";
        match self.version() {
            _ if self.0.is_none() => {
                (format!("there is no Vulkan here (no {LIBRARY}, or one that is too old)"), INSTALL)
            }
            Some(version) if version >= LEAST => ("no Vulkan driver shows a graphics card".to_owned(), UPDATE),
            Some(Version(major, minor)) => (format!("Vulkan {major}.{minor} is here, and 1.2 is needed"), UPDATE),
            None => ("the Vulkan that is here is too old".to_owned(), UPDATE),
        }
    }
}

impl Vulkan {
    fn of(library: Library) -> Result<Self, libloading::Error> {
        // SAFETY: Vulkan's loader exports functions of these names and kinds, and stays open as long as they are kept.
        unsafe {
            Ok(Self {
                look_up: *library.get::<Lookup>(b"vkGetInstanceProcAddr\0")?,
                look_up_for_device: *library.get::<Lookup>(b"vkGetDeviceProcAddr\0")?,
                get_features: *library.get::<GetFeatures>(b"vkGetPhysicalDeviceFeatures2\0")?,
                copy_buffer: *library.get::<CopyBuffer>(b"vkCmdCopyBuffer\0")?,
                _library: library,
            })
        }
    }
}

/// On Windows the library comes with every driver, on Linux it is a package of its own.
const INSTALL: &str = if cfg!(windows) {
    "install the graphics card's driver from its maker"
} else {
    "install the graphics card's driver with Vulkan's loader (libvulkan1 or vulkan-loader)"
};

unsafe extern "system" fn no_version(_packed: *mut u32) -> i32 {
    INCOMPATIBLE_DRIVER
}

#[cfg(not(windows))]
fn library(name: &str) -> Option<Library> {
    // SAFETY: the system's loader of graphics drivers, found where the system keeps its libraries.
    unsafe { Library::new(name) }.ok()
}

/// From the system's folder alone: whatever lies beside the program under that name is not asked.
#[cfg(windows)]
fn library(name: &str) -> Option<Library> {
    use libloading::os::windows;

    // SAFETY: the system's loader of graphics drivers.
    let library = unsafe { windows::Library::load_with_flags(name, windows::LOAD_LIBRARY_SEARCH_SYSTEM32) };
    library.ok().map(Library::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call_version(loader: &Loader) -> i32 {
        // SAFETY: as in the program.
        let function = unsafe { loader.look_up(std::ptr::null_mut(), ASK_VERSION.as_ptr()) }.unwrap();
        // SAFETY: it is what its name says.
        let ask = unsafe { std::mem::transmute::<Function, AskVersion>(function) };
        let mut packed = 0;
        // SAFETY: the place is ours for the call.
        unsafe { ask(&raw mut packed) }
    }

    const OTHER_LIBRARY: &str = if cfg!(windows) { "kernel32.dll" } else { "libc.so.6" };

    /// A loader with nothing behind it but what this function gives.
    fn made_up(look_up: Lookup) -> Loader {
        unsafe extern "system" fn get_features(_: Handle, _: *mut c_void) {}
        unsafe extern "system" fn copy_buffer(_: Handle, _: u64, _: u64, _: u32, _: *const c_void) {}
        let _library = library(OTHER_LIBRARY).unwrap();
        Loader(Some(Vulkan { look_up, look_up_for_device: look_up, get_features, copy_buffer, _library }))
    }

    #[test]
    fn without_a_library_llama_cpp_is_told_so() {
        let loader = Loader::open("no-such-library-of-vulkan");
        assert_eq!(call_version(&loader), INCOMPATIBLE_DRIVER);
        // SAFETY: as in the program.
        let other = unsafe { loader.look_up(std::ptr::null_mut(), c"vkCreateInstance".as_ptr()) };
        assert!(other.is_none());
        assert_eq!(loader.version(), None);
        let (what, remedy) = loader.problem();
        assert!(what.contains(LIBRARY) && remedy.starts_with("install"), "{what}; {remedy}");
    }

    #[test]
    fn a_library_that_is_none_of_vulkans_is_not_taken() {
        assert!(Loader::open(OTHER_LIBRARY).0.is_none());
    }

    #[test]
    fn the_first_vulkan_cannot_say_its_version() {
        unsafe extern "system" fn nothing(_: Handle, _: *const c_char) -> Option<Function> {
            None
        }
        let loader = made_up(nothing);
        assert_eq!(call_version(&loader), INCOMPATIBLE_DRIVER);
        assert_eq!(loader.problem().0, "the Vulkan that is here is too old");
    }

    #[test]
    fn one_that_is_too_old_is_as_good_as_none() {
        unsafe extern "system" fn says_1_1(packed: *mut u32) -> i32 {
            // SAFETY: who asks gives a place.
            unsafe { *packed = 1 << 22 | 1 << 12 | 77 };
            SUCCESS
        }
        unsafe extern "system" fn old(_: Handle, _: *const c_char) -> Option<Function> {
            // SAFETY: only called as what it is.
            Some(unsafe { std::mem::transmute::<AskVersion, Function>(says_1_1) })
        }
        let loader = made_up(old);
        assert_eq!(loader.version(), Some(Version(1, 1)));
        assert_eq!(call_version(&loader), INCOMPATIBLE_DRIVER);
        assert_eq!(loader.problem().0, "Vulkan 1.1 is here, and 1.2 is needed");
    }

    #[test]
    fn one_that_is_new_enough_speaks_for_itself() {
        unsafe extern "system" fn says_1_2(packed: *mut u32) -> i32 {
            // SAFETY: who asks gives a place.
            unsafe { *packed = 1 << 22 | 2 << 12 };
            SUCCESS
        }
        unsafe extern "system" fn new(_: Handle, _: *const c_char) -> Option<Function> {
            // SAFETY: only called as what it is.
            Some(unsafe { std::mem::transmute::<AskVersion, Function>(says_1_2) })
        }
        let loader = made_up(new);
        assert_eq!(call_version(&loader), SUCCESS);
        assert_eq!(loader.problem().0, "no Vulkan driver shows a graphics card");
        assert!(Version(1, 3) > LEAST && Version(2, 0) > LEAST);
    }
}
