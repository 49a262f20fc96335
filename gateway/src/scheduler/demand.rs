//! Models that nobody has loaded, or too few have, and somebody can load.
//!
//! A job has its model loaded where its answer is over sooner that way than by waiting for those that have it. One
//! node loads a model at a time: everybody else who wants it waits for that load. A node whose load fails is left
//! alone with that model for a time that doubles.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use starling_protocol::{
    ModelId,
    limits::{LOADING_STALL, WHOLE_LOAD},
    message::{LoadFailure, Loadable, Offer, Status},
    swarm::PeerId,
};

use super::{
    Scheduler,
    need::{Need, Outcome, Ticket},
    node::{MAX_JOBS_PER_NODE, Node, Running},
    place::{Best, LOOKED_AT, WORTH_WAITING, context, seconds, wait},
    queue::Waiting,
};

/// A load that takes longer is waited for by nobody, however far it comes.
pub(super) const LONGEST_LOAD: Duration = Duration::from_secs(600);
/// Bytes per second, where neither the node nor a load says anything: those of an older SSD.
const USUAL: f64 = 200e6;
/// No claim goes beyond this.
const FASTEST: f64 = 10e9;
/// A process has to start, whatever it loads.
const LEAST_SECONDS: f64 = 0.5;
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(600);
/// A node that is loading another model says so with its next status.
const BUSY_REST: Duration = Duration::from_secs(1);

/// What a node's loads of its models have shown.
#[derive(Debug, Default)]
pub(super) struct Loads(BTreeMap<ModelId, Load>);

#[derive(Debug, Default)]
struct Load {
    /// Of the one under way, and when it came further last.
    began: Option<(Instant, Instant)>,
    /// How long the last one took.
    took: Option<Duration>,
    failures: u32,
    rests_until: Option<Instant>,
}

impl Loads {
    /// What the node's next status says of them, by our own clock. Which came further, or to their end.
    pub(super) fn see(&mut self, before: &Status, status: &Status, now: Instant) -> Vec<ModelId> {
        let known = |model: &ModelId| {
            status.loadable.iter().any(|one| one.model == *model)
                || status.offers.iter().any(|offer| offer.model == *model)
        };
        self.0.retain(|model, _| known(model));
        let mut moved = vec![];
        for Loadable { model, loading, .. } in &status.loadable {
            let load = self.0.entry(*model).or_default();
            let Some(permille) = loading else {
                load.began = None;
                continue;
            };
            let so_far = before.loadable.iter().find(|one| one.model == *model).and_then(|one| one.loading);
            let began = load.began.map_or(now, |(began, _)| began);
            if load.began.is_none() || so_far.is_none_or(|so_far| so_far < *permille) {
                load.began = Some((began, now));
                moved.push(*model);
            }
        }
        for offer in &status.offers {
            let Some(load) = self.0.get_mut(&offer.model) else { continue };
            if let Some((began, _)) = load.began.take() {
                load.took = Some(now.saturating_duration_since(began));
                (load.failures, load.rests_until) = (0, None);
                moved.push(offer.model);
            }
        }
        moved
    }

    /// A job has ended, which may have wanted its model loaded.
    pub(super) fn judge(&mut self, running: &Running, outcome: Outcome, now: Instant) {
        let Some(load) = self.0.get_mut(&running.need.model) else { return };
        match outcome {
            Outcome::Busy if running.loads => load.rests_until = Some(now + BUSY_REST),
            // Jobs that fail together fail for one reason.
            Outcome::NotLoaded(_) if load.rests(now) => {}
            // The file stays as it is until somebody replaces it.
            Outcome::NotLoaded(LoadFailure::File) => load.rests_until = Some(now + LONGEST_REST),
            Outcome::NotLoaded(_) => {
                let rest = FIRST_REST.saturating_mul(1 << load.failures.min(16)).min(LONGEST_REST);
                load.failures += 1;
                load.rests_until = Some(now + rest);
            }
            Outcome::Served | Outcome::Left | Outcome::Busy | Outcome::Failed | Outcome::Stopped => {}
        }
    }

