//! Where we listen and where others reach us.

use std::{
    collections::HashSet,
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use libp2p::{Multiaddr, PeerId, Swarm, core::transport::ListenerId, multiaddr::Protocol};
use socket2::{Domain, Socket, Type};
use tracing::{debug, warn};

use super::{Actor, short};
use crate::swarm::{
    Role, StartError, behaviour::Behaviour, is_global, is_loopback, is_quic, is_relayed, ports::Ports, redial::Kind,
};

impl Actor {
    pub(super) fn on_listening(&mut self, listener: ListenerId, address: Multiaddr, now: Instant) {
        let first = self.starting.remove(&listener);
        // A home has global IPv6 addresses behind a firewall: those have to be checked, and can be punched until then.
        let behind_firewall = !self.serve_relay && matches!(address.iter().next(), Some(Protocol::Ip6(_)));
        let public = self.role != Role::Node && is_global(&address) && !behind_firewall;
        if !is_relayed(&address) && (public || (self.only_loopback && is_loopback(&address))) {
            self.swarm.add_external_address(address.clone());
            self.discovery.announce_again(now);
        }
        // Of no NAT's making, and a firewall can be punched as well.
        if is_global(&address) && !is_relayed(&address) {
            self.swarm.behaviour_mut().candidates.add(address.clone());
        }
        self.publish_addresses();
        if first {
            self.dial_due(now);
        } else if !is_relayed(&address) && !is_loopback(&address) {
            self.on_network_change(now);
        }
    }

    pub(super) fn on_address_gone(&mut self, address: &Multiaddr, now: Instant) {
        self.publish_addresses();
        if !is_relayed(address) {
            self.swarm.remove_external_address(address);
            self.observations.network_changed();
            self.on_network_change(now);
        }
    }

    /// What has failed may succeed now. Nothing here costs anything when nobody waits.
    pub(super) fn on_network_change(&mut self, now: Instant) {
        self.redial.hurry(now);
        self.paths.network_changed(now);
        self.ports.iter().for_each(Ports::network_changed);
    }

    pub(super) fn on_confirmed(&mut self, address: Multiaddr, now: Instant) {
        debug!(%address, "reachable");
        self.discovery.announce_again(now);
        self.observations.confirmed(address);
        self.publish_reachability();
        self.tell_relayed();
    }

    /// The router may have opened a port, or closed one.
    pub(super) fn on_ports(&mut self) {
        for change in self.ports.as_mut().map(Ports::changes).unwrap_or_default() {
            debug!(before = ?change.before, now = ?change.now, "the router's mapping has changed");
            self.observations.mapped(change.before, change.now);
            if let Some(address) = change.gone {
                self.swarm.remove_external_address(&address);
            }
            // Told at once, since the check takes seconds, and taken back when that finds it wrong.
            if let Some(address) = change.address.filter(is_global) {
                self.swarm.behaviour_mut().candidates.add(address.clone());
                self.swarm.add_external_address(address);
                self.tell_relayed();
            }
            self.publish_reachability();
        }
    }

    /// An address of ours was checked, and nobody got through to it.
    pub(super) fn on_unreachable(&mut self, address: &Multiaddr) {
        if self.ports.as_ref().is_some_and(|ports| ports.has(address)) {
            self.swarm.remove_external_address(address);
        }
    }

    /// identify tells others of new listeners only. Who reaches us over a relay can do better with a new address.
    fn tell_relayed(&mut self) {
        let relayed: Vec<_> = {
            let peers = self.peers.borrow();
            peers.0.iter().filter(|(_, peer)| peer.is_relayed()).map(|(id, _)| *id).collect()
        };
        self.swarm.behaviour_mut().identify.push(relayed);
    }

    pub(super) fn on_reserved(&mut self, relay: PeerId, renewal: bool, now: Instant) {
        debug!(relay = %short(&relay), renewal, "reservation accepted");
        self.redial.want(relay, Kind::Near, now);
        self.redial.connected(relay);
        self.reservations.accepted(relay, &mut self.swarm);
        self.publish_reachability();
    }

    pub(super) fn publish_reachability(&mut self) {
        self.observations.relays(self.reservations.held());
        let now = self.observations.reachability();
        self.reachability.send_if_modified(|seen| {
            let changed = *seen != now;
            *seen = now;
            changed
        });
    }

    fn publish_addresses(&mut self) {
        let me = *self.swarm.local_peer_id();
        let listening: Vec<_> = self.swarm.listeners().filter(|address| !is_relayed(address)).cloned().collect();
        if let Some(ports) = &mut self.ports {
            ports.listening(&listening);
        }
        self.addresses.send_replace(listening.iter().map(|address| address.clone().with(Protocol::P2p(me))).collect());
        self.observations.listening(listening);
        self.publish_reachability();
    }

    /// Whether others reach us only through relays, as far as is certain. An address that was checked
    /// is not enough behind a NAT: it holds for as long as the NAT remembers.
    pub(super) fn needs_reservations(&self) -> bool {
        let mut own = self.swarm.listeners().filter(|address| !is_relayed(address));
        let on_loopback = self.only_loopback && own.any(is_loopback);
        !(self.passing || self.serve_relay || on_loopback || self.observations.is_open())
    }
}

/// Some filters let no program have a socket for QUIC: TCP does as well, so that is said and no reason to end.
pub(super) fn listen(swarm: &mut Swarm<Behaviour>, addresses: &[Multiaddr]) -> Result<HashSet<ListenerId>, StartError> {
    let (mut listeners, mut refused) = (HashSet::new(), None);
    for address in addresses {
        refuse_taken_port(address)?;
        match swarm.listen_on(address.clone()) {
            Ok(listener) => drop(listeners.insert(listener)),
            Err(error) if is_quic(address) => refused = Some(listen_error(address, &error)),
            Err(error) => return Err(listen_error(address, &error)),
        }
    }
    match refused {
        Some(error) if listeners.is_empty() => return Err(error),
        Some(error) => warn!(%error, "this machine refuses QUIC; going on over TCP"),
        None => {}
    }
    Ok(listeners)
}

/// libp2p shares its TCP ports (`SO_REUSEPORT`, for hole punching), so that a second program would get
/// half of the first one's connections instead of an error. A plain bind tells; and that an address is not ours.
fn refuse_taken_port(address: &Multiaddr) -> Result<(), StartError> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    let bound = match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => bind(SocketAddr::new(ip, port), Type::STREAM),
        Some(Protocol::Udp(port)) => bind(SocketAddr::new(ip, port), Type::DGRAM),
        _ => Ok(()),
    };
    match bound {
        // QUIC will say so itself, and is not needed.
        Err(error) if is_quic(address) && !is_about_the_address(&error) => Ok(()),
        bound => bound.map_err(|error| listen_error(address, &error)),
    }
}

/// The address is another program's, or another machine's.
fn is_about_the_address(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

/// As libp2p binds it, but for sharing: an IPv6 socket leaves the IPv4 port of the same number to others.
fn bind(address: SocketAddr, kind: Type) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // As the standard library does: on Unix a port whose last connections are still closing is free.
    #[cfg(unix)]
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    if kind == Type::STREAM { socket.listen(1) } else { Ok(()) }
}

/// libp2p's own words may be none: what the system has said lies beneath them.
fn listen_error(address: &Multiaddr, error: &dyn Error) -> StartError {
    let (mut reason, mut layer) = ("no reason is given".to_owned(), Some(error));
    while let Some(error) = layer {
        let said = error.to_string();
        reason = if said.is_empty() { reason } else { said };
        layer = error.source();
    }
    StartError::Listen { address: address.clone(), reason }
}
