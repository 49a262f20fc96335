//! Model files: what one says about itself, checked before native code sees it, and its identity.
//!
//! A bad file makes llama.cpp abort the whole process, so everything that can be known from the header is checked here
//! first, in safe Rust: counts and lengths, types, and that every tensor lies within the file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::OpenError;

pub use gguf::{Header, Tensor};
pub(crate) use hashes::to_hex;
pub use hashes::{Hashes, Known, hash_file};
pub use peek::{Peek, peek};
pub use pooling::Pooling;
pub use reader::HeaderError;

mod check;
pub mod convert;
pub(crate) mod float;
pub mod footprint;
mod gguf;
mod hashes;
mod peek;
mod pooling;
mod reader;
mod tensor;
pub mod write;

/// Longest model name or error that is shown; names inside files can be longer.
const MAX_LINE: usize = 128;
/// How often the log says how far hashing has come.
const HASH_NEWS: Duration = Duration::from_secs(5);

/// A model file whose header is good.
#[derive(Debug)]
pub struct ModelFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it says about itself.
    pub header: Header,
}

impl ModelFile {
    /// Reads and checks the header of the file at `path`.
    ///
    /// # Errors
    /// `Missing`, `Unreadable`, `Corrupt` or `Unsupported`.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Unreadable { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpenError::Missing { path: path.to_owned() });
            }
            file => file.map_err(unreadable)?,
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(std::io::Error::other("it is not a file")));
        }
        let bytes = metadata.len();
        let header = Header::read(file, bytes)
            .map_err(|error| OpenError::Corrupt { path: path.to_owned(), problem: one_line(&error.to_string()) })?;
        check::servable(&header)
            .map_err(|reason| OpenError::Unsupported { path: path.to_owned(), reason: reason.to_owned() })?;
        Ok(Self { path: path.to_owned(), bytes, header })
    }

    /// The name as people write it: the file's, without its ending.
    pub fn name(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let name = one_line(&stem);
        if name.is_empty() { "model".to_owned() } else { name }
    }

    /// SHA-256 of the whole file: tens of seconds for many gigabytes, unless `hashes` remembers it.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn sha256(&self, hashes: Option<&Hashes>) -> Result<[u8; 32], OpenError> {
        if let Some(known) = hashes.and_then(|hashes| hashes.get(&self.path)) {
            return Ok(known);
        }
        let unreadable = |source| OpenError::Unreadable { path: self.path.clone(), source };
        let before = std::fs::metadata(&self.path).map_err(unreadable)?;
        let mut news = Instant::now();
        let mut say = |done: u64| {
            if news.elapsed() > HASH_NEWS {
                news = Instant::now();
                tracing::info!(model = self.name(), percent = done * 100 / self.bytes.max(1), "computing the hash");
            }
        };
        let sha256 = hash_file(&self.path, &mut say).map_err(unreadable)?;
        if let Some(hashes) = hashes {
            hashes.remember(&self.path, &before, sha256);
        }
        Ok(sha256)
    }
}

/// What a file says may hold anything; on one line it cannot pretend to be something else.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_LINE).collect()
}

#[cfg(test)]
mod tests;
