//! Remembers the SHA-256 of model files: tens of seconds for a large one, which every start would pay again.
//!
//! A file counts as the same while path, length, time of change and, where there is one, inode are the same. That is
//! for speed and not for trust: whoever doubts a file hashes it ([`hash_file`]).

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How much of a file is hashed at a time.
const CHUNK: usize = 1 << 20;
/// Files remembered at most; far more than a machine has models.
const MAX_FILES: usize = 1000;
/// Longest file of hashes that is read: a thousand long paths.
const MAX_BYTES: u64 = 4 << 20;
/// A file changed this lately may change again without a new time, as some file systems count whole seconds.
const SETTLED: Duration = Duration::from_secs(2);

/// The file in which hashes are remembered. Losing it costs time and nothing else, so that its errors are no errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    path: PathBuf,
}

/// A file whose hash is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
}

/// By what a file is recognised, and its hash in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    /// Nanoseconds since 1970; as text, since other readers of JSON would round it.
    changed: String,
    /// 0 where files have none.
    inode: u64,
    sha256: String,
}

impl Hashes {
    /// Remembers in the file at `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The hash of `file`, if it was remembered and the file is still the same.
    pub fn get(&self, file: &Path) -> Option<[u8; 32]> {
        let entry = self.read().remove(&key(file)?)?;
        let now = Entry::of(&std::fs::metadata(file).ok()?, entry.sha256.clone())?;
        (now == entry).then(|| from_hex(&entry.sha256)).flatten()
    }

    /// Remembers the hash of `file`, which was computed after the file was as in `before`.
    pub fn remember(&self, file: &Path, before: &Metadata, sha256: [u8; 32]) {
        let settled = |changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED);
        if before.modified().is_ok_and(settled) {
            self.remember_own(file, before, sha256);
        }
    }

    /// As [`Hashes::remember`], for a file that the caller wrote and nobody else writes to.
    pub fn remember_own(&self, file: &Path, before: &Metadata, sha256: [u8; 32]) {
        if let Err(error) = self.try_remember(file, before, sha256) {
            tracing::debug!(%error, "the hash of a model is not remembered");
        }
    }

    /// Every file that is still what it was when it was hashed, by path.
    pub fn known(&self) -> Vec<Known> {
        let paths: Vec<PathBuf> = self.read().into_keys().map(PathBuf::from).collect();
        let known = |path: PathBuf| {
            let sha256 = self.get(&path)?;
            Some(Known { bytes: std::fs::metadata(&path).ok()?.len(), path, sha256 })
        };
        paths.into_iter().filter_map(known).collect()
    }

    fn read(&self) -> BTreeMap<String, Entry> {
        let read = || -> io::Result<_> {
            let mut text = String::new();
            File::open(&self.path)?.take(MAX_BYTES).read_to_string(&mut text)?;
            Ok(serde_json::from_str(&text)?)
        };
        read().unwrap_or_default()
    }

    fn try_remember(&self, file: &Path, before: &Metadata, sha256: [u8; 32]) -> io::Result<()> {
        let (Some(key), Some(entry)) = (key(file), Entry::of(before, to_hex(&sha256))) else {
            return Ok(());
        };
        let mut entries = self.read();
        entries.retain(|path, _| Path::new(path).exists());
        if entries.len() >= MAX_FILES {
            entries.clear();
        }
        entries.insert(key, entry);
        let folder = self.path.parent().ok_or(io::ErrorKind::NotFound)?;
        std::fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&serde_json::to_vec_pretty(&entries)?)?;
        new.persist(&self.path)?;
        Ok(())
    }
}

