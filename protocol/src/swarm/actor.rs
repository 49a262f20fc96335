//! The one task that owns the libp2p swarm: connections, addresses, redial times, Kademlia keys.

use std::{
    net::{IpAddr, TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, autonat, dcutr, identify, kad,
    multiaddr::Protocol,
    ping, relay,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use super::{
    Command, Config, Peer, Peers, Reachability, Role, StartError, UPGRADE_QUEUE, Upgrade,
    behaviour::{Behaviour, BehaviourEvent},
    discovery::Discovery,
    is_global, is_loopback, is_relayed,
    redial::Redial,
    reservations::Reservations,
    split_peer,
};
use crate::identity::Identity;

/// How often redials and look-ups that are due are begun.
const TICK: Duration = Duration::from_millis(100);
/// How long connections get to close when the peer stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Addresses believed of one peer at one time.
const MAX_IDENTIFIED_ADDRESSES: usize = 16;

/// The swarm's task. [`run`](Actor::run) it once.
pub struct Actor {
    swarm: Swarm<Behaviour>,
    role: Role,
    serve_relay: bool,
    /// We and those we begin with are on loopback: there, such an address is as good as a public one.
    only_loopback: bool,
    commands: mpsc::Receiver<Command>,
    redial: Redial,
    discovery: Discovery,
    reservations: Reservations,
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
    ) -> Result<(Self, Seen), StartError> {
        for address in &config.listen {
            refuse_taken_port(address)?;
            swarm.listen_on(address.clone()).map_err(|error| listen_error(address, &error))?;
        }
        for address in config.external {
            swarm.add_external_address(address);
        }
        let mut redial = Redial::default();
        for address in &config.bootstrap {
            let (peer, rest) = split_peer(address)?;
            redial.keep(peer, rest, Instant::now());
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
            only_loopback: config.listen.iter().chain(&config.bootstrap).all(is_loopback),
            discovery: Discovery::new(&config.swarm, config.role),
            reservations: Reservations::default(),
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
                self.peers.send_if_modified(|peers| {
                    peers.0.get_mut(&peer).is_some_and(|peer| peer.member.replace(role) != Some(role))
                });
                // Whoever asked may be gone.
                let _ = done.send(());
            }
            Command::Expel(peer) => {
                // Not connected any more is as good.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            Command::Serve(models) => self.discovery.serve(models, &mut self.swarm.behaviour_mut().kademlia),
        }
    }

    fn on_tick(&mut self, now: Instant) {
        for (peer, addresses) in self.redial.due(now) {
            self.dial(peer, addresses, now);
        }
        let alone = !self.peers.borrow().0.values().any(|peer| sought(self.role, peer));
        self.discovery.on_tick(now, alone, &mut self.swarm.behaviour_mut().kademlia);
        if self.is_unreachable() {
            self.reservations.on_tick(now, &mut self.swarm);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ListenerClosed { listener_id, .. } => self.reservations.closed(listener_id, now),
            SwarmEvent::ExpiredListenAddr { .. } => self.publish_addresses(),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.on_connected(peer_id, endpoint.is_relayed());
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, num_established, .. } => {
                self.on_disconnected(peer_id, endpoint.is_relayed(), num_established, now);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.on_dial_error(peer, &error, now);
            }
            SwarmEvent::ExternalAddrConfirmed { address } => {
                debug!(%address, "reachable");
                self.reachability.send_modify(|seen| seen.confirmed.push(address));
                self.discovery.announce_again(Instant::now());
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
            BehaviourEvent::Ping(ping::Event { peer, result: Ok(rtt), .. }) => self.on_ping(peer, rtt),
            BehaviourEvent::Kademlia(kad::Event::OutboundQueryProgressed { id, result, step, .. }) => {
                for peer in self.discovery.found(id, &result, step.last) {
                    self.on_found(peer, now);
                }
            }
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                renewal,
                ..
            }) => {
                debug!(relay = %short(&relay_peer_id), renewal, "reservation accepted");
            }
            BehaviourEvent::Dcutr(dcutr::Event { remote_peer_id, result }) => {
                let succeeded = result.is_ok();
                debug!(peer = %short(&remote_peer_id), succeeded, "hole punching ended");
                // Nobody may be watching.
                let _ = self.upgrades.send(Upgrade { peer: remote_peer_id, succeeded });
            }
            BehaviourEvent::AutonatClient(autonat::v2::client::Event { tested_addr, result, .. }) => {
                debug!(address = %tested_addr, reachable = result.is_ok(), "address checked");
            }
            _ => {}
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        let public = self.role != Role::Node && is_global(&address);
        if !is_relayed(&address) && (public || (self.only_loopback && is_loopback(&address))) {
            self.swarm.add_external_address(address);
            self.discovery.announce_again(Instant::now());
        }
        self.publish_addresses();
    }

    fn publish_addresses(&mut self) {
        let me = *self.swarm.local_peer_id();
        let listening = self.swarm.listeners().filter(|address| !is_relayed(address));
        let addresses = listening.map(|address| address.clone().with(Protocol::P2p(me))).collect();
        self.addresses.send_replace(addresses);
    }

    fn on_connected(&mut self, peer: PeerId, relayed: bool) {
        self.redial.connected(peer);
        self.peers.send_modify(|peers| {
            let peer = peers.0.entry(peer).or_default();
            *if relayed { &mut peer.relayed } else { &mut peer.direct } += 1;
        });
    }

    fn on_disconnected(&mut self, peer: PeerId, relayed: bool, left: u32, now: Instant) {
        if left == 0 {
            self.redial.disconnected(peer, now);
            self.reservations.lost(peer);
        }
        self.peers.send_modify(|peers| {
            if left == 0 {
                peers.0.remove(&peer);
            } else if let Some(peer) = peers.0.get_mut(&peer) {
                let count = if relayed { &mut peer.relayed } else { &mut peer.direct };
                *count = count.saturating_sub(1);
            }
        });
    }

    fn on_ping(&mut self, peer: PeerId, rtt: Duration) {
        self.peers
            .send_if_modified(|peers| peers.0.get_mut(&peer).is_some_and(|peer| peer.rtt.replace(rtt) != Some(rtt)));
    }

    fn on_identified(&mut self, peer: PeerId, connection: ConnectionId, info: identify::Info, now: Instant) {
        let speaks = |protocol: &StreamProtocol| info.protocols.contains(protocol);
        let (takes_jobs, takes_status) = (speaks(&super::JOB), speaks(&super::STATUS));
        let serves_kademlia = self.swarm.behaviour().kademlia.protocol_names().iter().any(speaks);
        let serves_relay = speaks(&relay::HOP_PROTOCOL_NAME);
        debug!(peer = %short(&peer), ?connection, takes_jobs, takes_status, serves_relay, "identified");
        let seen = Peer { takes_jobs, takes_status, ..Peer::default() };
        let addresses: Vec<_> = info
            .listen_addrs
            .into_iter()
            .filter(|address| self.only_loopback || !is_loopback(address))
            .take(MAX_IDENTIFIED_ADDRESSES)
            .collect();
        if sought(self.role, &seen) {
            self.redial.want(peer, now);
            self.redial.connected(peer);
            self.dial_back(peer, &addresses);
        }
        self.redial.learned(peer, addresses.iter().cloned());
        if serves_kademlia {
            self.on_kademlia_server(peer, &addresses);
        }
        if let Some(address) = addresses.into_iter().find(|address| serves_relay && !is_relayed(address)) {
            self.reservations.offer(peer, address);
        }
        self.peers.send_if_modified(|peers| {
            let Some(known) = peers.0.get_mut(&peer) else { return false };
            let changed = (known.takes_jobs, known.takes_status) != (takes_jobs, takes_status);
            (known.takes_jobs, known.takes_status) = (takes_jobs, takes_status);
            changed
        });
    }

    /// A peer that has met us over a relay may well be one that we can dial. Hole punching does not
    /// try that: it leaves out addresses that are known to be reachable.
    fn dial_back(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let direct: Vec<_> = addresses.iter().filter(|address| !is_relayed(address)).cloned().collect();
        let relayed = self.peers.borrow().get(&peer).is_some_and(Peer::is_relayed);
        if relayed && !direct.is_empty() {
            let options = DialOpts::peer_id(peer).addresses(direct).condition(PeerCondition::NotDialing);
            if let Err(error) = self.swarm.dial(options.build()) {
                debug!(peer = %short(&peer), %error, "not dialled back");
            }
        }
    }

    fn on_kademlia_server(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        let known =
            kademlia.kbucket(peer).is_some_and(|bucket| bucket.iter().any(|entry| *entry.node.key.preimage() == peer));
        for address in addresses {
            kademlia.add_address(&peer, address.clone());
        }
        if !known {
            self.discovery.announce_again(Instant::now());
        }
    }

    /// A provider record has named the peer. That makes it worth a call and nothing more.
    fn on_found(&mut self, peer: PeerId, now: Instant) {
        if peer == *self.swarm.local_peer_id() || self.swarm.is_connected(&peer) {
            return;
        }
        self.redial.want(peer, now);
        // Now, not at the next tick: the addresses are known for as long as the look-up runs.
        for (peer, addresses) in self.redial.due(now) {
            self.dial(peer, addresses, now);
        }
    }

    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Instant) {
        let options = DialOpts::peer_id(peer).addresses(addresses).extend_addresses_through_behaviour().build();
        match self.swarm.dial(options) {
            Ok(()) => {}
            // Connected, or being dialled for another reason: that dial's end will tell.
            Err(DialError::DialPeerConditionFalse(_)) if self.swarm.is_connected(&peer) => self.redial.connected(peer),
            Err(error) => self.on_dial_error(peer, &error, now),
        }
    }

    fn on_dial_error(&mut self, peer: PeerId, error: &DialError, now: Instant) {
        if let DialError::WrongPeerId { obtained, .. } = error {
            warn!(expected = %short(&peer), found = %short(obtained), "another peer answers at that address");
        } else {
            debug!(peer = %short(&peer), %error, "dial failed");
        }
        self.redial.failed(peer, now);
    }

    fn is_unreachable(&self) -> bool {
        !self.serve_relay && self.swarm.external_addresses().all(is_relayed)
    }

    async fn close(&mut self) {
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

/// libp2p shares its TCP ports (`SO_REUSEPORT`, for hole punching), so that a second program would get
/// half of the first one's connections instead of an error. A plain bind tells.
fn refuse_taken_port(address: &Multiaddr) -> Result<(), StartError> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    let bound = match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        Some(Protocol::Udp(port)) if port != 0 => UdpSocket::bind((ip, port)).map(drop),
        _ => Ok(()),
    };
    bound.map_err(|error| listen_error(address, &error))
}

fn listen_error(address: &Multiaddr, error: &dyn std::fmt::Display) -> StartError {
    StartError::Listen { address: address.clone(), reason: error.to_string() }
}
