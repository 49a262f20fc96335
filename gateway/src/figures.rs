//! How the gateway has done lately, for its operator's charts: the last hour in steps of ten seconds and the last day in
//! steps of five minutes. In this process's memory, and gone with it; a monitoring system that keeps more reads `/metrics`.
//!
//! [`History`] decides what becomes of the counts and has no clock; [`keep`] reads them once a second.

mod history;
pub(crate) mod spread;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use history::{History, Sample, Span};
use spread::Spread;

use crate::{clock::Timestamp, metrics::Jobs};

/// How often the counts are read: what is shown of running and waiting answers is the most of these.
const EVERY: Duration = Duration::from_secs(1);

/// The counts of all answers since the start, as they are at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Answers that were begun and have not ended, now.
    pub running: u32,
    /// Of these, those that wait for a slot, now.
    pub waiting: u32,
    /// Tokens that came.
    pub tokens: u64,
    /// Answers that ended, however they did.
    pub ended: u64,
    /// Of these, those that broke by no fault of who asked.
    pub errors: u64,
    /// Answers that a node began.
    pub begun: u64,
    /// Of these, those that came through a relay.
    pub relayed: u64,
    /// From the question to the first token.
    pub first_token: Spread,
}

/// What is known of the last day. Cheap to clone; the lock is held for a look only.
#[derive(Clone, Debug, Default)]
pub struct Figures(Arc<Mutex<History>>);

impl Figures {
    /// The samples of that span, oldest first.
    #[must_use]
    pub fn samples(&self, span: Span) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).samples(span)
    }

    pub(crate) fn see(&self, reading: &Reading, now: Instant, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).see(reading, now.into_std(), at);
    }
}

/// Counts until `stop`.
pub(crate) async fn keep(figures: Figures, jobs: Jobs, stop: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while let Some(now) = stop.run_until_cancelled(ticks.tick()).await {
        figures.see(&jobs.reading(), now, Timestamp::now());
    }
}
