//! A peer has said what it speaks and where it is.

use std::time::Instant;

use libp2p::{Multiaddr, PeerId, StreamProtocol, identify, relay, swarm::ConnectionId};
use tracing::debug;

use super::{Actor, short, sought};
use crate::swarm::{JOB, Peer, STATUS, is_global, is_relayed};

/// Addresses believed of one peer at one time.
const MAX_IDENTIFIED_ADDRESSES: usize = 16;

impl Actor {
    pub(super) fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, info: identify::Info, now: Instant) {
        let speaks = |protocol: &StreamProtocol| info.protocols.contains(protocol);
        let seen = Peer { takes_jobs: speaks(&JOB), takes_status: speaks(&STATUS), ..Peer::default() };
        let serves_kademlia = self.swarm.behaviour().kademlia.protocol_names().iter().any(speaks);
        let serves_relay = speaks(&relay::HOP_PROTOCOL_NAME);
        let Peer { takes_jobs, takes_status, .. } = seen;
        debug!(peer = %short(&peer), ?connection, takes_jobs, takes_status, serves_relay, observed = %info.observed_addr, "identified");
        self.swarm.behaviour_mut().streams.heard(peer, connection, now);
        for dead in self.lives.identified(peer, connection, &info.agent_version, now) {
            debug!(peer = %short(&peer), connection = ?dead, "was with an earlier process of the peer");
            self.swarm.close_connection(dead);
        }
        // Before a reservation: hole punching takes its candidates when a relayed connection opens.
        if let Some(address) = self.swarm.behaviour_mut().candidates.observed(connection, &info.observed_addr) {
            self.observations.seen(peer, address);
            self.publish_reachability();
        }
        let addresses: Vec<_> = info.listen_addrs.into_iter().take(MAX_IDENTIFIED_ADDRESSES).collect();
        if sought(self.role, &seen) {
            self.redial.want(peer, self.kind_sought(), now);
            self.redial.connected(peer);
            self.paths.sought(peer);
            self.dial_back(peer, &addresses);
        }
        self.redial.learned(peer, addresses.iter().cloned());
        let dialable: Vec<_> = addresses.into_iter().filter(|address| self.permits.allows(address)).collect();
        let begins_others = serves_kademlia || serves_relay || takes_status;
        if let Some(address) = self.paths.address(&peer).filter(|_| begins_others) {
            self.book.met(peer, address);
        }
        if serves_kademlia {
            self.on_kademlia_server(peer, connection, &dialable);
        }
        if serves_relay {
            self.reservations.offer(peer, best_first(dialable), now);
        }
        self.peers.send_if_modified(|peers| {
            let Some(known) = peers.0.get_mut(&peer) else { return false };
            let changed = (known.takes_jobs, known.takes_status) != (takes_jobs, takes_status);
            (known.takes_jobs, known.takes_status) = (takes_jobs, takes_status);
            changed
        });
    }

    fn on_kademlia_server(&mut self, peer: PeerId, connection: ConnectionId, addresses: &[Multiaddr]) {
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        for address in addresses.iter().filter(|address| !is_relayed(address)) {
            kademlia.add_address(&peer, address.clone());
        }
        // One that comes back may have lost what it knew of us.
        if self.paths.is_first(peer, connection) {
            self.discovery.announce_again(Instant::now());
        }
    }
}

/// Where others reach a relay: public addresses before those of its own network.
fn best_first(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addresses.retain(|address| !is_relayed(address));
    addresses.sort_by_key(|address| !is_global(address));
    addresses
}
