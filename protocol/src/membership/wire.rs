//! What is said on member streams and join streams.

use libp2p::Multiaddr;
use minicbor::{Decode, Encode};
use thiserror::Error;

use super::{Certificate, MemberRole, NotMember, Revocation, Seconds, Secret, certificate::span};

/// A frame on a member stream, which stays open for as long as two members are connected. The side that
/// opens it says `Hello` first; the other answers with its own, or with `Refused` and the end.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum MemberFrame {
    /// Who I am.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// I do not take you for a member, or no longer; the stream ends.
    #[n(1)]
    Refused(#[n(0)] NotMember),
    /// Revocations that the other may not know.
    #[n(2)]
    Revocations(#[n(0)] Vec<Revocation>),
    /// To a holder of the swarm's key: my certificate is half over.
    #[n(3)]
    Renew,
    /// The answer to `Renew`. Whoever does not hold the key does not answer.
    #[n(4)]
    Renewed(#[n(0)] Certificate),
}

/// A member's introduction.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// The swarm's word for it.
    #[n(0)]
    pub certificate: Certificate,
    /// What the time is there, so that a wrong clock can be named.
    #[n(1)]
    pub now: Seconds,
    /// It holds the swarm's key: it renews, and redeems invites.
    #[n(2)]
    pub authority: bool,
}

/// The one frame of whoever wants to join.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct JoinRequest {
    /// From the invite.
    #[n(0)]
    pub secret: Secret,
    /// What its owner calls the peer.
    #[n(1)]
    pub name: String,
    /// What the time is there.
    #[n(2)]
    pub now: Seconds,
    /// As what it wants to join; not said by older programs.
    #[n(3)]
    pub role: Option<MemberRole>,
}

/// The answer, and the end of the stream.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum JoinReply {
    /// A member from now on.
    #[n(0)]
    Granted {
        /// The swarm's word for it.
        #[n(0)]
        certificate: Certificate,
        /// Where to begin from now on, each ending in `/p2p/ID`.
        #[n(1)]
        #[cbor(with = "addresses")]
        addresses: Vec<Multiaddr>,
    },
    /// Not with this invite.
    #[n(1)]
    Refused(#[n(0)] JoinRefusal),
}

/// Why an invite buys nothing. Each is one line for the person who typed it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Encode, Decode)]
pub enum JoinRefusal {
    /// Never made here, or deleted.
    #[n(0)]
    #[error("the gateway does not know this invite")]
    Unknown,
    /// Used as often as it may be.
    #[n(1)]
    #[error("the invite has been used")]
    Used,
    /// Too old.
    #[n(2)]
    #[error("the invite expired {} ago", span(*.seconds))]
    Expired {
        /// How long ago.
        #[n(0)]
        seconds: u64,
    },
    /// Taken back.
    #[n(3)]
    #[error("the invite was revoked")]
    Revoked,
    /// The joining machine's clock is wrong.
    #[n(4)]
    #[error("this machine's clock is {} {} the gateway's", span(.seconds.unsigned_abs()), if *.seconds < 0 { "behind" } else { "ahead of" })]
    ClockOff {
        /// How far ahead of the gateway's; less than 0 is behind.
        #[n(0)]
        seconds: i64,
    },
    /// Too many want to join at once, or the database does not answer.
    #[n(5)]
    #[error("the gateway is busy")]
    Busy,
    /// The gateway does not hold the swarm's key.
    #[n(6)]
    #[error("this gateway makes no members")]
    NotAuthority,
    /// Not for what the bearer wants to be.
    #[n(7)]
    #[error("the invite is for a {}", if *.role == MemberRole::Gateway { "gateway and not for a node" } else { "node and not for a gateway" })]
    OtherRole {
        /// What it is for.
        #[n(0)]
        role: MemberRole,
    },
}

impl JoinRefusal {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::ClockOff { .. } => "set the clock by the network's time and join again: the invite is still good",
            Self::OtherRole { role: MemberRole::Gateway } => {
                "it is still good for `starling-gateway join`; ask the swarm's operator for one for nodes"
            }
            Self::OtherRole { role: MemberRole::Node } => {
                "it is still good for `starling-node join`; ask for one made with `starling-gateway invite --gateway`"
            }
            Self::Busy => "try again in a minute: the invite is still good",
            _ => "ask the swarm's operator for a new one",
        }
    }
}

/// A peer's id as bytes.
pub(super) mod peer {
    use libp2p::PeerId;
    use minicbor::{Decoder, Encoder};

    pub(in super::super) fn encode<C, W: minicbor::encode::Write>(
        peer: &PeerId,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&peer.to_bytes())?.ok()
    }

    pub(in super::super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<PeerId, minicbor::decode::Error> {
        PeerId::from_bytes(d.bytes()?).map_err(|_| minicbor::decode::Error::message("not a peer's id"))
    }
}

/// A few addresses as bytes.
pub(super) mod addresses {
    use libp2p::Multiaddr;
    use minicbor::{Decoder, Encoder};

    use crate::limits::MAX_INVITE_ADDRESSES;

    pub(in super::super) fn encode<C, W: minicbor::encode::Write>(
        addresses: &[Multiaddr],
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(addresses.len() as u64)?;
        addresses.iter().try_for_each(|address| e.bytes(address.as_ref())?.ok())
    }

    pub(in super::super) fn decode<C>(
        d: &mut Decoder<'_>,
        _: &mut C,
    ) -> Result<Vec<Multiaddr>, minicbor::decode::Error> {
        let wrong = || minicbor::decode::Error::message("not a list of a few addresses");
        let count = d.array()?.ok_or_else(wrong)?;
        if count > MAX_INVITE_ADDRESSES as u64 {
            return Err(wrong());
        }
        (0..count).map(|_| Multiaddr::try_from(d.bytes()?.to_vec()).map_err(|_| wrong())).collect()
    }
}
