//! Direct and relayed connections of each peer: a state machine without clock or socket.
//!
//! It says which relayed connections to close once a direct one is up, whom to try to reach directly
//! again, and how each attempt ended. Libp2p leaves a relayed connection open for ever beside a direct
//! one, and tries to punch only when a relayed connection is new.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use super::{Path, Upgrade};

/// How long a relayed connection stays beside a direct one: its streams move meanwhile.
const LINGER: Duration = Duration::from_secs(3);
/// What has not become direct in this time is a failed attempt: three punches of ten seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// What is left of an attempt once hole punching has failed: a plain dial may still succeed.
const GRACE: Duration = Duration::from_secs(3);
/// From a failed attempt to the next, each longer; the last one repeats.
const RETRY_DELAYS: [Duration; 4] =
    [Duration::from_secs(30), Duration::from_secs(120), Duration::from_secs(300), Duration::from_secs(600)];
/// Peers tried again at one time, so that a large swarm is not punched all at once.
const MAX_RETRIES_AT_ONCE: usize = 8;

/// What the owner of the connections is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A relayed connection that is of no more use.
    Close(ConnectionId),
    /// A peer reached over a relay only: dial it anew.
    Retry(PeerId),
    /// An attempt is over without success.
    Failed(Upgrade),
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    path: Path,
    since: Instant,
    /// Where we have dialled it directly.
    address: Option<Multiaddr>,
}

#[derive(Debug, Default)]
struct Entry {
    connections: Vec<Connection>,
    /// Worth a direct connection.
    sought: bool,
    /// While an attempt runs: when it counts as failed.
    attempt_until: Option<Instant>,
    retry_at: Option<Instant>,
    failures: usize,
    /// Its own addresses were tried in this attempt.
    dialled_back: bool,
    /// Relayed connections made for nothing but an attempt.
    fresh: Vec<ConnectionId>,
}

/// The connections of all peers.
#[derive(Debug, Default)]
pub(super) struct Paths {
    peers: HashMap<PeerId, Entry>,
}

impl Entry {
    fn direct_since(&self) -> Option<Instant> {
        self.connections.iter().filter(|c| c.path == Path::Direct).map(|c| c.since).min()
    }

    fn begin(&mut self, now: Instant) {
        if self.attempt_until.is_none() {
            self.attempt_until = Some(now + ATTEMPT_TIMEOUT);
            self.dialled_back = false;
        }
    }

    fn fail(&mut self, now: Instant) {
        self.attempt_until = None;
        let delay = RETRY_DELAYS[self.failures.min(RETRY_DELAYS.len() - 1)];
        self.failures += 1;
        self.retry_at = Some(now + delay);
    }

    /// Relayed connections that nobody needs: beside a direct one that is old enough, or made for an
    /// attempt that is over.
    fn useless(&self, now: Instant) -> Vec<ConnectionId> {
        let relayed = self.connections.iter().filter(|c| c.path == Path::Relayed);
        let Some(direct_since) = self.direct_since() else {
            let over = self.attempt_until.is_none() && self.connections.len() > self.fresh.len();
            return if over { self.fresh.clone() } else { vec![] };
        };
        relayed.filter(|c| now >= c.since.max(direct_since) + LINGER).map(|c| c.id).collect()
    }
}

