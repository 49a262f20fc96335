//! Which node gets a job: a state machine without clock or network.
//!
//! It knows each node's last status, the jobs we have placed there, and who waits. A job goes to the
//! least loaded node that serves its model; when every slot is taken it waits in turn. Nodes that
//! fail are left alone for a while that doubles with each failure.

mod view;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use starling_protocol::{
    ModelId,
    limits::{MAX_STREAMS, STATUS_TIMEOUT},
    message::{Offer, Status},
    swarm::PeerId,
};

/// Nodes remembered at one time; what comes beyond is not scheduled.
const MAX_NODES: usize = 4_096;
/// Jobs that wait for a slot, all models together.
const MAX_WAITING: usize = 1_024;
/// Jobs of ours on one node, whatever it claims: half of the streams that a connection carries, since
/// one too many would close it and end them all.
const MAX_JOBS_PER_NODE: u32 = MAX_STREAMS as u32 / 2;
/// A job that found no slot in this time is refused: its reader has left or should.
const MAX_WAIT: Duration = Duration::from_secs(30);
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Names a job that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What becomes of a job that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It has a slot on this node, until [`Scheduler::ended`].
    Place(PeerId),
    /// Every slot is taken: [`Scheduler::placements`] will name the ticket.
    Wait(Ticket),
    /// Too many wait already.
    Full,
    /// Nobody serves the model, apart from those that the job has tried.
    Nobody,
}

/// How a job ended on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a whole answer, or because its reader left.
    Served,
    /// The node had no slot after all.
    Busy,
    /// The node failed.
    Failed,
}

/// What a waiting job has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has a slot.
    Placed(PeerId),
    /// It has waited for too long.
    Overdue,
    /// Nobody serves its model any more.
    Nobody,
}

#[derive(Debug)]
struct Node {
    status: Status,
    seen: Instant,
    relayed: bool,
    rtt: Option<Duration>,
    /// Jobs of ours that run there, by model.
    placed: HashMap<ModelId, u32>,
    failures: u32,
    rests_until: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    model: ModelId,
    tried: Vec<PeerId>,
    since: Instant,
}

/// The nodes and the jobs that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    nodes: BTreeMap<PeerId, Node>,
    waiting: VecDeque<Waiting>,
    next_ticket: u64,
}

impl Scheduler {
    /// A node has said how it is. The status is valid.
    pub(crate) fn status(&mut self, peer: PeerId, status: Status, now: Instant) {
        if let Some(node) = self.nodes.get_mut(&peer) {
            (node.status, node.seen) = (status, now);
        } else if self.nodes.len() < MAX_NODES {
            let placed = HashMap::new();
            let (relayed, rtt, failures, rests_until) = (false, None, 0, None);
            self.nodes.insert(peer, Node { status, seen: now, relayed, rtt, placed, failures, rests_until });
        }
    }

    /// How a node is reached. True when that is news.
    pub(crate) fn path(&mut self, peer: PeerId, relayed: bool, rtt: Option<Duration>) -> bool {
        let Some(node) = self.nodes.get_mut(&peer) else { return false };
        let news = (node.relayed, node.rtt) != (relayed, rtt);
        (node.relayed, node.rtt) = (relayed, rtt);
        news
    }

    /// A node has gone.
    pub(crate) fn gone(&mut self, peer: PeerId) {
        self.nodes.remove(&peer);
    }

