//! In which order a peer's addresses are dialled: a state machine without clock or socket.
//!
//! QUIC at once, TCP a moment later, circuits when nothing direct has answered by then or when all of it
//! has failed. Dialling everything together would make the winner a matter of luck, and that winner was
//! the relay in more than half of the measured runs.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use super::{is_quic, is_relayed};

/// QUIC's head start before TCP: more than a round trip to anywhere.
const TCP_DELAY: Duration = Duration::from_millis(250);
/// The head start of all direct addresses before circuits.
const CIRCUIT_DELAY: Duration = Duration::from_millis(800);
/// Addresses dialled of one peer for one reason.
pub(super) const MAX_ADDRESSES: usize = 24;

/// Addresses that are dialled together.
#[derive(Debug, PartialEq, Eq)]
struct Stage {
    at: Instant,
    addresses: Vec<Multiaddr>,
}

#[derive(Debug, Default)]
struct Plan {
    /// All that was planned to be dialled.
    known: Vec<Multiaddr>,
    stages: VecDeque<Stage>,
    running: Vec<ConnectionId>,
}

/// How long a punch gets before a plain dial follows it.
const LATER: Duration = Duration::from_millis(400);
/// Plain dials that may wait for their time.
const MAX_LATER: usize = 64;

/// The peers that are being dialled.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    plans: HashMap<PeerId, Plan>,
    later: VecDeque<(Instant, PeerId, Vec<Multiaddr>)>,
}

impl Dialling {
    /// Plans to dial a peer. False when there is nothing to dial.
    pub(super) fn begin(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) -> bool {
        if addresses.is_empty() {
            return false;
        }
        self.plans.entry(peer).or_default().add(addresses, now);
        true
    }

    /// More addresses of a peer have become known. They count if it is being dialled: what it was dialled at may lead
    /// nowhere for seconds.
    pub(super) fn learned(&mut self, peer: &PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if let Some(plan) = self.plans.get_mut(peer) {
            plan.add(addresses, now);
        }
    }

    /// What is to be dialled now; each is followed by [`started`](Self::started) where it began.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due = vec![];
        for (peer, plan) in &mut self.plans {
            while let Some(stage) = plan.stages.pop_front_if(|stage| stage.at <= now) {
                due.push((*peer, stage.addresses));
            }
        }
        due
    }

    pub(super) fn started(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(plan) = self.plans.get_mut(&peer) {
            plan.running.push(connection);
        }
    }

    /// A dial has failed, or did not begin. True when that was the peer's last hope.
    pub(super) fn failed(&mut self, peer: PeerId, connection: ConnectionId, now: Instant) -> bool {
        let Some(plan) = self.plans.get_mut(&peer) else { return false };
        plan.running.retain(|running| *running != connection);
        if !plan.running.is_empty() {
            return false;
        }
        let Some(next) = plan.stages.front_mut() else {
            self.plans.remove(&peer);
            return true;
        };
        next.at = next.at.min(now);
        false
    }

    /// A punch is under way there.
    pub(super) fn later(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if self.later.len() < MAX_LATER {
            self.later.push_back((now + LATER, peer, addresses));
        }
    }

    /// Where a punch has had its time.
    pub(super) fn late(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut late = vec![];
        while let Some((_, peer, addresses)) = self.later.pop_front_if(|(at, ..)| *at <= now) {
            late.push((peer, addresses));
        }
        late
    }

    /// There is a connection: what has not begun need not.
    pub(super) fn connected(&mut self, peer: &PeerId) {
        self.plans.remove(peer);
    }
}

impl Plan {
    fn add(&mut self, mut addresses: Vec<Multiaddr>, now: Instant) {
        addresses.retain(|address| !self.known.contains(address));
        addresses.truncate(MAX_ADDRESSES.saturating_sub(self.known.len()));
        self.known.extend(addresses.iter().cloned());
        self.stages.extend(stages(addresses, now));
        self.stages.make_contiguous().sort_by_key(|stage| stage.at);
    }
}

