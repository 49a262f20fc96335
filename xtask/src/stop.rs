//! Ctrl-C, SIGTERM and SIGHUP: asked once we end things in order, asked twice we end them now.
//!
//! A level that is looked at, not a queue of events: every wait of ours is a short poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// How often our waits look around. Short enough to feel immediate, long enough to cost nothing.
const POLL: Duration = Duration::from_millis(20);

/// How often we were asked to stop. Clones share one counter.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicU32>);

/// The error that a stopped wait returns.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl Stop {
    /// Takes over the signals. Once a process.
    pub(crate) fn install() -> Result<Self> {
        let stop = Self::default();
        let counter = stop.0.clone();
        let count = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        ctrlc::set_handler(count).context("cannot take over Ctrl-C")?;
        Ok(stop)
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// Asked again while stopping: no more patience.
    pub(crate) fn asked_twice(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 1
    }

    /// One step of a polling wait.
    pub(crate) fn pause(&self) -> Result<()> {
        if self.asked() {
            return Err(anyhow::Error::new(Interrupted));
        }
        thread::sleep(POLL);
        Ok(())
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Interrupted {}
