//! A file that is not whole yet, and the note beside it that says of what.
//!
//! It grows in the folder where the whole file will lie, so that the end of a download is a rename and needs no second
//! copy of the space. Its hash is computed while it grows.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use starling_protocol::{ModelId, disk::sync_folder};

use crate::{
    disk::remove,
    models::{hub::Remote, show::Progress},
};

/// How much is hashed between two looks at whether to stop.
const CHUNK: usize = 1 << 20;
/// Longest note that is read.
const MAX_NOTE_BYTES: u64 = 16 << 10;

/// A file that is not whole yet.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    hash: Sha256,
    done: u64,
    /// Known once a server has answered.
    begun: Option<Begun>,
}

/// What the part is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) source: String,
    pub(super) bytes: u64,
    /// The server's mark of this version of the file, to ask whether it is still the same.
    pub(super) validator: Option<String>,
    pub(super) sha256: Option<String>,
}

impl Part {
    /// The part of the file at `whole`: what an earlier pull of the same file left, or an empty one.
    pub(super) async fn open(whole: &Path, remote: &Remote) -> io::Result<Self> {
        let path = beside(whole, "part");
        fs::create_dir_all(whole.parent().unwrap_or(whole))?;
        let begun = read_note(&path).filter(|begun| begun.is_of(remote));
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut part = Self { path, file, hash: Sha256::new(), done: 0, begun };
        match part.begun.as_ref().map(|begun| begun.bytes) {
            Some(bytes) if (1..=bytes).contains(&part.file.metadata()?.len()) => part.read_again(&remote.file).await?,
            _ => part.restart()?,
        }
        Ok(part)
    }

    /// Hashes what is there already. Waits now and then, so that whoever stops us need not wait.
    async fn read_again(&mut self, name: &str) -> io::Result<()> {
        let mut progress = Progress::new(&format!("checking the part of {name}"), 0, self.file.metadata()?.len());
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.file.read(&mut chunk)? {
                0 => return Ok(()),
                length => self.hash.update(&chunk[..length]),
            }
            self.done = self.file.stream_position()?;
            progress.set(self.done);
            tokio::task::yield_now().await;
        }
    }

    /// Forgets everything.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hash = Sha256::new();
        (self.done, self.begun) = (0, None);
        remove(&note(&self.path))
    }

    /// Writes down what it is a part of.
    pub(super) fn begin(&mut self, begun: Begun) -> io::Result<()> {
        if self.begun.as_ref() != Some(&begun) {
            fs::write(note(&self.path), serde_json::to_vec_pretty(&begun)?)?;
            self.begun = Some(begun);
        }
        Ok(())
    }

    /// What it is a part of, once that is known.
    pub(super) fn begun(&self) -> Option<&Begun> {
        self.begun.as_ref()
    }

    /// Bytes that are there.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends. Writing blocks; nothing else happens in this program meanwhile.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.done += bytes.len() as u64;
        Ok(())
    }

    /// The hash of what is there.
    pub(super) fn sha256(&self) -> ModelId {
        ModelId::new(self.hash.clone().finalize().into())
    }

    /// Makes it the file at `whole`.
    pub(super) fn finish(self, whole: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        drop(self.file);
        fs::rename(&self.path, whole)?;
        sync_folder(whole)?;
        remove(&note(&self.path))
    }

    /// Deletes it.
    pub(super) fn discard(self) {
        drop(self.file);
        // What cannot be deleted is started again by the next pull.
        let _ = remove(&self.path).and(remove(&note(&self.path)));
    }
}

impl Begun {
    /// Whether this is the file that is wanted, and whether it can be known that it has not changed.
    fn is_of(&self, remote: &Remote) -> bool {
        let same_length = remote.bytes.is_none_or(|bytes| bytes == self.bytes);
        let sha256 = remote.sha256.map(|sha256| sha256.to_string());
        let knowable = self.validator.is_some() || sha256.is_some();
        self.source == remote.source && same_length && sha256 == self.sha256 && knowable
    }
}

/// `model.gguf` → `model.gguf.part`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn note(part: &Path) -> PathBuf {
    beside(part, "json")
}

fn read_note(part: &Path) -> Option<Begun> {
    let mut text = String::new();
    File::open(note(part)).ok()?.take(MAX_NOTE_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
