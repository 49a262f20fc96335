//! What happens when: a queue in the order of a made-up clock, and chance that is made of a seed.

use std::{cmp::Reverse, collections::BinaryHeap};

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(super) fn mix(value: u64) -> u64 {
    let z = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Of jobs, nodes and attempts by their numbers; a node's status and its ends are of its so-many-eth life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Arrives(usize),
    /// A job asks for a slot again, after so many attempts.
    AsksAgain(usize, u32),
    /// A node has computed the next piece of an attempt.
    Computes(usize, Attempt),
    /// Time is up for an attempt of which the gateway had so many tokens.
    IsSilent(Attempt, usize),
    /// The gateway learns that an attempt's node is lost.
    IsLost(Attempt),
    /// A node was told that an attempt is over, or has waited for long enough.
    IsOver(usize, Attempt),
    Status(usize, u32),
    Dies(usize),
    Comes(usize),
    Hangs(usize),
    WakesUp(usize),
    IsCutOff(usize),
    IsReached(usize),
    IsTurnedOut(usize),
    /// What is shown of answers is kept.
    IsKept,
    GatewayDies,
    Tick,
}

/// One attempt at a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Attempt {
    pub(super) job: usize,
    pub(super) number: u32,
}

/// Milliseconds since the beginning, and what happens then.
#[derive(Default)]
pub(super) struct Events {
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
    pub(super) ms: u64,
}

impl Events {
    pub(super) fn after(&mut self, ms: u64, event: Event) {
        self.number += 1;
        self.queue.push(Reverse((self.ms + ms, self.number, event)));
    }

    /// The next one; the clock moves on to it.
    pub(super) fn next(&mut self) -> Option<Event> {
        let Reverse((ms, _, event)) = self.queue.pop()?;
        self.ms = ms;
        Some(event)
    }
}
