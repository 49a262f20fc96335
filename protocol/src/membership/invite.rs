//! An invite: one string that says where a swarm is, which one it is, and that its bearer may come in.

use std::{fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libp2p::{Multiaddr, PeerId};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{SwarmId, wire};
use crate::limits::{MAX_INVITE_ADDRESSES, MAX_INVITE_CHARACTERS};

/// What every invite begins with, so that one is recognised for what it is.
const PREFIX: &str = "starling-invite-";
/// The form of what follows.
const VERSION: u8 = 1;
/// Bytes of SHA-256 behind the rest, so that a letter that got lost is noticed.
const CHECK_BYTES: usize = 4;

/// What an invite is redeemed with. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Secret(
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    [u8; 16],
);

/// All that a peer needs to join.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invite {
    /// The swarm.
    #[n(0)]
    pub swarm: SwarmId,
    /// The gateway that redeems it.
    #[n(1)]
    #[cbor(with = "wire::peer")]
    pub gateway: PeerId,
    /// Where to begin, each ending in `/p2p/ID`: first peers, and the gateway, directly or over a relay.
    #[n(2)]
    #[cbor(with = "wire::addresses")]
    pub addresses: Vec<Multiaddr>,
    /// What it is redeemed with.
    #[n(3)]
    pub secret: Secret,
}

/// Why a text is not an invite.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum InviteError {
    /// Something else.
    #[error("this is not an invite: it begins with {PREFIX:?}")]
    NotOne,
    /// A part is missing or wrong.
    #[error("the invite is damaged: a part of it is missing or changed")]
    Damaged,
    /// Of a later release.
    #[error("the invite is of a newer release than this program")]
    Newer,
}

impl InviteError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotOne | Self::Damaged => "copy the whole string that the gateway printed, on one line",
            Self::Newer => "install the newest release of this program",
        }
    }
}

impl Secret {
    /// 128 random bits.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// What is stored in its place: there are 128 random bits in it, so nothing is to be guessed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Zeroizing::new(vec![VERSION]);
        minicbor::encode(self, &mut *bytes).map_err(|_| fmt::Error)?;
        let check = Sha256::digest(&bytes);
        bytes.extend(&check[..CHECK_BYTES]);
        write!(f, "{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(&*bytes))
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        let rest = text.strip_prefix(PREFIX).ok_or(InviteError::NotOne)?;
        if text.len() > MAX_INVITE_CHARACTERS {
            return Err(InviteError::Damaged);
        }
        let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(rest).map_err(|_| InviteError::Damaged)?);
        let (bytes, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(InviteError::Damaged)?;
        if Sha256::digest(bytes)[..CHECK_BYTES] != check[..] {
            return Err(InviteError::Damaged);
        }
        let (&version, body) = bytes.split_first().ok_or(InviteError::Damaged)?;
        if version != VERSION {
            return Err(InviteError::Newer);
        }
        let invite: Self = minicbor::decode(body).map_err(|_| InviteError::Damaged)?;
        let addresses = 1..=MAX_INVITE_ADDRESSES;
        if addresses.contains(&invite.addresses.len()) { Ok(invite) } else { Err(InviteError::Damaged) }
    }
}
