//! Who decides where a job goes: the gateway's scheduler, or one of two that are usual elsewhere.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use starling_gateway::{
    prefix::Label,
    scheduler::{Choice, Fate, Need, Observed, Outcome, Placed, Priority, Scheduler, Ticket},
};
use starling_protocol::{
    ModelId,
    message::{Offer, Status, Usage},
    swarm::PeerId,
};

use crate::trace::{MACHINES, Machine};

pub(crate) const MODEL: ModelId = ModelId::new([1; 32]);
/// English has about so many.
const BYTES_PER_TOKEN: f64 = 4.2;

/// A question on its way.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) owner: u64,
    pub(crate) prompt_tokens: f64,
    /// What stands for the conversation up to each question, and the tokens behind it.
    pub(crate) prefixes: Vec<(u64, f64)>,
}

/// What a node says of itself now.
pub(crate) struct Now {
    pub(crate) taken: u32,
    pub(crate) held: Vec<u64>,
}

/// How an answer went.
pub(crate) struct Went {
    pub(crate) prompt_tokens: f64,
    pub(crate) cached_tokens: f64,
    pub(crate) answer_tokens: f64,
    pub(crate) first_token: f64,
    pub(crate) decode: f64,
}

/// What to do with jobs, by their numbers.
#[derive(Default)]
pub(crate) struct Orders {
    /// On which machine they run.
    pub(crate) placed: Vec<(usize, usize)>,
    /// In how many seconds they are to ask again.
    pub(crate) refused: Vec<(usize, f64)>,
}

pub(crate) trait Policy {
    fn status(&mut self, machine: usize, now: &Now, at: f64);
    fn ask(&mut self, job: usize, asked: &Asked, at: f64);
    fn ended(&mut self, job: usize, machine: usize, went: &Went, at: f64);
    fn orders(&mut self, at: f64) -> Orders;
}

/// The gateway's own.
pub(crate) struct Ours {
    scheduler: Scheduler,
    start: Instant,
    peers: Vec<PeerId>,
    waiting: HashMap<Ticket, usize>,
    running: HashMap<usize, Placed>,
    orders: Orders,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let mut peers: Vec<PeerId> = MACHINES.iter().map(|_| PeerId::random()).collect();
        peers.sort();
        let (waiting, running, orders) = <_>::default();
        Self { scheduler: Scheduler::default(), start: Instant::now(), peers, waiting, running, orders }
    }

    fn at(&self, at: f64) -> Instant {
        self.start + Duration::from_secs_f64(at)
    }

    fn placed(&mut self, job: usize, placed: Placed) {
        let machine = self.peers.iter().position(|peer| *peer == placed.peer).expect("a node that there is");
        self.running.insert(job, placed);
        self.orders.placed.push((job, machine));
    }
}

impl Policy for Ours {
    fn status(&mut self, machine: usize, now: &Now, at: f64) {
        let Machine { prefill, decode, slots, rtt, boasts, .. } = MACHINES[machine];
        let offer = Offer {
            context_tokens: 32_768,
            slots,
            slots_free: slots - now.taken,
            decode_tokens_per_second: (decode * boasts) as f32,
            prefill_tokens_per_second: (prefill * boasts) as f32,
            prefixes: now.held.clone(),
            ..Offer::new(MODEL, "model")
        };
        let (peer, at) = (self.peers[machine], self.at(at));
        self.scheduler.status(peer, Status { offers: vec![offer], ..Status::default() }, at);
        self.scheduler.path(peer, false, Some(Duration::from_secs_f64(rtt)));
    }

    fn ask(&mut self, job: usize, asked: &Asked, at: f64) {
        let bytes = |tokens: f64| (tokens * BYTES_PER_TOKEN) as u64;
        let labels = asked.prefixes.iter().map(|(label, tokens)| Label { label: *label, bytes: bytes(*tokens) });
        let need = Need {
            model: MODEL,
            priority: Priority::Interactive,
            owner: format!("{:032x}", asked.owner).parse().expect("an id"),
            prompt_bytes: bytes(asked.prompt_tokens),
            longest_bytes: bytes(asked.prompt_tokens),
            labels: labels.collect(),
            answered: 0,
            max_tokens: None,
            continues: false,
            context_over: 0,
            warms: false,
            warm: None,
        };
        match self.scheduler.ask(need, vec![], self.at(at)) {
            Choice::Place(placed) => self.placed(job, placed),
            Choice::Wait(ticket, _) => drop(self.waiting.insert(ticket, job)),
            Choice::Full(retry) => self.orders.refused.push((job, retry.as_secs_f64())),
            other => panic!("{other:?}"),
        }
    }

    fn ended(&mut self, job: usize, _: usize, went: &Went, at: f64) {
        let Some(placed) = self.running.remove(&job) else { return };
        let seen = Observed {
            first_token: Some(Duration::from_secs_f64(went.first_token)),
            decode: Some(Duration::from_secs_f64(went.decode)),
            tokens: went.answer_tokens as u32,
            spent: Duration::from_secs_f64(went.first_token + went.decode),
            usage: Some(Usage {
                prompt_tokens: went.prompt_tokens as u32,
                cached_tokens: went.cached_tokens as u32,
                completion_tokens: went.answer_tokens as u32,
            }),
        };
        let at = self.at(at);
        self.scheduler.ended(placed, Outcome::Served, &seen, at);
    }

    fn orders(&mut self, at: f64) -> Orders {
        let at = self.at(at);
        for (ticket, fate) in self.scheduler.placements(at) {
            let Some(job) = self.waiting.remove(&ticket) else { continue };
            match fate {
                Fate::Placed(placed) => self.placed(job, placed),
                Fate::Refused(retry) => self.orders.refused.push((job, retry.as_secs_f64())),
                Fate::Nobody => panic!("every node stays"),
            }
        }
        std::mem::take(&mut self.orders)
    }
}

/// One line for all, and whoever is next by this rule.
pub(crate) struct Simple {
    rule: Rule,
    taken: Vec<u32>,
    line: VecDeque<usize>,
    last: usize,
}

#[derive(Clone, Copy)]
pub(crate) enum Rule {
    RoundRobin,
    LeastLoaded,
}

impl Simple {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule, taken: vec![0; MACHINES.len()], line: VecDeque::new(), last: 0 }
    }

    fn next(&mut self) -> Option<usize> {
        let free = |machine: &usize| self.taken[*machine] < MACHINES[*machine].slots;
        let load = |machine: usize| f64::from(self.taken[machine]) / f64::from(MACHINES[machine].slots);
        let in_turn = (1..=MACHINES.len()).map(|step| (self.last + step) % MACHINES.len()).filter(free);
        let machine = match self.rule {
            Rule::RoundRobin => in_turn.into_iter().next(),
            // Among equals in turn, or the first would get all.
            Rule::LeastLoaded => in_turn.into_iter().min_by(|a, b| load(*a).total_cmp(&load(*b))),
        };
        self.last = machine?;
        machine
    }
}

impl Policy for Simple {
    fn status(&mut self, machine: usize, now: &Now, _: f64) {
        self.taken[machine] = now.taken;
    }

    fn ask(&mut self, job: usize, _: &Asked, _: f64) {
        self.line.push_back(job);
    }

    fn ended(&mut self, _: usize, _: usize, _: &Went, _: f64) {}

    fn orders(&mut self, _: f64) -> Orders {
        let mut orders = Orders::default();
        while !self.line.is_empty()
            && let Some(machine) = self.next()
        {
            self.taken[machine] += 1;
            orders.placed.extend(self.line.pop_front().map(|job| (job, machine)));
        }
        orders
    }
}
