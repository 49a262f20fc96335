//! The swarm, seen from one peer: one task that owns all of libp2p, and a cheap handle to it.
//!
//! [`new`] gives the [`Handle`], the queues of [`Inbound`] streams, and the [`Actor`], and spawns
//! nothing. What others see of the actor's state is a `watch`: who is connected ([`Peers`]) and where
//! we listen.

mod actor;
mod address_book;
mod behaviour;
mod candidates;
mod dialling;
mod discovery;
mod guard;
mod lives;
mod paths;
mod ports;
mod pulse;
mod reachability;
mod records;
mod redial;
mod reservations;
mod strangers;
mod stream;
mod streams;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use libp2p::{StreamProtocol, identity::Keypair, multiaddr::Protocol};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub use self::{
    actor::Actor,
    reachability::{NatKind, Reachability, Upgrade},
    stream::{Path, Stream, Traffic},
    streams::{InboundStream, OpenError},
};
use self::{
    strangers::{Refused, Strangers},
    streams::Accept,
};
pub use libp2p::{Multiaddr, PeerId};

use crate::{
    ModelId, frame,
    identity::Identity,
    limits::{INBOUND_QUEUE, MAX_JOIN_STREAMS, MAX_MEMBER_STREAMS, MAX_STRANGERS, OPEN_TIMEOUT},
    membership::{JoinRefusal, JoinReply, MemberRole, NotMember, SwarmId},
    message::{JobEvent, Refusal},
};

/// One request for computation and its answer.
const JOB: StreamProtocol = StreamProtocol::new("/starling/job/1");
/// A node's state, pushed to a gateway.
const STATUS: StreamProtocol = StreamProtocol::new("/starling/status/1");
/// Two members and their certificates.
const MEMBER: StreamProtocol = StreamProtocol::new("/starling/member/1");
/// An invite and what it buys.
const JOIN: StreamProtocol = StreamProtocol::new("/starling/join/1");
/// The protocols whose speakers are worth a lasting connection.
const OURS: [StreamProtocol; 2] = [JOB, STATUS];

/// Orders to the actor that may wait.
const COMMAND_QUEUE: usize = 1_024;
/// Upgrades that a slow reader may be behind.
const UPGRADE_QUEUE: usize = 256;

/// What a peer is there for: it decides which streams it takes and whom it looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Computes: takes jobs, looks for gateways.
    Node,
    /// Serves people: takes status, looks for nodes.
    Gateway,
    /// A first address for the others.
    Bootstrap,
}

/// How a peer takes part.
#[derive(Clone, Debug)]
pub struct Config {
    /// The key it is known by.
    pub identity: Identity,
    /// The swarm whose members it looks for, and which it makes itself known in. Without one it does neither.
    pub swarm: Option<SwarmId>,
    /// What it is there for.
    pub role: Role,
    /// Where it listens.
    pub listen: Vec<Multiaddr>,
    /// Where others reach it, when it knows better than the swarm finds out.
    pub external: Vec<Multiaddr>,
    /// Peers to begin with, each ending in `/p2p/ID` (see [`parse_bootstrap`]).
    pub bootstrap: Vec<Multiaddr>,
    /// Plays the public peer: relay, address check and Kademlia server.
    pub serve_relay: bool,
    /// Asks the router to open our ports (UPnP, PCP, NAT-PMP): a help and never a need.
    pub port_mapping: bool,
    /// Where peers worth meeting again are kept over restarts; nowhere without it.
    pub address_book: Option<PathBuf>,
    /// Here for one errand: it needs no place on a relay, and nobody punches holes towards it.
    pub passing: bool,
    /// Program and version, shown to other peers.
    pub agent: String,
}

impl Config {
    /// The id that it will be known by.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.identity.peer()
    }
}

/// Streams that peers have opened with us. A queue whose receiver is dropped refuses.
#[derive(Debug)]
pub struct Inbound {
    /// Jobs; only a [`Role::Node`] takes them.
    pub jobs: mpsc::Receiver<InboundStream>,
    /// Status; only a [`Role::Gateway`] takes it.
    pub status: mpsc::Receiver<InboundStream>,
    /// Introductions; a [`Role::Node`] and a [`Role::Gateway`] take them.
    pub member: mpsc::Receiver<InboundStream>,
    /// Peers with an invite; only a [`Role::Gateway`] takes them.
    pub join: mpsc::Receiver<InboundStream>,
}

/// The peers we are connected to.
#[derive(Clone, Debug, Default)]
pub struct Peers(BTreeMap<PeerId, Peer>);

/// A peer we are connected to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peer {
    /// Connections without a relay.
    pub direct: u32,
    /// Connections through one.
    pub relayed: u32,
    /// The last ping's round trip.
    pub rtt: Option<Duration>,
    /// It computes.
    pub takes_jobs: bool,
    /// It is a gateway.
    pub takes_status: bool,
    /// What it is as a member of our swarm, once it has shown its certificate.
    pub member: Option<MemberRole>,
}

