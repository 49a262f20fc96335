//! Many small worlds, each made from a seed: nodes that come, go, fail and lie, and jobs that must all end once.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use super::*;

const SEEDS: u64 = 500;
const JOBS: usize = 40;
/// How often the dispatcher looks, in milliseconds.
const TICK: u64 = 500;
const MAX_ATTEMPTS: usize = 8;

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(usize),
    /// An attempt ends; true when it has gone well.
    Ends(usize, u32, bool),
    /// Of a node's so-many-eth life.
    Status(usize, u32),
    Dies(usize),
    Comes(usize),
    Tick,
}

struct Truth {
    peer: PeerId,
    slots: u32,
    decode: u64,
    claims: f32,
    fails_percent: u64,
    here: bool,
    life: u32,
    /// Jobs that it runs for another gateway, of which we only learn by its status.
    others: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    ToCome,
    Waits(Ticket, u64),
    Runs(Placed),
    Ended,
}

/// When what became of which job.
type Log = Vec<(u64, usize, &'static str)>;

struct Case {
    need: Need,
    tried: Vec<PeerId>,
    attempts: u32,
    tokens: u32,
    state: State,
}

struct World {
    random: Random,
    scheduler: Scheduler,
    start: Instant,
    ms: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
    nodes: Vec<Truth>,
    jobs: Vec<Case>,
    log: Log,
}

fn peer(number: u64) -> PeerId {
    let mut bytes = vec![0x12, 0x20];
    bytes.extend((0..4).flat_map(|part| (number * 4 + part).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()));
    PeerId::from_bytes(&bytes).unwrap()
}

impl World {
    fn new(seed: u64, start: Instant) -> Self {
        let mut random = Random(seed);
        let count = 1 + random.below(7);
        let node = |number| {
            let decode = 4 + random.below(60);
            Truth {
                peer: peer(number),
                slots: 1 + random.below(4) as u32,
                decode,
                claims: if random.chance(20) { decode as f32 * 100.0 } else { decode as f32 },
                fails_percent: [0, 0, 5, 50][random.below(4) as usize],
                here: false,
                life: 0,
                others: 0,
            }
        };
        let nodes: Vec<Truth> = (0..count).map(node).collect();
        let job = |_| {
            let priorities = [Priority::Interactive, Priority::Normal, Priority::Background];
            let need = Need {
                priority: priorities[random.below(3) as usize],
                owner: owner(u128::from(random.below(4))),
                prompt_bytes: 10 + random.below(8_000),
                ..need(MODEL)
            };
            let tokens = 1 + random.below(300) as u32;
            Case { need, tried: vec![], attempts: 0, tokens, state: State::ToCome }
        };
        let jobs = (0..JOBS).map(job).collect();
        let (scheduler, events, log) = (Scheduler::default(), BinaryHeap::new(), vec![]);
        let mut world = Self { random, scheduler, start, ms: 0, events, number: 0, nodes, jobs, log };
        (0..world.nodes.len()).for_each(|node| world.after(0, Event::Comes(node)));
        // Some worlds are quiet and some have far too much to do.
        let crowd = [500, 5_000, 50_000][world.random.below(3) as usize];
        for job in 0..JOBS {
            let at = world.random.below(crowd);
            world.after(at, Event::Arrives(job));
        }
        world.after(TICK, Event::Tick);
        world
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((self.ms + ms, self.number, event)));
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    fn run(mut self) -> Log {
        while self.jobs.iter().any(|job| !matches!(job.state, State::Ended)) {
            let Some(Reverse((ms, _, event))) = self.events.pop() else { panic!("nothing happens any more") };
            assert!(ms < 3_600_000, "a job is lost");
            self.ms = ms;
            self.happens(event);
            self.serve();
            self.check();
        }
        assert!(self.scheduler.queues.values().all(|queue| queue.len() == 0));
        let mut records = self.scheduler.nodes.values().map(|node| &node.record).chain(self.scheduler.records.values());
        assert!(records.all(|record| record.running.is_empty()), "a slot is lost");
        self.log
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives(job) => self.ask(job),
            Event::Ends(job, attempt, well) => self.ends(job, attempt, well),
            Event::Status(node, life) => self.status(node, life),
            Event::Dies(node) => self.dies(node),
            Event::Comes(node) => {
                self.nodes[node].here = true;
                self.nodes[node].life += 1;
                self.status(node, self.nodes[node].life);
                let life = 2_000 + self.random.below(60_000);
                self.after(life, Event::Dies(node));
            }
            Event::Tick => {
                self.scheduler.expire(self.now());
                self.after(TICK, Event::Tick);
            }
        }
    }

    fn status(&mut self, index: usize, life: u32) {
        let now = self.now();
        let running = self.running_on(self.nodes[index].peer);
        let node = &mut self.nodes[index];
        if !node.here || node.life != life {
            return;
        }
        let room = node.slots.saturating_sub(running);
        node.others =
            if room > 0 && self.random.chance(20) { self.random.below(u64::from(room) + 1) as u32 } else { 0 };
        let mut status = status(MODEL, node.slots, node.slots.saturating_sub(running + node.others));
        status.offers[0].decode_tokens_per_second = node.claims;
        self.scheduler.status(node.peer, status, now);
        self.after(1_000, Event::Status(index, life));
    }

    fn dies(&mut self, index: usize) {
        let (peer, now) = (self.nodes[index].peer, self.now());
        self.nodes[index].here = false;
        // Its end is seen at once or by its silence.
        if self.random.chance(50) {
            self.scheduler.gone(peer, now);
        }
        for job in 0..self.jobs.len() {
            if matches!(self.jobs[job].state, State::Runs(placed) if placed.peer == peer) {
                let attempt = self.jobs[job].attempts;
                let noticed = self.random.below(3_000);
                self.after(noticed, Event::Ends(job, attempt, false));
            }
        }
        let pause = 1_000 + self.random.below(20_000);
        self.after(pause, Event::Comes(index));
    }

    fn ask(&mut self, index: usize) {
        let now = self.now();
        let job = &mut self.jobs[index];
        let choice = self.scheduler.ask(job.need.clone(), job.tried.clone(), now);
        match choice {
            Choice::Place(placed) => self.placed(index, placed),
            Choice::Wait(ticket, _) => {
                job.state = State::Waits(ticket, self.ms);
                self.log.push((self.ms, index, "waits"));
            }
            Choice::Full(_) => self.over(index, "full"),
            Choice::Nobody => self.over(index, "nobody"),
            Choice::TooLong { .. } => panic!("no context is that short"),
        }
    }

    fn over(&mut self, index: usize, how: &'static str) {
        self.jobs[index].state = State::Ended;
        self.log.push((self.ms, index, how));
    }

    fn serve(&mut self) {
        for (ticket, fate) in self.scheduler.placements(self.now()) {
            let waits = |job: &Case| matches!(job.state, State::Waits(other, _) if other == ticket);
            let index = self.jobs.iter().position(waits).expect("a fate for somebody who waits, and once");
            match fate {
                Fate::Placed(placed) => self.placed(index, placed),
                Fate::Refused(_) => self.over(index, "refused"),
                Fate::Nobody => self.over(index, "nobody"),
            }
        }
    }

    fn placed(&mut self, index: usize, placed: Placed) {
        let running = self.running_on(placed.peer);
        let node = self.nodes.iter().find(|node| node.peer == placed.peer).expect("a node that there is");
        let job = &mut self.jobs[index];
        assert!(!job.tried.contains(&placed.peer), "a node is not tried again");
        job.attempts += 1;
        job.state = State::Runs(placed);
        self.log.push((self.ms, index, "runs"));
        let (attempt, fails) = (job.attempts, node.fails_percent);
        let ms = u64::from(job.tokens) * 1_000 / node.decode + 100;
        if !node.here {
            return self.after(50, Event::Ends(index, attempt, false));
        }
        if running + node.others >= node.slots {
            let now = self.now();
            self.scheduler.fails(placed, Outcome::Busy, now);
            return self.ask(index);
        }
        let well = !self.random.chance(fails);
        self.after(if well { ms } else { ms / 2 }, Event::Ends(index, attempt, well));
    }

    fn ends(&mut self, index: usize, attempt: u32, well: bool) {
        let now = self.now();
        let job = &mut self.jobs[index];
        let State::Runs(placed) = job.state else { return };
        if job.attempts != attempt {
            return;
        }
        if well {
            let decode = self.nodes.iter().find(|node| node.peer == placed.peer).map_or(1, |node| node.decode);
            self.scheduler.ended(placed, Outcome::Served, &seen(0.1, job.tokens.max(2), decode as f64), now);
            return self.over(index, "done");
        }
        self.scheduler.fails(placed, Outcome::Failed, now);
        job.tried.push(placed.peer);
        if job.tried.len() >= MAX_ATTEMPTS {
            self.over(index, "failed");
        } else {
            self.ask(index);
        }
    }

    fn running_on(&self, peer: PeerId) -> u32 {
        let here = |job: &&Case| matches!(job.state, State::Runs(placed) if placed.peer == peer);
        node::count(self.jobs.iter().filter(here).count())
    }

    /// What must be true whatever happens.
    fn check(&self) {
        let mut running: HashMap<PeerId, u32> = HashMap::new();
        for job in &self.jobs {
            match &job.state {
                State::Runs(placed) => *running.entry(placed.peer).or_default() += 1,
                State::Waits(_, since) => {
                    let longest = job.need.priority.max_wait().as_millis() as u64;
                    assert!(self.ms - since <= longest + TICK, "a job starves");
                }
                State::ToCome | State::Ended => {}
            }
        }
        for node in &self.nodes {
            let running = running.get(&node.peer).copied().unwrap_or(0);
            assert!(running <= node.slots, "{running} jobs on {} slots", node.slots);
            let good = self.scheduler.nodes.get(&node.peer).map_or(u32::MAX, |node| node.record.good);
            assert!(running <= 1 || good >= 10, "{running} jobs on a new node");
        }
    }
}

#[test]
fn whatever_happens_every_job_ends_once() {
    let start = Instant::now();
    let mut ends: HashMap<&str, u32> = HashMap::new();
    for seed in 0..SEEDS {
        let log = std::panic::catch_unwind(|| World::new(seed, start).run());
        let log = log.unwrap_or_else(|_| panic!("seed {seed}"));
        for word in ["done", "waits", "full", "refused", "nobody"] {
            *ends.entry(word).or_default() += u32::from(log.iter().any(|(.., what)| *what == word));
        }
    }
    // Worlds in which nothing of this happens would prove nothing.
    assert!(ends.values().all(|worlds| *worlds > 10), "{ends:?}");
}

#[test]
fn a_seed_replays_to_the_same_end() {
    let start = Instant::now();
    for seed in [0, 7, 499] {
        assert_eq!(World::new(seed, start).run(), World::new(seed, start).run());
    }
}
