//! A release: the packages that a gateway hands out and that a node updates itself with, as one signed document names
//! them.
//!
//! `release.json` lists every file with its length and checksum, and it alone is signed (minisign's format, over a
//! BLAKE2b-512 hash). So [`Manifest::open`] is the door: what it gives has been signed with the pinned key, and its names,
//! lengths and numbers are within bounds. It reads no file and asks no server.

use std::{collections::BTreeSet, fmt, str::FromStr};

use minisign_verify::{PublicKey, Signature};
use semver::Version;
use serde::Deserialize;
use thiserror::Error;

use crate::id::read_hex;

/// What the document is called, in a folder and at a gateway.
pub const MANIFEST: &str = "release.json";
/// What its signature is called.
pub const SIGNATURE: &str = "release.json.minisig";
/// Longest document, in bytes; one has some 200 for each file.
pub const MAX_MANIFEST_BYTES: usize = 64 << 10;
/// Longest signature file, in bytes; it has four short lines.
pub const MAX_SIGNATURE_BYTES: usize = 4 << 10;
/// Most files of a release.
pub const MAX_FILES: usize = 64;
/// Largest file, in bytes: the largest program with the libraries of every backend has less than half of it.
pub const MAX_FILE_BYTES: u64 = 4 << 30;
/// Longest name of a file, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Longest version, in bytes.
const MAX_VERSION_BYTES: usize = 64;

/// Why a release is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReleaseError {
    /// The text is no public key of minisign's.
    #[error("this is no public key of minisign's: it has one line that begins with RWS or RWT")]
    Key,
    /// The signature file is none.
    #[error("{SIGNATURE} is no signature of minisign's")]
    NoSignature,
    /// Another key has signed it, or another document was signed.
    #[error("the signature of {MANIFEST} does not hold: it was not signed with this key, or was changed since")]
    Signature,
    /// It is signed and yet not what it must be.
    #[error("{MANIFEST} is not as it must be: {0}")]
    Malformed(String),
}

/// The public key that releases are checked with.
#[derive(Clone)]
pub struct ReleaseKey {
    key: PublicKey,
    text: String,
}

impl FromStr for ReleaseKey {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let text = text.trim();
        // It is written into scripts: nothing but base64 may be in it, in the one length that it has.
        let plain = text.len() == 56 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        let key = PublicKey::from_base64(text).ok().filter(|_| plain).ok_or(ReleaseError::Key)?;
        Ok(Self { key, text: text.to_owned() })
    }
}

impl fmt::Display for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for ReleaseKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A release that was signed with the pinned key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is called.
    pub version: Version,
    /// Its files; no two have the same name, whatever the case of its letters.
    pub files: Vec<ReleaseFile>,
}

/// One file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    /// A plain name: no folder, no sign that a shell or a file system takes for another.
    pub name: String,
    /// Which program it has.
    pub program: String,
    /// `linux` or `windows`.
    pub system: String,
    /// Such as `x86_64`.
    pub arch: String,
    /// `archive` or `deb`.
    pub kind: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// As it stands in the document. Fields that a later release adds are passed over.
#[derive(Deserialize)]
struct Written {
    version: String,
    files: Vec<WrittenFile>,
}

#[derive(Deserialize)]
struct WrittenFile {
    name: String,
    program: String,
    system: String,
    arch: String,
    kind: String,
    bytes: u64,
    sha256: String,
}

impl Manifest {
    /// Checks a document against its signature, and then what it says.
    ///
    /// # Errors
    /// See [`ReleaseError`]. Nothing of the document is looked at before its signature holds.
    pub fn open(document: &[u8], signature: &str, key: &ReleaseKey) -> Result<Self, ReleaseError> {
        if document.len() > MAX_MANIFEST_BYTES {
            return Err(ReleaseError::Malformed(format!("it has over {MAX_MANIFEST_BYTES} bytes")));
        }
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(ReleaseError::NoSignature);
        }
        let signature = Signature::decode(signature).map_err(|_| ReleaseError::NoSignature)?;
        key.key.verify(document, &signature, false).map_err(|_| ReleaseError::Signature)?;
        let written = serde_json::from_slice(document).map_err(|error| ReleaseError::Malformed(error.to_string()))?;
        Self::check(written).map_err(ReleaseError::Malformed)
    }

    /// The package of a program for a system, if the release has one.
    #[must_use]
    pub fn package(&self, program: &str, system: &str, arch: &str, kind: &str) -> Option<&ReleaseFile> {
        self.files
            .iter()
            .find(|file| file.program == program && file.system == system && file.arch == arch && file.kind == kind)
    }

    fn check(written: Written) -> Result<Self, String> {
        let version = parse_version(&written.version)?;
        if written.files.len() > MAX_FILES {
            return Err(format!("it names {} files, and {MAX_FILES} are the most", written.files.len()));
        }
        let files = written.files.into_iter().map(WrittenFile::check).collect::<Result<Vec<_>, _>>()?;
        let mut names: BTreeSet<String> = [MANIFEST, SIGNATURE].map(str::to_owned).into();
        match files.iter().find(|file| !names.insert(file.name.to_ascii_lowercase())) {
            Some(twice) => Err(format!("the name {:?} stands there twice", twice.name)),
            None => Ok(Self { version, files }),
        }
    }
}

/// A version as it may stand in names and scripts.
///
/// # Errors
/// Says that it is none.
pub fn parse_version(text: &str) -> Result<Version, String> {
    let version = Some(text).filter(|text| text.len() <= MAX_VERSION_BYTES).and_then(|text| text.parse().ok());
    version.ok_or_else(|| "its version is none, such as 1.2.3".to_owned())
}

impl WrittenFile {
    fn check(self) -> Result<ReleaseFile, String> {
        let Self { name, program, system, arch, kind, bytes, sha256 } = self;
        if !is_plain(&name) {
            return Err(format!("{name:?} is no plain name of a file"));
        }
        if let Some(word) = [&program, &system, &arch, &kind].into_iter().find(|word| !is_plain(word)) {
            return Err(format!("{word:?} is no plain word"));
        }
        if !(1..=MAX_FILE_BYTES).contains(&bytes) {
            return Err(format!("{name} has {bytes} bytes, and 1 to {MAX_FILE_BYTES} may be"));
        }
        let mut sum = [0; 32];
        read_hex(&sha256, &mut sum).ok_or_else(|| format!("{name} has no SHA-256"))?;
        Ok(ReleaseFile { name, program, system, arch, kind, bytes, sha256: sum })
    }
}

fn is_plain(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(good)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !name.contains("..")
        && !name.ends_with('.')
}

#[cfg(test)]
mod tests;
