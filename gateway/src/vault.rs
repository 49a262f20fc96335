//! What makes words unreadable for whoever has the database alone: authenticated encryption with a key of each user's
//! own. It knows keys and bytes; which columns are sealed, and where keys are kept, is the store's.
//!
//! A sealed value is a header (cipher, generation of the key), a random nonce, and the text with its tag. It is bound to
//! its place: a value that was moved to another row, table or user does not open.

use std::fmt;

use aes_gcm::Aes256Gcm;
use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret;

/// One byte for the cipher, four for the generation, the first one first.
const HEADER: usize = 5;

/// How values are sealed; what another one has sealed still opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Cipher {
    /// XChaCha20-Poly1305: fast everywhere, and its random nonces never meet.
    #[default]
    Xchacha20Poly1305,
    /// AES-256-GCM: faster where the processor has instructions for it. Its random nonces of 96 bits are good for 2^32
    /// values of one user.
    Aes256Gcm,
}

/// A key that seals. Wiped from memory when dropped; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; 32]>);

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'static str,
    /// The row's id.
    pub row: &'a str,
    /// Whose it is.
    pub owner: &'a str,
}

/// It was changed or moved, or the key is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a sealed value does not open")]
pub struct WontOpen;

impl Cipher {
    fn byte(self) -> u8 {
        match self {
            Self::Xchacha20Poly1305 => 1,
            Self::Aes256Gcm => 2,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Xchacha20Poly1305),
            2 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }

    fn nonce_length(self) -> usize {
        match self {
            Self::Xchacha20Poly1305 => 24,
            Self::Aes256Gcm => 12,
        }
    }
}

impl Place<'_> {
    /// The header too, so that no part of a value can be exchanged. Lengths go first, so that no two places look alike.
    fn bound(&self, header: &[u8]) -> Vec<u8> {
        let mut bytes = header.to_vec();
        for part in [self.table, self.row, self.owner] {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// The generation of the key that has sealed a value; `None` when it is no sealed value.
#[must_use]
pub fn generation(sealed: &[u8]) -> Option<u32> {
    let (header, _) = sealed.split_first_chunk::<HEADER>()?;
    let [cipher, generation @ ..] = *header;
    Cipher::of(cipher).map(|_| u32::from_be_bytes(generation))
}

impl Key {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(secret::random()))
    }

    /// That one.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The key as it is sealed by another one.
    #[must_use]
    pub fn wrapped_by(&self, other: &Self, place: Place<'_>) -> Vec<u8> {
        other.seal(Cipher::default(), 0, place, self.0.as_ref())
    }

    /// A key that this one has sealed.
    ///
    /// # Errors
    /// When it does not open.
    pub fn unwrap(&self, wrapped: &[u8], place: Place<'_>) -> Result<Self, WontOpen> {
        let bytes = self.open(wrapped, place)?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(WontOpen);
        }
        key.copy_from_slice(&bytes);
        Ok(Self(key))
    }

    /// Seals a text for its place.
    ///
    /// # Panics
    /// When the system gives no randomness: nothing here could go on safely then.
    #[must_use]
    pub fn seal(&self, cipher: Cipher, generation: u32, place: Place<'_>, text: &[u8]) -> Vec<u8> {
        let mut sealed = vec![cipher.byte()];
        sealed.extend_from_slice(&generation.to_be_bytes());
        let aad = place.bound(&sealed);
        let random: [u8; 24] = secret::random();
        let nonce = &random[..cipher.nonce_length()];
        let payload = Payload { msg: text, aad: &aad };
        let text = match (cipher, nonce) {
            (Cipher::Xchacha20Poly1305, _) => {
                XChaCha20Poly1305::new((&*self.0).into()).encrypt((&random).into(), payload)
            }
            (Cipher::Aes256Gcm, nonce) => {
                let nonce: [u8; 12] = nonce.try_into().expect("it was cut to this length");
                Aes256Gcm::new((&*self.0).into()).encrypt((&nonce).into(), payload)
            }
        };
        sealed.extend_from_slice(nonce);
        sealed.extend(text.expect("both seal texts of up to 64 GiB"));
        sealed
    }

    /// What was sealed for that place. Wiped from memory when dropped.
    ///
    /// # Errors
    /// When it does not open.
    pub fn open(&self, sealed: &[u8], place: Place<'_>) -> Result<Zeroizing<Vec<u8>>, WontOpen> {
        let (header, rest) = sealed.split_at_checked(HEADER).ok_or(WontOpen)?;
        let cipher = Cipher::of(header[0]).ok_or(WontOpen)?;
        let aad = place.bound(header);
        let text = match cipher {
            Cipher::Xchacha20Poly1305 => {
                let (nonce, msg) = rest.split_first_chunk::<24>().ok_or(WontOpen)?;
                XChaCha20Poly1305::new((&*self.0).into()).decrypt(nonce.into(), Payload { msg, aad: &aad })
            }
            Cipher::Aes256Gcm => {
                let (nonce, msg) = rest.split_first_chunk::<12>().ok_or(WontOpen)?;
                Aes256Gcm::new((&*self.0).into()).decrypt(nonce.into(), Payload { msg, aad: &aad })
            }
        };
        text.map(Zeroizing::new).map_err(|_| WontOpen)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place { table: "messages", row: "1", owner: "a" };
    const CIPHERS: [Cipher; 2] = [Cipher::Xchacha20Poly1305, Cipher::Aes256Gcm];

    #[test]
    fn what_is_sealed_opens_in_its_place_and_nowhere_else() {
        let key = Key::generate();
        for cipher in CIPHERS {
            let sealed = key.seal(cipher, 7, HERE, b"words");
            assert_eq!(generation(&sealed), Some(7));
            assert_eq!(key.open(&sealed, HERE).unwrap().as_slice(), b"words");
            assert_ne!(sealed, key.seal(cipher, 7, HERE, b"words"), "no two look alike");
            assert!(!sealed.windows(5).any(|window| window == b"words"));
            for elsewhere in [
                Place { table: "progress", ..HERE },
                Place { row: "2", ..HERE },
                Place { owner: "b", ..HERE },
                Place { row: "", owner: "1a", ..HERE },
            ] {
                assert_eq!(key.open(&sealed, elsewhere), Err(WontOpen), "{elsewhere:?}");
            }
            assert_eq!(Key::generate().open(&sealed, HERE), Err(WontOpen));
        }
    }

    #[test]
    fn no_bit_of_it_can_be_changed() {
        let key = Key::generate();
        for cipher in CIPHERS {
            let sealed = key.seal(cipher, 1, HERE, b"");
            assert_eq!(key.open(&sealed, HERE).unwrap().as_slice(), b"");
            for bit in 0..sealed.len() * 8 {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(key.open(&changed, HERE), Err(WontOpen), "{cipher:?}, bit {bit}");
            }
            for length in 0..sealed.len() {
                assert_eq!(key.open(&sealed[..length], HERE), Err(WontOpen), "{cipher:?}, cut to {length}");
            }
        }
        assert_eq!(generation(b"Hello"), None);
    }

    #[test]
    fn a_key_is_wrapped_by_another() {
        let (one, two) = (Key::generate(), Key::generate());
        let wrapped = one.wrapped_by(&two, HERE);
        assert_eq!(two.unwrap(&wrapped, HERE), Ok(one.clone()));
        assert_eq!(one.unwrap(&wrapped, HERE), Err(WontOpen));
        assert_eq!(two.unwrap(&two.seal(Cipher::default(), 0, HERE, b"short"), HERE), Err(WontOpen));
        assert_eq!(format!("{one:?}"), "Key");
    }
}
