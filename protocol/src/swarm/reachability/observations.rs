//! What stands between us and the others, concluded from what is seen: a state machine without clock or
//! socket.
//!
//! Two peers that see one local port as one public port are behind the same cone; that see it as two,
//! behind a symmetric NAT. One peer alone proves neither. A check by AutoNAT proves that we are reached,
//! but not by whom: it comes from a peer that we talk to, and so passes a NAT that lets in known
//! addresses on any port.

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
};

use libp2p::{Multiaddr, PeerId};

use super::{NatKind, Reachability};
use crate::swarm::{is_quic, is_relayed, socket};

/// Views of us that are remembered; a new one displaces the oldest.
const MAX_SEEN: usize = 16;
/// Addresses confirmed or mapped that are remembered.
const MAX_CONFIRMED: usize = 32;

#[derive(Debug)]
struct View {
    observer: PeerId,
    address: Multiaddr,
}

/// All that was seen.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    views: VecDeque<View>,
    listening: Vec<Multiaddr>,
    /// The operator says where we are reached.
    has_external: bool,
    confirmed: Vec<Multiaddr>,
    mapped: BTreeSet<SocketAddr>,
    relays: Vec<PeerId>,
    udp: Option<bool>,
    ipv6: Option<bool>,
}

impl Observations {
    pub(crate) fn new(external: &[Multiaddr]) -> Self {
        Self { has_external: !external.is_empty(), confirmed: external.to_vec(), ..Self::default() }
    }

    /// A peer says as whom it sees the port that we listen on.
    pub(crate) fn seen(&mut self, observer: PeerId, address: Multiaddr) {
        let same = |view: &View| view.observer == observer && is_quic(&view.address) == is_quic(&address);
        self.views.retain(|view| !same(view));
        if self.views.len() >= MAX_SEEN {
            self.views.pop_front();
        }
        self.views.push_back(View { observer, address });
    }

    /// The observer is gone: what it saw may no longer be so.
    pub(crate) fn gone(&mut self, observer: PeerId) {
        self.views.retain(|view| view.observer != observer);
    }

    pub(crate) fn listening(&mut self, addresses: Vec<Multiaddr>) {
        self.listening = addresses;
    }

    pub(crate) fn confirmed(&mut self, address: Multiaddr) {
        let new = !is_relayed(&address) && !self.confirmed.contains(&address);
        if new && self.confirmed.len() < MAX_CONFIRMED {
            self.confirmed.push(address);
        }
    }

    pub(crate) fn expired(&mut self, address: &Multiaddr) {
        self.confirmed.retain(|confirmed| confirmed != address);
    }

    pub(crate) fn mapped(&mut self, before: Option<SocketAddr>, now: Option<SocketAddr>) {
        if let Some(before) = before {
            self.mapped.remove(&before);
        }
        self.mapped.extend(now);
    }

    pub(crate) fn relays(&mut self, relays: Vec<PeerId>) {
        self.relays = relays;
    }

    /// A public address was reached.
    pub(crate) fn reached(&mut self, address: &Multiaddr) {
        if is_quic(address) {
            self.udp = Some(true);
        }
        if is_v6(address) {
            self.ipv6 = Some(true);
        }
    }

    /// A public address of a peer was not reached, while another one of the same peer is.
    pub(crate) fn not_reached(&mut self, failed: &Multiaddr, works: &Multiaddr) {
        if is_quic(failed) && !is_quic(works) && is_v6(failed) == is_v6(works) {
            self.udp.get_or_insert(false);
        }
        if is_v6(failed) && !is_v6(works) {
            self.ipv6.get_or_insert(false);
        }
    }

    /// Another network: what got through before need not any more.
    pub(crate) fn network_changed(&mut self) {
        (self.udp, self.ipv6) = (None, None);
    }

    /// A confirmed address is one of our own, which no NAT stands before.
    pub(crate) fn is_open(&self) -> bool {
        self.has_external || self.confirmed.iter().any(|address| self.is_ours(address))
    }

    pub(crate) fn reachability(&self) -> Reachability {
        Reachability {
            nat: self.nat(),
            udp: self.udp,
            ipv6: self.ipv6,
            seen_as: self.views.iter().map(|view| view.address.clone()).collect(),
            confirmed: self.confirmed.clone(),
            mapped: self.mapped.iter().copied().collect(),
            relays: self.relays.clone(),
        }
    }

    fn nat(&self) -> NatKind {
        // Behind a firewall, IPv6 shows our own address too.
        let unchanged = |view: &View| !is_v6(&view.address) && self.is_ours(&view.address);
        if self.is_open() || self.views.iter().any(unchanged) {
            return NatKind::Open;
        }
        if !self.confirmed.is_empty() {
            return NatKind::FullCone;
        }
        let kinds = [true, false].map(|quic| self.nat_of(quic));
        // A NAT that treats one transport badly is a bad one.
        if kinds.contains(&NatKind::Symmetric) {
            NatKind::Symmetric
        } else if kinds.contains(&NatKind::Cone) {
            NatKind::Cone
        } else {
            NatKind::Unknown
        }
    }

