//! One node as the scheduler sees it: its last status, our jobs on it, and what it has shown of itself.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use starling_protocol::{
    ModelId,
    limits::MAX_STREAMS,
    message::{Kind, Offer, Status},
    swarm::PeerId,
};

use super::{
    demand::Loads,
    need::{Need, Outcome},
    speed::Speeds,
};

/// Jobs of ours on one node, whatever it claims: half of the streams that a connection carries, since
/// one too many would close it and end them all.
pub(super) const MAX_JOBS_PER_NODE: usize = MAX_STREAMS / 2;
pub(super) const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// The way to a node that was not pinged yet, in seconds.
const UNKNOWN_RTT: f64 = 0.2;
/// A relay has limits of its own, and others to serve: worth so many seconds of detour.
const RELAYED: f64 = 0.1;

/// A node that has missed two of its statuses, and so long that it is no accident, may be gone.
const UNHEARD: Duration = Duration::from_millis(2_500);

/// The part of its expected time that a job still needs at least, and the least in seconds.
const OVERTIME: f64 = 0.1;
const LEAST_LEFT: f64 = 0.2;

/// What a node has shown of itself. Outlives its connection.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Whole answers.
    pub(super) good: u32,
    failures: u32,
    rests_until: Option<Instant>,
    pub(super) speeds: BTreeMap<ModelId, Speeds>,
    pub(super) loads: Loads,
    /// Our jobs there.
    pub(super) running: Vec<Running>,
    /// When it was last here.
    pub(super) left: Option<Instant>,
}

/// A job on a node.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) need: Need,
    /// What its owner was charged.
    pub(super) cost: f64,
    /// Others in the batch when it began.
    pub(super) neighbours: u32,
    /// Tokens to read, without those that the node holds.
    pub(super) to_read: f64,
    pub(super) began: Instant,
    /// How long it was thought to take, in seconds.
    pub(super) expected: f64,
    /// Its model was not loaded there when it began.
    pub(super) loads: bool,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) peer: PeerId,
    pub(super) status: Status,
    pub(super) seen: Instant,
    pub(super) relayed: bool,
    pub(super) rtt: Option<Duration>,
    pub(super) record: Record,
    /// An administrator wants it to be given no more.
    pub(super) drained: bool,
    /// The labels in its offers.
    held: HashSet<(ModelId, u64)>,
}

/// How much of a node is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) taken: u32,
    pub(super) slots: u32,
}

impl Room {
    pub(super) fn is_free(self) -> bool {
        self.taken < self.slots
    }
}

impl Node {
    pub(super) fn new(peer: PeerId, status: Status, record: Record, now: Instant) -> Self {
        let (relayed, rtt, drained, held) = (false, None, false, HashSet::new());
        let mut node = Self { peer, status: Status::default(), seen: now, relayed, rtt, record, drained, held };
        node.update(status, now);
        node
    }

    /// It has said how it is. Models of which a load came further, or to its end.
    pub(super) fn update(&mut self, status: Status, now: Instant) -> Vec<ModelId> {
        let labels = |offer: &Offer| offer.prefixes.iter().map(|label| (offer.model, *label)).collect::<Vec<_>>();
        self.held = status.offers.iter().flat_map(labels).collect();
        let moved = self.record.loads.see(&self.status, &status, now);
        (self.status, self.seen) = (status, now);
        moved
    }

    pub(super) fn offer(&self, model: ModelId) -> Option<&Offer> {
        self.status.offers.iter().find(|offer| offer.model == model).filter(|_| self.takes_more())
    }

    /// Whether it may be given anything.
    pub(super) fn takes_more(&self) -> bool {
        !self.status.stopping && !self.drained
    }

    pub(super) fn rests(&self, now: Instant) -> bool {
        self.record.rests(now)
    }

