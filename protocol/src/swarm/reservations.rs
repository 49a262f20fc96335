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

/// Addresses of one relay that we tell others: one of its transports may be blocked for them.
const MAX_ADDRESSES: usize = 4;

struct Relay {
    addresses: Vec<Multiaddr>,
    listener: Option<ListenerId>,
    accepted: bool,
    not_before: Instant,
}

impl Relay {
    /// Under which addresses it relays to us.
    fn circuits(&self, relay: PeerId, me: PeerId) -> impl Iterator<Item = Multiaddr> {
        self.addresses.clone().into_iter().filter_map(move |address| {
            let address = address.with_p2p(relay).ok()?;
            Some(address.with(Protocol::P2pCircuit).with(Protocol::P2p(me)))
        })
    }
}

/// The relays we know and what we hold there.
#[derive(Default)]
pub(super) struct Reservations {
    relays: HashMap<PeerId, Relay>,
}

impl Reservations {
    /// A connected and identified peer that relays, with its addresses, the best one first.
    pub(super) fn offer(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        if self.relays.len() < MAX_RELAYS && !addresses.is_empty() {
            let addresses = addresses.into_iter().take(MAX_ADDRESSES).collect();
            let relay = Relay { addresses, listener: None, accepted: false, not_before: now };
            self.relays.entry(peer).or_insert(relay);
        }
    }

    pub(super) fn on_tick<B: NetworkBehaviour>(&mut self, now: Instant, swarm: &mut Swarm<B>) {
        let me = *swarm.local_peer_id();
        let held = self.relays.values().filter(|relay| relay.listener.is_some()).count();
        let free = self.relays.iter_mut().filter(|(_, relay)| relay.listener.is_none() && relay.not_before <= now);
        for (peer, relay) in free.take(WANTED.saturating_sub(held)) {
            relay.not_before = now + RETRY_DELAY;
            let Some(mut circuit) = relay.circuits(*peer, me).next() else { continue };
            circuit.pop();
            match swarm.listen_on(circuit) {
                Ok(listener) => relay.listener = Some(listener),
                Err(error) => debug!(%error, "no reservation"),
            }
        }
    }

    /// The relay has said yes. The address that we asked with is made known by libp2p, the others here.
    pub(super) fn accepted<B: NetworkBehaviour>(&mut self, peer: PeerId, swarm: &mut Swarm<B>) {
        let Some(relay) = self.relays.get_mut(&peer) else { return };
        relay.accepted = true;
        let me = *swarm.local_peer_id();
        relay.circuits(peer, me).skip(1).for_each(|circuit| swarm.add_external_address(circuit));
    }

    /// The relays that have said yes.
    pub(super) fn held(&self) -> Vec<PeerId> {
        let mut held: Vec<_> = self.relays.iter().filter(|(_, relay)| relay.accepted).map(|(peer, _)| *peer).collect();
        held.sort();
        held
    }

    /// A listener has closed; when it was a reservation it is asked for again later.
    pub(super) fn closed<B: NetworkBehaviour>(&mut self, listener: ListenerId, now: Instant, swarm: &mut Swarm<B>) {
        let Some((peer, relay)) = self.relays.iter_mut().find(|(_, relay)| relay.listener == Some(listener)) else {
            return;
        };
        withdraw(*peer, relay, swarm);
        relay.listener = None;
        relay.not_before = now + RETRY_DELAY;
    }

    /// The peer is no longer connected.
    pub(super) fn lost<B: NetworkBehaviour>(&mut self, peer: PeerId, swarm: &mut Swarm<B>) {
        if let Some(mut relay) = self.relays.remove(&peer) {
            withdraw(peer, &mut relay, swarm);
            if let Some(listener) = relay.listener {
                // Asked for on a connection that is gone, it may wait for ever.
                swarm.remove_listener(listener);
            }
        }
    }
}

fn withdraw<B: NetworkBehaviour>(peer: PeerId, relay: &mut Relay, swarm: &mut Swarm<B>) {
    if std::mem::take(&mut relay.accepted) {
        let me = *swarm.local_peer_id();
        relay.circuits(peer, me).for_each(|circuit| swarm.remove_external_address(&circuit));
    }
}
