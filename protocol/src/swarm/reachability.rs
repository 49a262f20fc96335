//! How this machine is seen from outside, in the terms a person can act on.

mod observations;

use std::net::SocketAddr;

use libp2p::{Multiaddr, PeerId};

pub(super) use self::observations::Observations;

/// What stands between this machine and the others, as far as can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NatKind {
    /// Not known yet, or only one peer has seen us.
    #[default]
    Unknown,
    /// Nothing: others can dial us.
    Open,
    /// A NAT that lets answers of anyone in once we have sent something out.
    FullCone,
    /// A NAT with one public port for all whom we talk to; others get in when we have called them.
    Cone,
    /// A NAT with another public port for everyone: it can be punched only towards peers that are easier.
    Symmetric,
}

/// How this machine is seen from outside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reachability {
    /// What stands between.
    pub nat: NatKind,
    /// Whether UDP (and so QUIC) gets out; `None` until it was tried.
    pub udp: Option<bool>,
    /// Whether we are reached over IPv6; `None` until it was tried.
    pub ipv6: Option<bool>,
    /// As which addresses those we are connected to see us, newest last; at most sixteen.
    pub seen_as: Vec<Multiaddr>,
    /// Addresses that others have dialled successfully, or that the operator has named.
    pub confirmed: Vec<Multiaddr>,
    /// What the router has opened for us by UPnP, PCP or NAT-PMP.
    pub mapped: Vec<SocketAddr>,
    /// Relays where we hold a reservation.
    pub relays: Vec<PeerId>,
}

/// An attempt to reach a peer directly that we had met over a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// Whom.
    pub peer: PeerId,
    /// Whether there is a direct connection now.
    pub succeeded: bool,
}