impl Peers {
    /// The peer, when it is connected.
    #[must_use]
    pub fn get(&self, peer: &PeerId) -> Option<&Peer> {
        self.0.get(peer)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether we are alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Peer {
    /// Reached through a relay only.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.direct == 0
    }
}

/// Why the swarm did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system said.
        reason: String,
    },
    /// A bootstrap address is not one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A transport could not be set up.
    #[error("the network could not be set up: {0}")]
    Setup(String),
}

impl StartError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "another program may use this port: choose another with --listen",
            Self::Address(_) => "copy the whole line that the other peer prints after `listening`",
            Self::Setup(_) => "check that this machine's network and DNS settings can be read",
        }
    }
}

/// Why a text is not a bootstrap address.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Not an address at all.
    #[error("{0:?} is not an address such as /ip4/203.0.113.7/udp/4001/quic-v1/p2p/12D3KooW…")]
    Malformed(String),
    /// The address does not say whose it is.
    #[error("the address {0} does not end in /p2p/ and the id of its peer")]
    NoPeer(Multiaddr),
}

/// Reads a bootstrap address.
///
/// # Errors
/// When it is none, or does not end in the id of its peer.
pub fn parse_bootstrap(text: &str) -> Result<Multiaddr, AddressError> {
    let address: Multiaddr =
        text.trim().parse().map_err(|_| AddressError::Malformed(text.chars().take(128).collect()))?;
    split_peer(&address)?;
    Ok(address)
}

enum Command {
    Open { peer: PeerId, open: streams::Open },
    Serve(Vec<ModelId>),
    Admit { peer: PeerId, role: MemberRole, done: oneshot::Sender<()> },
    Expel(PeerId),
    Listen(Multiaddr),
}

/// Speaks to the actor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    me: PeerId,
    commands: mpsc::Sender<Command>,
    peers: watch::Receiver<Peers>,
    addresses: watch::Receiver<Vec<Multiaddr>>,
    reachability: watch::Receiver<Reachability>,
    upgrades: broadcast::Sender<Upgrade>,
    traffic: Arc<Traffic>,
    refused: Refused,
}

impl Handle {
    /// Our own id.
    #[must_use]
    pub fn local_peer(&self) -> PeerId {
        self.me
    }

    /// Who is connected now; changes wake the receiver.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Peers> {
        self.peers.clone()
    }

    /// Where we listen, each address ending in our own `/p2p/ID`.
    #[must_use]
    pub fn addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.addresses.clone()
    }

    /// Opens a job stream with a node we are connected to.
    ///
    /// # Errors
    /// Within [`OPEN_TIMEOUT`], and then nothing was sent.
    pub async fn open_job(&self, peer: PeerId) -> Result<Stream, OpenError> {
        self.open(peer, JOB).await
    }

    /// Opens a status stream with a gateway we are connected to.
    ///
    /// # Errors
    /// Within [`OPEN_TIMEOUT`], and then nothing was sent.
    pub async fn open_status(&self, peer: PeerId) -> Result<Stream, OpenError> {
        self.open(peer, STATUS).await
    }

    /// Opens a member stream with a peer we are connected to.
    ///
    /// # Errors
    /// Within [`OPEN_TIMEOUT`], and then nothing was sent.
    pub async fn open_member(&self, peer: PeerId) -> Result<Stream, OpenError> {
        self.open(peer, MEMBER).await
    }

    /// Opens a join stream with a gateway we are connected to.
    ///
    /// # Errors
    /// Within [`OPEN_TIMEOUT`], and then nothing was sent.
    pub async fn open_join(&self, peer: PeerId) -> Result<Stream, OpenError> {
        self.open(peer, JOIN).await
    }

    /// The peer has shown its certificate: it is a member for as long as it is connected. Once this returns, its
    /// streams are let in.
    pub async fn admit(&self, peer: PeerId, role: MemberRole) {
        let (done, admitted) = oneshot::channel();
        if self.commands.send(Command::Admit { peer, role, done }).await.is_ok() {
            // When the actor is gone there is nothing to be admitted to.
            let _ = admitted.await;
        }
    }

    /// The peer is no member, or no longer: every connection with it ends, and its streams with them.
    pub async fn expel(&self, peer: PeerId) {
        let _ = self.commands.send(Command::Expel(peer)).await;
    }

    /// Listens on one more address: for tests of peers that can be reached only later.
    #[doc(hidden)]
    pub async fn listen(&self, address: Multiaddr) {
        let _ = self.commands.send(Command::Listen(address)).await;
    }

    /// How this machine is seen from outside; changes wake the receiver.
    #[must_use]
    pub fn reachability(&self) -> watch::Receiver<Reachability> {
        self.reachability.clone()
    }

    /// The attempts to reach relayed peers directly, from now on.
    #[must_use]
    pub fn upgrades(&self) -> broadcast::Receiver<Upgrade> {
        self.upgrades.subscribe()
    }

    /// Bytes of our streams by path.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Streams that strangers have opened and that were refused unheard, since the start.
    #[must_use]
    pub fn strangers_refused(&self) -> u64 {
        self.refused.count()
    }

    /// Makes known in Kademlia which models this node serves, in place of those named before.
    pub async fn serve(&self, models: Vec<ModelId>) {
        // When the actor is gone there is nobody to make it known to.
        let _ = self.commands.send(Command::Serve(models)).await;
    }

    async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream, OpenError> {
        let (reply, answer) = oneshot::channel();
        let open = streams::Open { protocol, reply };
        let ask = async {
            self.commands.send(Command::Open { peer, open }).await.map_err(|_| OpenError::Stopped)?;
            // A connection that closes takes its pending opens with it.
            answer.await.map_err(|_| OpenError::Lost)?
        };
        tokio::time::timeout(OPEN_TIMEOUT, ask).await.unwrap_or(Err(OpenError::Timeout))
    }
}

