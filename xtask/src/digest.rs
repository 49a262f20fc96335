//! What a file is known by.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// A file's length in bytes and its SHA-256 in hexadecimal digits.
pub(crate) fn digest(path: &Path) -> Result<(u64, String)> {
    let failed = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(failed)?;
    let mut hash = Hashing(Sha256::new());
    let bytes = io::copy(&mut file, &mut hash).with_context(failed)?;
    Ok((bytes, hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
