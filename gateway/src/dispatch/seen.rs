//! What is seen of a job while it goes by, by our own clock: what the scheduler learns a node's speed from.

use std::time::{Duration, Instant};

use starling_protocol::message::{Done, Usage};

use crate::scheduler::Observed;

/// Where the reader was what we waited for in more than this part of the time, the node's pace was not seen.
const SLOW_READER: f64 = 0.1;

/// One attempt on one node.
#[derive(Debug)]
pub(super) struct Seen {
    asked: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
    tokens: u32,
    /// Time in which the reader took nothing.
    held_up: Duration,
    usage: Option<Usage>,
}

impl Seen {
    /// The request goes out now.
    pub(super) fn now() -> Self {
        let asked = Instant::now();
        Self { asked, first: None, last: None, tokens: 0, held_up: Duration::ZERO, usage: None }
    }

    /// The model was loaded first, and only now the request is read: the time until then says nothing of that.
    pub(super) fn loaded(&mut self) {
        self.asked = Instant::now();
    }

    /// Tokens have come, or all vectors.
    pub(super) fn piece(&mut self, tokens: usize) {
        let now = Instant::now();
        self.tokens = self.tokens.saturating_add(u32::try_from(tokens).unwrap_or(u32::MAX));
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// The reader has taken what came last.
    pub(super) fn passed_on(&mut self) {
        self.held_up += self.last.map_or(Duration::ZERO, |last| last.elapsed());
    }

    /// The answer is whole.
    pub(super) fn done(&mut self, done: &Done) {
        self.usage = Some(done.usage);
    }

    pub(super) fn observed(&self) -> Observed {
        let decode = self.first.zip(self.last).map(|(first, last)| last - first);
        Observed {
            first_token: self.first.map(|first| first - self.asked),
            decode: decode.filter(|decode| self.held_up.as_secs_f64() <= decode.as_secs_f64() * SLOW_READER),
            tokens: self.tokens,
            spent: self.asked.elapsed(),
            usage: self.usage,
        }
    }
}
