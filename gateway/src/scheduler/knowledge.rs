//! What is known of a model from the jobs that have ended: tokens in a byte, tokens in an answer, how long a job
//! keeps its slot.

use std::time::Instant;

use starling_protocol::message::Usage;

use super::{
    need::{Need, Observed},
    speed::Usual,
};

/// Weight of what was known when the next job ends.
const KEPT: f64 = 0.9;
/// Tokens in a byte before the first job: English has about one in four bytes, other scripts more.
const TOKENS_PER_BYTE: f64 = 0.3;
/// Whatever a node says, there are no more tokens in a byte than this, and no fewer. The upper bound leaves room for
/// what a template adds to a short question.
const TOKENS_PER_BYTE_BOUNDS: (f64, f64) = (0.02, 2.0);
/// Tokens of a template around the prompt.
const TEMPLATE_TOKENS: f64 = 16.0;
/// Tokens of an answer before the first job.
const ANSWER_TOKENS: f64 = 200.0;
/// Seconds of a job before the first one.
const JOB_SECONDS: f64 = 10.0;
/// Jobs after which the mean is worth turning somebody away for.
const ENOUGH_JOBS: u32 = 3;
/// Reading a token costs so much less than writing one.
const READ_PER_WRITTEN: f64 = 8.0;

/// Means that newer jobs count more in.
#[derive(Clone, Debug)]
pub(super) struct Knowledge {
    tokens: f64,
    bytes: f64,
    answer: f64,
    seconds: f64,
    jobs: u32,
    pub(super) usual: Usual,
    /// When a load of it came further last, on any node.
    pub(super) moved: Option<Instant>,
}

impl Default for Knowledge {
    fn default() -> Self {
        let (answer, seconds) = (ANSWER_TOKENS, JOB_SECONDS);
        Self { tokens: 0.0, bytes: 0.0, answer, seconds, jobs: 0, usual: Usual::default(), moved: None }
    }
}

impl Knowledge {
    /// Tokens in so many bytes.
    pub(super) fn tokens(&self, bytes: u64) -> f64 {
        let (least, most) = TOKENS_PER_BYTE_BOUNDS;
        let ratio = if self.bytes > 0.0 { (self.tokens / self.bytes).clamp(least, most) } else { TOKENS_PER_BYTE };
        bytes as f64 * ratio + TEMPLATE_TOKENS
    }

    /// All tokens to read: the prompt and what there is of the answer.
    pub(super) fn prompt(&self, need: &Need) -> f64 {
        self.tokens(need.prompt_bytes) + f64::from(need.answered)
    }

    /// Tokens to write.
    pub(super) fn answer(&self, need: &Need) -> f64 {
        let left = (self.answer - f64::from(need.answered)).max(1.0);
        need.max_tokens.map_or(left, |most| left.min(f64::from(most)))
    }

    /// What an owner is charged for, in tokens written. Nobody has asked for what is computed in case of need.
    pub(super) fn cost(&self, need: &Need) -> f64 {
        if need.warms {
            return 0.0;
        }
        cost(self.prompt(need), self.answer(need))
    }

    /// What a job has cost, as far as it was seen.
    pub(super) fn paid(&self, need: &Need, seen: &Observed) -> f64 {
        if need.warms {
            return 0.0;
        }
        let read = seen.usage.map_or_else(|| self.prompt(need), |usage| self.believed(need, usage));
        cost(read, f64::from(seen.tokens))
    }

    /// Tokens that were read anew. What the node says is bounded by the length of the text.
    pub(super) fn believed(&self, need: &Need, usage: Usage) -> f64 {
        let most = need.prompt_bytes as f64 * TOKENS_PER_BYTE_BOUNDS.1 + TEMPLATE_TOKENS + f64::from(need.answered);
        f64::from(usage.prompt_tokens.saturating_sub(usage.cached_tokens)).min(most)
    }

    /// A whole answer.
    pub(super) fn learn(&mut self, need: &Need, seen: &Observed) {
        if let Some(usage) = seen.usage.filter(|_| need.prompt_bytes > 0) {
            let prompt = f64::from(usage.prompt_tokens.saturating_sub(need.answered)) - TEMPLATE_TOKENS;
            let most = need.prompt_bytes as f64 * TOKENS_PER_BYTE_BOUNDS.1;
            self.tokens = self.tokens * KEPT + prompt.clamp(0.0, most);
            self.bytes = self.bytes * KEPT + need.prompt_bytes as f64;
        }
        // The first ones count as much as a mean of so few should.
        let new = (1.0 - KEPT).max(1.0 / f64::from(self.jobs.saturating_add(1)));
        if need.max_tokens != Some(0) {
            self.answer += new * (f64::from(seen.tokens.saturating_add(need.answered)) - self.answer);
        }
        self.seconds += new * (seen.spent.as_secs_f64() - self.seconds);
        self.jobs = self.jobs.saturating_add(1);
    }

    /// How long a job keeps its slot.
    pub(super) fn job_seconds(&self) -> f64 {
        self.seconds
    }

    /// Whether that is measured.
    pub(super) fn is_sure(&self) -> bool {
        self.jobs >= ENOUGH_JOBS
    }
}

fn cost(read: f64, written: f64) -> f64 {
    (read / READ_PER_WRITTEN + written).max(1.0)
}