/// A peer that listens and waits for [`Actor::run`].
///
/// # Errors
/// When an address is wrong or taken; see [`StartError::hint`]. Must be called within a tokio runtime.
pub fn new(config: Config) -> Result<(Handle, Inbound, Actor), StartError> {
    let key =
        Keypair::ed25519_from_bytes(&mut *config.identity.seed()).map_err(|e| StartError::Setup(e.to_string()))?;
    let queue = || mpsc::channel(INBOUND_QUEUE);
    let ((job_sender, jobs), (status_sender, status)) = (queue(), queue());
    let ((member_sender, introductions), (join_sender, join)) = (queue(), queue());
    let job = Accept {
        busy: frame::encode(&JobEvent::Refused(Refusal::Busy)),
        stranger: frame::encode(&JobEvent::Refused(Refusal::NotMember(NotMember::NoCertificate))),
        ..Accept::members(JOB, job_sender)
    };
    let member = Accept::anybody(MEMBER, member_sender, MAX_MEMBER_STREAMS);
    let accepts = match config.role {
        Role::Node => vec![job, member],
        Role::Gateway => {
            let status = Accept::members(STATUS, status_sender);
            let busy = frame::encode(&JoinReply::Refused(JoinRefusal::Busy));
            vec![status, member, Accept { busy, ..Accept::anybody(JOIN, join_sender, MAX_JOIN_STREAMS) }]
        }
        Role::Bootstrap => vec![],
    };
    let me = key.public().to_peer_id();
    let traffic = Arc::new(Traffic::default());
    let permits = Arc::new(guard::Permits::new(&config.listen, &config.bootstrap));
    let limit = (config.role != Role::Bootstrap).then_some(MAX_STRANGERS);
    let streams = streams::Behaviour::new(accepts, Strangers::new(limit), traffic.clone());
    let refused = streams.refused();
    let swarm = behaviour::swarm(key, &config, streams, permits.clone())?;
    let (commands, orders) = mpsc::channel(COMMAND_QUEUE);
    let (actor, seen) = Actor::new(swarm, config, orders, permits)?;
    let actor::Seen { peers, addresses, reachability, upgrades } = seen;
    let handle = Handle { me, commands, peers, addresses, reachability, upgrades, traffic, refused };
    Ok((handle, Inbound { jobs, status, member: introductions, join }, actor))
}

fn split_peer(address: &Multiaddr) -> Result<(PeerId, Multiaddr), AddressError> {
    let mut rest = address.clone();
    match rest.pop() {
        Some(Protocol::P2p(peer)) => Ok((peer, rest)),
        _ => Err(AddressError::NoPeer(address.clone())),
    }
}

fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

fn is_quic(address: &Multiaddr) -> bool {
    !is_relayed(address) && address.iter().any(|part| part == Protocol::QuicV1)
}

/// The IP and port that an address begins with.
fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Whether the address is of this machine only.
#[must_use]
pub fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Whether the address could be of use on the public internet.
fn is_global(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => is_global_ip(ip.into()),
        Some(Protocol::Ip6(ip)) => is_global_ip(ip.into()),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => true,
        _ => false,
    }
}

fn is_global_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| is_global_v6(ip), is_global_v4),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_private() || ip.is_link_local() || shared || a == 0 || a >= 224)
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    !(ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
        || ip.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_address_says_whose_it_is() {
        let id = PeerId::random();
        assert!(parse_bootstrap(&format!("/ip4/127.0.0.1/tcp/4001/p2p/{id}")).is_ok());
        assert!(matches!(parse_bootstrap("/ip4/127.0.0.1/tcp/4001"), Err(AddressError::NoPeer(_))));
        for bad in ["", "localhost:4001", "/ip4/127.0.0.1/tcp/99999/p2p/x", "/p2p"] {
            assert!(parse_bootstrap(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn global_addresses_are_told_from_local_ones() {
        for (text, global) in [
            ("/ip4/203.0.113.7/tcp/1", true),
            ("/dns4/gateway.example/tcp/1", true),
            ("/ip6/2001:db8::1/udp/1/quic-v1", true),
            ("/ip4/127.0.0.1/tcp/1", false),
            ("/ip4/192.168.1.2/tcp/1", false),
            ("/ip4/100.64.3.4/tcp/1", false),
            ("/ip4/0.0.0.0/tcp/1", false),
            ("/ip6/fe80::1/tcp/1", false),
        ] {
            assert_eq!(is_global(&text.parse().unwrap()), global, "{text}");
        }
    }
}
