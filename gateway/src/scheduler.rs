//! Which node gets a job, and who waits: a state machine without clock or network.
//!
//! It knows each node's last status, our jobs there and how fast they went, and who waits for what. A job goes to the
//! node on which it is expected to be over first (`place.rs`), by what was measured and not by what is claimed
//! (`speed.rs`, `line.rs`). When no slot is free it waits in a line that is shared fairly among owners (`queue.rs`),
//! and is told where it stands (`line_up.rs`). A new node gets one job at a time until it has done some well; nodes
//! that fail are left alone for a while that doubles with each failure (`node.rs`).

mod demand;
mod knowledge;
mod line;
mod line_up;
mod need;
mod node;
mod place;
mod queue;
mod speed;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use starling_protocol::{ModelId, limits::STATUS_TIMEOUT, message::Status, swarm::PeerId};

pub use self::need::{Choice, Estimate, Fate, Need, Observed, Outcome, Placed, Priority, Standing, Ticket, Warm};
use self::{
    knowledge::Knowledge,
    node::{Node, Record, Running},
    queue::{Queue, Waiting},
    speed::{Pace, Usual},
};

/// Nodes remembered at one time; what comes beyond is not scheduled. As many again that have gone.
const MAX_NODES: usize = 4_096;
/// Jobs that wait for a slot, all models together.
const MAX_WAITING: usize = 1_024;
/// Models that something is known of.
const MAX_MODELS: usize = 1_024;

/// What an operator may change.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whole answers that a new node gives one at a time, before it gets several jobs at once.
    pub trials: u32,
    /// Tokens of an answer from which on an idle node computes it too, in case it has to go on there; 0 for never.
    pub warm_after: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { trials: 10, warm_after: 256 }
    }
}

/// The nodes and the jobs that wait for them.
#[derive(Debug, Default)]
pub struct Scheduler {
    rules: Rules,
    nodes: BTreeMap<PeerId, Node>,
    /// Of nodes that have gone.
    records: BTreeMap<PeerId, Record>,
    queues: BTreeMap<ModelId, Queue>,
    known: BTreeMap<ModelId, Knowledge>,
    /// Nodes that are given no more.
    drained: BTreeSet<PeerId>,
    /// What nobody was told yet.
    fates: Vec<(Ticket, Fate)>,
    next: u64,
}

impl Scheduler {
    /// Without any node.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// A node has said how it is. The status is valid.
    pub fn status(&mut self, peer: PeerId, status: Status, now: Instant) {
        if let Some(node) = self.nodes.get_mut(&peer) {
            for model in node.update(status, now) {
                self.learn(model, |known| known.moved = Some(now));
            }
        } else if self.nodes.len() < MAX_NODES {
            let record = self.records.remove(&peer).unwrap_or_default();
            let mut node = Node::new(peer, status, record, now);
            node.drained = self.drained.contains(&peer);
            self.nodes.insert(peer, node);
        }
    }

    /// How a node is reached. True when that is news.
    pub fn path(&mut self, peer: PeerId, relayed: bool, rtt: Option<Duration>) -> bool {
        let Some(node) = self.nodes.get_mut(&peer) else { return false };
        let news = (node.relayed, node.rtt) != (relayed, rtt);
        (node.relayed, node.rtt) = (relayed, rtt);
        news
    }

