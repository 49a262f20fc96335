//! Small steps on a disk that several parts take alike.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

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

/// Makes the rename of this file last through a power cut; Windows has no such call and needs none.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
