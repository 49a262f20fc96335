//! Who is let in as far as what: a state machine without sockets.
//!
//! A peer is a stranger until its certificate was seen. Strangers may connect, introduce themselves and use
//! the address book; there is room for some of them only, and none of it is taken from members. Who was a
//! member lately is not counted as a stranger when it comes back.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::limits::MAX_REMEMBERED_PEERS;

/// How long a stranger may stay when others wait for its place: several times what joining takes.
const STAY: Duration = Duration::from_secs(10);

/// Whether a peer is admitted, seen by each of its connections. Shared and not sent: whoever hears that it is
/// admitted may open a stream at once, and that must not overtake the news.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pass(Arc<AtomicBool>);

impl Pass {
    pub(crate) fn is_admitted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, admitted: bool) {
        self.0.store(admitted, Ordering::Release);
    }
}

/// Streams of strangers that were refused, counted by every connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<AtomicU64>);

impl Refused {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A peer that is connected, or about to be.
#[derive(Debug, Default)]
struct Guest {
    pass: Pass,
    connections: usize,
    /// How many of those it has opened.
    inbound: usize,
    /// Since when it is connected; nothing once it was told to go.
    since: Option<Instant>,
}

/// Everybody who is connected, and how many strangers are among them.
#[derive(Debug)]
pub(crate) struct Strangers {
    /// Connections that strangers may have opened with us; `None` where there are no members, and so no strangers.
    limit: Option<usize>,
    guests: HashMap<PeerId, Guest>,
    /// Connections that strangers have opened.
    inbound: usize,
    known: Known,
}

/// Members of late, the longest ago first.
#[derive(Debug, Default)]
struct Known {
    peers: HashSet<PeerId>,
    order: VecDeque<PeerId>,
}

impl Strangers {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, guests: HashMap::new(), inbound: 0, known: Known::default() }
    }

    /// Whether there is room for one more connection that this peer has opened.
    pub(crate) fn has_room(&self, peer: &PeerId) -> bool {
        let admitted = || self.guests.get(peer).is_some_and(|guest| guest.pass.is_admitted());
        self.limit.is_none_or(|limit| self.inbound < limit || admitted() || self.known.peers.contains(peer))
    }

    /// Of the strangers that have stayed long enough the one that came first, once: it is to go. So a crowd that
    /// fills the room keeps newcomers out for a moment only.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<PeerId> {
        let strangers = self.guests.iter_mut().filter(|(_, guest)| guest.inbound > 0 && !guest.pass.is_admitted());
        let stayed = strangers.filter_map(|(peer, guest)| Some((guest.since?, *peer, guest)));
        let (since, peer, guest) = stayed.min_by_key(|(since, ..)| *since)?;
        if now.saturating_duration_since(since) < STAY {
            return None;
        }
        guest.since = None;
        Some(peer)
    }

    /// What a new connection of the peer is to look at.
    pub(crate) fn pass(&mut self, peer: PeerId) -> Pass {
        self.guest(peer).pass.clone()
    }

    pub(crate) fn connected(&mut self, peer: PeerId, inbound: bool, now: Instant) {
        let guest = self.guest(peer);
        if guest.connections == 0 {
            guest.since = Some(now);
        }
        guest.connections += 1;
        guest.inbound += usize::from(inbound);
        let stranger = inbound && !guest.pass.is_admitted();
        self.inbound += usize::from(stranger);
    }

    fn guest(&mut self, peer: PeerId) -> &mut Guest {
        let everybody = self.limit.is_none();
        self.guests.entry(peer).or_insert_with(|| {
            let guest = Guest::default();
            guest.pass.set(everybody);
            guest
        })
    }

    /// With the last connection the admission ends.
    pub(crate) fn disconnected(&mut self, peer: &PeerId, inbound: bool) {
        let Some(guest) = self.guests.get_mut(peer) else { return };
        guest.connections = guest.connections.saturating_sub(1);
        if inbound {
            guest.inbound = guest.inbound.saturating_sub(1);
            self.inbound -= usize::from(!guest.pass.is_admitted());
        }
        self.failed(peer);
    }

    /// A connection did not come about.
    pub(crate) fn failed(&mut self, peer: &PeerId) {
        if self.guests.get(peer).is_some_and(|guest| guest.connections == 0)
            && let Some(guest) = self.guests.remove(peer)
        {
            guest.pass.set(false);
        }
    }

    /// The peer has shown its certificate.
    pub(crate) fn admit(&mut self, peer: PeerId) {
        let Some(guest) = self.guests.get(&peer).filter(|guest| guest.connections > 0) else { return };
        if !guest.pass.is_admitted() {
            guest.pass.set(true);
            self.inbound -= guest.inbound;
        }
        self.known.add(peer);
    }

    /// The peer is a stranger from now on.
    pub(crate) fn expel(&mut self, peer: &PeerId) {
        self.known.remove(peer);
        if let Some(guest) = self.guests.get(peer).filter(|guest| guest.pass.is_admitted()) {
            guest.pass.set(false);
            self.inbound += guest.inbound;
        }
    }
}

