//! Under which addresses hole punching offers us: the ones that others have really seen.
//!
//! identify puts our listen port in place of an observed one that differs, which is wrong behind every
//! NAT that does not keep ports: those could never be punched. Here the observed address itself becomes
//! a candidate. For TCP only when the connection left from our listen port: another port's mapping leads
//! to nobody who listens. QUIC always leaves from the listener's socket.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, dummy,
    },
};

use super::{is_quic, is_relayed};

/// Connections whose local port is remembered; more than a peer dials.
const MAX_CONNECTIONS: usize = 4_096;

/// Punches remembered between two looks at them.
const MAX_PUNCHED: usize = 64;

/// Tells the swarm about candidates.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Direct connections that we dialled from the port we listen on.
    from_listen_port: HashSet<ConnectionId>,
    pending: VecDeque<Multiaddr>,
    /// TCP addresses that are being punched by us as the listening side.
    punched: VecDeque<(PeerId, Vec<Multiaddr>)>,
}

impl Behaviour {
    /// A peer says as whom it sees us. Gives the address back when it is our listener's.
    ///
    /// The swarm must be polled afterwards.
    pub(crate) fn observed(&mut self, connection: ConnectionId, address: &Multiaddr) -> Option<Multiaddr> {
        let address: Multiaddr = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
        let ours = self.from_listen_port.contains(&connection) && !is_relayed(&address);
        ours.then(|| {
            self.pending.push_back(address.clone());
            address
        })
    }

    /// An address that a router has opened for us.
    pub(crate) fn add(&mut self, address: Multiaddr) {
        self.pending.push_back(address);
    }

    /// TCP addresses at which hole punching has begun, each told once.
    pub(crate) fn punched(&mut self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        self.punched.drain(..).collect()
    }
}

/// Whether such a connection leaves from where we listen.
fn leaves_from_listener(endpoint: &ConnectedPoint) -> bool {
    match endpoint {
        ConnectedPoint::Dialer { address, port_use, .. } => {
            !is_relayed(address) && (is_quic(address) || *port_use == PortUse::Reuse)
        }
        ConnectedPoint::Listener { .. } => false,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let (Some(peer), Endpoint::Listener) = (peer, role) {
            let tcp: Vec<_> = addresses.iter().filter(|address| !is_quic(address)).cloned().collect();
            if !tcp.is_empty() && self.punched.len() < MAX_PUNCHED {
                self.punched.push_back((peer, tcp));
            }
        }
        Ok(vec![])
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(event)
                if leaves_from_listener(event.endpoint) && self.from_listen_port.len() < MAX_CONNECTIONS =>
            {
                self.from_listen_port.insert(event.connection_id);
            }
            FromSwarm::ConnectionClosed(event) => {
                self.from_listen_port.remove(&event.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.pending.pop_front() {
            Some(address) => Poll::Ready(ToSwarm::NewExternalAddrCandidate(address)),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_port_that_nobody_listens_on_is_no_candidate() {
        let dialled = |address: &str, port_use| ConnectedPoint::Dialer {
            address: address.parse().unwrap(),
            role_override: Endpoint::Dialer,
            port_use,
        };
        for (address, port_use, expected) in [
            ("/ip4/203.0.113.7/tcp/4001", PortUse::Reuse, true),
            ("/ip4/203.0.113.7/tcp/4001", PortUse::New, false),
            ("/ip4/203.0.113.7/udp/4001/quic-v1", PortUse::New, true),
            (
                "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit",
                PortUse::Reuse,
                false,
            ),
        ] {
            assert_eq!(leaves_from_listener(&dialled(address, port_use)), expected, "{address} {port_use:?}");
        }
    }
}
