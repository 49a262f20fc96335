//! Ports that the router opens for us, by UPnP, PCP or NAT-PMP: a help and never a need.
//!
//! One client for each transport, both on tasks of their own, so that a router that does not answer
//! holds nobody up. What they get is told to others at once and checked by AutoNAT, which takes seconds.

use std::{
    net::{SocketAddr, SocketAddrV4},
    num::NonZeroU16,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::sync::watch;

use super::{is_quic, is_relayed, socket};

/// A transport's port and what has become of it.
struct Port {
    client: portmapper::Client,
    mapped: watch::Receiver<Option<SocketAddrV4>>,
    quic: bool,
    local: Option<NonZeroU16>,
    known: Option<SocketAddr>,
}

/// A mapping that has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) before: Option<SocketAddr>,
    pub(super) now: Option<SocketAddr>,
    /// What `now` is as an address of ours.
    pub(super) address: Option<Multiaddr>,
    /// What `before` was.
    pub(super) gone: Option<Multiaddr>,
}

/// The mappings of all ports. Does nothing until it is told where we listen.
#[derive(Default)]
pub(super) struct Ports {
    ports: Vec<Port>,
}

impl Ports {
    /// Begins to map the ports of these addresses; those on loopback need nothing. Must be called within
    /// a tokio runtime.
    pub(super) fn listening(&mut self, addresses: &[Multiaddr]) {
        for quic in [true, false] {
            let wanted = addresses.iter().filter(|address| !is_relayed(address) && is_quic(address) == quic);
            let mut places = wanted.filter_map(socket).filter(|place| place.is_ipv4() && !place.ip().is_loopback());
            let Some(port) = places.next().and_then(|place| NonZeroU16::new(place.port())) else { continue };
            self.map(quic, port);
        }
    }

    fn map(&mut self, quic: bool, local: NonZeroU16) {
        if !self.ports.iter().any(|port| port.quic == quic) {
            let protocol = if quic { portmapper::Protocol::Udp } else { portmapper::Protocol::Tcp };
            let client = portmapper::Client::new(portmapper::Config { protocol, ..portmapper::Config::default() });
            let mapped = client.watch_external_address();
            self.ports.push(Port { client, mapped, quic, local: None, known: None });
        }
        for port in self.ports.iter_mut().filter(|port| port.quic == quic && port.local != Some(local)) {
            port.local = Some(local);
            port.client.update_local_port(local);
        }
    }

    /// Another router may be there now.
    pub(super) fn network_changed(&self) {
        self.ports.iter().for_each(|port| port.client.procure_mapping());
    }

    /// The mappings that have changed since the last time.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let changed = |port: &mut Port| {
            let now = port.mapped.borrow().map(SocketAddr::from);
            (now != port.known).then(|| {
                let before = std::mem::replace(&mut port.known, now);
                let named = |place: Option<SocketAddr>| place.map(|place| address(place, port.quic));
                Change { before, now, address: named(now), gone: named(before) }
            })
        };
        self.ports.iter_mut().filter_map(changed).collect()
    }

    /// Whether the address is one that the router has opened.
    pub(super) fn has(&self, wanted: &Multiaddr) -> bool {
        self.ports.iter().any(|port| port.known.is_some_and(|place| address(place, port.quic) == *wanted))
    }
}

fn address(place: SocketAddr, quic: bool) -> Multiaddr {
    let ip = Multiaddr::from(place.ip());
    if quic {
        ip.with(Protocol::Udp(place.port())).with(Protocol::QuicV1)
    } else {
        ip.with(Protocol::Tcp(place.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_ports_that_others_could_reach_are_mapped() {
        let mut ports = Ports::default();
        let here = ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/4001/quic-v1", "/ip6/2001:db8::1/tcp/4001"];
        ports.listening(&here.map(|text| text.parse().unwrap()));
        assert!(ports.ports.is_empty());
        assert_eq!(ports.changes(), vec![]);
    }

    #[test]
    fn a_mapped_port_is_an_address() {
        let place = "203.0.113.7:4001".parse().unwrap();
        assert_eq!(address(place, true).to_string(), "/ip4/203.0.113.7/udp/4001/quic-v1");
        assert_eq!(address(place, false).to_string(), "/ip4/203.0.113.7/tcp/4001");
    }
}
