//! How things leave the process: names that only who has the key can make, and contents that only they can read, bound
//! to the name they stand under.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use starling_protocol::membership::SwarmId;
use zeroize::Zeroizing;

use crate::secret;

const NONCE: usize = 24;

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    key: Zeroizing<[u8; 32]>,
    prefix: String,
}

impl Seal {
    pub(super) fn new(swarm: SwarmId, key: &Zeroizing<[u8; 32]>) -> Self {
        let mut seal =
            Self { cipher: XChaCha20Poly1305::new((&**key).into()), key: key.clone(), prefix: String::new() };
        // Gateways that have not the same key meet nowhere, also where they share a Redis and a swarm.
        seal.prefix = format!("starling:{swarm}:{}", &seal.digest("gateways")[..8]);
        seal
    }

    /// What something is called outside. Who it is about is not to be read from it.
    pub(super) fn name(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{}", self.prefix, self.digest(name))
    }

    /// The one channel of all gateways.
    pub(super) fn channel(&self) -> String {
        format!("{}:events", self.prefix)
    }

    fn digest(&self, name: &str) -> String {
        let digest = Sha256::new().chain_update(*self.key).chain_update(name).finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn seal(&self, name: &str, content: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = secret::random();
        let payload = Payload { msg: content, aad: name.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("it is far from 256 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// `None` for what was not sealed with this key under this name.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: name.as_bytes() }).ok()
    }
}

#[cfg(test)]
mod tests {
    use starling_protocol::membership::SwarmKey;

    use super::*;

    #[test]
    fn what_is_sealed_says_nothing_and_opens_under_its_name_only() {
        let swarm = SwarmKey::generate().unwrap().id();
        let seal = |byte| Seal::new(swarm, &Zeroizing::new([byte; 32]));
        let (ours, theirs) = (seal(1), seal(2));
        let sealed = ours.seal("a", b"something said");
        assert_eq!(ours.open("a", &sealed).as_deref(), Some(&b"something said"[..]));
        assert!(!sealed.windows(4).any(|bytes| bytes == b"some"));
        assert_ne!(ours.seal("a", b"x"), ours.seal("a", b"x"));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        for (seal, name, sealed) in
            [(&ours, "b", &sealed[..]), (&theirs, "a", &sealed), (&ours, "a", &changed), (&ours, "a", b"short")]
        {
            assert_eq!(seal.open(name, sealed), None);
        }
        assert!(ours.name("rate", "192.0.2.1").starts_with(&format!("starling:{swarm}:")));
        assert!(!ours.name("rate", "192.0.2.1").contains("192"));
        assert_ne!(ours.channel(), theirs.channel(), "who has another key is not met");
    }
}
