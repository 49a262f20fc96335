//! The demo model that is in every binary, so that a first run needs no download. It is tiny and says so.

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::OpenError;

/// The name under which it is served.
pub const NAME: &str = "swarm-demo-3m";

const BYTES: &[u8] = include_bytes!("../models/swarm-demo-3M-q8_0.gguf");
const FILE: &str = "swarm-demo-3M-q8_0.gguf";

/// Puts the demo model into `cache_dir`, unless its very bytes lie there, and says where it is. A reader never sees
/// half a file, also when several processes do this at once.
///
/// # Errors
/// [`OpenError::Cache`] when the folder cannot be written.
pub fn extract(cache_dir: &Path) -> Result<PathBuf, OpenError> {
    let path = cache_dir.join(FILE);
    if is_there(&path) {
        return Ok(path);
    }
    match write(cache_dir, &path) {
        Ok(()) => Ok(path),
        Err(source) => Err(OpenError::Cache { path, source }),
    }
}

fn is_there(path: &Path) -> bool {
    let same_length = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == BYTES.len() as u64);
    same_length && std::fs::read(path).is_ok_and(|bytes| Sha256::digest(bytes) == Sha256::digest(BYTES))
}

fn write(cache_dir: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(cache_dir)?;
    let mut file = tempfile::NamedTempFile::new_in(cache_dir)?;
    file.write_all(BYTES)?;
    file.as_file().sync_all()?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        // Windows does not replace a file that another process has open; then it is the same file.
        Err(_) if is_there(path) => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_once_and_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let cache_dir = folder.path().join("new/folder");
        let path = extract(&cache_dir).unwrap();
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(extract(&cache_dir).unwrap(), path);
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), written);
        let mut bytes = BYTES.to_vec();
        bytes[1000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        extract(&cache_dir).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), BYTES);
        assert_eq!(std::fs::read_dir(&cache_dir).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = extract(file.path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot write the demo model to"), "{error}");
    }
}
