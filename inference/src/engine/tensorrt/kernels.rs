//! Kernels that the library has compiled for a card, beside the engine they belong to, so that the next start need not.
//!
//! They are a convenience: whatever is wrong with what was kept, it is said, and they are compiled again.
#![expect(unsafe_code, reason = "a library of C++ behind a shim of C")]

use std::ffi::c_void;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::native::{self, Owned};
use super::network::bytes_of;

/// Bytes of a hash.
const HASH: usize = 32;
/// They are some megabytes; more is not read.
const MAX_KEPT: u64 = 1 << 30;
/// Steps after which what was compiled meanwhile is kept too: shapes come while people ask.
const LOOKS: [u64; 3] = [100, 1_000, 10_000];

/// The compiled kernels of an engine.
pub(super) struct Kernels {
    cache: Owned,
    path: Option<PathBuf>,
    /// What became of those of an earlier start.
    pub(super) begin: Begin,
    /// Bytes that were kept last.
    kept: usize,
    steps: u64,
}

/// What a start began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Nothing was kept.
    Anew,
    /// So many bytes of an earlier start.
    Kept(usize),
    /// What was kept is of no use; why.
    Useless(String),
}

impl Kernels {
    /// With what was kept at `path`; none when the library has no place for them.
    pub(super) fn open(config: &Owned, path: Option<PathBuf>) -> Option<Self> {
        // SAFETY: the configuration is the library's, and outlives its cache here.
        let cache =
            unsafe { Owned::new(native::starling_trt_cache_new(config.get()), native::starling_trt_cache_free) }?;
        let begin = match path.as_deref().map_or(Ok(None), read) {
            Ok(None) => Begin::Anew,
            Ok(Some(bytes)) => load(&cache, &bytes),
            Err(why) => Begin::Useless(why),
        };
        if let Begin::Useless(why) = &begin {
            tracing::warn!(why, "compiled kernels of an earlier start are not used: this one takes longer");
        }
        let kept = if let Begin::Kept(bytes) = begin { bytes } else { 0 };
        Some(Self { cache, path, begin, kept, steps: 0 })
    }

    pub(super) fn cache(&self) -> &Owned {
        &self.cache
    }

    /// A step was computed.
    pub(super) fn step(&mut self) {
        self.steps += 1;
        if LOOKS.contains(&self.steps) {
            self.keep();
        }
    }

    /// Writes them down, where there are others than were kept.
    pub(super) fn keep(&mut self) {
        let Some(path) = &self.path else { return };
        let bytes = self.bytes();
        if bytes.is_empty() || bytes.len() == self.kept {
            return;
        }
        match write(path, &bytes) {
            Ok(()) => self.kept = bytes.len(),
            Err(error) => tracing::warn!(%error, "compiled kernels are not kept: the next start takes longer"),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        // SAFETY: the object is the library's.
        let bytes = unsafe {
            Owned::new(native::starling_trt_cache_bytes_new(self.cache.get()), native::starling_trt_memory_free)
        };
        bytes.map(|bytes| bytes_of(&bytes)).unwrap_or_default()
    }
}

fn load(cache: &Owned, bytes: &[u8]) -> Begin {
    // SAFETY: the bytes are as many as is said, and of no use to the library behind the call.
    let taken =
        unsafe { native::starling_trt_cache_load(cache.get(), bytes.as_ptr().cast::<c_void>(), bytes.len() as u64) };
    if taken {
        Begin::Kept(bytes.len())
    } else {
        Begin::Useless("the library takes them for another card, driver or engine".into())
    }
}

/// What was kept; none when nothing was.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) if metadata.len() > MAX_KEPT => return Err("the file is far too large".into()),
        Ok(_) => {}
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    match bytes.split_at_checked(HASH) {
        Some((hash, compiled)) if Sha256::digest(compiled)[..] == *hash => Ok(Some(compiled.to_vec())),
        _ => Err("the file is damaged".into()),
    }
}

/// Whole or not there.
fn write(path: &Path, compiled: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
    file.write_all(&Sha256::digest(compiled))?;
    file.write_all(compiled)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernels");
        assert_eq!(read(&path), Ok(None));
        write(&path, b"kernels").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"kernels");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[35] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), Err("the file is damaged".into()));
        std::fs::write(&path, &bytes[..10]).unwrap();
        assert!(read(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(read(&path).is_err());
    }
}
