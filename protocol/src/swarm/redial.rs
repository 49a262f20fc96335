//! When to dial whom again: a state machine without clock or socket.
//!
//! Every peer worth reaching is connected, being dialled, or waiting for its next time. Bootstrap
//! peers are never given up; gateways and relays for a long time, and tried often, since without them
//! nobody reaches us; others are forgotten after [`MAX_FAILURES`] failures in a row, and come back when
//! Kademlia finds them again. What fails while nobody at all is connected is our own fault.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};

use crate::limits::MAX_REMEMBERED_PEERS;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// For those we depend on: a dial to nowhere takes up to ten seconds itself, and fifteen after a link
/// is back its node has to be.
const LONGEST_NEAR_DELAY: Duration = Duration::from_secs(5);
/// Over which time the redials after a change of network are spread.
const HURRY_SPREAD: Duration = Duration::from_millis(200);
/// Half a minute of trying, with the delays above.
const MAX_FAILURES: u32 = 7;
/// Some hours of trying.
const MAX_NEAR_FAILURES: u32 = 1_000;
/// Addresses remembered for one peer: those it says it has.
const MAX_TOLD: usize = 16;
/// Addresses remembered for one peer: those that have worked or that were named to us.
const MAX_PROVEN: usize = 8;
/// Dials begun at one time, so that a large swarm coming back does not come at once.
const MAX_DIALS: usize = 32;

/// What a peer is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One of many.
    Other,
    /// A gateway for a node, or a relay: we depend on it.
    Near,
    /// Named by the operator: never given up.
    First,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Connected,
    Dialling,
    Waiting { until: Instant },
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    proven: Vec<Multiaddr>,
    told: Vec<Multiaddr>,
    failures: u32,
    state: State,
}

impl Entry {
    fn addresses(&self) -> Vec<Multiaddr> {
        let told = self.told.iter().filter(|address| !self.proven.contains(address));
        self.proven.iter().chain(told).cloned().collect()
    }
}

/// The peers worth reaching.
#[derive(Debug, Default)]
pub(crate) struct Redial {
    peers: HashMap<PeerId, Entry>,
}

impl Redial {
    /// A peer worth reaching. One that is known stays what it is, or becomes more.
    pub(crate) fn want(&mut self, peer: PeerId, kind: Kind, now: Instant) {
        if self.peers.len() >= MAX_REMEMBERED_PEERS && !self.peers.contains_key(&peer) {
            return;
        }
        let state = State::Waiting { until: now };
        let fresh = || Entry { kind, proven: vec![], told: vec![], failures: 0, state };
        let entry = self.peers.entry(peer).or_insert_with(fresh);
        entry.kind = entry.kind.max(kind);
    }

    /// Where a wanted peer says it is, in place of what it said before.
    pub(crate) fn learned(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.told = addresses.into_iter().take(MAX_TOLD).collect();
        }
    }

    /// An address of a wanted peer that has worked, or that somebody trusted has named.
    pub(crate) fn proven(&mut self, peer: PeerId, address: Multiaddr) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if !entry.proven.contains(&address) {
            if entry.proven.len() >= MAX_PROVEN {
                // The first one may be the operator's own.
                entry.proven.remove(1);
            }
            entry.proven.push(address);
        }
    }

    /// All that is known of where a wanted peer is.
    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.peers.get(peer).map(Entry::addresses).unwrap_or_default()
    }

    /// Whether the operator has named it.
    pub(crate) fn is_first(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|entry| entry.kind == Kind::First)
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
            entry.state = State::Waiting { until: now + delay(peer, entry.kind, 0) };
        }
    }

    pub(crate) fn failed(&mut self, peer: PeerId, now: Instant) {
        let alone = !self.peers.values().any(|entry| entry.state == State::Connected);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        if entry.state == State::Connected {
            return;
        }
        entry.failures += 1;
        let most = match entry.kind {
            Kind::Other => MAX_FAILURES,
            Kind::Near => MAX_NEAR_FAILURES,
            Kind::First => u32::MAX,
        };
        if entry.failures >= most && !alone {
            self.peers.remove(&peer);
        } else {
            entry.state = State::Waiting { until: now + delay(peer, entry.kind, entry.failures) };
        }
    }

    /// The network has changed: whoever waits need not wait longer.
    pub(crate) fn hurry(&mut self, now: Instant) {
        for (peer, entry) in &mut self.peers {
            if let State::Waiting { until } = &mut entry.state {
                *until = (*until).min(now + HURRY_SPREAD.mul_f64(share(*peer, entry.failures)));
                entry.failures = 0;
            }
        }
    }

    /// The peers to dial now, which count as being dialled from here on. Those we depend on come first.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<PeerId> {
        let ready = |entry: &Entry| matches!(entry.state, State::Waiting { until } if until <= now);
        let mut due: Vec<_> = self.peers.iter_mut().filter(|(_, entry)| ready(entry)).collect();
        due.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.kind));
        due.truncate(MAX_DIALS);
        due.into_iter()
            .map(|(peer, entry)| {
                entry.state = State::Dialling;
                *peer
            })
            .collect()
    }
}