    /// A node has gone. What it has shown of itself is kept, so that coming back is no fresh start.
    pub fn gone(&mut self, peer: PeerId, now: Instant) {
        let Some(Node { mut record, .. }) = self.nodes.remove(&peer) else { return };
        if self.records.len() >= MAX_NODES {
            let oldest = self.records.iter().min_by_key(|(_, record)| record.left).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| self.records.remove(&oldest));
        }
        record.left = Some(now);
        self.records.insert(peer, record);
    }

    /// Forgets whoever is no longer a member. True when there was anybody.
    pub(crate) fn keep(&mut self, is_member: impl Fn(&PeerId) -> bool, now: Instant) -> bool {
        let others: Vec<PeerId> = self.nodes.keys().filter(|peer| !is_member(peer)).copied().collect();
        others.iter().for_each(|peer| self.gone(*peer, now));
        !others.is_empty()
    }

    /// Forgets nodes that have been silent for too long. True when there were any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let silent = |node: &Node| now.saturating_duration_since(node.seen) >= STATUS_TIMEOUT;
        let silent: Vec<PeerId> = self.nodes.iter().filter(|(_, node)| silent(node)).map(|(peer, _)| *peer).collect();
        silent.iter().for_each(|peer| self.gone(*peer, now));
        if self.queues.len() > MAX_MODELS {
            self.queues.retain(|_, queue| queue.len() > 0);
        }
        !silent.is_empty()
    }

    /// A job asks for a slot on a node it has not tried.
    pub fn ask(&mut self, need: Need, tried: Vec<PeerId>, now: Instant) -> Choice {
        let model = need.model;
        if self.suiting(&need, &tried).next().is_none() && !self.could_load(&need, &tried) {
            return Choice::Nobody;
        }
        if let Some((tokens, limit)) = self.too_long(&need, &tried) {
            return Choice::TooLong { tokens, limit };
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        let cost = self.knowledge(model).cost(&need);
        self.queues.entry(model).or_default().push(Waiting { ticket, need, tried, since: now, cost });
        // Everybody goes through the line, so that nobody jumps it.
        self.place(model, now);
        self.bring(model, now);
        self.shorten(now);
        match self.take_fate(ticket) {
            Some(Fate::Placed(placed)) => Choice::Place(placed),
            Some(Fate::Refused(retry)) => Choice::Full(retry),
            Some(Fate::Nobody) => Choice::Nobody,
            None => self.let_in(model, ticket, now),
        }
    }

    /// A free slot that nobody waits for, on none of these nodes: for what goes on there without being asked for.
    pub fn spare(&mut self, need: Need, tried: Vec<PeerId>, now: Instant) -> Option<Placed> {
        let model = need.model;
        if self.queues.get(&model).is_some_and(|queue| queue.len() > 0) {
            return None;
        }
        match self.ask(need, tried, now) {
            Choice::Place(placed) if self.serving(model, &[]).any(|(peer, ..)| *peer == placed.peer) => Some(placed),
            // A model is loaded for whoever needs it, and not in case somebody might.
            Choice::Place(placed) => {
                self.ended(placed, Outcome::Left, &Observed::default(), now);
                None
            }
            Choice::Wait(ticket, _) => {
                self.forget(ticket);
                None
            }
            Choice::Full(_) | Choice::Nobody | Choice::TooLong { .. } => None,
        }
    }

    /// Whether what is computed there for later is to make room: somebody waits for its model, or else needs the node.
    #[must_use]
    pub fn is_wanted(&self, placed: &Placed) -> bool {
        let is_waited_for = self.queues.get(&placed.model).is_some_and(|queue| queue.len() > 0);
        is_waited_for || self.nodes.get(&placed.peer).is_none_or(|node| node.record.running.len() > 1)
    }

    /// A node that counts as failed was only slow.
    pub fn pardon(&mut self, peer: &PeerId) {
        self.record(peer).map(Record::pardon);
    }

    /// These nodes are given no more; what they compute they finish.
    pub fn drain(&mut self, peers: BTreeSet<PeerId>) {
        self.drained = peers;
        for (peer, node) in &mut self.nodes {
            node.drained = self.drained.contains(peer);
        }
    }

    /// How a node stands.
    #[must_use]
    pub fn standing(&self, peer: &PeerId) -> Standing {
        match self.nodes.get(peer) {
            Some(node) if node.status.stopping => Standing::Stopping,
            Some(_) => Standing::Here,
            None => Standing::Gone,
        }
    }

    /// What has become of those who wait; each is named once.
    pub fn placements(&mut self, now: Instant) -> Vec<(Ticket, Fate)> {
        self.send_away(now);
        let models: Vec<ModelId> = self.queues.keys().copied().collect();
        for model in models {
            self.place(model, now);
            self.bring(model, now);
        }
        std::mem::take(&mut self.fates)
    }

    /// A waiting job's reader has left.
    pub fn forget(&mut self, ticket: Ticket) {
        self.queues.values_mut().find_map(|queue| queue.remove(ticket));
    }

    /// A placed job is over.
    pub fn ended(&mut self, placed: Placed, outcome: Outcome, seen: &Observed, now: Instant) {
        let Some(running) = self.take_running(placed) else { return };
        // One token behind another's answer says nothing of answers, and nothing for the node.
        let outcome = if running.need.warms && outcome == Outcome::Served { Outcome::Left } else { outcome };
        if let Some(node) = self.nodes.get_mut(&placed.peer) {
            node.note(&running.need, outcome);
        }
        self.settle(&running, outcome, seen);
        if matches!(outcome, Outcome::Served | Outcome::Left) {
            self.measure(placed.peer, &running, seen, now);
        }
        if outcome == Outcome::Served {
            self.learn(running.need.model, |known| known.learn(&running.need, seen));
        }
        if let Some(record) = self.record(&placed.peer) {
            record.judge(outcome, now);
            record.loads.judge(&running, outcome, now);
        }
    }

    /// What a node is called, what computes the model there, and whether it is reached through a relay only.
    #[must_use]
    pub fn describe(&self, peer: &PeerId, model: ModelId) -> (String, String, bool) {
        let Some(node) = self.nodes.get(peer) else { return <_>::default() };
        let of_model = node.offer(model).map(|offer| &offer.device).filter(|device| !device.is_empty());
        let device = of_model.unwrap_or(&node.status.device);
        (node.status.name.clone(), device.clone(), node.relayed)
    }

    /// Whether another node serves the model as well.
    #[must_use]
    pub fn others(&self, peer: &PeerId, model: ModelId) -> bool {
        self.serving(model, &[*peer]).next().is_some()
    }

    /// Numbers in a vector of this model, as that node offers it.
    #[must_use]
    pub fn dimensions(&self, peer: &PeerId, model: ModelId) -> u32 {
        let Some(node) = self.nodes.get(peer) else { return 0 };
        let to_come = node.loadable(model).map_or(0, |loadable| loadable.dimensions);
        node.offer(model).map_or(to_come, |offer| offer.dimensions)
    }

    fn take_fate(&mut self, ticket: Ticket) -> Option<Fate> {
        let at = self.fates.iter().position(|(other, _)| *other == ticket)?;
        Some(self.fates.swap_remove(at).1)
    }

    /// The record of a node that is here, or was.
    fn record(&mut self, peer: &PeerId) -> Option<&mut Record> {
        match self.nodes.get_mut(peer) {
            Some(node) => Some(&mut node.record),
            None => self.records.get_mut(peer),
        }
    }

    fn take_running(&mut self, placed: Placed) -> Option<Running> {
        let record = self.record(&placed.peer)?;
        let at = record.running.iter().position(|running| running.id == placed.id)?;
        Some(record.running.swap_remove(at))
    }

    /// The owner pays for what was computed, and for nothing that failed.
    fn settle(&mut self, running: &Running, outcome: Outcome, seen: &Observed) {
        let need = &running.need;
        let paid = match outcome {
            Outcome::Served | Outcome::Left => self.knowledge(need.model).paid(need, seen),
            Outcome::Busy | Outcome::Failed | Outcome::NotLoaded(_) | Outcome::Stopped => 0.0,
        };
        if let Some(queue) = self.queues.get_mut(&need.model) {
            queue.settle(need.priority, &need.owner, paid - running.cost);
        }
    }

    fn measure(&mut self, peer: PeerId, running: &Running, seen: &Observed, now: Instant) {
        let (model, known) = (running.need.model, self.knowledge(running.need.model));
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        let Some(offer) = node.offer(model) else { return };
        let (expected, rtt) = (Pace::expected(offer, known.usual), node.rtt.map_or(0.0, |rtt| rtt.as_secs_f64()));
        let tokens = seen.usage.map_or(running.to_read, |usage| known.believed(&running.need, usage));
        let speeds = node.record.speeds.entry(model).or_default();
        speeds.add(seen, tokens, running.neighbours, rtt, expected, now);
        let usual = self.usual(model, now);
        self.learn(model, |known| known.usual = usual);
    }

    fn learn(&mut self, model: ModelId, learn: impl FnOnce(&mut Knowledge)) {
        if self.known.contains_key(&model) || self.known.len() < MAX_MODELS {
            learn(self.known.entry(model).or_default());
        }
    }

    /// The middle of what is measured on the nodes that are here.
    fn usual(&self, model: ModelId, now: Instant) -> Usual {
        let known = self.knowledge(model);
        let (mut reads, mut writes) = (vec![], vec![]);
        for (_, node, offer) in self.serving(model, &[]) {
            let Some(speeds) = node.record.speeds.get(&model) else { continue };
            let (read, write) = speeds.measured(Pace::expected(offer, known.usual), now);
            reads.extend(read);
            writes.extend(write);
        }
        Usual { reads: median(reads), writes: median(writes) }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests;
