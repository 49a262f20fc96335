//! The key of a swarm: its public half is the swarm's name, its secret half makes members.

use std::{fmt, path::Path, str::FromStr};

use libp2p::{
    PeerId,
    identity::{Keypair, PublicKey, ed25519},
};
use minicbor::{Decode, Encode};
use thiserror::Error;

use super::{CERTIFICATE_LIFETIME, Certificate, Claims, MemberRole, Revocation, Seconds};
use crate::{
    id::read_hex,
    identity::{Identity, IdentityError},
};

/// Names a swarm: the public key that its certificates are signed with. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct SwarmId(
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    [u8; 32],
);

/// Not a swarm's name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a swarm is named by 64 hexadecimal digits")]
pub struct KeyError;

/// A swarm's secret: whoever holds it admits members and turns them out.
#[derive(Clone, Debug)]
pub struct SwarmKey {
    /// Kept for its file, which stays locked, and for its way of being wiped.
    seed: Identity,
    id: SwarmId,
}

impl SwarmId {
    /// The key itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the swarm has signed these bytes in this context.
    pub(super) fn has_signed(&self, context: &[u8], body: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = ed25519::PublicKey::try_from_bytes(&self.0) else { return false };
        PublicKey::from(key).verify(&[context, body].concat(), signature)
    }
}

impl SwarmKey {
    /// A new swarm that is stored nowhere.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        Identity::generate().map(Self::of)
    }

    /// The swarm whose key is in the file at `path`, which is made when it is not there. The file is as an
    /// identity's: 64 hexadecimal digits that only its owner can read.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        Identity::load_or_create(path).map(Self::of)
    }

    /// The swarm's name.
    #[must_use]
    pub fn id(&self) -> SwarmId {
        self.id
    }

    /// A certificate that begins now.
    #[must_use]
    pub fn certify(&self, peer: PeerId, role: MemberRole, now: Seconds) -> Certificate {
        let expires_at = now.saturating_add(CERTIFICATE_LIFETIME.as_secs());
        self.sign_claims(&Claims { swarm: self.id, peer, role, issued_at: now, expires_at })
    }

    /// A certificate of exactly these claims: for tests and for whoever wants another lifetime.
    #[must_use]
    pub fn sign_claims(&self, claims: &Claims) -> Certificate {
        Certificate::new(claims, |context, body| self.sign(context, body))
    }

    /// Takes back every certificate of this peer that was issued up to now.
    #[must_use]
    pub fn revoke(&self, peer: PeerId, now: Seconds) -> Revocation {
        Revocation::new(peer, now, |context, body| self.sign(context, body))
    }

    fn of(seed: Identity) -> Self {
        let id = SwarmId(keypair(&seed).public().to_bytes());
        Self { seed, id }
    }

    fn sign(&self, context: &[u8], body: &[u8]) -> Vec<u8> {
        Keypair::from(keypair(&self.seed)).sign(&[context, body].concat()).expect("Ed25519 signs anything")
    }
}

fn keypair(seed: &Identity) -> ed25519::Keypair {
    let secret = ed25519::SecretKey::try_from_bytes(&mut *seed.seed()).expect("any 32 bytes are an Ed25519 seed");
    secret.into()
}

impl fmt::Display for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first 12 digits: enough for a log.
impl fmt::Debug for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SwarmId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut key = [0; 32];
        read_hex(text, &mut key).ok_or(KeyError)?;
        Ok(Self(key))
    }
}
