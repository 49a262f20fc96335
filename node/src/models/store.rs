//! The models on this machine: one folder, one file a model, and an index that says what each of them is.
//!
//! This module alone writes the index. It is replaced as a whole, under a lock, so that two programs at once lose
//! nothing and a reader never sees half of it.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use starling_protocol::{ModelId, program::Exit};

use super::{
    name::{Hub, Name, Pick},
    quantisation,
};

const INDEX: &str = "index.toml";
/// Longest index that is read: some ten thousand models.
const MAX_INDEX_BYTES: u64 = 4 << 20;
/// Where the lock of each model lies. An empty file; the lock itself goes with the process that holds it.
const LOCKS: &str = "locks";

/// The folder of models.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// What the index says of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// As it is called in the swarm: its file's name without the ending.
    pub(crate) name: String,
    /// The file, in the folder.
    pub(crate) file: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub(crate) sha256: String,
    /// Where it came from.
    pub(crate) source: String,
    /// When.
    pub(crate) pulled: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Index {
    #[serde(default, rename = "model")]
    models: Vec<Entry>,
}

/// Held while a model's file is written or removed.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Store {
    /// The models of a node whose data lies in `data`.
    pub(crate) fn new(data: &Path) -> Self {
        Self { folder: data.join("models") }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a model lies.
    pub(crate) fn path(&self, entry: &Entry) -> PathBuf {
        self.folder.join(&entry.file)
    }

    /// Every model, in the order in which they came.
    ///
    /// # Errors
    /// When the index is damaged.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, Exit> {
        let path = self.folder.join(INDEX);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_INDEX_BYTES).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            read => read.map_err(|error| damaged(&path, &error.to_string()))?,
        };
        let index: Index = toml::from_str(&text).map_err(|error| damaged(&path, error.message()))?;
        for entry in &index.models {
            entry.check().map_err(|what| damaged(&path, &what))?;
        }
        Ok(index.models)
    }

    /// The model that is meant by `text`: its name here, its file, its hash, or where it came from.
    ///
    /// # Errors
    /// When several are meant, or the index is damaged.
    pub(crate) fn find(&self, text: &str, hub: &Url) -> Result<Option<Entry>, Exit> {
        let name = Name::parse(text, hub)?;
        let mut found = self.entries()?;
        found.retain(|entry| entry.is(&name, hub));
        if let Name::Hub(Hub { pick: Pick::Usual, .. }) = name
            && let Some(usual) = quantisation::usual(&found.iter().map(|entry| entry.file.as_str()).collect::<Vec<_>>())
        {
            let usual = usual.to_owned();
            found.retain(|entry| entry.file == usual);
        }
        match &found[..] {
            [] | [_] => Ok(found.pop()),
            several => {
                let names: Vec<&str> = several.iter().map(|entry| entry.name.as_str()).collect();
                Err(Exit::usage(format!("{text} is several models here"), format!("say which: {}", names.join(", "))))
            }
        }
    }

    /// Writes a model down, in place of what the index said about its file.
    ///
    /// # Errors
    /// When the index is damaged or cannot be written.
    pub(crate) fn add(&self, new: Entry) -> Result<(), Exit> {
        self.change(|models| {
            models.retain(|entry| entry.file != new.file);
            models.push(new);
        })
    }

    /// Deletes a model.
    ///
    /// # Errors
    /// When another program is writing it, or it cannot be deleted.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<(), Exit> {
        let _lock = self.lock(&entry.file)?;
        match fs::remove_file(self.path(entry)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("cannot delete {}: {error}", self.path(entry).display());
                return Err(Exit::usage(what, "stop the node that serves it, or delete it as the user who owns it"));
            }
            _ => {}
        }
        self.change(|models| models.retain(|other| other.file != entry.file))
    }

    /// Locks a model's file until the lock is dropped or the process dies.
    ///
    /// # Errors
    /// When another program holds it.
    pub(crate) fn lock(&self, file: &str) -> Result<Lock, Exit> {
        let lock = self.open_lock(file)?;
        match lock.try_lock() {
            Ok(()) => Ok(Lock { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(Exit::usage(
                format!("another starling-node is pulling or removing {file} just now"),
                "wait until it is done, or stop it; what it has loaded is kept",
            )),
            Err(TryLockError::Error(error)) => Err(unwritable(&self.folder, &error)),
        }
    }

    fn open_lock(&self, file: &str) -> Result<File, Exit> {
        let folder = self.folder.join(LOCKS);
        let open = || {
            fs::create_dir_all(&folder)?;
            File::options().create(true).truncate(false).write(true).open(folder.join(file))
        };
        open().map_err(|error| unwritable(&folder, &error))
    }

    /// Reads, changes and replaces the index; one program at a time.
    fn change(&self, change: impl FnOnce(&mut Vec<Entry>)) -> Result<(), Exit> {
        let lock = self.open_lock(INDEX)?;
        lock.lock().map_err(|error| unwritable(&self.folder, &error))?;
        let mut index = Index { models: self.entries()? };
        change(&mut index.models);
        let text = toml::to_string(&index).map_err(|error| Exit::failed(format!("the index of models: {error}")))?;
        let write = || -> io::Result<()> {
            let mut new = tempfile::NamedTempFile::new_in(&self.folder)?;
            new.write_all(text.as_bytes())?;
            new.as_file().sync_all()?;
            new.persist(self.folder.join(INDEX))?;
            Ok(())
        };
        write().map_err(|error| unwritable(&self.folder, &error))
    }
}

impl Entry {
    /// SHA-256 of the content.
    pub(crate) fn id(&self) -> Option<ModelId> {
        self.sha256.parse().ok()
    }

    fn is(&self, name: &Name, hub: &Url) -> bool {
        match name {
            Name::Hub(asked) => match Name::parse(&self.source, hub) {
                Ok(Name::Hub(own)) => own.is(asked),
                _ => false,
            },
            Name::Url(..) => self.source == name.to_string(),
            Name::Local(path) => path.to_str().is_some_and(|text| {
                let by_hash = text.len() >= 8 && self.sha256.starts_with(&text.to_ascii_lowercase());
                by_hash || text.eq_ignore_ascii_case(&self.name) || text == self.file
            }),
        }
    }

    /// The index is a file that people edit; a name in it must not lead out of the folder.
    fn check(&self) -> Result<(), String> {
        if Path::new(&self.file).file_name() != Some(self.file.as_ref()) {
            return Err(format!("{:?} is no name of a file", self.file));
        }
        self.id().map(|_| ()).ok_or_else(|| format!("{:?} is no SHA-256", self.sha256))
    }
}

impl Hub {
    /// Whether this file of a repository is what was asked for.
    fn is(&self, asked: &Self) -> bool {
        let Pick::File(own) = &self.pick else { return false };
        let file = match &asked.pick {
            Pick::Usual => true,
            Pick::Quantisation(name) => quantisation::is(own, name),
            Pick::File(file) => file == own,
        };
        file && asked.repo.eq_ignore_ascii_case(&self.repo) && asked.revision == self.revision
    }
}

fn damaged(path: &Path, what: &str) -> Exit {
    Exit::usage(
        format!("{} cannot be used: {what}", path.display()),
        "mend it or move it away; the models stay, and models pull finds each of them again without loading it",
    )
}

pub(crate) fn unwritable(folder: &Path, error: &io::Error) -> Exit {
    Exit::usage(format!("cannot write to {}: {error}", folder.display()), "choose another folder with --data DIR")
}

#[cfg(test)]
mod tests;