impl Known {
    fn add(&mut self, peer: PeerId) {
        if !self.peers.insert(peer) {
            return;
        }
        self.order.push_back(peer);
        if self.order.len() > MAX_REMEMBERED_PEERS
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
    }

    fn remove(&mut self, peer: &PeerId) {
        if self.peers.remove(peer) {
            self.order.retain(|known| known != peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 3;

    fn full() -> Strangers {
        let mut strangers = Strangers::new(Some(LIMIT));
        for _ in 0..LIMIT {
            let peer = PeerId::random();
            assert!(strangers.has_room(&peer));
            strangers.connected(peer, true, Instant::now());
        }
        strangers
    }

    #[test]
    fn strangers_fill_their_own_room_and_none_of_the_members() {
        let (mut strangers, member) = (full(), PeerId::random());
        assert!(!strangers.has_room(&PeerId::random()));
        // A connection that we have opened is our own choice.
        strangers.connected(member, false, Instant::now());
        assert!(!strangers.has_room(&member), "nobody yet");
        let pass = strangers.pass(member);
        strangers.admit(member);
        assert!(pass.is_admitted() && strangers.has_room(&member));
        strangers.connected(member, true, Instant::now());
        assert_eq!(strangers.inbound, LIMIT);

        for inbound in [true, false] {
            strangers.disconnected(&member, inbound);
        }
        assert!(!pass.is_admitted() && !strangers.pass(member).is_admitted(), "with the last connection");
        assert!(strangers.has_room(&member), "it comes back");
        strangers.connected(member, true, Instant::now());
        strangers.expel(&member);
        strangers.disconnected(&member, true);
        assert!(!strangers.has_room(&member), "it was turned out");
        assert_eq!(strangers.inbound, LIMIT);
    }

    #[test]
    fn who_is_admitted_makes_room_and_who_is_turned_out_takes_it() {
        let mut strangers = full();
        let peer = *strangers.guests.keys().next().unwrap();
        strangers.connected(peer, true, Instant::now());
        strangers.admit(peer);
        strangers.admit(peer);
        assert_eq!(strangers.inbound, LIMIT - 1);
        strangers.expel(&peer);
        strangers.expel(&peer);
        assert_eq!(strangers.inbound, LIMIT + 1);
        for peer in strangers.guests.keys().copied().collect::<Vec<_>>() {
            strangers.disconnected(&peer, true);
        }
        strangers.disconnected(&peer, true);
        assert_eq!((strangers.inbound, strangers.guests.len()), (0, 0));
    }

    #[test]
    fn a_crowd_of_strangers_makes_room_for_newcomers() {
        let (mut strangers, start) = (Strangers::new(Some(3)), Instant::now());
        let [first, second, member] = std::array::from_fn(|_| PeerId::random());
        for (peer, seconds) in [(member, 0), (second, 2), (first, 1)] {
            strangers.connected(peer, true, start + Duration::from_secs(seconds));
        }
        strangers.admit(member);
        let after = |seconds| start + Duration::from_secs(seconds) + STAY;
        assert_eq!(strangers.overdue(after(0)), None, "they may still introduce themselves");
        assert_eq!(strangers.overdue(after(5)), Some(first), "who came first goes first");
        assert_eq!(strangers.overdue(after(5)), Some(second), "and is told once");
        assert_eq!(strangers.overdue(after(500)), None, "members stay");
    }

    #[test]
    fn a_connection_that_never_came_about_leaves_nothing() {
        let (mut strangers, peer) = (Strangers::new(Some(1)), PeerId::random());
        let pass = strangers.pass(peer);
        strangers.admit(peer);
        assert!(!pass.is_admitted(), "not connected");
        strangers.failed(&peer);
        assert!(strangers.guests.is_empty() && strangers.has_room(&peer));
    }

    #[test]
    fn members_of_long_ago_are_forgotten() {
        let (mut strangers, first) = (Strangers::new(Some(0)), PeerId::random());
        for peer in std::iter::once(first).chain((0..MAX_REMEMBERED_PEERS).map(|_| PeerId::random())) {
            strangers.connected(peer, false, Instant::now());
            strangers.admit(peer);
            strangers.disconnected(&peer, false);
        }
        assert!(!strangers.has_room(&first));
        assert_eq!(
            (strangers.known.order.len(), strangers.known.peers.len()),
            (MAX_REMEMBERED_PEERS, MAX_REMEMBERED_PEERS)
        );
    }
}
