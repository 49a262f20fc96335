//! Counts of answers as plain numbers, which a registry's own types do not give back: what `figures` makes its charts of.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::figures::{Reading, spread::Counted};

/// Since the start. Only ever grows.
#[derive(Debug, Default)]
pub(super) struct Totals {
    ended: AtomicU64,
    errors: AtomicU64,
    begun: AtomicU64,
    relayed: AtomicU64,
    first_token: Counted,
}

impl Totals {
    pub(super) fn begun(&self, relayed: bool) {
        self.begun.fetch_add(1, Relaxed);
        self.relayed.fetch_add(u64::from(relayed), Relaxed);
    }

    pub(super) fn first_token(&self, after: Duration) {
        self.first_token.add(after);
    }

    pub(super) fn ended(&self, broken: bool) {
        self.ended.fetch_add(1, Relaxed);
        self.errors.fetch_add(u64::from(broken), Relaxed);
    }

    /// Those of them that are counted here; the others are gauges and counters of the registry.
    pub(super) fn reading(&self) -> Reading {
        Reading {
            ended: self.ended.load(Relaxed),
            errors: self.errors.load(Relaxed),
            begun: self.begun.load(Relaxed),
            relayed: self.relayed.load(Relaxed),
            first_token: self.first_token.now(),
            ..Reading::default()
        }
    }
}
