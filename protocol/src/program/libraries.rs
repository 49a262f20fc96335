//! Where the system looks for libraries that are asked for by name alone.

/// In its own folder, and beside the program. Windows would look in the working folder too, and in every folder of PATH,
/// where others than administrators may write: a driver that is not installed would be whatever lies there by its name.
/// It fails on no Windows since 8; on one before, all stays as it was.
#[cfg(windows)]
pub(super) fn trust_the_system_alone() {
    use windows_sys::Win32::System::LibraryLoader::{
        LOAD_LIBRARY_SEARCH_APPLICATION_DIR, LOAD_LIBRARY_SEARCH_SYSTEM32, SetDefaultDllDirectories,
    };

    #[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
    // SAFETY: it takes flags alone.
    unsafe {
        SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32 | LOAD_LIBRARY_SEARCH_APPLICATION_DIR);
    }
}

/// Every other does so by itself.
#[cfg(not(windows))]
pub(super) fn trust_the_system_alone() {}

#[cfg(all(test, windows))]
mod tests {
    use std::ffi::OsStr;
    use std::os::windows::ffi::OsStrExt;
    use std::path::PathBuf;
    use std::process::Command;

    use windows_sys::Win32::System::LibraryLoader::LoadLibraryW;

    use super::*;

    fn loads(name: &str) -> bool {
        let name: Vec<u16> = OsStr::new(name).encode_wide().chain([0]).collect();
        #[expect(unsafe_code, reason = "as drivers are loaded")]
        // SAFETY: a text that ends in a zero; the library does nothing when it is loaded.
        unsafe {
            !LoadLibraryW(name.as_ptr()).is_null()
        }
    }

    #[test]
    fn what_lies_in_path_is_not_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let system = PathBuf::from(std::env::var_os("SystemRoot").unwrap()).join("System32");
        for name in ["planted-one.dll", "planted-two.dll"] {
            std::fs::copy(system.join("version.dll"), dir.path().join(name)).unwrap();
        }
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--ignored", "--exact", "program::libraries::tests::with_a_folder_in_path"]).env("PATH", dir.path());
        let output = test.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    #[ignore = "another test starts it, in a process of its own"]
    fn with_a_folder_in_path() {
        assert!(loads("planted-one.dll"), "without a word Windows looks there");
        trust_the_system_alone();
        assert!(!loads("planted-two.dll"));
        assert!(loads("winmm.dll"), "the system's");
    }
}
