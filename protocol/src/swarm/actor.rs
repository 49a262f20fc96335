//! The one task that owns the libp2p swarm: connections, addresses, redial times, Kademlia keys.

mod connections;
mod dials;
mod identified;
mod listening;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, autonat, core::transport::ListenerId, dcutr, identify, kad, ping, relay,
    swarm::SwarmEvent,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span};

use super::{
    Command, Config, Peer, Peers, Reachability, Role, StartError, UPGRADE_QUEUE, Upgrade,
    address_book::AddressBook,
    behaviour::{Behaviour, BehaviourEvent, PROVIDER_TTL},
    dialling::Dialling,
    discovery::Discovery,
    guard::Permits,
    is_loopback,
    lives::Lives,
    paths::{Action, Paths},
    ports::Ports,
    pulse::Pulse,
    reachability::Observations,
    records::Records,
    redial::{Kind, Redial},
    reservations::Reservations,
    split_peer,
};
use crate::identity::Identity;

/// How often redials and look-ups that are due are begun.
const TICK: Duration = Duration::from_millis(100);
/// How long connections get to close when the peer stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the first dials wait for the listeners: one that is begun earlier leaves from another port
/// than the one we listen on, and what others see of it is of no use for hole punching.
const LISTEN_TIMEOUT: Duration = Duration::from_millis(500);

/// The swarm's task. [`run`](Actor::run) it once.
pub struct Actor {
    swarm: Swarm<Behaviour>,
    role: Role,
    serve_relay: bool,
    passing: bool,
    /// We and those we begin with are on loopback: there, such an address is as good as a public one.
    only_loopback: bool,
    permits: Arc<Permits>,
    commands: mpsc::Receiver<Command>,
    /// Listeners that have no address yet, and how long dials wait for them.
    starting: HashSet<ListenerId>,
    dial_from: Instant,
    redial: Redial,
    dialling: Dialling,
    paths: Paths,
    pulse: Pulse,
    lives: Lives,
    discovery: Discovery,
    records: Records,
    reservations: Reservations,
    observations: Observations,
    ports: Option<Ports>,
    book: AddressBook,
    peers: watch::Sender<Peers>,
    addresses: watch::Sender<Vec<Multiaddr>>,
    reachability: watch::Sender<Reachability>,
    upgrades: broadcast::Sender<Upgrade>,
    /// Keeps the key file locked while we live.
    _identity: Identity,
}

/// What a handle sees of us.
pub(super) struct Seen {
    pub(super) peers: watch::Receiver<Peers>,
    pub(super) addresses: watch::Receiver<Vec<Multiaddr>>,
    pub(super) reachability: watch::Receiver<Reachability>,
    pub(super) upgrades: broadcast::Sender<Upgrade>,
}

impl Actor {
    pub(super) fn new(
        mut swarm: Swarm<Behaviour>,
        config: Config,
        commands: mpsc::Receiver<Command>,
        permits: Arc<Permits>,
    ) -> Result<(Self, Seen), StartError> {
        let now = Instant::now();
        let starting = listening::listen(&mut swarm, &config.listen)?;
        let observations = Observations::new(&config.external);
        // Who is public, or has been told where it is reached, needs nothing of a router.
        let maps = config.port_mapping && !config.serve_relay && config.external.is_empty();
        let book = AddressBook::open(config.address_book);
        for address in config.external {
            swarm.add_external_address(address);
        }
        let mut redial = Redial::default();
        for address in &config.bootstrap {
            let (peer, rest) = split_peer(address)?;
            redial.want(peer, Kind::First, now);
            redial.proven(peer, rest);
        }
        for (peer, addresses) in book.peers() {
            redial.want(*peer, Kind::Other, now);
            addresses.iter().for_each(|address| redial.proven(*peer, address.clone()));
        }
        let (peers, addresses) = (watch::Sender::default(), watch::Sender::default());
        let (reachability, upgrades) = (watch::Sender::default(), broadcast::Sender::new(UPGRADE_QUEUE));
        let seen = Seen {
            peers: peers.subscribe(),
            addresses: addresses.subscribe(),
            reachability: reachability.subscribe(),
            upgrades: upgrades.clone(),
        };
        let actor = Self {
            role: config.role,
            serve_relay: config.serve_relay,
            passing: config.passing,
            only_loopback: config.listen.iter().chain(&config.bootstrap).all(is_loopback),
            permits,
            starting,
            dial_from: now + LISTEN_TIMEOUT,
            dialling: Dialling::default(),
            paths: Paths::default(),
            pulse: Pulse::default(),
            lives: Lives::default(),
            discovery: Discovery::new(config.swarm, config.role),
            records: Records::new(PROVIDER_TTL),
            reservations: Reservations::default(),
            observations,
            ports: maps.then(Ports::default),
            book,
            swarm,
            commands,
            redial,
            peers,
            addresses,
            reachability,
            upgrades,
            _identity: config.identity,
        };
        Ok((actor, seen))
    }