impl Entry {
    /// `None` where the system keeps no times.
    fn of(metadata: &Metadata, sha256: String) -> Option<Self> {
        let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos().to_string();
        Some(Self { bytes: metadata.len(), changed, inode: inode(metadata), sha256 })
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// A path that is not text is not remembered.
fn key(file: &Path) -> Option<String> {
    std::path::absolute(file).ok()?.to_str().map(str::to_owned)
}

/// SHA-256 of the whole file; `done` is told how many bytes are hashed, every few milliseconds.
///
/// # Errors
/// When the file cannot be read to its end.
pub fn hash_file(path: &Path, done: &mut dyn FnMut(u64)) -> io::Result<[u8; 32]> {
    let (mut file, mut hash, mut chunk, mut bytes) = (File::open(path)?, Sha256::new(), vec![0; CHUNK], 0);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.finalize().into()),
            length => hash.update(&chunk[..length]),
        }
        bytes += CHUNK as u64;
        done(bytes);
    }
}

/// As lower-case digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Vec<u8> = text.as_bytes().chunks(2).map(digit).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a model that was written long ago.
    fn stage() -> (tempfile::TempDir, Hashes, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (hashes, file) = (Hashes::new(folder.path().join("new/hashes.json")), folder.path().join("model"));
        write(&file, b"one", 1000);
        (folder, hashes, file)
    }

    fn write(file: &Path, bytes: &[u8], changed: u64) {
        std::fs::write(file, bytes).unwrap();
        let changed = UNIX_EPOCH + Duration::from_secs(changed);
        File::options().write(true).open(file).unwrap().set_modified(changed).unwrap();
    }

    fn remember(hashes: &Hashes, file: &Path, byte: u8) {
        hashes.remember(file, &std::fs::metadata(file).unwrap(), [byte; 32]);
    }

    #[test]
    fn a_hash_is_remembered_until_the_file_changes() {
        let (_folder, hashes, file) = stage();
        assert_eq!(hashes.get(&file), None);
        remember(&hashes, &file, 7);
        assert_eq!(hashes.get(&file), Some([7; 32]));
        assert_eq!(hashes.known(), [Known { path: file.clone(), bytes: 3, sha256: [7; 32] }]);
        write(&file, b"two", 1001);
        assert_eq!(hashes.get(&file), None, "another time");
        write(&file, b"three", 1000);
        assert_eq!(hashes.get(&file), None, "another length");
        remember(&hashes, &file, 8);
        std::fs::remove_file(&file).unwrap();
        assert_eq!((hashes.get(&file), hashes.known()), (None, vec![]));
    }

    #[test]
    fn a_file_that_may_still_change_is_not_remembered() {
        let (_folder, hashes, file) = stage();
        std::fs::write(&file, b"one").unwrap();
        remember(&hashes, &file, 7);
        assert_eq!(hashes.get(&file), None);
        hashes.remember_own(&file, &std::fs::metadata(&file).unwrap(), [7; 32]);
        assert_eq!(hashes.get(&file), Some([7; 32]));
    }

    #[test]
    fn a_damaged_memory_is_an_empty_one() {
        let (folder, _, file) = stage();
        for text in ["", "{", "[1]", r#"{"a":{"bytes":-1}}"#] {
            let hashes = Hashes::new(folder.path().join("hashes.json"));
            std::fs::write(&hashes.path, text).unwrap();
            assert_eq!(hashes.get(&file), None, "{text}");
            remember(&hashes, &file, 7);
            assert_eq!(hashes.get(&file), Some([7; 32]), "{text}");
        }
        remember(&Hashes::new(folder.path().to_owned()), &file, 7);
    }

    #[test]
    fn a_file_is_hashed_with_progress() {
        let (_folder, _, file) = stage();
        std::fs::write(&file, vec![0; CHUNK * 2 + 1]).unwrap();
        let mut calls = 0;
        let hash = hash_file(&file, &mut |_| calls += 1).unwrap();
        assert_eq!((calls, hash), (3, Sha256::digest(vec![0; CHUNK * 2 + 1]).into()));
        assert!(hash_file(Path::new("no/such/file"), &mut |_| {}).is_err());
    }
}
