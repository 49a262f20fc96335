//! `models verify`: every byte is read again, whatever is remembered of a file.

use std::{fs, path::Path};

use starling_inference::model::{Hashes, hash_file};
use starling_protocol::{
    ModelId,
    program::{Exit, say},
};

use super::{
    show::Progress,
    store::{Entry, Store},
};

/// Reads the models and says of each whether it is what was pulled.
pub(crate) fn run(store: &Store, hashes: &Hashes, entries: &[Entry]) -> Result<(), Exit> {
    let mut bad = 0;
    for entry in entries {
        match problem(&store.path(entry), entry, hashes) {
            None => say(format_args!("ok {}", entry.name)),
            Some(problem) => {
                bad += 1;
                say(format_args!("bad {}: {problem}", entry.name));
            }
        }
    }
    match bad {
        0 => Ok(()),
        _ => {
            let all = entries.len();
            let hint = "starling-node models pull gets a model again, by what models list says it is from";
            Err(Exit::failed(format!("damaged: {bad} of {all} models; {hint}")))
        }
    }
}

/// What is wrong with a model's file.
pub(crate) fn problem(path: &Path, entry: &Entry, hashes: &Hashes) -> Option<String> {
    let before = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("its file cannot be read: {error}")),
    };
    if before.len() != entry.bytes {
        return Some(format!("it has {} bytes, not {}", before.len(), entry.bytes));
    }
    let mut progress = Progress::new(&format!("checking {}", entry.name), 0, entry.bytes);
    let sha256 = match hash_file(path, &mut |done| progress.set(done)) {
        Ok(sha256) => sha256,
        Err(error) => return Some(format!("its file cannot be read: {error}")),
    };
    drop(progress);
    hashes.remember(path, &before, sha256);
    let found = ModelId::new(sha256).to_string();
    (found != entry.sha256).then(|| format!("its SHA-256 is {found}, not {}", entry.sha256))
}
