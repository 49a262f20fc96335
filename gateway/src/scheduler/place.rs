//! Which node a job goes to: the one with the least expected time to finish.
//!
//! That is the way there, the wait for a slot, the part of the prompt that the node does not hold, and the answer at
//! the node's pace beside those that run there. A node whose slots are all taken is a choice too: the job stays in
//! line for it while that is quicker, which brings a conversation back to the node that holds it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use starling_protocol::{ModelId, message::Offer, swarm::PeerId};

use super::{
    Scheduler,
    demand::as_offered,
    knowledge::Knowledge,
    need::{Fate, Need, Placed, Priority, Ticket},
    node::{Node, Running},
    queue::Waiting,
    speed::Pace,
};

/// Jobs at the head of a line that are looked at when a slot is free: those before it may hold out for other nodes.
pub(super) const LOOKED_AT: usize = 64;
/// Holding out for a busy node must promise to be quicker than this part of the time on a free one.
pub(super) const WORTH_WAITING: f64 = 0.9;
/// However a text is written, a token has no more bytes than this on average.
const MOST_BYTES_PER_TOKEN: u64 = 8;
/// What is shorter is cheap to ask a node about, and the node knows exactly.
const LONG_PROMPT: u64 = 32 << 10;

/// A node for a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) peer: PeerId,
    /// Seconds until it is done, with the wait.
    pub(super) seconds: f64,
    /// For a slot, or for the model to be loaded.
    pub(super) wait: f64,
}

/// The slots for one model.
#[derive(Clone, Copy, Debug, Default)]
struct Slots {
    free: u32,
    all: u32,
    for_people: bool,
}

impl Scheduler {
    /// Gives the free slots of a model to those who wait for it.
    pub(super) fn place(&mut self, model: ModelId, now: Instant) {
        let Some(queue) = self.queues.get(&model).filter(|queue| queue.len() > 0) else { return };
        let mut slots = self.slots(model, now);
        if slots.free == 0 {
            return;
        }
        let line: Vec<Ticket> = queue.line().into_iter().take(LOOKED_AT).map(|waiting| waiting.ticket).collect();
        // How many already hold out for each busy node.
        let mut hopes: BTreeMap<PeerId, usize> = BTreeMap::new();
        for ticket in line {
            let Some(queue) = self.queues.get(&model) else { return };
            let Some(waiting) = queue.get(ticket).filter(|_| slots.free > 0) else { return };
            let waits_for_all = waiting.need.priority == Priority::Background && !waiting.need.continues;
            if waits_for_all && !(queue.is_quiet() && slots.has_left_over()) {
                return;
            }
            match self.best(waiting, &hopes, now) {
                Some(best) if best.wait > 0.0 => *hopes.entry(best.peer).or_default() += 1,
                Some(best) => {
                    self.begin(ticket, model, best, now);
                    slots.free -= 1;
                }
                None => {}
            }
        }
    }

    /// No context that is here holds that prompt, however its text is written. Its tokens and the limit.
    pub(super) fn too_long(&self, need: &Need, tried: &[PeerId]) -> Option<(u32, u32)> {
        let longest = self.longest_context(need, tried)?;
        let sure = need.longest_bytes > LONG_PROMPT && need.longest_bytes / MOST_BYTES_PER_TOKEN > u64::from(longest);
        sure.then(|| (self.knowledge(need.model).tokens(need.longest_bytes) as u32, longest))
    }

