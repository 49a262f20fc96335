//! Connections that come and go.

use std::time::{Duration, Instant};

use libp2p::{PeerId, core::ConnectedPoint, ping, swarm::ConnectionId};
use tracing::debug;

use super::{Actor, short};
use crate::swarm::{Path, Upgrade, is_global, split_peer};

impl Actor {
    pub(super) fn on_connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) {
        let path = if endpoint.is_relayed() { Path::Relayed } else { Path::Direct };
        debug!(peer = %short(&peer), ?path, address = %endpoint.get_remote_address(), "connected");
        self.dialling.connected(&peer);
        self.redial.connected(peer);
        self.pulse.heard(connection, now);
        self.lives.connected(peer, connection, now);
        let mut reached = None;
        if path == Path::Direct
            && let ConnectedPoint::Dialer { address, .. } = endpoint
        {
            let address = split_peer(address).map_or_else(|_| address.clone(), |(_, rest)| rest);
            if is_global(&address) {
                self.observations.reached(&address);
                self.publish_reachability();
            }
            self.redial.proven(peer, address.clone());
            reached = Some(address);
        }
        self.peers.send_modify(|peers| {
            let peer = peers.0.entry(peer).or_default();
            *if path == Path::Relayed { &mut peer.relayed } else { &mut peer.direct } += 1;
        });
        if let Some(upgrade) = self.paths.connected(peer, connection, path, now) {
            self.tell_upgrade(upgrade);
        }
        if let Some(address) = reached {
            self.paths.reached(peer, connection, address);
        }
    }

    pub(super) fn on_disconnected(&mut self, peer: PeerId, relayed: bool, left: u32, now: Instant) {
        if left == 0 {
            self.redial.disconnected(peer, now);
            self.reservations.lost(peer, &mut self.swarm);
            self.observations.gone(peer);
            self.publish_reachability();
        }
        self.peers.send_modify(|peers| {
            if left == 0 {
                peers.0.remove(&peer);
            } else if let Some(peer) = peers.0.get_mut(&peer) {
                let count = if relayed { &mut peer.relayed } else { &mut peer.direct };
                *count = count.saturating_sub(1);
            }
        });
        if self.peers.borrow().is_empty() {
            self.on_network_change(now);
        }
    }

    pub(super) fn on_ping(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        result: Result<Duration, ping::Failure>,
        now: Instant,
    ) {
        match result {
            Ok(rtt) => {
                self.pulse.heard(connection, now);
                self.swarm.behaviour_mut().streams.heard(peer, connection, now);
                self.peers.send_if_modified(|peers| {
                    peers.0.get_mut(&peer).is_some_and(|peer| peer.rtt.replace(rtt) != Some(rtt))
                });
            }
            Err(ping::Failure::Unsupported) => self.pulse.forget(connection),
            Err(error) => debug!(peer = %short(&peer), %error, "no answer to a ping"),
        }
    }

    pub(super) fn tell_upgrade(&self, upgrade: Upgrade) {
        debug!(peer = %short(&upgrade.peer), succeeded = upgrade.succeeded, "attempt to reach it directly ended");
        // Nobody may be watching.
        let _ = self.upgrades.send(upgrade);
    }
}
