//! What is done to the disk for an update, one step after the other, so that a test can cut the power between any two.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use starling_protocol::disk::sync_folder;

use crate::disk::remove;

/// How this system lets files change places.
#[derive(Debug)]
pub(in crate::update) struct Disk {
    /// A program that runs can lose its name to another in one step.
    pub(super) one_step: bool,
    #[cfg(test)]
    pub(super) left: std::cell::Cell<usize>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            one_step: cfg!(unix),
            #[cfg(test)]
            left: usize::MAX.into(),
        }
    }
}

impl Disk {
    /// One more step; in a test the power may be gone.
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "a test cuts the power here")
    )]
    fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other("the power is gone")),
        }
        Ok(())
    }

    /// The file gets a second name, or on Windows another one; what had it goes.
    pub(super) fn keep(&self, at: &Path, old: &Path) -> io::Result<()> {
        if !self.one_step {
            self.make_room(old)?;
            return self.rename(at, old);
        }
        let half = old.with_added_extension("half");
        self.step()?;
        remove(&half)?;
        fs::hard_link(at, &half).or_else(|_| fs::copy(at, &half).map(drop))?;
        self.rename(&half, old)
    }

    /// On Windows the oldest program may still run, and then keeps its file, under another name.
    pub(super) fn make_room(&self, old: &Path) -> io::Result<()> {
        let aside = old.with_added_extension("gone");
        let _ = remove(&aside);
        self.step()?;
        remove(old).or_else(|_| fs::rename(old, &aside))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        fs::rename(from, to)?;
        sync_folder(to)
    }

    pub(super) fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        fs::copy(from, to)?;
        File::options().write(true).open(to)?.sync_all()
    }

    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        remove(path)
    }
}
