//! How long those in line will wait, who is not let in, and who has to leave.

use std::time::{Duration, Instant};

use starling_protocol::ModelId;

use super::{
    MAX_WAITING, Scheduler,
    demand::{LONGEST_LOAD, as_offered},
    need::{Choice, Estimate, Fate, Need, Ticket},
    node::count,
    place::{context, waits},
    queue::Waiting,
};

/// Nobody is told to come again sooner or later than this.
const RETRY_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

impl Scheduler {
    /// Where everybody in line stands.
    pub fn estimates(&self, now: Instant) -> Vec<(Ticket, Estimate)> {
        self.queues.keys().flat_map(|model| self.line(*model, now)).collect()
    }

    /// Where those who wait for one model stand, first to last.
    pub(super) fn line(&self, model: ModelId, now: Instant) -> Vec<(Ticket, Estimate)> {
        let Some(queue) = self.queues.get(&model).filter(|queue| queue.len() > 0) else { return vec![] };
        let job_seconds = self.knowledge(model).job_seconds();
        let nodes = self.serving(model, &[]);
        let mut times: Vec<f64> =
            nodes.flat_map(|(_, node, offer)| node.slot_times(offer, self.rules.trials, job_seconds, now)).collect();
        times.extend(self.load_times(model, now));
        times.sort_by(f64::total_cmp);
        let line = queue.line().into_iter().zip(waits(&times, job_seconds)).enumerate();
        let estimate = |(before, (waiting, seconds)): (usize, (&Waiting, f64))| {
            (waiting.ticket, Estimate { position: count(before + 1), seconds: seconds.ceil() as u32 })
        };
        line.map(estimate).collect()
    }

    /// A job that was not placed at once: it stays, unless its turn would not come in time.
    pub(super) fn let_in(&mut self, model: ModelId, ticket: Ticket, now: Instant) -> Choice {
        let found = self.line(model, now).into_iter().find(|(other, _)| *other == ticket);
        let Some((_, estimate)) = found else { return Choice::Nobody };
        let queue = self.queues.get(&model).and_then(|queue| queue.get(ticket));
        let mut longest = queue.map_or(Duration::ZERO, |waiting| waiting.need.priority.max_wait());
        if self.is_coming(model, now) {
            longest = longest.max(LONGEST_LOAD);
        }
        if self.knowledge(model).is_sure() && u64::from(estimate.seconds) > longest.as_secs() {
            self.forget(ticket);
            return Choice::Full(retry(estimate));
        }
        Choice::Wait(ticket, estimate)
    }

    /// Keeps the number of those who wait in bounds: the last of the longest line has to leave.
    pub(super) fn shorten(&mut self, now: Instant) {
        if self.queues.values().map(|queue| queue.len()).sum::<usize>() <= MAX_WAITING {
            return;
        }
        let Some(model) = self.queues.iter().max_by_key(|(_, queue)| queue.len()).map(|(model, _)| *model) else {
            return;
        };
        let Some((ticket, estimate)) = self.line(model, now).pop() else { return };
        self.forget(ticket);
        self.fates.push((ticket, Fate::Refused(retry(estimate))));
    }

    /// Sends away whoever has waited for too long, or for a model that nobody serves any more.
    pub(super) fn send_away(&mut self, now: Instant) {
        let models: Vec<ModelId> = self.queues.keys().copied().collect();
        for model in models {
            let loaders = self.loaders(model, &[]).map(|(peer, _, loadable)| (*peer, context(&as_offered(loadable))));
            let offers = self.serving(model, &[]).map(|(peer, _, offer)| (*peer, context(offer)));
            let served: Vec<_> = offers.chain(loaders).collect();
            let moved = self.knowledge(model).moved;
            let suits = |need: &Need, context: u32| context > need.context_over;
            let is_lost = |waiting: &Waiting| {
                served.iter().all(|(peer, context)| waiting.tried.contains(peer) || !suits(&waiting.need, *context))
            };
            let Some(queue) = self.queues.get(&model) else { continue };
            if !queue.any(|waiting| is_lost(waiting) || waiting.is_overdue(moved, now)) {
                continue;
            }
            let line = self.line(model, now);
            let Some(queue) = self.queues.get_mut(&model) else { continue };
            for waiting in queue.drain(is_lost) {
                self.fates.push((waiting.ticket, Fate::Nobody));
            }
            for waiting in queue.drain(|waiting| waiting.is_overdue(moved, now)) {
                let estimate = line.iter().find(|(ticket, _)| *ticket == waiting.ticket);
                let retry = estimate.map_or(RETRY_BOUNDS.0, |(_, estimate)| retry(*estimate));
                self.fates.push((waiting.ticket, Fate::Refused(retry)));
            }
        }
    }
}

fn retry(estimate: Estimate) -> Duration {
    Duration::from_secs(u64::from(estimate.seconds)).clamp(RETRY_BOUNDS.0, RETRY_BOUNDS.1)
}
