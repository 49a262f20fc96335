//! Where things are: the checkout, the caches outside of it, the data of `up`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use directories::ProjectDirs;

/// Folders that the commands share.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// What may be deleted at any time and is made again: build outputs, a Python environment.
    pub(crate) cache: PathBuf,
    /// Cargo's target folder: outside the checkout, unless CARGO_TARGET_DIR says otherwise.
    pub(crate) target: PathBuf,
}

impl Places {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the checkout")?.to_path_buf();
        let cache = project()?.cache_dir().to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => root.join(dir),
            None => cache.join("target"),
        };
        Ok(Self { root, cache, target })
    }

    pub(crate) fn ui(&self) -> PathBuf {
        self.root.join("ui")
    }
}

/// The data folder of `up` when none is named.
pub(crate) fn default_data() -> Result<PathBuf> {
    Ok(project()?.data_local_dir().join("up"))
}

fn project() -> Result<ProjectDirs> {
    ProjectDirs::from("", "", "starling").context("this user has no home folder")
}

/// The file of a program in a folder.
pub(crate) fn program(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// A program on the PATH.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| program(&folder, name)).find(|candidate| candidate.is_file())
}
