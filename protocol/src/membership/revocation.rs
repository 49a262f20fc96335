//! Taking a membership back.

use std::collections::BTreeMap;

use libp2p::PeerId;
use minicbor::{Decode, Encode};

use super::{CERTIFICATE_LIFETIME, Claims, MAX_CLOCK_SKEW, Seconds, SwarmId, wire};
use crate::limits::MAX_REVOCATIONS;

const CONTEXT: &[u8] = b"starling revocation 1\0";

/// The swarm's word that no certificate of this peer counts which was issued up to `revoked_at`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Revocation {
    /// Who is out.
    #[n(0)]
    #[cbor(with = "wire::peer")]
    pub peer: PeerId,
    /// Since when.
    #[n(1)]
    pub revoked_at: Seconds,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    signature: Vec<u8>,
}

/// The newest revocation of each peer. Adding is all one can do, in any order and any number of times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revocations(BTreeMap<PeerId, Revocation>);

impl Revocation {
    pub(super) fn new(peer: PeerId, revoked_at: Seconds, sign: impl FnOnce(&[u8], &[u8]) -> Vec<u8>) -> Self {
        let signature = sign(CONTEXT, &body(&peer, revoked_at));
        Self { peer, revoked_at, signature }
    }

    /// Whether the swarm has said it.
    #[must_use]
    pub fn is_of(&self, swarm: &SwarmId) -> bool {
        swarm.has_signed(CONTEXT, &body(&self.peer, self.revoked_at), &self.signature)
    }

    /// Every certificate that it speaks of has expired by itself.
    #[must_use]
    pub fn is_over(&self, now: Seconds) -> bool {
        now > self.revoked_at.saturating_add((CERTIFICATE_LIFETIME + MAX_CLOCK_SKEW).as_secs())
    }
}

impl Revocations {
    /// Takes in what the swarm has said and forgets what is over; true when something was new.
    pub fn add(&mut self, revocation: Revocation, swarm: &SwarmId, now: Seconds) -> bool {
        let known = self.0.get(&revocation.peer).is_some_and(|known| known.revoked_at >= revocation.revoked_at);
        if known || revocation.is_over(now) || !revocation.is_of(swarm) {
            return false;
        }
        self.0.retain(|_, revocation| !revocation.is_over(now));
        if self.0.len() >= MAX_REVOCATIONS && !self.0.contains_key(&revocation.peer) {
            // Only the swarm's own key can fill this. What ends soonest makes room.
            let oldest = self.0.values().min_by_key(|revocation| revocation.revoked_at).map(|oldest| oldest.peer);
            oldest.and_then(|peer| self.0.remove(&peer));
        }
        self.0.insert(revocation.peer, revocation);
        true
    }

    /// Whether these claims were taken back.
    #[must_use]
    pub fn revokes(&self, claims: &Claims) -> bool {
        self.0.get(&claims.peer).is_some_and(|revocation| claims.issued_at <= revocation.revoked_at)
    }

    /// The newest of this peer.
    #[must_use]
    pub fn of(&self, peer: &PeerId) -> Option<&Revocation> {
        self.0.get(peer)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.0.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn body(peer: &PeerId, revoked_at: Seconds) -> Vec<u8> {
    [peer.to_bytes(), revoked_at.to_be_bytes().to_vec()].concat()
}
