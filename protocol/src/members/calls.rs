//! When to open a member stream to whom: a state machine without clock or socket.
//!
//! A stream that broke is opened again soon. Who has refused us is asked again too, since we may be readmitted
//! or a clock set right, but ever more slowly, and also when it was disconnected in between.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::limits::MAX_REMEMBERED_PEERS;

const AFTER_A_BREAK: Pace = Pace { first: Duration::from_millis(200), longest: Duration::from_secs(10) };
const AFTER_A_REFUSAL: Pace = Pace { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

struct Pace {
    first: Duration,
    longest: Duration,
}

#[derive(Debug)]
struct Attempt {
    /// Tries in a row that came to nothing.
    failures: u32,
    /// Not before; `None` while a stream is open or being opened.
    next: Option<Instant>,
}

/// The peers that we have called, or that have refused us.
#[derive(Debug, Default)]
pub(super) struct Calls(HashMap<PeerId, Attempt>);

impl Calls {
    /// Whether to call this peer now; from then on it counts as called.
    pub(super) fn is_due(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.0.len() >= MAX_REMEMBERED_PEERS && !self.0.contains_key(&peer) {
            return false;
        }
        let attempt = self.0.entry(peer).or_insert(Attempt { failures: 0, next: Some(now) });
        let due = attempt.next.is_some_and(|next| next <= now);
        if due {
            attempt.next = None;
        }
        due
    }

    /// The peer and we have believed each other.
    pub(super) fn met(&mut self, peer: &PeerId) {
        if let Some(attempt) = self.0.get_mut(peer) {
            attempt.failures = 0;
        }
    }

    /// The stream could not be opened, or has ended.
    pub(super) fn broke(&mut self, peer: &PeerId, now: Instant) {
        if let Some(attempt) = self.0.get_mut(peer)
            && attempt.next.is_none()
        {
            attempt.wait(&AFTER_A_BREAK, now);
        }
    }

    /// The peer does not take us for a member, or we it.
    pub(super) fn refused(&mut self, peer: &PeerId, now: Instant) {
        if let Some(attempt) = self.0.get_mut(peer) {
            attempt.wait(&AFTER_A_REFUSAL, now);
        }
    }

    /// Forgets those who are not connected and have nothing against us.
    pub(super) fn keep_connected(&mut self, is_connected: impl Fn(&PeerId) -> bool, now: Instant) {
        self.0.retain(|peer, attempt| is_connected(peer) || attempt.next.is_some_and(|next| next > now));
    }
}

impl Attempt {
    fn wait(&mut self, pace: &Pace, now: Instant) {
        self.next = Some(now + pace.first.saturating_mul(1 << self.failures.min(16)).min(pace.longest));
        self.failures += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_broke_is_opened_again_soon_and_a_refusal_is_respected() {
        let (mut calls, peer, mut now) = (Calls::default(), PeerId::random(), Instant::now());
        assert!(calls.is_due(peer, now));
        assert!(!calls.is_due(peer, now + Duration::from_secs(3600)), "it is being called");
        calls.met(&peer);
        calls.broke(&peer, now);
        assert!(!calls.is_due(peer, now + AFTER_A_BREAK.first / 2));
        assert!(calls.is_due(peer, now + AFTER_A_BREAK.first));
        calls.met(&peer);
        for _ in 0..20 {
            calls.refused(&peer, now);
            calls.broke(&peer, now);
            assert!(!calls.is_due(peer, now + AFTER_A_REFUSAL.first / 2), "the end of a refused stream is no break");
            now += AFTER_A_REFUSAL.longest;
            assert!(calls.is_due(peer, now));
        }
    }

    #[test]
    fn coming_back_does_not_make_one_who_refused_us_forget_it() {
        let (mut calls, peer, now) = (Calls::default(), PeerId::random(), Instant::now());
        assert!(calls.is_due(peer, now));
        calls.refused(&peer, now);
        calls.keep_connected(|_| false, now);
        assert!(!calls.is_due(peer, now));
        calls.keep_connected(|_| false, now + AFTER_A_REFUSAL.longest);
        assert!(calls.0.is_empty());
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        let due = (0..MAX_REMEMBERED_PEERS + 10).filter(|_| calls.is_due(PeerId::random(), now)).count();
        assert_eq!((due, calls.0.len()), (MAX_REMEMBERED_PEERS, MAX_REMEMBERED_PEERS));
    }
}
