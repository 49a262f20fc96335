//! An engine on disk: what was built, of what and for what, and a checksum over all of it.
//!
//! Layout, little-endian: eight bytes of magic, the version of this layout (u32), the length of the description (u32),
//! the description (JSON), the engine's bytes, and the SHA-256 of everything before it. A file is written beside its
//! place and renamed, so that it is whole or not there. It is a build output: whatever is wrong with one, it is built
//! again.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Capability, Precision, VERSION};
use crate::model::to_hex;

const MAGIC: [u8; 8] = *b"STARLTRT";
/// Of this file and of what is in it: the first one's caches had rows in eights.
const LAYOUT: u32 = 2;
/// Bytes before the description.
const PREFIX: u64 = 16;
/// Bytes of the checksum at the end.
pub(super) const CHECKSUM: u64 = 32;
/// Longest description; it has some 400 bytes.
const MAX_DESCRIPTION: u32 = 16 << 10;
/// Largest engine: far beyond any card's memory.
const MAX_ENGINE: u64 = 1 << 40;
/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// Of what and for what an engine was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// SHA-256 of the model's file, in hexadecimal.
    pub model: String,
    /// What its weights are stored as.
    pub precision: Precision,
    /// Tokens of prompt and answer together that a slot holds.
    pub context_tokens: u32,
    /// Sequences at once.
    pub slots: u32,
    /// Tokens of a prompt in one step.
    pub chunk_tokens: u32,
    /// The library's version.
    pub library: String,
    /// The kind of card.
    pub capability: Capability,
    /// Bytes of the engine.
    pub bytes: u64,
}

impl Description {
    /// The file's name in a folder of engines: what differs in any of these is another engine.
    #[must_use]
    pub fn file_name(&self) -> String {
        let Self { model, precision, context_tokens, slots, chunk_tokens, library, capability, .. } = self;
        let model = model.get(..16).unwrap_or(model);
        format!("{model}-{precision}-{slots}x{context_tokens}-{chunk_tokens}-{capability}-{library}.engine")
    }
}

/// Why a file is not used. It is built again then.
#[derive(Debug, thiserror::Error)]
#[error("{} is not used: {problem}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is not there or cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is no engine of ours, or damaged.
    #[error("{0}")]
    Damaged(String),
    /// It was built for something else.
    #[error("it was built for {what} {built}, and {wanted} is wanted")]
    Other {
        /// What differs.
        what: &'static str,
        /// What the file says.
        built: String,
        /// What was asked for.
        wanted: String,
    },
}

/// Writes an engine to its place in `folder`, which is made when it is not there; gives the file.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, description: &Description, engine: &[u8]) -> Result<PathBuf, FileError> {
    let path = folder.join(description.file_name());
    put(folder, &path, description, engine).map_err(|error| FileError { path: path.clone(), problem: error.into() })?;
    Ok(path)
}

fn put(folder: &Path, path: &Path, description: &Description, engine: &[u8]) -> std::io::Result<()> {
    let json = serde_json::to_vec(description).map_err(std::io::Error::other)?;
    let length = u32::try_from(json.len()).map_err(std::io::Error::other)?;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let mut hash = Sha256::new();
    for part in [&MAGIC[..], &LAYOUT.to_le_bytes(), &length.to_le_bytes(), &json, engine] {
        file.write_all(part)?;
        hash.update(part);
    }
    file.write_all(&hash.finalize())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Reads an engine that was built as `wanted` says, but for its length.
///
/// # Errors
/// Says what is wrong with the file.
pub fn read(path: &Path, wanted: &Description) -> Result<Vec<u8>, FileError> {
    take(path, wanted).map_err(|problem| FileError { path: path.to_owned(), problem })
}

/// What an engine says that it is; its checksum is not looked at.
///
/// # Errors
/// Says what is wrong with the file.
pub fn description(path: &Path) -> Result<Description, FileError> {
    let read = || -> Result<Description, Problem> { Ok(describe(&mut std::fs::File::open(path)?)?.0) };
    read().map_err(|problem| FileError { path: path.to_owned(), problem })
}

fn take(path: &Path, wanted: &Description) -> Result<Vec<u8>, Problem> {
    let mut file = std::fs::File::open(path)?;
    let (description, start) = describe(&mut file)?;
    compare(&description, wanted)?;
    let length = file.metadata()?.len();
    let whole = start + description.bytes + CHECKSUM;
    if length != whole {
        return Err(damaged(format!("it has {length} bytes and should have {whole}")));
    }
    check(&mut file, whole - CHECKSUM)?;
    let mut engine = vec![0; usize::try_from(description.bytes).map_err(|_| damaged("it is too large"))?];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut engine)?;
    Ok(engine)
}

/// The description, and where the engine begins.
fn describe(file: &mut std::fs::File) -> Result<(Description, u64), Problem> {
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix).map_err(|_| damaged("it is shorter than its own beginning"))?;
    let (magic, numbers) = prefix.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(damaged("it is no engine of Starling's"));
    }
    let number = |at: usize| u32::from_le_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    if number(0) != LAYOUT {
        return Err(other("layout", &number(0), &LAYOUT));
    }
    let length = number(4);
    if length > MAX_DESCRIPTION {
        return Err(damaged(format!("its description has {length} bytes")));
    }
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json).map_err(|_| damaged("it ends inside its description"))?;
    let description: Description =
        serde_json::from_slice(&json).map_err(|_| damaged("its description cannot be read"))?;
    if description.bytes == 0 || description.bytes > MAX_ENGINE {
        return Err(damaged(format!("it says that its engine has {} bytes", description.bytes)));
    }
    Ok((description, PREFIX + u64::from(length)))
}