fn stages(addresses: Vec<Multiaddr>, now: Instant) -> VecDeque<Stage> {
    let (mut quic, mut tcp, mut circuits) = (vec![], vec![], vec![]);
    for address in addresses {
        match () {
            () if is_relayed(&address) => circuits.push(address),
            () if is_quic(&address) => quic.push(address),
            () => tcp.push(address),
        }
    }
    let mut at = now;
    let mut stages = VecDeque::new();
    for (addresses, before_next) in [(quic, TCP_DELAY), (tcp, CIRCUIT_DELAY), (circuits, Duration::ZERO)] {
        if !addresses.is_empty() {
            stages.push_back(Stage { at, addresses });
            at = (at + before_next).max(now);
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIC: &str = "/ip4/203.0.113.7/udp/4001/quic-v1";
    const TCP: &str = "/ip4/203.0.113.7/tcp/4001";
    const CIRCUIT: &str =
        "/ip4/203.0.113.9/udp/4001/quic-v1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit";

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn dial(dialling: &mut Dialling, peer: PeerId, now: Instant) -> Option<(ConnectionId, Vec<Multiaddr>)> {
        let mut due = dialling.due(now);
        let (_, addresses) = due.pop()?;
        assert!(due.is_empty(), "one stage at a time");
        let connection = ConnectionId::new_unchecked(addresses.len());
        dialling.started(peer, connection);
        Some((connection, addresses))
    }

    #[test]
    fn direct_addresses_have_a_head_start() {
        let (mut dialling, peer, now) = (Dialling::default(), PeerId::random(), Instant::now());
        assert!(dialling.begin(peer, addresses(&[CIRCUIT, TCP, QUIC]), now));
        assert_eq!(dial(&mut dialling, peer, now).unwrap().1, addresses(&[QUIC]));
        assert_eq!(dial(&mut dialling, peer, now), None);
        let now = now + TCP_DELAY;
        assert_eq!(dial(&mut dialling, peer, now).unwrap().1, addresses(&[TCP]));
        let now = now + CIRCUIT_DELAY;
        assert_eq!(dial(&mut dialling, peer, now).unwrap().1, addresses(&[CIRCUIT]));
    }

    #[test]
    fn a_failure_brings_the_next_forward_and_the_last_one_is_told() {
        let (mut dialling, peer, now) = (Dialling::default(), PeerId::random(), Instant::now());
        dialling.begin(peer, addresses(&[CIRCUIT, QUIC]), now);
        let (first, _) = dial(&mut dialling, peer, now).unwrap();
        assert!(!dialling.failed(peer, first, now));
        let (second, tried) = dial(&mut dialling, peer, now).unwrap();
        assert_eq!(tried, addresses(&[CIRCUIT]), "at once");
        assert!(dialling.failed(peer, second, now));
        assert!(dialling.plans.is_empty());
    }

    #[test]
    fn a_connection_ends_it() {
        let (mut dialling, peer, now) = (Dialling::default(), PeerId::random(), Instant::now());
        dialling.begin(peer, addresses(&[CIRCUIT, QUIC]), now);
        let (first, _) = dial(&mut dialling, peer, now).unwrap();
        dialling.connected(&peer);
        assert_eq!(dialling.due(now + CIRCUIT_DELAY * 2), vec![]);
        assert!(!dialling.failed(peer, first, now), "another dial was faster");
    }

    #[test]
    fn what_is_learned_of_a_peer_that_is_being_dialled_is_dialled_too() {
        let (mut dialling, peer, now) = (Dialling::default(), PeerId::random(), Instant::now());
        dialling.learned(&peer, addresses(&[QUIC]), now);
        assert_eq!(dialling.due(now), vec![], "it is not");
        dialling.begin(peer, addresses(&[QUIC]), now);
        let (first, _) = dial(&mut dialling, peer, now).unwrap();
        dialling.learned(&peer, addresses(&[QUIC, CIRCUIT, TCP]), now);
        assert_eq!(dial(&mut dialling, peer, now).unwrap().1, addresses(&[TCP]));
        assert!(!dialling.failed(peer, first, now));
        assert_eq!(dial(&mut dialling, peer, now + CIRCUIT_DELAY).unwrap().1, addresses(&[CIRCUIT]));
        dialling.learned(&peer, addresses(&[CIRCUIT]), now);
        assert_eq!(dialling.due(now + CIRCUIT_DELAY * 9), vec![], "once is enough");
    }

    #[test]
    fn nothing_to_dial_is_said_and_much_of_it_is_bounded() {
        let (mut dialling, peer, now) = (Dialling::default(), PeerId::random(), Instant::now());
        assert!(!dialling.begin(peer, vec![], now));
        dialling.begin(peer, vec![TCP.parse().unwrap(); 100], now);
        assert_eq!(dial(&mut dialling, peer, now).unwrap().1.len(), MAX_ADDRESSES);
    }
}