    /// Nodes that serve a model, apart from these.
    pub(super) fn serving<'a>(
        &'a self,
        model: ModelId,
        tried: &'a [PeerId],
    ) -> impl Iterator<Item = (&'a PeerId, &'a Node, &'a Offer)> {
        let offers = self.nodes.iter().filter_map(move |(peer, node)| Some((peer, node, node.offer(model)?)));
        offers.filter(|(peer, ..)| !tried.contains(peer))
    }

    /// Nodes that may do a job, apart from these.
    pub(super) fn suiting<'a>(
        &'a self,
        need: &Need,
        tried: &'a [PeerId],
    ) -> impl Iterator<Item = (&'a PeerId, &'a Node, &'a Offer)> + use<'a> {
        let over = need.context_over;
        self.serving(need.model, tried).filter(move |(_, _, offer)| context(offer) > over)
    }

    fn slots(&self, model: ModelId, now: Instant) -> Slots {
        let mut slots = Slots::default();
        for (_, node, offer) in self.serving(model, &[]).filter(|(_, node, _)| !node.rests(now)) {
            let room = node.room(offer, self.rules.trials);
            slots.free = slots.free.saturating_add(room.slots.saturating_sub(room.taken));
            slots.all = slots.all.saturating_add(offer.slots);
            slots.for_people |= Node::is_for_people(offer);
        }
        slots
    }

    /// The node on which a job is over first. When it has to wait there, one that is free is slower.
    fn best(&self, waiting: &Waiting, hopes: &BTreeMap<PeerId, usize>, now: Instant) -> Option<Best> {
        let (need, known) = (&waiting.need, self.knowledge(waiting.need.model));
        let least = self.least_context(need, &waiting.tried, &known);
        let fitting = || {
            let fitting = self.suiting(need, &waiting.tried).filter(move |(_, _, offer)| context(offer) >= least);
            fitting.filter(|(_, node, _)| !node.rests(now) && (!need.warms || node.is_idle()))
        };
        // One that is not heard may be gone: it gets what nobody else can do.
        let heard = fitting().any(|(_, node, _)| node.is_heard(now));
        let (mut free, mut busy): (Option<Best>, Option<Best>) = (None, None);
        for (peer, node, offer) in fitting().filter(|(_, node, _)| !heard || node.is_heard(now)) {
            let room = node.room(offer, self.rules.trials);
            let seconds = seconds(need, node, offer, &known, room.taken, now);
            let wait = if room.is_free() {
                0.0
            } else {
                let times = node.slot_times(offer, self.rules.trials, known.job_seconds(), now);
                let before = hopes.get(peer).copied().unwrap_or(0);
                wait(&times, before, known.job_seconds())
            };
            let found = Best { peer: *peer, seconds: seconds + wait, wait };
            let best = if room.is_free() { &mut free } else { &mut busy };
            if best.is_none_or(|best| found.seconds < best.seconds) {
                *best = Some(found);
            }
        }
        let free = free?;
        // The time that it has held out already counts, so that it does not hold out for ever.
        let waited = waiting.waited(now).as_secs_f64();
        let holds_out = |busy: &Best| !need.continues && busy.seconds + waited < free.seconds * WORTH_WAITING;
        Some(busy.filter(holds_out).unwrap_or(free))
    }

    /// What a context must hold, as far as there is one that does; then the nodes themselves may say.
    pub(super) fn least_context(&self, need: &Need, tried: &[PeerId], known: &Knowledge) -> u32 {
        let answer = need.max_tokens.map_or_else(|| known.answer(need), f64::from);
        let wanted = (known.tokens(need.longest_bytes) + f64::from(need.answered) + answer) as u32;
        wanted.min(self.longest_context(need, tried).unwrap_or(0))
    }

    /// Of those that have the model, and of those that can load it.
    fn longest_context(&self, need: &Need, tried: &[PeerId]) -> Option<u32> {
        let offered = self.suiting(need, tried).map(|(_, _, offer)| context(offer));
        offered.chain(self.suiting_loaders(need, tried).map(|(_, _, loadable)| context(&as_offered(loadable)))).max()
    }

    pub(super) fn begin(&mut self, ticket: Ticket, model: ModelId, best: Best, now: Instant) {
        let known = self.knowledge(model);
        let Some(waiting) = self.queues.get_mut(&model).and_then(|queue| queue.serve(ticket)) else { return };
        let Some(node) = self.nodes.get_mut(&best.peer) else { return };
        let neighbours = node.offer(model).map_or(0, |offer| node.room(offer, 0).taken);
        let loads = node.offer(model).is_none();
        let (id, need) = (self.next, waiting.need);
        self.next += 1;
        let to_read = to_read(&need, node, &known);
        let expected = best.seconds;
        let cost = waiting.cost;
        node.record.running.push(Running { id, need, cost, neighbours, to_read, began: now, expected, loads });
        self.fates.push((ticket, Fate::Placed(Placed { peer: best.peer, model, id })));
    }

    pub(super) fn knowledge(&self, model: ModelId) -> Knowledge {
        self.known.get(&model).cloned().unwrap_or_default()
    }
}

impl Slots {
    /// Whether background work may have one: the last free slot of a model is kept for people, if it has several.
    fn has_left_over(&self) -> bool {
        self.free > 1 || self.all < 2 || !self.for_people
    }
}

/// How a node's pace is estimated.
pub(super) fn pace(node: &Node, offer: &Offer, known: &Knowledge, now: Instant) -> Pace {
    let expected = Pace::expected(offer, known.usual);
    node.record.speeds.get(&offer.model).map_or(expected, |speeds| speeds.fit(expected, now))
}

/// From now to the end, in seconds, with a slot at once.
pub(super) fn seconds(
    need: &Need,
    node: &Node,
    offer: &Offer,
    known: &Knowledge,
    neighbours: u32,
    now: Instant,
) -> f64 {
    let pace = pace(node, offer, known, now);
    node.way() + pace.first(to_read(need, node, known), neighbours) + pace.answer(known.answer(need), neighbours)
}

/// Tokens that the node has to read.
fn to_read(need: &Need, node: &Node, known: &Knowledge) -> f64 {
    if let Some(warm) = need.warm.filter(|warm| warm.peer == node.peer) {
        return f64::from(need.answered.saturating_sub(warm.answered)) + 1.0;
    }
    let held = node.held_bytes(need);
    if held == 0 { known.prompt(need) } else { known.prompt(need) - known.tokens(held) + 1.0 }
}

/// The wait for the slot behind `before` others, in seconds.
pub(super) fn wait(times: &[f64], before: usize, job_seconds: f64) -> f64 {
    waits(times, job_seconds).nth(before).unwrap_or(f64::INFINITY)
}

/// How long each of a line waits, in seconds, where slots are free after `times`, soonest first: it takes the slot that
/// is free first, for `job_seconds`. So a slot that is thought to be taken for long holds up nobody beside it.
pub(super) fn waits(times: &[f64], job_seconds: f64) -> impl Iterator<Item = f64> {
    // Both are in order: who comes later in the line leaves later, too.
    let mut first = times.iter().copied().peekable();
    let mut again = if times.is_empty() { VecDeque::from([job_seconds]) } else { VecDeque::new() };
    std::iter::from_fn(move || {
        let sooner = |left: &f64| again.front().is_none_or(|right| left <= right);
        let start = first.next_if(sooner).or_else(|| again.pop_front())?;
        again.push_back(start + job_seconds);
        Some(start)
    })
}

/// A node that does not say how much it holds may hold anything.
pub(super) fn context(offer: &Offer) -> u32 {
    if offer.context_tokens == 0 { u32::MAX } else { offer.context_tokens }
}
