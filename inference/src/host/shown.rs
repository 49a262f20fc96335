//! What the holders of a handle see of an engine in another process: its load, and how many seats there are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::frame::LoadShown;
use crate::Load;

/// One shortage of memory is one, however many answers it fails.
const ONE_SHORTAGE: Duration = Duration::from_secs(2);

pub(super) struct Shown {
    load: watch::Sender<Load>,
    seats: Arc<Semaphore>,
    /// What the engine said last.
    said: Load,
    slots: u32,
    /// Seats to take away once they are free.
    owed: usize,
    restarts: u32,
    /// Why it was started again last.
    reason: String,
    /// What memory has cost.
    shortage: Option<(Instant, String)>,
    doubtful: bool,
}

impl Shown {
    pub(super) fn new(load: watch::Sender<Load>, seats: Arc<Semaphore>, slots: u32) -> Self {
        let said = load.borrow().clone();
        let (reason, shortage) = (String::new(), None);
        Self { load, seats, said, slots, owed: 0, restarts: 0, reason, shortage, doubtful: false }
    }

    /// Answers at once, as memory allows.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// The engine said how it is while `jobs` answers run.
    pub(super) fn said(&mut self, load: LoadShown, jobs: usize) {
        load.apply(&mut self.said);
        self.show(jobs);
    }

    /// Whether it should get more work.
    pub(super) fn doubt(&mut self, doubtful: bool, jobs: usize) {
        if self.doubtful != doubtful {
            self.doubtful = doubtful;
            self.show(jobs);
        }
    }

    /// An engine of so many slots is there, again.
    pub(super) fn up(&mut self, slots: u32) {
        self.lower_to(slots);
        self.restarts = self.restarts.saturating_add(1);
        self.said = Load { alive: true, slots_free: self.slots, ..Load::default() };
        self.doubtful = false;
        self.show(0);
    }

    /// It is gone, and will be back.
    pub(super) fn down(&mut self, reason: String) {
        self.reason = reason;
        self.said = Load { restarting: true, ..Load::default() };
        self.show(0);
    }

    /// There was no memory for what was asked: half of the slots may do. True when there are fewer now.
    pub(super) fn out_of_memory(&mut self, now: Instant, jobs: usize) -> bool {
        let same =
            self.shortage.as_ref().is_some_and(|(since, _)| now.saturating_duration_since(*since) < ONE_SHORTAGE);
        if same || self.slots <= 1 {
            return false;
        }
        let before = self.slots;
        self.lower_to(before / 2);
        let what = format!("out of memory: {} slots instead of {before} until the node is started again", self.slots);
        self.shortage = Some((now, what));
        self.show(jobs);
        true
    }

    /// Puts it where all can see it. Seats are free before they are shown.
    pub(super) fn show(&mut self, jobs: usize) {
        self.owed -= self.seats.forget_permits(self.owed);
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX).max(self.said.running);
        let free = if self.doubtful || !self.said.alive { 0 } else { self.slots.saturating_sub(jobs) };
        let load = Load {
            slots: self.slots,
            slots_free: free.min(self.said.slots_free),
            restarts: self.restarts,
            trouble: self.trouble(),
            ..self.said.clone()
        };
        self.load.send_if_modified(|shown| {
            let changed = *shown != load;
            *shown = load;
            changed
        });
    }

    fn lower_to(&mut self, slots: u32) {
        let slots = slots.clamp(1, self.slots);
        self.owed += (self.slots - slots) as usize;
        self.slots = slots;
    }

    fn trouble(&self) -> String {
        let doubt = self.doubtful.then_some("the engine does not come back from its step");
        let shortage = self.shortage.as_ref().map(|(_, what)| what.as_str());
        let reason = Some(self.reason.as_str()).filter(|reason| !reason.is_empty());
        [doubt, shortage, reason].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Shown {
    /// Nobody keeps the engine any more.
    fn drop(&mut self) {
        self.seats.close();
        self.said = Load::default();
        self.show(0);
    }
}