    /// Forgets nodes that have been silent for too long. True when there were any.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|_, node| now.saturating_duration_since(node.seen) < STATUS_TIMEOUT);
        self.nodes.len() < before
    }

    /// A job asks for a slot on a node it has not tried.
    pub(crate) fn ask(&mut self, model: ModelId, tried: Vec<PeerId>, now: Instant) -> Choice {
        if !self.anybody(model, &tried) {
            return Choice::Nobody;
        }
        // Whoever waits for this model goes first.
        if !self.waiting.iter().any(|waiting| waiting.model == model)
            && let Some(peer) = self.take_slot(model, &tried, now)
        {
            return Choice::Place(peer);
        }
        if self.waiting.len() >= MAX_WAITING {
            return Choice::Full;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.push_back(Waiting { ticket, model, tried, since: now });
        Choice::Wait(ticket)
    }

    /// What has become of those who wait; each is named once.
    pub(crate) fn placements(&mut self, now: Instant) -> Vec<(Ticket, Fate)> {
        let mut fates = vec![];
        let mut full: Vec<ModelId> = vec![];
        for waiting in std::mem::take(&mut self.waiting) {
            let fate = if !self.anybody(waiting.model, &waiting.tried) {
                Some(Fate::Nobody)
            } else if now.saturating_duration_since(waiting.since) >= MAX_WAIT {
                Some(Fate::Overdue)
            } else if full.contains(&waiting.model) {
                None
            } else {
                self.take_slot(waiting.model, &waiting.tried, now).map(Fate::Placed)
            };
            match fate {
                Some(fate) => fates.push((waiting.ticket, fate)),
                None => {
                    // A job that has tried some nodes must not hold up those that have not.
                    if waiting.tried.is_empty() {
                        full.push(waiting.model);
                    }
                    self.waiting.push_back(waiting);
                }
            }
        }
        fates
    }

    /// A waiting job's reader has left.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
    }

    /// A placed job is over.
    pub(crate) fn ended(&mut self, peer: PeerId, model: ModelId, outcome: Outcome, now: Instant) {
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        if let Some(count) = node.placed.get_mut(&model) {
            *count = count.saturating_sub(1);
        }
        match outcome {
            Outcome::Served => {
                node.failures = 0;
                node.set_freed(model);
            }
            // Until its next status says otherwise.
            Outcome::Busy => node.set_full(model),
            // Jobs that fail together fail for one reason.
            Outcome::Failed if node.rests(now) => {}
            Outcome::Failed => {
                let rest = FIRST_REST.saturating_mul(1 << node.failures.min(16)).min(LONGEST_REST);
                node.failures += 1;
                node.rests_until = Some(now + rest);
            }
        }
    }

    /// What a node is called, what computes the model there, and whether it is reached through a relay only.
    pub(crate) fn describe(&self, peer: &PeerId, model: ModelId) -> (String, String, bool) {
        let Some(node) = self.nodes.get(peer) else { return <_>::default() };
        let of_model = node.offer(model).map(|offer| &offer.device).filter(|device| !device.is_empty());
        let device = of_model.unwrap_or(&node.status.device);
        (node.status.name.clone(), device.clone(), node.relayed)
    }

    /// Whether another node serves the model as well.
    pub(crate) fn others(&self, peer: &PeerId, model: ModelId) -> bool {
        self.anybody(model, &[*peer])
    }

    /// Numbers in a vector of this model, as that node offers it.
    pub(crate) fn dimensions(&self, peer: &PeerId, model: ModelId) -> u32 {
        self.nodes.get(peer).and_then(|node| node.offer(model)).map_or(0, |offer| offer.dimensions)
    }

    fn anybody(&self, model: ModelId, tried: &[PeerId]) -> bool {
        self.nodes.iter().any(|(peer, node)| node.offer(model).is_some() && !tried.contains(peer))
    }

    /// The least loaded node with a free slot, which is then one less.
    fn take_slot(&mut self, model: ModelId, tried: &[PeerId], now: Instant) -> Option<PeerId> {
        let rank = |node: &Node| {
            let rtt = node.rtt.unwrap_or(Duration::MAX);
            Some((node.load(model)?, node.relayed, rtt))
        };
        let free = self.nodes.iter().filter(|(peer, node)| !node.rests(now) && !tried.contains(peer));
        let ranked = free.filter_map(|(peer, node)| Some((rank(node)?, *peer)));
        let (_, peer) = ranked.min_by(|a, b| a.partial_cmp(b).expect("loads are numbers"))?;
        *self.nodes.get_mut(&peer)?.placed.entry(model).or_default() += 1;
        Some(peer)
    }
}

impl Node {
    fn offer(&self, model: ModelId) -> Option<&Offer> {
        self.status.offers.iter().find(|offer| offer.model == model).filter(|_| !self.status.stopping)
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// The share of slots taken, below 1; none when none is free.
    ///
    /// A status is always a little old and knows other gateways' jobs; our own count is exact and
    /// knows only ours. The larger one is nearer the truth.
    fn load(&self, model: ModelId) -> Option<f64> {
        if self.placed.values().sum::<u32>() >= MAX_JOBS_PER_NODE {
            return None;
        }
        let offer = self.offer(model)?;
        let placed = self.placed.get(&model).copied().unwrap_or(0);
        let taken = placed.max(offer.slots.saturating_sub(offer.slots_free));
        (taken < offer.slots).then(|| f64::from(taken) / f64::from(offer.slots))
    }

    /// A node gives the slot back before it says `Done`; its next status would say so a little later.
    fn set_freed(&mut self, model: ModelId) {
        for offer in self.status.offers.iter_mut().filter(|offer| offer.model == model) {
            offer.slots_free = offer.slots.min(offer.slots_free.saturating_add(1));
        }
    }

    fn set_full(&mut self, model: ModelId) {
        for offer in self.status.offers.iter_mut().filter(|offer| offer.model == model) {
            offer.slots_free = 0;
        }
    }
}

#[cfg(test)]
mod tests;
