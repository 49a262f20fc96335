//! A file that is renamed when it is full: `FILE`, then `FILE.1`, `FILE.2`, … and no more than there may be.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::Sink;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    /// Of one file.
    pub(super) limit_bytes: u64,
    /// At least one: the one that is written.
    pub(super) files: u32,
}

pub(super) struct Rotating {
    path: PathBuf,
    rotation: Rotation,
    file: Option<File>,
    written: u64,
    /// The last line is only half there.
    torn: bool,
}

impl Rotating {
    pub(super) fn new(path: &Path, rotation: Rotation) -> Self {
        Self { path: path.to_owned(), rotation, file: None, written: 0, torn: false }
    }

    /// Goes on with the file that is there.
    pub(super) fn open(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            if let Some(folder) = self.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
            self.written = file.metadata()?.len();
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The oldest goes, the others move on by one.
    fn rotate(&mut self) -> io::Result<()> {
        // Windows moves no file that is open.
        self.file = None;
        let oldest = self.rotation.files.saturating_sub(1);
        let gone = self.older(oldest);
        missing_is_fine(fs::remove_file(&gone))?;
        for age in (0..oldest).rev() {
            missing_is_fine(fs::rename(self.older(age), self.older(age + 1)))?;
        }
        Ok(())
    }

    fn older(&self, age: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        if age > 0 {
            name.push(format!(".{age}"));
        }
        name.into()
    }
}

impl Sink for Rotating {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.open()?;
        let length = line.len() as u64;
        if self.written > 0 && self.written + length > self.rotation.limit_bytes {
            let moved = self.rotate();
            self.open()?;
            // One that somebody holds fast grows on, within a bound.
            if moved.is_err() && self.written + length > 2 * self.rotation.limit_bytes {
                return moved;
            }
        }
        let torn = self.torn;
        let file = self.open()?;
        let written = if torn { file.write_all(b"\n") } else { Ok(()) }.and_then(|()| file.write_all(line));
        self.torn = written.is_err();
        match written {
            Ok(()) => self.written += length,
            // Opened anew the next time: then it is known how much is there.
            Err(_) => self.file = None,
        }
        written
    }
}

fn missing_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