    /// Runs until `cancel`, then says goodbye to every peer.
    pub async fn run(mut self, cancel: CancellationToken) {
        let span = info_span!("swarm", me = %short(self.swarm.local_peer_id()));
        // On the heap: libp2p's state is large.
        Box::pin(async move { self.turn(cancel).await }.instrument(span)).await;
    }

    async fn turn(&mut self, cancel: CancellationToken) {
        self.dial_from = Instant::now() + LISTEN_TIMEOUT;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(command) = self.commands.recv() => self.on_command(command),
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = ticks.tick() => self.on_tick(Instant::now()),
            }
        }
        self.close().await;
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Open { peer, open } => self.swarm.behaviour_mut().streams.open(peer, open),
            Command::Admit { peer, role, done } => {
                self.swarm.behaviour_mut().streams.strangers.admit(peer);
                self.peers.send_if_modified(|peers| {
                    peers.0.get_mut(&peer).is_some_and(|peer| peer.member.replace(role) != Some(role))
                });
                // Whoever asked may be gone.
                let _ = done.send(());
                self.dial_neighbour(peer);
            }
            Command::Expel(peer) => {
                self.swarm.behaviour_mut().streams.strangers.expel(&peer);
                // Not connected any more is as good.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            Command::Listen(address) => {
                if let Err(error) = self.swarm.listen_on(address) {
                    debug!(%error, "not listening");
                }
            }
            Command::Serve(models) => self.discovery.serve(models, &mut self.swarm.behaviour_mut().kademlia),
        }
    }

    fn on_tick(&mut self, now: Instant) {
        for connection in self.pulse.silent(now) {
            debug!(?connection, "silent for too long");
            self.swarm.close_connection(connection);
        }
        self.dial_due(now);
        self.dial_plainly(now);
        for action in self.paths.on_tick(now) {
            match action {
                Action::Close(connection) => drop(self.swarm.close_connection(connection)),
                Action::Retry(peer) => self.retry_direct(peer, now),
                Action::Failed(upgrade) => self.tell_upgrade(upgrade),
            }
        }
        self.on_ports();
        self.book.on_tick(now);
        let alone = !self.peers.borrow().0.values().any(|peer| sought(self.role, peer));
        self.discovery.on_tick(now, alone, &mut self.swarm.behaviour_mut().kademlia);
        if self.needs_reservations() {
            self.reservations.on_tick(now, &mut self.swarm);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, address, now),
            SwarmEvent::ListenerClosed { listener_id, .. } => {
                self.reservations.closed(listener_id, now, &mut self.swarm);
                self.publish_reachability();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_address_gone(&address, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint, now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, endpoint, num_established, .. } => {
                self.pulse.forget(connection_id);
                self.paths.closed(peer_id, connection_id, now);
                self.lives.closed(peer_id, connection_id);
                self.on_disconnected(peer_id, endpoint.is_relayed(), num_established, now);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), connection_id, error } => {
                self.on_dial_error(peer, connection_id, &error, now);
            }
            SwarmEvent::ExternalAddrConfirmed { address } => self.on_confirmed(address, now),
            SwarmEvent::ExternalAddrExpired { address } => {
                self.observations.expired(&address);
                self.publish_reachability();
            }
            SwarmEvent::Behaviour(event) => self.on_behaviour(event, now),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent, now: Instant) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, connection_id, info }) => {
                self.on_identified(peer_id, connection_id, info, now);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => {
                self.on_ping(peer, connection, result, now);
            }
            BehaviourEvent::Kademlia(kad::Event::OutboundQueryProgressed { id, result, step, .. }) => {
                for peer in self.discovery.found(id, &result, step.last) {
                    self.on_found(peer, now);
                }
            }
            BehaviourEvent::Kademlia(kad::Event::InboundRequest {
                request: kad::InboundRequest::AddProvider { record: Some(record) },
            }) => self.records.add(record, self.swarm.behaviour_mut().kademlia.store_mut(), now),
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                renewal,
                ..
            }) => self.on_reserved(relay_peer_id, renewal, now),
            BehaviourEvent::Dcutr(dcutr::Event { remote_peer_id, result: Err(error) }) => {
                debug!(peer = %short(&remote_peer_id), %error, "not punched");
                self.paths.not_punched(remote_peer_id, now);
            }
            BehaviourEvent::AutonatClient(autonat::v2::client::Event { tested_addr, result, .. }) => {
                debug!(address = %tested_addr, reachable = result.is_ok(), "address checked");
                if result.is_err() {
                    self.on_unreachable(&tested_addr);
                }
            }
            _ => {}
        }
    }

    async fn close(&mut self) {
        self.book.save();
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            info!("some connections did not close in time");
        }
    }
}

/// Whether a peer of this kind is what our role looks for.
fn sought(role: Role, peer: &Peer) -> bool {
    match role {
        Role::Node => peer.takes_status,
        Role::Gateway => peer.takes_jobs,
        Role::Bootstrap => false,
    }
}

/// The last eight letters: the first ones are the same for all Ed25519 peers.
fn short(peer: &PeerId) -> String {
    let text = peer.to_base58();
    text[text.len().saturating_sub(8)..].to_owned()
}
