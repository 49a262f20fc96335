//! The data folder of `up`, which one run at a time may use.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::blocked::Blocked;

/// The folder, ours until dropped.
pub(crate) struct Data {
    dir: PathBuf,
    /// The lock goes with the open file, so a killed run leaves none behind.
    _lock: File,
}

impl Data {
    pub(crate) fn take(dir: PathBuf) -> Result<Self> {
        let open = || {
            fs::create_dir_all(&dir)?;
            owner_only(&dir)?;
            File::options().create(true).append(true).open(dir.join("up.lock"))
        };
        let lock = open().with_context(|| format!("cannot write to {}", dir.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Blocked::error(
                format!("another `cargo xtask up` is using {}", dir.display()),
                "end that one, or choose another folder: --data DIR",
            )),
            Err(TryLockError::Error(error)) => Err(error).context("cannot lock the data folder"),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Chats and keys are in it.
#[cfg(unix)]
fn owner_only(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn owner_only(_dir: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = Data::take(path.clone()).unwrap();
        let error = Data::take(path.clone()).err().unwrap();
        assert!(error.is::<Blocked>(), "{error}");
        drop(first);
        Data::take(path).unwrap();
    }
}
