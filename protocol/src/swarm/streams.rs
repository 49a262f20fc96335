//! Streams for our own protocols, none of which is ever lost.
//!
//! `libp2p-stream` drops an inbound stream when its reader happens not to be waiting at that moment.
//! Here every inbound stream goes into the bounded queue of its protocol, or is answered with that
//! protocol's refusal; every open ends in a stream or in an [`OpenError`].

mod handler;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionEstablished, DialFailure, ListenFailure},
    },
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use self::handler::{Guest, Handler};
use super::{
    Path, Stream, Traffic, is_relayed,
    strangers::{Refused, Strangers},
};
use crate::limits::MAX_STREAMS;

/// A stream that a peer has opened with us.
#[derive(Debug)]
pub struct InboundStream {
    /// Who opened it; proven by the connection.
    pub peer: PeerId,
    /// The stream, just after its protocol was agreed on.
    pub stream: Stream,
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// There is no connection to the peer.
    #[error("there is no connection to the peer")]
    NotConnected,
    /// The connection was lost meanwhile.
    #[error("the connection to the peer was lost")]
    Lost,
    /// The peer does not speak the protocol.
    #[error("the peer does not speak this protocol")]
    Unsupported,
    /// The peer did not answer in time.
    #[error("the peer did not answer in time")]
    Timeout,
    /// More opens wait on this connection than may.
    #[error("too many streams are being opened with the peer")]
    TooMany,
    /// The swarm has stopped.
    #[error("the swarm has stopped")]
    Stopped,
}

/// A protocol that we take streams of.
pub(crate) struct Accept {
    pub(crate) protocol: StreamProtocol,
    pub(crate) queue: mpsc::Sender<InboundStream>,
    /// Only admitted peers may open it.
    pub(crate) members_only: bool,
    /// How many a peer may have open on one connection.
    pub(crate) at_once: usize,
    /// Written to a stream that finds the queue full, before it is closed.
    pub(crate) busy: Vec<u8>,
    /// Written to a stream of a peer that is not admitted, before it is closed.
    pub(crate) stranger: Vec<u8>,
}

impl Accept {
    /// For members only.
    pub(crate) fn members(protocol: StreamProtocol, queue: mpsc::Sender<InboundStream>) -> Self {
        Self { members_only: true, ..Self::anybody(protocol, queue, MAX_STREAMS) }
    }

    /// For anybody, so many at a time.
    pub(crate) fn anybody(protocol: StreamProtocol, queue: mpsc::Sender<InboundStream>, at_once: usize) -> Self {
        Self { protocol, queue, members_only: false, at_once, busy: vec![], stranger: vec![] }
    }
}

/// An order to open a stream.
pub(crate) struct Open {
    pub(crate) protocol: StreamProtocol,
    pub(crate) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open({})", self.protocol)
    }
}

struct Connection {
    id: ConnectionId,
    path: Path,
    /// When the peer last answered on it. Of two peers that dial each other at once, one may believe in a connection
    /// that the other has never had.
    heard: Option<Instant>,
}

/// There are as many strangers as there may be.
#[derive(Debug, Error)]
#[error("there are too many strangers already")]
struct TooManyStrangers;

/// Hands opens to the best connection of their peer.
pub(crate) struct Behaviour {
    accepts: Arc<[Accept]>,
    connections: HashMap<PeerId, Vec<Connection>>,
    orders: VecDeque<(PeerId, ConnectionId, Open)>,
    /// Strangers that are to make room for others.
    leaving: VecDeque<PeerId>,
    traffic: Arc<Traffic>,
    refused: Refused,
    pub(crate) strangers: Strangers,
}

impl Behaviour {
    pub(crate) fn new(accepts: Vec<Accept>, strangers: Strangers, traffic: Arc<Traffic>) -> Self {
        let (connections, orders, leaving) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        Self { accepts: accepts.into(), connections, orders, leaving, traffic, refused: Refused::default(), strangers }
    }

    /// Counts streams of strangers.
    pub(crate) fn refused(&self) -> Refused {
        self.refused.clone()
    }

    /// The peer has answered on a connection.
    pub(crate) fn heard(&mut self, peer: PeerId, id: ConnectionId, now: Instant) {
        let connections = self.connections.get_mut(&peer).map_or(&mut [][..], Vec::as_mut_slice);
        if let Some(connection) = connections.iter_mut().find(|connection| connection.id == id) {
            connection.heard = Some(now);
        }
    }

    /// Opens a stream on a connection that works, as far as is known: on a direct one where there is one, else on a
    /// relayed one; of several on the one that was heard of last.
    ///
    /// The swarm must be polled afterwards.
    pub(crate) fn open(&mut self, peer: PeerId, open: Open) {
        let connections = self.connections.get(&peer).map_or(&[][..], Vec::as_slice);
        let worth = |c: &&Connection| (c.heard.is_some(), c.path == Path::Direct, c.heard);
        match connections.iter().rev().max_by_key(worth) {
            Some(connection) => self.orders.push_back((peer, connection.id, open)),
            None => drop(open.reply.send(Err(OpenError::NotConnected))),
        }
    }

    fn handler(&mut self, peer: PeerId, path: Path) -> Handler {
        let guest = Guest { peer, path, pass: self.strangers.pass(peer) };
        Handler::new(guest, self.accepts.clone(), self.traffic.clone(), self.refused.clone())
    }

    fn established(&mut self, event: &ConnectionEstablished) {
        let path = path(event.endpoint.is_relayed());
        let connection = Connection { id: event.connection_id, path, heard: None };
        self.connections.entry(event.peer_id).or_default().push(connection);
        self.strangers.connected(event.peer_id, event.endpoint.is_listener(), Instant::now());
    }

    fn closed(&mut self, event: &ConnectionClosed) {
        self.strangers.disconnected(&event.peer_id, event.endpoint.is_listener());
        if let Some(connections) = self.connections.get_mut(&event.peer_id) {
            connections.retain(|connection| connection.id != event.connection_id);
            if connections.is_empty() {
                self.connections.remove(&event.peer_id);
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.strangers.has_room(&peer) {
            self.leaving.extend(self.strangers.overdue(Instant::now()));
            return Err(ConnectionDenied::new(TooManyStrangers));
        }
        // Of an inbound circuit only our own address tells.
        Ok(self.handler(peer, path(is_relayed(local))))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, path(is_relayed(remote))))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(event) => self.established(&event),
            FromSwarm::ConnectionClosed(event) => self.closed(&event),
            // Another part of us may have denied it after its handler was made.
            FromSwarm::DialFailure(DialFailure { peer_id: Some(peer), .. })
            | FromSwarm::ListenFailure(ListenFailure { peer_id: Some(peer), .. }) => self.strangers.failed(&peer),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.leaving.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
        }
        match self.orders.pop_front() {
            Some((peer_id, id, event)) => {
                Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(id), event })
            }
            None => Poll::Pending,
        }
    }
}

fn path(relayed: bool) -> Path {
    if relayed { Path::Relayed } else { Path::Direct }
}
