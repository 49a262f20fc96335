//! Random tokens, and what is stored in their place.

use std::fmt;

use sha2::{Digest as _, Sha256};
use starling_protocol::message::Private;

/// What a session cookie or an API key is stored as.
///
/// A plain SHA-256: the tokens hold 256 random bits, so there is nothing to guess that a slow hash
/// would protect. Looking a digest up in an index leaks no more than that digest.
pub type Digest = [u8; 32];

/// The beginning of every API key, so that one that leaks is recognised for what it is.
pub const KEY_PREFIX: &str = "sk-starling-";

/// A secret that is shown once, to its owner.
pub struct Token(String);

impl Token {
    /// 256 random bits in hexadecimal behind `prefix`.
    ///
    /// # Panics
    /// When the system gives no randomness: nothing here could go on safely then.
    #[must_use]
    pub fn generate(prefix: &str) -> Self {
        let bytes: [u8; 32] = random();
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        Self(std::iter::once(prefix.to_owned()).chain(digits).collect())
    }

    /// The secret.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// What a token that somebody sent is stored as.
#[must_use]
pub fn digest(token: &str) -> Digest {
    Sha256::digest(token.as_bytes()).into()
}

/// Bytes that nobody can foresee.
///
/// # Panics
/// When the system gives none.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random numbers");
    bytes
}

/// The letters of codes that people type: no 0, 1, I or O. 32 of them, so that five random bits are a letter.
const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// A code of ten letters (50 bits) that people type.
#[must_use]
pub fn typed_code() -> Private {
    let bytes: [u8; 10] = random();
    Private(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect())
}

/// A code as it was typed: case, blanks and hyphens do not matter.
#[must_use]
pub fn normalise_code(typed: &str) -> Private {
    let letters = typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    Private(letters.map(|letter| letter.to_ascii_uppercase()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_show_nothing_in_debug_output() {
        let (a, b) = (Token::generate(KEY_PREFIX), Token::generate(KEY_PREFIX));
        assert_ne!(a.reveal(), b.reveal());
        assert_eq!(a.reveal().len(), KEY_PREFIX.len() + 64);
        assert_eq!(a.digest(), digest(a.reveal()));
        assert_eq!(format!("{a:?}"), "Token");
    }

    #[test]
    fn codes_have_no_look_alikes() {
        for _ in 0..100 {
            let code = typed_code().0;
            assert_eq!(code.len(), 10);
            assert!(code.chars().all(|letter| letter.is_ascii_alphanumeric() && !"01IO".contains(letter)), "{code}");
            let typed = format!(" {}-{} ", code[..5].to_lowercase(), &code[5..]);
            assert_eq!(normalise_code(&typed).0, code);
        }
    }
}