fn compare(built: &Description, wanted: &Description) -> Result<(), Problem> {
    let pairs: [(&'static str, &dyn ToString, &dyn ToString); 7] = [
        ("the model", &built.model, &wanted.model),
        ("the library", &built.library, &wanted.library),
        ("compute capability", &built.capability, &wanted.capability),
        ("precision", &built.precision, &wanted.precision),
        ("a context of", &built.context_tokens, &wanted.context_tokens),
        ("slots:", &built.slots, &wanted.slots),
        ("pieces of", &built.chunk_tokens, &wanted.chunk_tokens),
    ];
    match pairs.into_iter().find(|(_, built, wanted)| built.to_string() != wanted.to_string()) {
        Some((what, built, wanted)) => Err(other(what, built, wanted)),
        None => Ok(()),
    }
}

/// Whether the checksum at the end is that of the `length` bytes before it.
fn check(file: &mut std::fs::File, length: u64) -> Result<(), Problem> {
    file.seek(SeekFrom::Start(0))?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    let mut body = Read::by_ref(file).take(length);
    loop {
        let read = body.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
    }
    let mut checksum = [0; CHECKSUM as usize];
    file.read_exact(&mut checksum)?;
    if hash.finalize()[..] == checksum { Ok(()) } else { Err(damaged("its checksum is wrong: it has changed")) }
}

fn damaged(what: impl Into<String>) -> Problem {
    Problem::Damaged(what.into())
}

fn other(what: &'static str, built: &(impl ToString + ?Sized), wanted: &(impl ToString + ?Sized)) -> Problem {
    Problem::Other { what, built: built.to_string(), wanted: wanted.to_string() }
}

/// What `model` is built as with this program's library; its length is not known yet.
#[must_use]
pub fn wanted(
    model: &[u8; 32],
    (precision, capability): (Precision, Capability),
    (context_tokens, slots, chunk_tokens): (u32, u32, u32),
) -> Description {
    let model = to_hex(model);
    let library = VERSION.to_owned();
    Description { model, precision, context_tokens, slots, chunk_tokens, library, capability, bytes: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        wanted(&[7; 32], (Precision::Int4, Capability::ADA), (4096, 4, 512))
    }

    /// A good file, and what it is read as after `change`.
    fn check(change: impl Fn(&mut Vec<u8>), wanted: &Description) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().unwrap();
        let engine = vec![42; 5000];
        let built = Description { bytes: engine.len() as u64, ..description() };
        let path = write(&folder.path().join("new"), &built, &engine).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        read(&path, wanted).map_err(|error| error.to_string())
    }

    fn refused(change: impl Fn(&mut Vec<u8>), why: &str) {
        let error = check(change, &description()).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(check(|_| (), &description()).unwrap(), vec![42; 5000]);
        let name = description().file_name();
        assert_eq!(name, "0707070707070707-int4-4x4096-512-8.9-1.7.1.116.engine");
    }

    #[test]
    fn no_damaged_file_is_used() {
        refused(Vec::clear, "shorter than its own beginning");
        refused(|bytes| bytes.truncate(40), "ends inside its description");
        refused(|bytes| bytes.truncate(3000), "bytes and should have");
        refused(|bytes| bytes.push(0), "bytes and should have");
        refused(|bytes| bytes[0] ^= 1, "no engine of Starling's");
        refused(|bytes| bytes[8] = 1, "built for layout 1, and 2 is wanted");
        refused(|bytes| bytes[15] = 0xff, "its description has");
        refused(|bytes| bytes[17] = b'x', "cannot be read");
        // Every other bit of it is under the checksum, also those of the description.
        for at in [2000, 5000] {
            refused(|bytes| bytes[at] ^= 4, "its checksum is wrong");
        }
        refused(|bytes| *bytes.last_mut().unwrap() ^= 1, "its checksum is wrong");
        let missing = read(Path::new("no/such.engine"), &description()).unwrap_err();
        assert!(matches!(missing.problem, Problem::Io(_)));
    }

    #[test]
    fn no_flip_of_the_beginning_is_taken_for_an_engine() {
        for at in 0..250 {
            assert!(check(|bytes| bytes[at] ^= 1 << (at % 8), &description()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_engine_for_something_else_is_named() {
        let good = description();
        let model = Description { model: "08".repeat(32), ..good.clone() };
        let library = Description { library: "1.6.0.1".into(), ..good.clone() };
        let capability = Description { capability: Capability::new(12, 0).unwrap(), ..good.clone() };
        let precision = Description { precision: Precision::Fp16, ..good.clone() };
        let slots = Description { slots: 8, ..good.clone() };
        let context = Description { context_tokens: 8192, ..good };
        for (wanted, why) in [
            (model, "built for the model 0707"),
            (library, "built for the library 1.7.1.116, and 1.6.0.1 is wanted"),
            (capability, "built for compute capability 8.9, and 12.0 is wanted"),
            (precision, "built for precision int4, and fp16 is wanted"),
            (slots, "built for slots: 4, and 8 is wanted"),
            (context, "built for a context of 4096, and 8192 is wanted"),
        ] {
            let error = check(|_| (), &wanted).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