    fn nat_of(&self, quic: bool) -> NatKind {
        let views = self.views.iter().filter(|view| is_quic(&view.address) == quic && !is_v6(&view.address));
        let seen: Vec<_> = views.filter_map(|view| Some((view.observer, socket(&view.address)?))).collect();
        let observers: BTreeSet<_> = seen.iter().map(|(observer, _)| observer).collect();
        let places: BTreeSet<_> = seen.iter().map(|(_, place)| place).collect();
        match (observers.len(), places.len()) {
            (0 | 1, _) => NatKind::Unknown,
            (_, 1) => NatKind::Cone,
            _ => NatKind::Symmetric,
        }
    }

    fn is_ours(&self, address: &Multiaddr) -> bool {
        let place = socket(address);
        place.is_some() && self.listening.iter().any(|ours| is_quic(ours) == is_quic(address) && socket(ours) == place)
    }
}

fn is_v6(address: &Multiaddr) -> bool {
    socket(address).is_some_and(|socket| matches!(socket.ip(), IpAddr::V6(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn check(seen: &[(u8, &str)], expected: NatKind) {
        let observers: Vec<_> = (0..10).map(|_| PeerId::random()).collect();
        let mut all = Observations::new(&[]);
        all.listening(vec![
            address("/ip4/192.168.1.2/udp/4001/quic-v1"),
            address("/ip4/198.51.100.1/tcp/4001"),
            address("/ip6/2001:db8::1/tcp/4001"),
        ]);
        for (observer, text) in seen {
            all.seen(observers[usize::from(*observer)], address(text));
        }
        assert_eq!(all.nat(), expected, "{seen:?}");
    }

    #[test]
    fn the_kind_of_nat_is_concluded_from_two_views() {
        check(&[], NatKind::Unknown);
        check(&[(1, "/ip4/203.0.113.7/udp/4001/quic-v1")], NatKind::Unknown);
        check(&[(1, "/ip4/203.0.113.7/udp/7/quic-v1"), (2, "/ip4/203.0.113.7/udp/7/quic-v1")], NatKind::Cone);
        check(&[(1, "/ip4/203.0.113.7/udp/7/quic-v1"), (2, "/ip4/203.0.113.7/udp/8/quic-v1")], NatKind::Symmetric);
        check(&[(1, "/ip4/203.0.113.7/udp/7/quic-v1"), (2, "/ip4/203.0.113.7/tcp/8")], NatKind::Unknown);
        check(&[(1, "/ip4/203.0.113.7/udp/7/quic-v1"), (1, "/ip4/203.0.113.7/udp/8/quic-v1")], NatKind::Unknown);
        check(&[(1, "/ip4/198.51.100.1/tcp/4001")], NatKind::Open);
        check(&[(1, "/ip6/2001:db8::1/tcp/4001")], NatKind::Unknown);
    }

    #[test]
    fn an_observer_that_left_proves_nothing() {
        let (mut all, first, second) = (Observations::new(&[]), PeerId::random(), PeerId::random());
        all.seen(first, address("/ip4/203.0.113.7/tcp/7"));
        all.gone(first);
        all.seen(second, address("/ip4/203.0.113.7/tcp/8"));
        assert_eq!(all.nat(), NatKind::Unknown);
    }

    #[test]
    fn a_check_tells_open_from_full_cone() {
        let mut all = Observations::new(&[]);
        all.listening(vec![address("/ip4/198.51.100.1/tcp/4001")]);
        all.confirmed(address("/ip4/203.0.113.7/tcp/4001"));
        assert_eq!((all.nat(), all.is_open()), (NatKind::FullCone, false));
        all.confirmed(address("/ip4/198.51.100.1/tcp/4001"));
        assert_eq!((all.nat(), all.is_open()), (NatKind::Open, true));
        all.expired(&address("/ip4/198.51.100.1/tcp/4001"));
        assert_eq!(all.nat(), NatKind::FullCone);
        assert_eq!(Observations::new(&[address("/ip4/203.0.113.7/tcp/1")]).nat(), NatKind::Open);
    }

    #[test]
    fn blocked_udp_is_told_from_a_peer_that_is_away() {
        let (quic, tcp) = (address("/ip4/203.0.113.7/udp/1/quic-v1"), address("/ip4/203.0.113.7/tcp/1"));
        let mut all = Observations::new(&[]);
        all.not_reached(&tcp, &quic);
        assert_eq!(all.udp, None);
        all.not_reached(&quic, &tcp);
        assert_eq!(all.udp, Some(false));
        all.reached(&quic);
        all.not_reached(&quic, &tcp);
        assert_eq!((all.udp, all.ipv6), (Some(true), None));
        all.not_reached(&address("/ip6/2001:db8::1/tcp/1"), &tcp);
        assert_eq!(all.ipv6, Some(false));
        all.network_changed();
        assert_eq!((all.udp, all.ipv6), (None, None));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let mut all = Observations::new(&[]);
        for port in 1..1_000 {
            all.seen(PeerId::random(), address(&format!("/ip4/203.0.113.7/tcp/{port}")));
            all.confirmed(address(&format!("/ip4/203.0.113.7/tcp/{port}")));
        }
        let seen = all.reachability();
        assert_eq!((seen.seen_as.len(), seen.confirmed.len()), (MAX_SEEN, MAX_CONFIRMED));
        assert_eq!(seen.seen_as.last(), Some(&address("/ip4/203.0.113.7/tcp/999")));
    }
}
