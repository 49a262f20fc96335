//! How fast a node is with a model: what we have seen, by our own clock.
//!
//! What a node says of itself counts until the first answer is measured, and never for more than a little above what
//! others are known to do: who claims too much gains one job by it.

use std::time::Instant;

use starling_protocol::message::Offer;

use super::{
    line::{Line, Straight},
    need::Observed,
};

/// Tokens per second that are assumed where nothing was measured: those of a small model on an old computer, so
/// that a queue's estimate errs on the long side.
const READS: f64 = 200.0;
const WRITES: f64 = 10.0;
/// No node is taken for slower than this, so that every estimate is finite.
const LEAST: f64 = 0.01;
/// How far a claim may go above the middle of what is measured: so far that a node that may be better is tried.
const BENEFIT_OF_DOUBT: f64 = 1.25;
/// A first token takes this long whatever the prompt, in seconds.
const FIRST_TOKEN: f64 = 0.05;
/// Each neighbour in the batch makes the others slower by this part; between a GPU, where it is next to nothing, and
/// a processor, where two answers take nearly twice as long.
const NEIGHBOUR: f64 = 0.2;

/// Measured with one model on one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Speeds {
    /// Seconds to the first token, by the tokens to read.
    first: Line,
    /// Seconds for each token, by the neighbours in the batch.
    each: Line,
}

/// What is usual for a model: the middle of the nodes that were measured, in tokens per second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    pub(super) reads: Option<f64>,
    pub(super) writes: Option<f64>,
}

/// What a job costs on a node, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    first: Straight,
    each: Straight,
}

impl Pace {
    /// Until the first token of a prompt of which `tokens` are to be read beside `neighbours` others.
    pub(super) fn first(&self, tokens: f64, neighbours: u32) -> f64 {
        self.first.at(tokens) * crowding(neighbours)
    }

    /// For `tokens` of an answer beside `neighbours` others.
    pub(super) fn answer(&self, tokens: f64, neighbours: u32) -> f64 {
        self.each.at(f64::from(neighbours)) * tokens
    }

    /// Before anything is measured.
    pub(super) fn expected(offer: &Offer, usual: Usual) -> Self {
        let reads = believed(offer.prefill_tokens_per_second, usual.reads, READS);
        let writes = believed(offer.decode_tokens_per_second, usual.writes, WRITES);
        let each = Straight { at_zero: 1.0 / writes, each: NEIGHBOUR / writes };
        Self { first: Straight { at_zero: FIRST_TOKEN, each: 1.0 / reads }, each }
    }
}

/// What neighbours make of the time that a prompt takes; whatever is measured is put down as if there were none.
fn crowding(neighbours: u32) -> f64 {
    1.0 + NEIGHBOUR * f64::from(neighbours)
}

/// A claim is only an upper bound.
fn believed(claim: f32, usual: Option<f64>, default: f64) -> f64 {
    let most = usual.map_or(default, |usual| usual * BENEFIT_OF_DOUBT);
    let claim = Some(f64::from(claim)).filter(|claim| *claim > 0.0);
    claim.unwrap_or(f64::INFINITY).min(most).max(LEAST)
}

impl Speeds {
    /// A job has read `tokens` and had `neighbours`; the way to the node and back is `rtt`.
    pub(super) fn add(
        &mut self,
        seen: &Observed,
        tokens: f64,
        neighbours: u32,
        rtt: f64,
        expected: Pace,
        now: Instant,
    ) {
        let pace = self.fit(expected, now);
        let alone = |seconds: f64| seconds / crowding(neighbours);
        match seen.first_token {
            Some(delay) => self.first.add(tokens, alone(delay.as_secs_f64() - rtt).max(0.001), expected.first, now),
            // Its reader has left before anything came: the node is at least that slow.
            None if seen.spent.as_secs_f64() > 2.0 * (rtt + pace.first(tokens, neighbours)) => {
                self.first.add(tokens, alone(seen.spent.as_secs_f64()), expected.first, now);
            }
            None => {}
        }
        // The first token is the prompt's.
        let more = f64::from(seen.tokens.saturating_sub(1));
        if let Some(decode) = seen.decode.filter(|_| more > 0.0) {
            self.each.add(f64::from(neighbours), decode.as_secs_f64().max(0.001) / more, expected.each, now);
        }
    }

    pub(super) fn fit(&self, expected: Pace, now: Instant) -> Pace {
        Pace { first: self.first.fit(expected.first, now), each: self.each.fit(expected.each, now) }
    }

    /// Tokens per second read and written alone, as far as they are measured.
    pub(super) fn measured(&self, expected: Pace, now: Instant) -> (Option<f64>, Option<f64>) {
        let Pace { first, each } = self.fit(expected, now);
        let speed = |line: &Line, seconds: f64| Some(1.0 / seconds).filter(|v| line.is_measured() && v.is_finite());
        (speed(&self.first, first.each), speed(&self.each, each.at_zero))
    }
}