    /// Whether it has said lately how it is.
    pub(super) fn is_heard(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) < UNHEARD
    }

    /// Whether it computes nothing, for us or for others.
    pub(super) fn is_idle(&self) -> bool {
        self.record.running.is_empty() && self.status.offers.iter().all(|offer| offer.slots_free >= offer.slots)
    }

    /// The way there and back, in seconds.
    pub(super) fn way(&self) -> f64 {
        self.rtt.map_or(UNKNOWN_RTT, |rtt| rtt.as_secs_f64()) + if self.relayed { RELAYED } else { 0.0 }
    }

    /// Bytes of a prompt that the node need not read.
    pub(super) fn held_bytes(&self, need: &Need) -> u64 {
        let held = need.labels.iter().rev().find(|label| self.held.contains(&(need.model, label.label)));
        held.map_or(0, |label| label.bytes.min(need.prompt_bytes))
    }

    /// Our jobs of one model.
    pub(super) fn running(&self, model: ModelId) -> impl Iterator<Item = &Running> {
        self.record.running.iter().filter(move |running| running.need.model == model)
    }

    /// How many slots there are for us, and how many of them are taken. A node that has not given `trials` whole
    /// answers yet has one.
    ///
    /// A status is always a little old and knows other gateways' jobs; our own count is exact and
    /// knows only ours. The larger one is nearer the truth.
    pub(super) fn room(&self, offer: &Offer, trials: u32) -> Room {
        let placed = count(self.running(offer.model).count());
        let taken = placed.max(offer.slots.saturating_sub(offer.slots_free));
        let ours = self.record.running.len();
        let is_new = self.record.good < trials;
        let slots = match ours {
            MAX_JOBS_PER_NODE.. => taken,
            1.. if is_new => taken,
            _ if is_new => offer.slots.min(taken + 1),
            _ => offer.slots,
        };
        Room { taken, slots }
    }

    /// When each slot of a model that we may use will be free, in seconds from now, the soonest first. Others' jobs,
    /// of which nothing is known, are thought to end one after another within `job_seconds`.
    pub(super) fn slot_times(&self, offer: &Offer, trials: u32, job_seconds: f64, now: Instant) -> Vec<f64> {
        let Room { taken, slots } = self.room(offer, trials);
        let is_new = self.record.good < trials;
        let ours = self.record.running.iter().filter(|running| is_new || running.need.model == offer.model);
        let mut times: Vec<f64> = ours.map(|running| running.left(now)).collect();
        let others = taken.saturating_sub(count(times.len()));
        times.extend((1..=others).map(|nth| job_seconds * f64::from(nth) / f64::from(others + 1)));
        times.extend((taken..slots).map(|_| 0.0));
        times.sort_by(f64::total_cmp);
        let rest = self.record.rests_until.map_or(0.0, |until| until.saturating_duration_since(now).as_secs_f64());
        times.iter_mut().for_each(|time| *time = time.max(rest));
        times.truncate(if is_new { 1 } else { MAX_JOBS_PER_NODE });
        times
    }

    /// Slots that background work leaves alone where it can: on models that people talk to.
    pub(super) fn is_for_people(offer: &Offer) -> bool {
        offer.kind == Kind::Chat
    }

    /// A job is over; what it leaves on the node until the next status says it.
    pub(super) fn note(&mut self, need: &Need, outcome: Outcome) {
        match outcome {
            Outcome::Served => {
                self.change(need.model, |offer| {
                    // A node gives the slot back before it says `Done`.
                    offer.slots_free = offer.slots.min(offer.slots_free.saturating_add(1));
                });
                self.held.extend(need.labels.last().map(|label| (need.model, label.label)));
            }
            Outcome::Left => self.change(need.model, |offer| {
                offer.slots_free = offer.slots.min(offer.slots_free.saturating_add(1));
            }),
            Outcome::Busy => self.change(need.model, |offer| offer.slots_free = 0),
            Outcome::Failed | Outcome::NotLoaded(_) | Outcome::Stopped => {}
        }
    }

    fn change(&mut self, model: ModelId, change: impl Fn(&mut Offer)) {
        self.status.offers.iter_mut().filter(|offer| offer.model == model).for_each(change);
    }
}

impl Running {
    /// Until its end, in seconds. One that takes longer than expected is not thought to end the very next moment.
    fn left(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.began).as_secs_f64();
        (self.expected - elapsed).max(self.expected * OVERTIME).max(LEAST_LEFT)
    }
}

impl Record {
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// Its last failure was none.
    pub(super) fn pardon(&mut self) {
        // Of jobs that fail together the first one speaks for all.
        if self.rests_until.take().is_some() {
            self.failures = self.failures.saturating_sub(1);
        }
    }

    /// A job has ended here.
    pub(super) fn judge(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Served => {
                self.failures = 0;
                self.good = self.good.saturating_add(1);
            }
            Outcome::Left | Outcome::Busy | Outcome::NotLoaded(_) | Outcome::Stopped => {}
            // Jobs that fail together fail for one reason.
            Outcome::Failed if self.rests(now) => {}
            Outcome::Failed => {
                let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
                self.failures += 1;
                self.rests_until = Some(now + rest);
            }
        }
    }
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
