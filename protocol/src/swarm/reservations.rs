//! Reservations on relays: how a peer behind a NAT can be reached at all.
//!
//! Two relays where there are two, so that one may go. A reservation is asked for only after the
//! relay was identified: asked for earlier it closes silently and is not tried again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, Swarm, core::transport::ListenerId, multiaddr::Protocol, swarm::NetworkBehaviour};
use tracing::debug;

/// Reservations held at one time.
const WANTED: usize = 2;
/// Relays remembered as candidates.
const MAX_RELAYS: usize = 16;
/// Before a relay that closed a reservation is asked again.
const RETRY_DELAY: Duration = Duration::from_secs(5);

struct Relay {
    address: Multiaddr,
    listener: Option<ListenerId>,
    not_before: Instant,
}

/// The relays we know and what we hold there.
#[derive(Default)]
pub(super) struct Reservations {
    relays: HashMap<PeerId, Relay>,
}

impl Reservations {
    /// A connected and identified peer that relays.
    pub(super) fn offer(&mut self, peer: PeerId, address: Multiaddr) {
        if self.relays.len() < MAX_RELAYS {
            let relay = Relay { address, listener: None, not_before: Instant::now() };
            self.relays.entry(peer).or_insert(relay);
        }
    }

    pub(super) fn on_tick<B: NetworkBehaviour>(&mut self, now: Instant, swarm: &mut Swarm<B>) {
        let held = self.relays.values().filter(|relay| relay.listener.is_some()).count();
        let free = self.relays.iter_mut().filter(|(_, relay)| relay.listener.is_none() && relay.not_before <= now);
        for (peer, relay) in free.take(WANTED.saturating_sub(held)) {
            let circuit = relay.address.clone().with_p2p(*peer).map(|address| address.with(Protocol::P2pCircuit));
            relay.not_before = now + RETRY_DELAY;
            match circuit.map(|address| swarm.listen_on(address)) {
                Ok(Ok(listener)) => relay.listener = Some(listener),
                Ok(Err(error)) => debug!(%error, "no reservation"),
                Err(address) => debug!(%address, "a relay that claims another's address"),
            }
        }
    }

    /// A listener has closed; when it was a reservation it is asked for again later.
    pub(super) fn closed(&mut self, listener: ListenerId, now: Instant) {
        for relay in self.relays.values_mut().filter(|relay| relay.listener == Some(listener)) {
            relay.listener = None;
            relay.not_before = now + RETRY_DELAY;
        }
    }

    /// The peer is no longer connected.
    pub(super) fn lost(&mut self, peer: PeerId) {
        self.relays.remove(&peer);
    }
}
