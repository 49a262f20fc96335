//! The way to the machine's Vulkan, looked for when the program runs: one program for machines with it and without.
//!
//! Vulkan's loader is a library that comes with drivers. llama.cpp is linked against one function of it, by which it finds
//! all others. That function is here under the loader's name for it, so that a linker needs nothing of the loader: it
//! opens the library when it is first called. Where there is none it answers for it in the only way that llama.cpp takes
//! as "not here".
#![expect(unsafe_code, reason = "stands in for a function of C, and calls it")]

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
/// `PFN_vkGetInstanceProcAddr`: the function of that name, for an instance or, with none, before there is one.
type Lookup = unsafe extern "system" fn(*mut c_void, *const c_char) -> Option<Function>;
/// `PFN_vkEnumerateInstanceVersion`.
type AskVersion = unsafe extern "system" fn(*mut u32) -> i32;

static LOADER: LazyLock<Loader> = LazyLock::new(|| Loader::open(LIBRARY));

/// Why llama.cpp finds no GPU through Vulkan, when it finds none: what is wrong, and what to do about it.
pub(super) fn problem() -> (String, &'static str) {
    LOADER.problem()
}

/// Vulkan's own function, for llama.cpp.
///
/// # Safety
/// As Vulkan has it: `instance` is null or a live instance, `name` a string that ends in a zero.
#[cfg(all(feature = "vulkan", not(feature = "dynamic-backends")))]
#[unsafe(no_mangle)]
unsafe extern "system" fn vkGetInstanceProcAddr(instance: *mut c_void, name: *const c_char) -> Option<Function> {
    // SAFETY: promised by who calls.
    unsafe { LOADER.look_up(instance, name) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// The library, with the function of it that finds the others.
struct Loader(Option<(Lookup, Library)>);

impl Loader {
    fn open(name: &str) -> Self {
        Self(library(name).and_then(|library| {
            // SAFETY: Vulkan's loader exports a function of this name and kind, and stays open as long as it is kept.
            let lookup = unsafe { library.get::<Lookup>(b"vkGetInstanceProcAddr\0").ok().map(|symbol| *symbol)? };
            Some((lookup, library))
        }))
    }

    /// # Safety
    /// `instance` is null or a live instance, `name` a string that ends in a zero.
    unsafe fn look_up(&self, instance: *mut c_void, name: *const c_char) -> Option<Function> {
        // SAFETY: promised by who calls.
        let found = self.0.as_ref().and_then(|(lookup, _)| unsafe { lookup(instance, name) });
        // SAFETY: promised by who calls.
        if found.is_some() || !instance.is_null() || unsafe { CStr::from_ptr(name) } != ASK_VERSION {
            return found;
        }
        // llama.cpp calls it without a look at whether it is there; Vulkan 1.0 has none either.
        // SAFETY: who has asked for it by this name calls it as what it is.
        Some(unsafe { std::mem::transmute::<AskVersion, Function>(no_version) })
    }

    /// None where there is no Vulkan, or the first one, which does not say.
    fn version(&self) -> Option<Version> {
        // SAFETY: without an instance, and with a string that ends in a zero.
        let ask = unsafe { self.look_up(std::ptr::null_mut(), ASK_VERSION.as_ptr()) }?;
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
            _ if self.0.is_none() => (format!("there is no Vulkan here ({LIBRARY} is missing)"), INSTALL),
            Some(version) if version >= LEAST => ("no Vulkan driver shows a graphics card".to_owned(), UPDATE),
            Some(Version(major, minor)) => (format!("Vulkan {major}.{minor} is here, and 1.2 is needed"), UPDATE),
            None => ("the Vulkan that is here is too old".to_owned(), UPDATE),
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

    /// A loader with nothing behind it but what this function gives.
    fn made_up(lookup: Lookup) -> Loader {
        let any = if cfg!(windows) { "kernel32.dll" } else { "libc.so.6" };
        Loader(Some((lookup, library(any).unwrap())))
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
        let any = if cfg!(windows) { "kernel32.dll" } else { "libc.so.6" };
        assert!(Loader::open(any).0.is_none());
    }

    #[test]
    fn the_first_vulkan_cannot_say_its_version() {
        unsafe extern "system" fn nothing(_: *mut c_void, _: *const c_char) -> Option<Function> {
            None
        }
        let loader = made_up(nothing);
        assert_eq!(call_version(&loader), INCOMPATIBLE_DRIVER);
        assert_eq!(loader.problem().0, "the Vulkan that is here is too old");
    }

    #[test]
    fn versions_are_compared() {
        unsafe extern "system" fn says_1_1(packed: *mut u32) -> i32 {
            // SAFETY: who asks gives a place.
            unsafe { *packed = 1 << 22 | 1 << 12 | 77 };
            SUCCESS
        }
        unsafe extern "system" fn old(_: *mut c_void, _: *const c_char) -> Option<Function> {
            // SAFETY: only called as what it is.
            Some(unsafe { std::mem::transmute::<AskVersion, Function>(says_1_1) })
        }
        assert_eq!(made_up(old).version(), Some(Version(1, 1)));
        assert_eq!(made_up(old).problem().0, "Vulkan 1.1 is here, and 1.2 is needed");
        assert!(Version(1, 3) > LEAST && Version(2, 0) > LEAST);
    }
}
