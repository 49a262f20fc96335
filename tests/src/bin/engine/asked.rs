//! What is asked of an engine, and what is known of an answer.

use std::time::{Duration, Instant};

use anyhow::Result;

/// A conversation and how long its answer may be.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Question, answer, question, …
    pub(crate) turns: Vec<String>,
    pub(crate) max_tokens: u32,
}

/// An answer as it came.
pub(crate) struct Answered {
    pub(crate) started: Instant,
    /// When each piece came; there is at least one.
    pub(crate) arrivals: Vec<Instant>,
    pub(crate) text: String,
    pub(crate) prompt_tokens: u32,
    pub(crate) completion_tokens: u32,
    /// Prompt tokens that were not computed again.
    pub(crate) cached_tokens: u32,
}

impl Answered {
    pub(crate) fn first_token(&self) -> Duration {
        self.arrivals.first().map_or(Duration::MAX, |first| *first - self.started)
    }
}

/// An engine that can be asked several things at once.
pub(crate) trait Engine {
    async fn ask(&self, asked: Asked) -> Result<Answered>;
}
