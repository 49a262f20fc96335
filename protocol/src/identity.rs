//! The key that a peer is known by: an Ed25519 seed in a file that only its owner can read.
//!
//! The file holds the 32 bytes of the seed in hexadecimal and nothing else. It is made as its owner's alone
//! ([`owner_only`]) and refused when others can read it. It stays locked while the identity is in use: two peers of one
//! identity would take each other's connections.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use libp2p::{PeerId, identity::Keypair};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    id::read_hex,
    owner_only::{self, Exposed},
};

const SEED: usize = 32;

/// A peer's secret. Wiped from memory when dropped; its `Debug` shows nothing.
#[derive(Clone)]
pub struct Identity {
    seed: Zeroizing<[u8; SEED]>,
    /// Locked until the last clone is dropped.
    _file: Option<Arc<File>>,
}

/// Why there is no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Others could read the key.
    #[error("the key file {path} can be read by others ({how})", how = exposed.how)]
    Exposed {
        /// The file.
        path: PathBuf,
        /// How, and what ends it.
        exposed: Exposed,
    },
    /// Another program runs with this key.
    #[error("another program is using the key file {0}")]
    InUse(PathBuf),
    /// The file holds something else.
    #[error("{0} is not a key file: it must hold 64 hexadecimal digits")]
    Malformed(PathBuf),
    /// The file cannot be read or made.
    #[error("the key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no randomness.
    #[error("the system's random numbers failed: {0}")]
    Random(getrandom::Error),
}

impl IdentityError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Exposed { exposed, .. } => format!(
                "run `{}`; if somebody may have read it, delete it and start again with a new identity",
                exposed.mend
            ),
            Self::InUse(_) => "end the other program, or choose another folder with --data".to_owned(),
            Self::Malformed(path) => {
                format!("restore {0} from a backup, or delete it to start again with a new identity", path.display())
            }
            Self::Io { path, .. } => {
                format!("check who owns {} and its folder, or choose another with --data", path.display())
            }
            Self::Random(_) => "check that the system provides random numbers".to_owned(),
        }
    }
}

impl Identity {
    /// A new random identity that is stored nowhere.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; SEED]);
        getrandom::fill(seed.as_mut()).map_err(IdentityError::Random)?;
        Ok(Self { seed, _file: None })
    }

    /// The identity in the file at `path`, which is made when it is not there.
    ///
    /// # Errors
    /// See [`IdentityError`]; each has a [`hint`](IdentityError::hint).
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        let lock = |file: &File| {
            file.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => IdentityError::InUse(path.into()),
                TryLockError::Error(source) => IdentityError::Io { path: path.into(), source },
            })
        };
        let (file, seed) = open_or_create(path, lock)?;
        Ok(Self { seed, _file: Some(Arc::new(file)) })
    }

    /// The id that the others know it by.
    ///
    /// # Panics
    /// Never: any 32 bytes are an Ed25519 seed.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        let key = Keypair::ed25519_from_bytes(&mut *self.seed());
        key.expect("any 32 bytes are an Ed25519 seed").public().to_peer_id()
    }

    /// The seed, for the places that make a key pair of it.
    pub(crate) fn seed(&self) -> Zeroizing<[u8; SEED]> {
        self.seed.clone()
    }
}

/// The 32 secret bytes in the file at `path`, which is made of random ones when it is not there.
///
/// # Errors
/// See [`IdentityError`].
pub fn key_file(path: &Path) -> Result<Zeroizing<[u8; SEED]>, IdentityError> {
    open_or_create(path, |_| Ok(())).map(|(_, key)| key)
}

type Opened = (File, Zeroizing<[u8; SEED]>);

fn open_or_create(
    path: &Path,
    claim: impl FnOnce(&File) -> Result<(), IdentityError>,
) -> Result<Opened, IdentityError> {
    let failed = |source| IdentityError::Io { path: path.into(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path)?;
            File::open(path)
        }
        opened => opened,
    };
    let file = file.map_err(failed)?;
    refuse_exposed(path)?;
    // Before it is read: on Windows a lock keeps readers out too.
    claim(&file)?;
    let key = read(&file, path)?;
    Ok((file, key))
}

fn read(file: &File, path: &Path) -> Result<Zeroizing<[u8; SEED]>, IdentityError> {
    let mut text = Zeroizing::new(String::new());
    // One byte more than a key and its line end can have: a longer file is seen as such.
    file.take(2 * SEED as u64 + 3).read_to_string(&mut text).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => IdentityError::Malformed(path.into()),
        _ => IdentityError::Io { path: path.into(), source },
    })?;
    let mut key = Zeroizing::new([0; SEED]);
    read_hex(text.trim_end(), key.as_mut()).ok_or_else(|| IdentityError::Malformed(path.into()))?;
    Ok(key)
}

fn create(path: &Path) -> Result<(), IdentityError> {
    let key = Identity::generate()?.seed;
    let failed = |source| IdentityError::Io { path: path.into(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut text = Zeroizing::new(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    text.push('\n');
    owner_only::write(path, text.as_bytes()).map_err(failed)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

fn refuse_exposed(path: &Path) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Io { path: path.into(), source };
    match owner_only::exposed(path).map_err(failed)? {
        Some(exposed) => Err(IdentityError::Exposed { path: path.into(), exposed }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn seed_of(identity: &Identity) -> [u8; SEED] {
        *identity.seed()
    }

    #[test]
    fn the_same_file_gives_the_same_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep").join("identity.key");
        let made = seed_of(&Identity::load_or_create(&path).unwrap());
        let read = Identity::load_or_create(&path).unwrap();
        assert_eq!(made, seed_of(&read));
        assert_ne!(made, seed_of(&Identity::generate().unwrap()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn what_is_not_a_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        for bad in [&b""[..], b"abc", &[b'f'; 65], &[b'g'; 64], &[0xff; 64], &[b'a'; 4096]] {
            let _ = fs::remove_file(&path);
            owner_only::create_new(&path).unwrap().write_all(bad).unwrap();
            assert!(matches!(Identity::load_or_create(&path), Err(IdentityError::Malformed(_))), "{bad:?}");
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
    }

    #[test]
    fn one_identity_is_one_peer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        let first = Identity::load_or_create(&path).unwrap();
        let copy = first.clone();
        drop(first);
        assert!(matches!(Identity::load_or_create(&path), Err(IdentityError::InUse(_))));
        drop(copy);
        assert!(Identity::load_or_create(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_others_can_read_is_refused_with_a_hint() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        Identity::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(error, IdentityError::Exposed { .. }));
        assert!(error.to_string().contains("(mode 640)"), "{error}");
        assert!(error.hint().contains("chmod 600"));
    }
}