impl Paths {
    /// A connection is up. Tells of an attempt that has succeeded by it.
    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, path: Path, now: Instant) -> Option<Upgrade> {
        let entry = self.peers.entry(peer).or_default();
        entry.connections.push(Connection { id, path, since: now, address: None });
        if path == Path::Direct {
            entry.failures = 0;
            entry.retry_at = None;
            return entry.attempt_until.take().map(|_| Upgrade { peer, succeeded: true });
        }
        if entry.direct_since().is_none() {
            entry.begin(now);
        }
        None
    }

    /// The connection was dialled there, directly.
    pub(super) fn reached(&mut self, peer: PeerId, id: ConnectionId, address: Multiaddr) {
        let connections = self.peers.get_mut(&peer).map(|entry| &mut entry.connections);
        if let Some(connection) = connections.and_then(|all| all.iter_mut().find(|connection| connection.id == id)) {
            connection.address = Some(address);
        }
    }

    /// Where a peer was reached directly by us.
    pub(super) fn address(&self, peer: &PeerId) -> Option<&Multiaddr> {
        self.peers.get(peer)?.connections.iter().find_map(|connection| connection.address.as_ref())
    }

    pub(super) fn closed(&mut self, peer: PeerId, id: ConnectionId, now: Instant) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let was_direct = entry.direct_since().is_some();
        entry.connections.retain(|connection| connection.id != id);
        entry.fresh.retain(|fresh| *fresh != id);
        if entry.connections.is_empty() {
            self.peers.remove(&peer);
        } else if was_direct && entry.direct_since().is_none() {
            entry.retry_at = Some(now);
        }
    }

    /// The peer is worth a direct connection.
    pub(super) fn sought(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.sought = true;
        }
    }

    /// Hole punching has given up. What else is being tried gets a moment more.
    pub(super) fn not_punched(&mut self, peer: PeerId, now: Instant) {
        if let Some(until) = self.peers.get_mut(&peer).and_then(|entry| entry.attempt_until.as_mut()) {
            *until = (*until).min(now + GRACE);
        }
    }

    /// Whether the peer's own addresses are still to be tried in the attempt that runs. Says so once.
    pub(super) fn may_dial_back(&mut self, peer: PeerId) -> bool {
        let Some(entry) = self.peers.get_mut(&peer) else { return false };
        entry.attempt_until.is_some() && !std::mem::replace(&mut entry.dialled_back, true)
    }

    /// There was nothing to try: no attempt, and so none that fails.
    pub(super) fn not_tried(&mut self, peer: PeerId, now: Instant) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.fail(now);
        }
    }

    /// Whether this is the connection that a peer's coming began with.
    pub(super) fn is_first(&self, peer: PeerId, id: ConnectionId) -> bool {
        self.peers.get(&peer).and_then(|entry| entry.connections.first()).is_some_and(|first| first.id == id)
    }

    /// The connection is being made for an attempt and for nothing else.
    pub(super) fn dialled_for_attempt(&mut self, peer: PeerId, id: ConnectionId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.fresh.push(id);
        }
    }

    /// That connection did not come about.
    pub(super) fn dial_failed(&mut self, peer: PeerId, id: ConnectionId) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.fresh.retain(|fresh| *fresh != id);
        }
    }

    /// Our place in the network has changed: what failed before may succeed now.
    pub(super) fn network_changed(&mut self, now: Instant) {
        for entry in self.peers.values_mut().filter(|entry| entry.retry_at.is_some()) {
            entry.failures = 0;
            entry.retry_at = Some(now);
        }
    }

    pub(super) fn on_tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = vec![];
        let mut retries = 0;
        for (peer, entry) in &mut self.peers {
            if entry.attempt_until.is_some_and(|until| now >= until) {
                entry.fail(now);
                actions.push(Action::Failed(Upgrade { peer: *peer, succeeded: false }));
            }
            actions.extend(entry.useless(now).into_iter().map(Action::Close));
            let due = entry.sought && entry.retry_at.is_some_and(|at| now >= at);
            if due && retries < MAX_RETRIES_AT_ONCE {
                retries += 1;
                entry.retry_at = None;
                entry.begin(now);
                // The retry dials everything there is.
                entry.dialled_back = true;
                actions.push(Action::Retry(*peer));
            }
        }
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn relayed(now: Instant) -> (Paths, PeerId) {
        let (mut paths, peer) = (Paths::default(), PeerId::random());
        assert_eq!(paths.connected(peer, id(1), Path::Relayed, now), None);
        paths.sought(peer);
        (paths, peer)
    }

    fn fail(paths: &mut Paths, peer: PeerId, now: Instant) {
        paths.not_punched(peer, now);
        let failed = Action::Failed(Upgrade { peer, succeeded: false });
        assert!(paths.on_tick(now + GRACE).contains(&failed));
    }

    #[test]
    fn a_relayed_connection_lingers_beside_a_direct_one_and_is_closed() {
        let now = Instant::now();
        let (mut paths, peer) = relayed(now);
        let upgrade = Upgrade { peer, succeeded: true };
        assert_eq!(paths.connected(peer, id(2), Path::Direct, now + SECOND), Some(upgrade));
        assert_eq!(paths.connected(peer, id(3), Path::Direct, now + SECOND), None, "told once");
        assert_eq!(paths.on_tick(now + SECOND + LINGER / 2), vec![]);
        assert_eq!(paths.on_tick(now + SECOND + LINGER), vec![Action::Close(id(1))]);
        paths.closed(peer, id(1), now + SECOND + LINGER);
        assert_eq!(paths.on_tick(now + SECOND * 3_600), vec![]);
        assert_eq!(paths.connected(peer, id(4), Path::Relayed, now + SECOND * 4_000), None);
        assert_eq!(paths.on_tick(now + SECOND * 4_000 + LINGER), vec![Action::Close(id(4))], "a late one as well");
    }

    #[test]
    fn a_direct_connection_alone_is_no_attempt() {
        let (mut paths, peer, now) = (Paths::default(), PeerId::random(), Instant::now());
        assert_eq!(paths.connected(peer, id(1), Path::Direct, now), None);
        assert_eq!(paths.on_tick(now + SECOND * 3_600), vec![]);
    }

    #[test]
    fn a_failed_attempt_is_told_once_and_repeated_later_and_later() {
        let mut now = Instant::now();
        let (mut paths, peer) = relayed(now);
        let failed = Upgrade { peer, succeeded: false };
        paths.not_punched(peer, now);
        assert_eq!(paths.on_tick(now + GRACE / 2), vec![]);
        now += GRACE;
        assert_eq!(paths.on_tick(now), vec![Action::Failed(failed)]);
        paths.not_punched(peer, now);
        for delay in RETRY_DELAYS.into_iter().chain([RETRY_DELAYS[3]]) {
            assert_eq!(paths.on_tick(now + delay - SECOND), vec![]);
            now += delay;
            assert_eq!(paths.on_tick(now), vec![Action::Retry(peer)]);
            now += ATTEMPT_TIMEOUT;
            assert_eq!(paths.on_tick(now), vec![Action::Failed(failed)]);
        }
    }

    #[test]
    fn a_connection_made_for_an_attempt_goes_with_it() {
        let now = Instant::now();
        let (mut paths, peer) = relayed(now);
        fail(&mut paths, peer, now);
        let now = now + GRACE + RETRY_DELAYS[0];
        assert_eq!(paths.on_tick(now), vec![Action::Retry(peer)]);
        paths.dialled_for_attempt(peer, id(2));
        paths.connected(peer, id(2), Path::Relayed, now);
        assert_eq!(paths.on_tick(now + SECOND), vec![]);
        fail(&mut paths, peer, now);
        assert_eq!(paths.on_tick(now + GRACE), vec![Action::Close(id(2))], "the one in use stays");
    }

    #[test]
    fn a_peer_that_falls_back_to_its_relay_is_tried_at_once() {
        let now = Instant::now();
        let (mut paths, peer) = relayed(now);
        paths.connected(peer, id(2), Path::Direct, now);
        paths.closed(peer, id(2), now + SECOND);
        assert_eq!(paths.on_tick(now + SECOND), vec![Action::Retry(peer)]);
    }

    #[test]
    fn a_peer_of_no_use_to_us_is_not_tried_again_and_one_that_left_is_forgotten() {
        let (mut paths, peer, now) = (Paths::default(), PeerId::random(), Instant::now());
        paths.connected(peer, id(1), Path::Relayed, now);
        fail(&mut paths, peer, now);
        assert_eq!(paths.on_tick(now + SECOND * 3_600), vec![]);
        paths.closed(peer, id(1), now);
        assert!(paths.peers.is_empty());
    }

    #[test]
    fn a_new_network_is_a_new_chance() {
        let now = Instant::now();
        let (mut paths, peer) = relayed(now);
        fail(&mut paths, peer, now);
        paths.network_changed(now + GRACE);
        assert_eq!(paths.on_tick(now + GRACE), vec![Action::Retry(peer)]);
    }
}
