//! Whom to dial and where: what the state machines say, carried out.

use std::{net::IpAddr, time::Instant};

use libp2p::{
    Multiaddr, PeerId,
    core::Endpoint,
    multiaddr::Protocol,
    swarm::{
        ConnectionId, DialError, NetworkBehaviour,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tracing::{debug, warn};

use super::{Actor, short};
use crate::swarm::{Peer, Role, dialling::MAX_ADDRESSES, is_global, is_loopback, is_quic, is_relayed, redial::Kind};

impl Actor {
    pub(super) fn dial_due(&mut self, now: Instant) {
        if !self.starting.is_empty() && now < self.dial_from {
            return;
        }
        for peer in self.redial.due(now) {
            let addresses = self.addresses_of(peer);
            if self.swarm.is_connected(&peer) {
                self.redial.connected(peer);
            } else if !self.dialling.begin(peer, addresses, now) {
                self.redial.failed(peer, now);
            }
        }
        for (peer, addresses) in self.dialling.due(now) {
            self.dial(peer, addresses, now);
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Disconnected).build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => self.dialling.started(peer, connection),
            Err(DialError::DialPeerConditionFalse(_)) => {
                self.dialling.connected(&peer);
                self.redial.connected(peer);
            }
            Err(error) => self.on_dial_error(peer, connection, &error, now),
        }
    }

    pub(super) fn on_dial_error(&mut self, peer: PeerId, connection: ConnectionId, error: &DialError, now: Instant) {
        if let DialError::WrongPeerId { obtained, .. } = error {
            warn!(expected = %short(&peer), found = %short(obtained), "another peer answers at that address");
        } else {
            debug!(peer = %short(&peer), %error, "dial failed");
        }
        self.paths.dial_failed(peer, connection);
        self.conclude_from(peer, error);
        if self.dialling.failed(peer, connection, now) {
            self.redial.failed(peer, now);
        }
    }

    /// A peer that others begin with is sure to take both transports: where only one gets through, the
    /// other is blocked between us.
    fn conclude_from(&mut self, peer: PeerId, error: &DialError) {
        let DialError::Transport(failed) = error else { return };
        let begins_others = self.redial.is_first(&peer) || self.reservations.held().contains(&peer);
        let Some(works) = self.paths.address(&peer).filter(|works| begins_others && is_global(works)) else { return };
        for (address, _) in failed.iter().filter(|(address, _)| is_global(address) && !is_relayed(address)) {
            self.observations.not_reached(address, works);
        }
        self.publish_reachability();
    }

    /// Where a punch goes to a peer that anybody can reach, TCP fails when our packet is there first:
    /// then both ends take themselves for the listener. A plain dial a moment later settles it.
    pub(super) fn dial_plainly(&mut self, now: Instant) {
        for (peer, addresses) in self.swarm.behaviour_mut().candidates.punched() {
            self.dialling.later(peer, addresses, now);
        }
        for (peer, addresses) in self.dialling.late(now) {
            if self.peers.borrow().get(&peer).is_some_and(Peer::is_relayed) {
                let options = DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always);
                // The port that we listen on is taken by the punch.
                let dialled = self.swarm.dial(options.allocate_new_port().build());
                debug!(peer = %short(&peer), began = dialled.is_ok(), "dialled plainly after a punch");
            }
        }
    }

    /// A provider record has named the peer. That makes it worth a call and nothing more.
    pub(super) fn on_found(&mut self, peer: PeerId, now: Instant) {
        if peer == *self.swarm.local_peer_id() || self.swarm.is_connected(&peer) {
            return;
        }
        self.redial.want(peer, self.kind_sought(), now);
        // Kademlia remembers these only for as long as its look-up runs.
        let addresses = self.kademlia_addresses(peer);
        if !addresses.is_empty() {
            self.redial.learned(peer, addresses);
            let addresses = self.addresses_of(peer);
            self.dialling.learned(&peer, addresses, now);
        }
        self.dial_due(now);
    }

    /// A node depends on each of its gateways; a gateway has many nodes, which come by themselves.
    pub(super) fn kind_sought(&self) -> Kind {
        if self.role == Role::Node { Kind::Near } else { Kind::Other }
    }

    /// A peer that has met us over a relay may well be one that we can dial. Hole punching does not
    /// try that: it leaves out addresses that are known to be reachable. A member that has got a new address
    /// since, such as one that its router has opened for it, is tried there as well.
    pub(super) fn dial_back(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let (relayed, member) = {
            let peers = self.peers.borrow();
            let seen = peers.get(&peer);
            (seen.is_some_and(Peer::is_relayed), seen.is_some_and(|peer| peer.member.is_some()))
        };
        if !relayed {
            return;
        }
        if self.paths.may_dial_back(peer) {
            self.dial_directly(peer, addresses);
        } else if member {
            let known = self.redial.addresses(&peer);
            let new: Vec<_> = addresses.iter().filter(|address| !known.contains(address)).cloned().collect();
            self.dial_directly(peer, &new);
        }
    }

    /// A member that we reach over a relay may be in our own network, behind the same NAT, which mostly
    /// does not lead its own hosts to each other. Only members are believed this.
    pub(super) fn dial_neighbour(&mut self, peer: PeerId) {
        if !self.peers.borrow().get(&peer).is_some_and(|peer| peer.is_relayed() && peer.member.is_some()) {
            return;
        }
        let ours: Vec<_> = self.swarm.listeners().filter_map(network).collect();
        let near = |address: &Multiaddr| network(address).is_some_and(|network| ours.contains(&network));
        let addresses: Vec<_> = self.redial.addresses(&peer).into_iter().filter(near).collect();
        addresses.iter().for_each(|address| self.permits.name(address));
        self.dial_directly(peer, &addresses);
    }

    /// A peer that is reached over a relay only is tried once more: its own addresses, and a new relayed
    /// connection, on which libp2p punches again.
    pub(super) fn retry_direct(&mut self, peer: PeerId, now: Instant) {
        let addresses = self.addresses_of(peer);
        self.dial_neighbour(peer);
        let mut tried = self.dial_directly(peer, &addresses);
        let circuits: Vec<_> = addresses.into_iter().filter(is_relayed).collect();
        // One side is enough, and a gateway knows best whether it is worth it.
        if self.role == Role::Gateway && !circuits.is_empty() {
            let options = DialOpts::peer_id(peer).addresses(circuits).condition(PeerCondition::Always).build();
            self.paths.dialled_for_attempt(peer, options.connection_id());
            tried |= self.swarm.dial(options).is_ok();
        }
        if !tried {
            self.paths.not_tried(peer, now);
        }
    }

    fn dial_directly(&mut self, peer: PeerId, addresses: &[Multiaddr]) -> bool {
        let worth = |address: &&Multiaddr| !is_relayed(address) && self.permits.allows(address);
        let direct = addresses.iter().filter(worth).take(MAX_ADDRESSES).cloned();
        let (quic, tcp): (Vec<_>, Vec<_>) = direct.partition(is_quic);
        let dial = |addresses| DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always);
        // The port that we listen on is for punching. Two firewalls let two TCP dials between such ports meet as one
        // connection, and then both ends take themselves for the dialler.
        let dials = [(!quic.is_empty()).then(|| dial(quic)), (!tcp.is_empty()).then(|| dial(tcp).allocate_new_port())];
        let mut dialled = false;
        for options in dials.into_iter().flatten() {
            match self.swarm.dial(options.build()) {
                Ok(()) => dialled = true,
                Err(error) => debug!(peer = %short(&peer), %error, "not dialled directly"),
            }
        }
        dialled
    }

    fn addresses_of(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let mut addresses = self.redial.addresses(&peer);
        for address in self.kademlia_addresses(peer) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.retain(|address| self.permits.allows(address));
        addresses
    }

    /// The routing table and the running look-ups know addresses that Kademlia tells only to a dial.
    fn kademlia_addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let dial = ConnectionId::new_unchecked(0);
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        let known = kademlia.handle_pending_outbound_connection(dial, Some(peer), &[], Endpoint::Dialer);
        known.unwrap_or_default()
    }
}

/// The private network that an address is in. Its size is a guess; a wrong one costs a dial.
fn network(address: &Multiaddr) -> Option<Vec<u8>> {
    if is_global(address) || is_loopback(address) || is_relayed(address) {
        return None;
    }
    let ip: IpAddr = match address.iter().next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match ip {
        IpAddr::V4(ip) => Some(ip.octets()[..2].to_vec()),
        IpAddr::V6(ip) => Some(ip.octets()[..6].to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_private_network_are_neighbours() {
        let network = |text: &str| network(&text.parse().unwrap());
        assert_eq!(network("/ip4/192.168.1.2/tcp/1"), network("/ip4/192.168.7.3/udp/2/quic-v1"));
        assert_ne!(network("/ip4/192.168.1.2/tcp/1"), network("/ip4/10.0.1.2/tcp/1"));
        assert_eq!(network("/ip6/fd00:1:2::1/tcp/1"), network("/ip6/fd00:1:2::9/tcp/1"));
        for elsewhere in ["/ip4/203.0.113.7/tcp/1", "/ip4/127.0.0.1/tcp/1", "/dns4/gateway.example/tcp/1"] {
            assert_eq!(network(elsewhere), None, "{elsewhere}");
        }
    }
}
