//! What strangers may make us dial: nothing on this machine or in our own network.
//!
//! Addresses come from anybody: identify, Kademlia, hole punching. So the check stands below all of
//! them, where an address has become an IP and a port. Loopback and private addresses are dialled only
//! where the operator has named such ones, or where a member of our swarm says that it is there.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, RwLock},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};

use super::{is_global_ip, is_loopback, socket};

/// Private addresses of members that are remembered; the oldest goes first.
const MAX_NAMED: usize = 1_024;
/// Ends of host names that exist in private networks only.
const PRIVATE_NAMES: [&str; 5] = [".local", ".lan", ".internal", ".home.arpa", ".localhost"];

/// Which addresses that are not public may be dialled.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    loopback: bool,
    private: bool,
    named: RwLock<VecDeque<SocketAddr>>,
}

impl Permits {
    /// The operator's own addresses tell what kind of network this is: where it names a private one,
    /// others there may be dialled too.
    pub(crate) fn new(listen: &[Multiaddr], bootstrap: &[Multiaddr]) -> Self {
        let permits = Self {
            loopback: listen.iter().chain(bootstrap).all(is_loopback),
            private: listen.iter().chain(bootstrap).any(is_private),
            named: RwLock::default(),
        };
        bootstrap.iter().for_each(|address| permits.name(address));
        permits
    }

    /// Allows one address, whatever it is.
    pub(crate) fn name(&self, address: &Multiaddr) {
        let Some(socket) = socket(address) else { return };
        let mut named = self.named.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !named.contains(&socket) {
            if named.len() >= MAX_NAMED {
                named.pop_front();
            }
            named.push_back(socket);
        }
    }

    /// Whether the address may be dialled. A circuit is as good as its relay's address, a name as what
    /// it resolves to.
    pub(crate) fn allows(&self, address: &Multiaddr) -> bool {
        let Some(socket) = socket(address) else { return !starts_with_ip(address) };
        let ip = socket.ip();
        let allowed = is_global_ip(ip)
            || (self.loopback && ip.is_loopback())
            || (self.private && !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast());
        allowed || self.named.read().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&socket)
    }
}

fn is_private(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_private() || ip.is_link_local(),
        Some(Protocol::Ip6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            !name.contains('.') || PRIVATE_NAMES.iter().any(|end| name.ends_with(end))
        }
        _ => false,
    }
}

fn starts_with_ip(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_)))
}

/// A transport that dials only what its [`Permits`] allow.
pub(crate) struct Guarded<T> {
    inner: T,
    permits: Arc<Permits>,
}

impl<T> Guarded<T> {
    pub(crate) fn new(inner: T, permits: Arc<Permits>) -> Self {
        Self { inner, permits }
    }
}

impl<T: Transport + Unpin> Transport for Guarded<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<T::Error>> {
        if self.permits.allows(&address) {
            self.inner.dial(address, options)
        } else {
            tracing::debug!(%address, "not an address to dial for others");
            Err(TransportError::MultiaddrNotSupported(address))
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "/ip4/203.0.113.7/tcp/4001";
    const HERE: &str = "/ip4/127.0.0.1/tcp/4001";
    const LAN: &str = "/ip4/192.168.1.2/udp/4001/quic-v1";

    fn check(listen: &str, bootstrap: &str, expected: [bool; 3]) {
        let permits = Permits::new(&[listen.parse().unwrap()], &[bootstrap.parse().unwrap()]);
        let allowed = [PUBLIC, HERE, LAN].map(|address| permits.allows(&address.parse().unwrap()));
        assert_eq!(allowed, expected, "{listen} {bootstrap}");
    }

    #[test]
    fn strangers_lead_us_nowhere_but_out() {
        check("/ip4/0.0.0.0/tcp/0", "/ip4/203.0.113.9/tcp/1", [true, false, false]);
        check("/ip4/0.0.0.0/tcp/0", "/dns4/gateway.example/tcp/1", [true, false, false]);
        check("/ip4/0.0.0.0/tcp/0", "/ip4/192.168.1.1/tcp/1", [true, false, true]);
        check("/ip4/0.0.0.0/tcp/0", "/dns4/gateway.lan/tcp/1", [true, false, true]);
        check("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/1", [true, true, false]);
    }

    #[test]
    fn what_is_named_may_be_dialled_and_nothing_beside_it() {
        let permits = Permits::new(&["/ip4/0.0.0.0/tcp/0".parse().unwrap()], &[HERE.parse().unwrap()]);
        assert!(permits.allows(&HERE.parse().unwrap()), "the operator's own");
        assert!(!permits.allows(&"/ip4/127.0.0.1/tcp/22".parse().unwrap()));
        permits.name(&LAN.parse().unwrap());
        assert!(permits.allows(&LAN.parse().unwrap()));
        for host in 0..=255_u8 {
            for port in 1..=8 {
                permits.name(&format!("/ip4/10.0.0.{host}/tcp/{port}").parse().unwrap());
            }
        }
        assert_eq!(permits.named.read().unwrap().len(), MAX_NAMED);
    }

    #[test]
    fn addresses_that_lead_nowhere_are_not_dialled_even_at_home() {
        let permits = Permits::new(&["/ip4/192.168.1.2/tcp/0".parse().unwrap()], &[]);
        for address in ["/ip4/0.0.0.0/tcp/1", "/ip4/224.0.0.1/udp/1/quic-v1", "/ip6/::1/tcp/1", "/ip4/1.2.3.4"] {
            assert!(!permits.allows(&address.parse().unwrap()), "{address}");
        }
    }
}
