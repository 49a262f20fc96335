//! The master key: the one secret that all other keys of a gateway come from. It lies outside the database, so that who
//! has the database alone has neither its people's words nor the right to sign for them.
//!
//! Gateways that share a database share this key too.

use std::{fmt, path::Path};

use hkdf::Hkdf;
use sha2::Sha256;
use starling_protocol::{
    identity::{self, IdentityError},
    program::Exit,
};
use zeroize::Zeroizing;

use crate::secret;

/// 32 random bytes. Wiped from memory when dropped; its `Debug` shows nothing.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// The key in the file at `path`, 64 hexadecimal digits, which is made when it is not there.
    ///
    /// # Errors
    /// When the file cannot be read or made, others can read it, or it holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, Exit> {
        identity::key_file(path).map(Self).map_err(|error| {
            let hint = match &error {
                IdentityError::Exposed { exposed, .. } => format!("run `{}`", exposed.mend),
                _ => "restore it from where you keep it: without this key the conversations in the database cannot be read"
                    .to_owned(),
            };
            Exit::usage(format!("the master key: {error}"), hint)
        })
    }

    /// A key that is stored nowhere.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(secret::random()))
    }

    /// The key for one purpose. One purpose's key says nothing of another's, nor of this one (HKDF-SHA256, RFC 5869).
    ///
    /// # Panics
    /// Never: 32 bytes are fewer than HKDF can give.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let derived = Hkdf::<Sha256>::new(None, self.0.as_ref()).expand(purpose.as_bytes(), key.as_mut());
        derived.expect("32 bytes are fewer than HKDF can give");
        key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_gives_a_key_for_each_purpose() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let (made, found) = (MasterKey::load_or_create(&path).unwrap(), MasterKey::load_or_create(&path).unwrap());
        assert_eq!(made.derive("a"), found.derive("a"));
        assert_ne!(made.derive("a"), made.derive("b"));
        assert_ne!(made.derive("a"), MasterKey::generate().derive("a"));
        assert_eq!(format!("{made:?}"), "MasterKey");
        std::fs::write(&path, "nonsense").unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err();
        assert!(matches!(&error, Exit::Usage { what, .. } if what.contains("64 hexadecimal digits")), "{error:?}");
    }
}
