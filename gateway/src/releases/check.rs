//! Whether a folder is the release that its manifest says: signature first, then every file's length and checksum.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};
use starling_protocol::release::{
    MANIFEST, MAX_FILES, MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, Manifest, ReleaseFile, ReleaseKey, SIGNATURE,
};

use super::{Release, Stamp};

/// How much of a file is in memory while it is hashed.
const CHUNK: usize = 256 << 10;

/// Checksums of files that were read already, as they were then.
pub(super) type Sums = HashMap<(String, Stamp), [u8; 32]>;

/// Checks a folder; files that are as they were at an earlier check are not read again.
///
/// # Errors
/// In words for the operator, which name no path.
pub(super) fn check(folder: &Path, key: &ReleaseKey, sums: &mut Sums) -> Result<Release, String> {
    let document = read(folder, MANIFEST, MAX_MANIFEST_BYTES)?;
    let signature = String::from_utf8(read(folder, SIGNATURE, MAX_SIGNATURE_BYTES)?)
        .map_err(|_| format!("{SIGNATURE} is no signature of minisign's"))?;
    let manifest = Manifest::open(&document, &signature, key).map_err(|error| error.to_string())?;
    let mut stamps = BTreeMap::new();
    // First what costs nothing: a manifest that claims what is not there has nothing read.
    for file in &manifest.files {
        let stamp = Stamp::at(&folder.join(&file.name)).ok_or_else(|| format!("{} is not there", file.name))?;
        if stamp.bytes != file.bytes {
            return Err(format!("{} has {} bytes, and {} were signed", file.name, stamp.bytes, file.bytes));
        }
        stamps.insert(file.name.clone(), stamp);
    }
    for file in &manifest.files {
        if sum(folder, file, stamps[&file.name], sums)? != file.sha256 {
            return Err(format!("{} is not the file that was signed: its SHA-256 is another", file.name));
        }
    }
    Ok(Release { manifest, document, signature, key: key.clone(), folder: folder.to_owned(), stamps })
}

fn sum(folder: &Path, file: &ReleaseFile, stamp: Stamp, sums: &mut Sums) -> Result<[u8; 32], String> {
    let key = (file.name.clone(), stamp);
    if let Some(known) = sums.get(&key) {
        return Ok(*known);
    }
    let sum = hash(&folder.join(&file.name), file.bytes).map_err(|error| format!("{}: {error}", file.name))?;
    // A folder that is filled anew again and again leaves its old sums behind.
    if sums.len() >= 4 * MAX_FILES {
        sums.clear();
    }
    sums.insert(key, sum);
    Ok(sum)
}

/// Of as many bytes as were signed.
fn hash(path: &Path, bytes: u64) -> io::Result<[u8; 32]> {
    let (mut file, mut hash, mut chunk) = (File::open(path)?.take(bytes), Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.finalize().into()),
            length => hash.update(&chunk[..length]),
        }
    }
}

fn read(folder: &Path, name: &str, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = File::open(folder.join(name)).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| format!("{name} cannot be read: {error}"))?;
    if bytes.len() > most { Err(format!("{name} has over {most} bytes")) } else { Ok(bytes) }
}
