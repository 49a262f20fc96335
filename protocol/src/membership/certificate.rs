//! A certificate: the swarm's word that a peer is one of its members.

use std::time::Duration;

use libp2p::PeerId;
use minicbor::{Decode, Encode};
use thiserror::Error;

use super::{MAX_CLOCK_SKEW, Seconds, SwarmId, wire};

/// Keeps a signature of one kind from being taken for one of another.
const CONTEXT: &[u8] = b"starling certificate 1\0";

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum MemberRole {
    /// It computes for the swarm's gateways.
    #[n(0)]
    Node,
    /// It serves people, with the swarm's nodes.
    #[n(1)]
    Gateway,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Claims {
    /// The swarm that says it.
    #[n(0)]
    pub swarm: SwarmId,
    /// Of whom.
    #[n(1)]
    #[cbor(with = "wire::peer")]
    pub peer: PeerId,
    /// What that peer is there for.
    #[n(2)]
    pub role: MemberRole,
    /// From when on.
    #[n(3)]
    pub issued_at: Seconds,
    /// Until when.
    #[n(4)]
    pub expires_at: Seconds,
}

/// Claims and the swarm's signature under exactly the bytes they were written as.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Certificate {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    body: Vec<u8>,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    signature: Vec<u8>,
}

/// Why a peer is not taken for a member. Each is one line for the person it concerns.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash, Encode, Decode)]
pub enum NotMember {
    /// What came is no certificate.
    #[n(0)]
    #[error("the peer shows no certificate")]
    NoCertificate,
    /// A member of another swarm.
    #[n(1)]
    #[error("the certificate is of another swarm")]
    OtherSwarm,
    /// Not signed by the swarm.
    #[n(2)]
    #[error("the certificate was not signed by the swarm")]
    Forged,
    /// Somebody else's certificate.
    #[n(3)]
    #[error("the certificate belongs to another peer")]
    OtherPeer,
    /// Too old.
    #[n(4)]
    #[error("the certificate expired {} ago", span(*.seconds))]
    Expired {
        /// How long ago.
        #[n(0)]
        seconds: u64,
    },
    /// From the future: one of two clocks is wrong.
    #[n(5)]
    #[error("the certificate begins in {}: a clock is wrong", span(*.seconds))]
    NotYetValid {
        /// How far in the future.
        #[n(0)]
        seconds: u64,
    },
    /// Taken back.
    #[n(6)]
    #[error("the membership was revoked")]
    Revoked,
    /// A member that has no business with us, such as a node with a node.
    #[n(7)]
    #[error("the member's role has no business here")]
    WrongRole,
    /// The peer's clock and ours are too far apart to judge by.
    #[n(8)]
    #[error("the clocks of the two peers are {} apart", span(*.seconds))]
    ClockOff {
        /// How far.
        #[n(0)]
        seconds: u64,
    },
}

impl NotMember {
    /// What the refused peer's owner can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotYetValid { .. } | Self::ClockOff { .. } => "set this machine's clock by the network's time",
            _ => "ask the swarm's operator for an invite, and join with it",
        }
    }

    /// A stable word for figures.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::OtherSwarm => "other_swarm",
            Self::Forged => "forged",
            Self::OtherPeer => "other_peer",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::WrongRole => "wrong_role",
            Self::ClockOff { .. } => "clock_off",
        }
    }
}

impl Certificate {
    /// Longest body that is looked at.
    const MAX_BODY: usize = 512;

    pub(super) fn new(claims: &Claims, sign: impl FnOnce(&[u8], &[u8]) -> Vec<u8>) -> Self {
        let body = minicbor::to_vec(claims).expect("encoding into a Vec cannot fail");
        let signature = sign(CONTEXT, &body);
        Self { body, signature }
    }

    /// What it says, believed or not.
    #[must_use]
    pub fn claims(&self) -> Option<Claims> {
        (self.body.len() <= Self::MAX_BODY).then(|| minicbor::decode(&self.body).ok()).flatten()
    }

    /// What it says, when `swarm` has said it of `peer` and it is good `now`. Revocations are looked up elsewhere.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn verify(&self, swarm: &SwarmId, peer: &PeerId, now: Seconds) -> Result<Claims, NotMember> {
        let claims = self.claims().ok_or(NotMember::NoCertificate)?;
        if claims.swarm != *swarm {
            return Err(NotMember::OtherSwarm);
        }
        if !swarm.has_signed(CONTEXT, &self.body, &self.signature) {
            return Err(NotMember::Forged);
        }
        if claims.peer != *peer {
            return Err(NotMember::OtherPeer);
        }
        claims.check_time(now)?;
        Ok(claims)
    }
}

impl Claims {
    /// Whether it is good at this time, allowing for clocks that differ a little.
    ///
    /// # Errors
    /// When it is over or has not begun.
    pub fn check_time(&self, now: Seconds) -> Result<(), NotMember> {
        if now >= self.expires_at {
            return Err(NotMember::Expired { seconds: now - self.expires_at });
        }
        let ahead = self.issued_at.saturating_sub(now);
        if ahead > MAX_CLOCK_SKEW.as_secs() {
            return Err(NotMember::NotYetValid { seconds: ahead });
        }
        Ok(())
    }

    /// Whether half of its time is over.
    #[must_use]
    pub fn wants_renewal(&self, now: Seconds) -> bool {
        now >= self.issued_at + self.expires_at.saturating_sub(self.issued_at) / 2
    }
}

/// A span of time in words.
pub(super) fn span(seconds: u64) -> String {
    match Duration::from_secs(seconds).as_secs() {
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds @ 120..7200 => format!("{} minutes", seconds / 60),
        seconds @ 7200..172_800 => format!("{} hours", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
