//! Which connections are with a process of a peer that is no more: a state machine without clock or socket.
//!
//! A peer that was killed, or whose network went away, and that is back a second later has new connections beside the
//! old ones. Of those nobody says good-bye, so that they look alive until they have been silent for long, and what
//! is opened on them goes nowhere. Each process calls itself by another name in identify; when that of a younger
//! connection differs, the older ones are dead.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{PeerId, swarm::ConnectionId};

/// How long a connection may take to be identified. Both ends begin with that, so it is a round trip or two.
const IDENTIFY_TIME: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    since: Instant,
    /// What the process at the other end calls itself; none until it has said so.
    life: Option<String>,
}

/// The connections of each peer, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Lives {
    peers: HashMap<PeerId, Vec<Connection>>,
}

impl Lives {
    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, now: Instant) {
        self.peers.entry(peer).or_default().push(Connection { id, since: now, life: None });
    }

    pub(super) fn closed(&mut self, peer: PeerId, id: ConnectionId) {
        if let Some(connections) = self.peers.get_mut(&peer) {
            connections.retain(|connection| connection.id != id);
            if connections.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }

    /// The process at the other end of a connection has said what it calls itself. Gives the connections that are with
    /// an earlier one, to be closed.
    pub(super) fn identified(&mut self, peer: PeerId, id: ConnectionId, life: &str, now: Instant) -> Vec<ConnectionId> {
        let Some(connections) = self.peers.get_mut(&peer) else { return vec![] };
        if let Some(connection) = connections.iter_mut().find(|connection| connection.id == id) {
            connection.life = Some(life.to_owned());
        }
        let Some(latest) = connections.iter().rposition(|connection| connection.life.is_some()) else { return vec![] };
        let (before, rest) = connections.split_at(latest);
        let dead = |connection: &&Connection| match &connection.life {
            Some(life) => Some(life) != rest[0].life.as_ref(),
            None => now >= connection.since + IDENTIFY_TIME,
        };
        before.iter().filter(dead).map(|connection| connection.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn connected(count: usize, now: Instant) -> (Lives, PeerId) {
        let (mut lives, peer) = (Lives::default(), PeerId::random());
        (1..=count).for_each(|number| lives.connected(peer, id(number), now));
        (lives, peer)
    }

    #[test]
    fn a_process_has_as_many_connections_as_it_likes() {
        let now = Instant::now();
        let (mut lives, peer) = connected(3, now);
        for number in [2, 1, 3] {
            assert_eq!(lives.identified(peer, id(number), "a", now), vec![]);
        }
        assert_eq!(lives.identified(peer, id(1), "a", now + IDENTIFY_TIME * 9), vec![], "said again");
    }

    #[test]
    fn the_next_process_ends_those_of_the_last_one() {
        let now = Instant::now();
        let (mut lives, peer) = connected(3, now);
        assert_eq!(lives.identified(peer, id(1), "a", now), vec![]);
        assert_eq!(lives.identified(peer, id(3), "b", now), vec![id(1)], "2 may still say who it is");
        lives.closed(peer, id(1));
        assert_eq!(lives.identified(peer, id(2), "a", now), vec![id(2)], "and does, too late");
        lives.closed(peer, id(2));
        assert_eq!(lives.identified(peer, id(3), "b", now), vec![]);
    }

    #[test]
    fn one_that_never_said_who_it_is_is_dead_once_a_younger_one_has() {
        let now = Instant::now();
        let (mut lives, peer) = connected(2, now);
        assert_eq!(lives.identified(peer, id(2), "a", now + IDENTIFY_TIME), vec![id(1)]);
    }

    #[test]
    fn nothing_is_kept_of_a_peer_that_has_left() {
        let (mut lives, peer) = connected(2, Instant::now());
        lives.closed(peer, id(1));
        lives.closed(peer, id(2));
        assert!(lives.peers.is_empty());
        assert_eq!(lives.identified(peer, id(2), "a", Instant::now()), vec![]);
    }
}
