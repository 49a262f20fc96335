//! Small steps on a disk that several parts take alike.

use std::{fs, io, path::Path};

/// Removes a file, if there is one.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
