//! The driver that is none and the library that is none, and tests that find them.

use std::path::PathBuf;
use std::process::Command;

use super::FOLDER;

/// What the driver's library is called.
pub(super) const DRIVER: &str = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so" };
/// Where the system looks for libraries.
const SEARCH: &str = if cfg!(windows) { "PATH" } else { "LD_LIBRARY_PATH" };

/// Compiled once for all tests.
#[cfg(not(windows))]
static FAKES: std::sync::LazyLock<tempfile::TempDir> = std::sync::LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let names = super::make::Names { driver: DRIVER, library: starling_inference::tensorrt::FILE };
    let flags = [compiler.as_str(), "-fPIC", "-Wl,--no-undefined"];
    super::make::make(env!("CARGO_MANIFEST_DIR").as_ref(), folder.path(), names, &flags).unwrap();
    folder
});

#[cfg(not(windows))]
fn fakes() -> PathBuf {
    FAKES.path().to_owned()
}

/// Whoever starts the tests has compiled them.
#[cfg(windows)]
fn fakes() -> PathBuf {
    super::folder()
}

/// Runs the ignored tests whose names begin so, at least as many as are expected, in a process that finds the card.
pub(super) fn run(names: &[&str], least: usize) {
    let folder = fakes();
    let known = std::env::var_os(SEARCH).unwrap_or_default();
    let search = std::env::join_paths([folder.clone()].into_iter().chain(std::env::split_paths(&known))).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--test-threads=1"]).args(names);
    command.env(SEARCH, search).env(FOLDER, folder);
    let output = command.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    let passed =
        said.split(" passed").next().and_then(|said| said.rsplit(' ').next()).and_then(|count| count.parse().ok());
    assert!(passed.is_some_and(|passed: usize| passed >= least), "{said}");
}