    /// Whether a load is under way that comes further.
    fn is_moving(&self, model: ModelId, now: Instant) -> bool {
        let began = self.0.get(&model).and_then(|load| load.began);
        began.is_some_and(|(began, moved)| {
            now.saturating_duration_since(moved) < LOADING_STALL && now.saturating_duration_since(began) < LONGEST_LOAD
        })
    }

    fn rest(&self, model: ModelId, now: Instant) -> Duration {
        let until = self.0.get(&model).and_then(|load| load.rests_until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// How long a load of it still takes, in seconds. What a node claims counts until a load of it was seen.
    fn seconds(&self, loadable: &Loadable) -> f64 {
        let bytes = loadable.bytes as f64;
        let claimed = match loadable.seconds {
            0 => bytes / USUAL,
            seconds => f64::from(seconds).max(bytes / FASTEST),
        };
        let took = self.0.get(&loadable.model).and_then(|load| load.took);
        let whole = took.map_or(claimed, |took| took.as_secs_f64());
        let left = 1.0 - f64::from(loadable.loading.unwrap_or(0)) / f64::from(WHOLE_LOAD);
        (whole * left).max(LEAST_SECONDS)
    }
}

impl Load {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

impl Node {
    /// What it says of a model that it does not serve and would load.
    pub(super) fn loadable(&self, model: ModelId) -> Option<&Loadable> {
        let found = self.status.loadable.iter().find(|one| one.model == model);
        found.filter(|_| self.takes_more() && self.offer(model).is_none())
    }

    /// Our jobs for which it is to load that model, or any.
    fn loads_for_us(&self, model: Option<ModelId>) -> bool {
        let mut ours = self.record.running.iter().filter(|running| running.loads);
        ours.any(|running| {
            let of = running.need.model;
            model.is_none_or(|model| model == of) && self.offer(of).is_none()
        })
    }

    /// Whether a load of any of its models is under way.
    fn is_loading(&self) -> bool {
        self.loads_for_us(None) || self.status.loadable.iter().any(|one| one.loading.is_some())
    }

    /// Whether it takes one more job of ours.
    fn has_room_for_us(&self, trials: u32) -> bool {
        let most = if self.record.good < trials { 1 } else { MAX_JOBS_PER_NODE };
        self.record.running.len() < most
    }
}

/// A model as it will be offered once it is loaded.
pub(super) fn as_offered(loadable: &Loadable) -> Offer {
    Offer {
        kind: loadable.kind,
        context_tokens: loadable.context_tokens,
        dimensions: loadable.dimensions,
        ..Offer::new(loadable.model, loadable.name.clone())
    }
}

impl Scheduler {
    /// Nodes that do not have the model and can load it, apart from these.
    pub(super) fn loaders<'a>(
        &'a self,
        model: ModelId,
        tried: &'a [PeerId],
    ) -> impl Iterator<Item = (&'a PeerId, &'a Node, &'a Loadable)> {
        let loaders = self.nodes.iter().filter_map(move |(peer, node)| Some((peer, node, node.loadable(model)?)));
        loaders.filter(|(peer, ..)| !tried.contains(peer))
    }

    /// Those that could do a job then.
    pub(super) fn suiting_loaders<'a>(
        &'a self,
        need: &Need,
        tried: &'a [PeerId],
    ) -> impl Iterator<Item = (&'a PeerId, &'a Node, &'a Loadable)> + use<'a> {
        let over = need.context_over;
        self.loaders(need.model, tried).filter(move |(_, _, loadable)| context(&as_offered(loadable)) > over)
    }

    /// Whether there is one of them.
    pub(super) fn could_load(&self, need: &Need, tried: &[PeerId]) -> bool {
        self.suiting_loaders(need, tried).next().is_some()
    }

    /// Has the model loaded for the first in line whose answer is over sooner that way.
    pub(super) fn bring(&mut self, model: ModelId, now: Instant) {
        let Some(queue) = self.queues.get(&model).filter(|queue| queue.len() > 0) else { return };
        if self.loaders(model, &[]).next().is_none() || self.is_coming(model, now) {
            return;
        }
        let line: Vec<Ticket> = queue.line().into_iter().take(LOOKED_AT).map(|waiting| waiting.ticket).collect();
        for (before, ticket) in line.into_iter().enumerate() {
            let Some(waiting) = self.queues.get(&model).and_then(|queue| queue.get(ticket)) else { return };
            let Some(load) = self.best_load(waiting, now) else { continue };
            if load.seconds < WORTH_WAITING * self.by_waiting(waiting, before, now) {
                return self.begin(ticket, model, load, now);
            }
        }
    }

    /// Whether a load of the model is under way anywhere, for us or for others.
    pub(super) fn is_coming(&self, model: ModelId, now: Instant) -> bool {
        self.nodes.values().any(|node| node.record.loads.is_moving(model, now) || node.loads_for_us(Some(model)))
    }

    /// The node on which a job is over first if its model is loaded there now.
    fn best_load(&self, waiting: &Waiting, now: Instant) -> Option<Best> {
        let (need, known) = (&waiting.need, self.knowledge(waiting.need.model));
        let least = self.least_context(need, &waiting.tried, &known);
        let mut best: Option<Best> = None;
        for (peer, node, loadable) in self.suiting_loaders(need, &waiting.tried) {
            let loads = &node.record.loads;
            let may = !node.rests(now) && loads.rest(need.model, now).is_zero() && !node.is_loading();
            let offer = as_offered(loadable);
            if !may || !node.has_room_for_us(self.rules.trials) || context(&offer) < least {
                continue;
            }
            let load = loads.seconds(loadable);
            let found = Best { peer: *peer, seconds: load + seconds(need, node, &offer, &known, 0, now), wait: load };
            if best.is_none_or(|best| found.seconds < best.seconds) {
                best = Some(found);
            }
        }
        best
    }

    /// When a job would be over that waits for those who have the model, in seconds; never, where nobody has.
    fn by_waiting(&self, waiting: &Waiting, before: usize, now: Instant) -> f64 {
        let known = self.knowledge(waiting.need.model);
        let (mut times, mut quickest) = (vec![], f64::INFINITY);
        for (_, node, offer) in self.suiting(&waiting.need, &waiting.tried) {
            times.extend(node.slot_times(offer, self.rules.trials, known.job_seconds(), now));
            let taken = node.room(offer, self.rules.trials).taken;
            quickest = quickest.min(seconds(&waiting.need, node, offer, &known, taken, now));
        }
        times.sort_by(f64::total_cmp);
        if times.is_empty() { f64::INFINITY } else { wait(&times, before, known.job_seconds()) + quickest }
    }

    /// When there will be slots that loads make, in seconds from now: of the loads under way, or where nobody has the
    /// model, of the one that is sooner than all others.
    pub(super) fn load_times(&self, model: ModelId, now: Instant) -> Vec<f64> {
        let job_seconds = self.knowledge(model).job_seconds();
        let (mut coming, mut possible) = (vec![], f64::INFINITY);
        for (_, node, loadable) in self.loaders(model, &[]) {
            let (loads, left) = (&node.record.loads, node.record.loads.seconds(loadable));
            if loads.is_moving(model, now) || node.loads_for_us(Some(model)) {
                let one_job = !node.has_room_for_us(self.rules.trials);
                coming.push(left + if one_job { job_seconds } else { 0.0 });
            } else {
                let other = node.status.loadable.iter().find(|one| one.loading.is_some());
                let before = loads.rest(model, now).as_secs_f64().max(other.map_or(0.0, |other| loads.seconds(other)));
                possible = possible.min(before + left);
            }
        }
        if coming.is_empty() && possible.is_finite() && self.serving(model, &[]).next().is_none() {
            coming.push(possible);
        }
        coming
    }
}
