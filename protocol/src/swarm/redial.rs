//! When to dial whom again: a state machine without clock or socket.
//!
//! Every peer worth reaching is connected, being dialled, or waiting for its next time. Bootstrap
//! peers are never given up; others are forgotten after [`MAX_FAILURES`] failures in a row, and come
//! back when Kademlia finds them again.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use crate::limits::MAX_REMEMBERED_PEERS;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Half a minute of trying, with the delays above.
const MAX_FAILURES: u32 = 7;
/// Addresses remembered for one peer.
const MAX_ADDRESSES: usize = 16;
/// Dials begun at one time, so that a large swarm coming back does not come at once.
const MAX_DIALS: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Connected,
    Dialling,
    Waiting { until: Instant },
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<Multiaddr>,
    permanent: bool,
    failures: u32,
    state: State,
}

/// The peers worth reaching.
#[derive(Debug, Default)]
pub(crate) struct Redial {
    peers: HashMap<PeerId, Entry>,
}

impl Redial {
    /// A peer that is never given up, with the address it was configured with.
    pub(crate) fn keep(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        if let Some(entry) = self.entry(peer, now) {
            entry.permanent = true;
        }
        self.learned(peer, [address]);
    }

    /// A peer worth reaching. Nothing changes when it is known.
    pub(crate) fn want(&mut self, peer: PeerId, now: Instant) {
        self.entry(peer, now);
    }

    /// Addresses of a wanted peer; those of others are not kept.
    pub(crate) fn learned(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        for address in addresses {
            if !entry.addresses.contains(&address) && entry.addresses.len() < MAX_ADDRESSES {
                entry.addresses.push(address);
            }
        }
    }

    pub(crate) fn connected(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.failures = 0;
            entry.state = State::Connected;
        }
    }

    /// The last connection to a peer is gone.
    pub(crate) fn disconnected(&mut self, peer: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.state = State::Waiting { until: now + delay(peer, 0) };
        }
    }

    pub(crate) fn failed(&mut self, peer: PeerId, now: Instant) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.state == State::Connected {
            return;
        }
        entry.failures += 1;
        if entry.failures >= MAX_FAILURES && !entry.permanent {
            self.peers.remove(&peer);
        } else {
            entry.state = State::Waiting { until: now + delay(peer, entry.failures) };
        }
    }

    /// The peers to dial now, which count as being dialled from here on.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let ready = |entry: &Entry| matches!(entry.state, State::Waiting { until } if until <= now);
        let due = self.peers.iter_mut().filter(|(_, entry)| ready(entry)).take(MAX_DIALS);
        due.map(|(peer, entry)| {
            entry.state = State::Dialling;
            (*peer, entry.addresses.clone())
        })
        .collect()
    }

    fn entry(&mut self, peer: PeerId, now: Instant) -> Option<&mut Entry> {
        if self.peers.len() >= MAX_REMEMBERED_PEERS && !self.peers.contains_key(&peer) {
            return None;
        }
        let fresh = || Entry { addresses: vec![], permanent: false, failures: 0, state: State::Waiting { until: now } };
        Some(self.peers.entry(peer).or_insert_with(fresh))
    }
}

/// Doubles with each failure, and differs by up to a quarter between peers.
fn delay(peer: PeerId, failures: u32) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << failures.min(16)).min(LONGEST_DELAY);
    let mut hasher = DefaultHasher::new();
    (peer, failures).hash(&mut hasher);
    doubled + doubled.mul_f64((hasher.finish() % 1_000) as f64 / 4_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Multiaddr {
        "/ip4/127.0.0.1/tcp/4001".parse().unwrap()
    }

    #[test]
    fn a_bootstrap_peer_is_never_given_up_and_never_hurried() {
        let (mut redial, peer, mut now) = (Redial::default(), PeerId::random(), Instant::now());
        redial.keep(peer, address(), now);
        for _ in 0..50 {
            assert_eq!(redial.due(now), vec![(peer, vec![address()])]);
            assert_eq!(redial.due(now), vec![], "being dialled");
            redial.failed(peer, now);
            assert_eq!(redial.due(now + FIRST_DELAY / 2), vec![], "never hurried");
            now += LONGEST_DELAY.mul_f64(1.25);
        }
    }

    #[test]
    fn another_peer_is_forgotten_after_enough_failures() {
        let (mut redial, peer, mut now) = (Redial::default(), PeerId::random(), Instant::now());
        redial.want(peer, now);
        for failure in 1..=MAX_FAILURES {
            assert_eq!(redial.due(now).len(), 1, "failure {failure}");
            redial.failed(peer, now);
            now += LONGEST_DELAY * 2;
        }
        assert_eq!(redial.due(now), vec![]);
        assert!(redial.peers.is_empty());
    }

    #[test]
    fn a_lost_connection_is_dialled_again_and_a_living_one_is_not() {
        let (mut redial, peer, now) = (Redial::default(), PeerId::random(), Instant::now());
        redial.want(peer, now);
        redial.connected(peer);
        redial.failed(peer, now);
        assert_eq!(redial.due(now + LONGEST_DELAY * 2), vec![], "a failed second dial changes nothing");
        redial.disconnected(peer, now);
        assert_eq!(redial.due(now + FIRST_DELAY * 2).len(), 1);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (mut redial, now) = (Redial::default(), Instant::now());
        for _ in 0..MAX_REMEMBERED_PEERS + 100 {
            redial.want(PeerId::random(), now);
        }
        assert_eq!(redial.peers.len(), MAX_REMEMBERED_PEERS);
        let peer = *redial.peers.keys().next().unwrap();
        redial.learned(peer, (1..100).map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()));
        assert_eq!(redial.peers[&peer].addresses.len(), MAX_ADDRESSES);
        assert_eq!(redial.due(now).len(), MAX_DIALS);
    }
}