/// Doubles with each failure, and is shorter by up to a quarter for some peers.
fn delay(peer: PeerId, kind: Kind, failures: u32) -> Duration {
    let longest = if kind == Kind::Other { LONGEST_DELAY } else { LONGEST_NEAR_DELAY };
    let doubled = FIRST_DELAY.saturating_mul(1 << failures.min(16)).min(longest);
    doubled - doubled.mul_f64(share(peer, failures) / 4.0)
}

/// A number from 0 to 1 that differs between peers and times.
fn share(peer: PeerId, failures: u32) -> f64 {
    let mut hasher = DefaultHasher::new();
    (peer, failures).hash(&mut hasher);
    (hasher.finish() % 1_000) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    /// A machine whose network works, as far as its redials can tell.
    fn online(now: Instant) -> Redial {
        let (mut redial, peer) = (Redial::default(), PeerId::random());
        redial.want(peer, Kind::Other, now);
        redial.connected(peer);
        redial
    }

    #[test]
    fn a_bootstrap_peer_is_never_given_up_and_never_hurried() {
        let (peer, mut now) = (PeerId::random(), Instant::now());
        let mut redial = online(now);
        redial.want(peer, Kind::First, now);
        for _ in 0..MAX_NEAR_FAILURES * 2 {
            assert_eq!(redial.due(now), vec![peer]);
            assert_eq!(redial.due(now), vec![], "being dialled");
            redial.failed(peer, now);
            assert_eq!(redial.due(now + FIRST_DELAY / 2), vec![], "never hurried");
            now += LONGEST_NEAR_DELAY;
        }
    }

    #[test]
    fn another_peer_is_forgotten_after_enough_failures() {
        let (peer, mut now) = (PeerId::random(), Instant::now());
        let mut redial = online(now);
        redial.want(peer, Kind::Other, now);
        for failure in 1..=MAX_FAILURES {
            assert_eq!(redial.due(now).len(), 1, "failure {failure}");
            redial.failed(peer, now);
            now += LONGEST_DELAY;
        }
        assert_eq!(redial.due(now), vec![]);
        assert_eq!(redial.peers.len(), 1);
    }

    #[test]
    fn nobody_is_forgotten_while_our_own_network_is_down() {
        let (mut redial, peer, mut now) = (Redial::default(), PeerId::random(), Instant::now());
        redial.want(peer, Kind::Other, now);
        for _ in 0..MAX_FAILURES * 10 {
            assert_eq!(redial.due(now), vec![peer]);
            redial.failed(peer, now);
            now += LONGEST_DELAY;
        }
    }

    #[test]
    fn those_we_depend_on_are_tried_more_often() {
        for (kind, longest) in
            [(Kind::Other, LONGEST_DELAY), (Kind::Near, LONGEST_NEAR_DELAY), (Kind::First, LONGEST_NEAR_DELAY)]
        {
            let waits = delay(PeerId::random(), kind, 100);
            assert!(waits <= longest && waits >= longest * 3 / 4, "{kind:?} {waits:?}");
        }
    }

    #[test]
    fn a_lost_connection_is_dialled_again_and_a_living_one_is_not() {
        let (mut redial, peer, now) = (Redial::default(), PeerId::random(), Instant::now());
        redial.want(peer, Kind::Other, now);
        redial.connected(peer);
        redial.failed(peer, now);
        assert_eq!(redial.due(now + LONGEST_DELAY * 2), vec![], "a failed second dial changes nothing");
        redial.disconnected(peer, now);
        assert_eq!(redial.due(now + FIRST_DELAY).len(), 1);
    }

    #[test]
    fn a_new_network_ends_the_waiting() {
        let (mut redial, peer, now) = (Redial::default(), PeerId::random(), Instant::now());
        redial.want(peer, Kind::Other, now);
        for _ in 0..20 {
            redial.due(now + LONGEST_DELAY);
            redial.failed(peer, now);
        }
        assert_eq!(redial.due(now + HURRY_SPREAD), vec![]);
        redial.hurry(now);
        assert_eq!(redial.due(now + HURRY_SPREAD), vec![peer]);
    }

    #[test]
    fn what_a_peer_says_replaces_what_it_said_and_what_worked_stays() {
        let (mut redial, peer, now) = (Redial::default(), PeerId::random(), Instant::now());
        redial.want(peer, Kind::First, now);
        redial.proven(peer, address(1));
        redial.learned(peer, [address(2), address(1)]);
        assert_eq!(redial.addresses(&peer), vec![address(1), address(2)]);
        redial.learned(peer, [address(3)]);
        assert_eq!(redial.addresses(&peer), vec![address(1), address(3)]);
        (10..30).for_each(|port| redial.proven(peer, address(port)));
        let addresses = redial.addresses(&peer);
        assert_eq!(addresses.len(), MAX_PROVEN + 1);
        assert_eq!((&addresses[0], &addresses[MAX_PROVEN - 1]), (&address(1), &address(29)));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (mut redial, now) = (Redial::default(), Instant::now());
        for _ in 0..MAX_REMEMBERED_PEERS + 100 {
            redial.want(PeerId::random(), Kind::Other, now);
        }
        assert_eq!(redial.peers.len(), MAX_REMEMBERED_PEERS);
        let peer = *redial.peers.keys().next().unwrap();
        redial.learned(peer, (1..100).map(address));
        assert_eq!(redial.addresses(&peer).len(), MAX_TOLD);
        assert_eq!(redial.due(now).len(), MAX_DIALS);
    }
}
