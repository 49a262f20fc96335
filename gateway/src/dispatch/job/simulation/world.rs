//! The gateway's side, as [`super::super::Running`] has it, around nodes that do as they like.

mod nodes;

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use starling_protocol::{
    JobId, ModelId,
    message::{Chat, JobFailure, JobRequest, Task, Usage},
};

use super::{
    super::{super::DispatchError, course::Course},
    events::{Attempt, Event, Events, Random, mix},
    node::{Node, PIECE},
};
use crate::scheduler::{Choice, Fate, Need, Observed, Outcome, Placed, Priority, Rules, Scheduler, Ticket};

const MODEL: ModelId = ModelId::new([1; 32]);
const TICK: u64 = 500;
/// A node of which nothing comes for so long is given up; the first token may take longer.
const SILENCE: u64 = 6_000;
const FIRST_SILENCE: u64 = 15_000;
/// A node goes on with an attempt that nobody reads for so long.
const DETACHED: u64 = 20_000;
/// An answer that has begun waits so long for a node to come.
const NODE_PATIENCE: u64 = 10_000;
const ASK_AGAIN: u64 = 250;
/// What is shown is kept once a second.
const KEEP: u64 = 1_000;
/// More attempts than can have begun since.
const UNKEPT_ATTEMPTS: u32 = 16;
/// No job takes a day.
const END: u64 = 24 * 3_600_000;

#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) nodes: u64,
    pub(super) jobs: usize,
    /// They come within this.
    pub(super) arrivals_ms: u64,
    /// Most nodes never break.
    pub(super) calm: bool,
}

/// What became of the jobs of a world, and what happened on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    pub(super) whole: u32,
    /// Some of the answer and an error.
    pub(super) broke: u32,
    /// Nothing of it.
    pub(super) refused: u32,
    /// Pieces of attempts that had been given up.
    pub(super) late: u32,
    /// Answers that went on on another node, each time.
    pub(super) taken_over: u32,
    /// Answers that went on after the gateway's death, each time.
    pub(super) taken_up: u32,
    /// The longest time without a token in an answer that became whole, in milliseconds.
    pub(super) worst_gap: u64,
    pub(super) tokens: u64,
}

impl Ends {
    pub(super) fn add(&mut self, other: &Self) {
        self.whole += other.whole;
        self.broke += other.broke;
        self.refused += other.refused;
        self.late += other.late;
        self.taken_over += other.taken_over;
        self.taken_up += other.taken_up;
        self.worst_gap = self.worst_gap.max(other.worst_gap);
        self.tokens += other.tokens;
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    ToCome,
    Waits(Ticket),
    /// Nobody is there; it asks again until then.
    Hopes(u64),
    Runs {
        placed: Placed,
        node: usize,
        began: u64,
        before: usize,
    },
    Ended,
}

struct Case {
    course: Course,
    length: usize,
    state: State,
    /// What its reader has.
    given: Vec<u32>,
    /// What the database has of it, and of its attempts.
    kept: (usize, u32),
    last_token: u64,
    worst_gap: u64,
}

pub(super) struct World {
    random: Random,
    events: Events,
    scheduler: Scheduler,
    start: Instant,
    nodes: Vec<Node>,
    jobs: Vec<Case>,
    open: usize,
    calm: bool,
    ends: Ends,
    log: String,
}

/// Token `index` of a job's answer.
fn token(job: usize, index: usize) -> u32 {
    mix((job as u64) << 32 | index as u64) as u32
}

impl World {
    pub(super) fn new(seed: u64, size: Size, start: Instant) -> Self {
        let mut random = Random(seed);
        let count = if size.calm { size.nodes } else { 1 + random.below(size.nodes) };
        let nodes = (0..count).map(|number| Node::new(number, &mut random, size.calm)).collect::<Vec<_>>();
        let jobs: Vec<Case> = (0..size.jobs).map(|_| case(&mut random)).collect();
        let (events, scheduler) =
            (Events::default(), Scheduler::new(Rules { trials: if size.calm { 10 } else { 0 }, ..Rules::default() }));
        let (open, ends, log) = (jobs.len(), Ends::default(), String::new());
        let mut world = Self { random, events, scheduler, start, nodes, jobs, open, calm: size.calm, ends, log };
        (0..world.nodes.len()).for_each(|node| world.events.after(0, Event::Comes(node)));
        for job in 0..world.jobs.len() {
            let at = 1 + world.random.below(size.arrivals_ms);
            world.events.after(at, Event::Arrives(job));
        }
        if !size.calm && world.random.chance(40) {
            let at = world.random.below(size.arrivals_ms);
            world.events.after(at, Event::GatewayDies);
        }
        world.events.after(TICK, Event::Tick);
        world.events.after(KEEP, Event::IsKept);
        world
    }

    /// To the end of the last job; what became of them, and all that happened.
    pub(super) fn run(mut self) -> (Ends, String) {
        while self.open > 0 {
            let event = self.events.next().expect("something happens as long as there are jobs");
            assert!(self.events.ms < END, "a job never ends");
            self.happens(event);
            // What nodes say is left to the next tick, as the dispatcher does.
            if !matches!(event, Event::Status(..) | Event::Computes(..) | Event::IsSilent(..) | Event::IsOver(..)) {
                self.serve();
            }
        }
        self.check_slots();
        (self.ends, self.log)
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.events.ms)
    }

    fn note(&mut self, what: &str, job: usize) {
        let (ms, given) = (self.events.ms, self.jobs[job].given.len());
        let _ = writeln!(self.log, "{ms} {job} {what} {given}");
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives(job) => self.ask(job),
            Event::AsksAgain(job, number) => self.ask_again(job, number),
            Event::Computes(node, attempt) => self.computes(node, attempt),
            Event::IsSilent(attempt, given) if self.jobs[attempt.job].given.len() == given => {
                self.fails(attempt, DispatchError::NodeLost);
            }
            Event::IsSilent(..) => {}
            Event::IsLost(attempt) => self.fails(attempt, DispatchError::NodeLost),
            Event::IsOver(node, attempt) => drop(self.nodes[node].computes.remove(&attempt)),
            Event::Status(node, life) => self.status(node, life),
            Event::Dies(node) => self.dies(node),
            Event::Comes(node) => self.comes(node),
            Event::Hangs(node) => self.pauses(node, |node| node.hangs = true, Event::WakesUp(node)),
            Event::WakesUp(node) => self.goes_on(node, |node| node.hangs = false),
            Event::IsCutOff(node) => self.pauses(node, |node| node.cut_off = true, Event::IsReached(node)),
            Event::IsReached(node) => self.goes_on(node, |node| node.cut_off = false),
            Event::IsTurnedOut(node) => self.is_turned_out(node),
            Event::IsKept => {
                for case in self.jobs.iter_mut().filter(|case| case.state != State::Ended) {
                    case.kept = (case.given.len(), case.course.request.attempt);
                }
                self.events.after(KEEP, Event::IsKept);
            }
            Event::GatewayDies => self.gateway_dies(),
            Event::Tick => {
                self.scheduler.expire(self.now());
                self.events.after(TICK, Event::Tick);
            }
        }
    }

    // The gateway.

    fn ask(&mut self, job: usize) {
        let now = self.now();
        let course = &mut self.jobs[job].course;
        if !course.may_try() {
            return self.over(job, false);
        }
        match self.scheduler.ask(course.need.clone(), course.tried().to_vec(), now) {
            Choice::Place(placed) => self.begin(job, placed),
            Choice::Wait(ticket, _) => self.jobs[job].state = State::Waits(ticket),
            Choice::Full(_) => self.over(job, false),
            Choice::Nobody => self.hope(job),
            Choice::TooLong { .. } => panic!("no context is that short"),
        }
    }

    /// Nobody is there. An answer that has begun waits for a while.
    fn hope(&mut self, job: usize) {
        let (ms, case) = (self.events.ms, &mut self.jobs[job]);
        let until = match case.state {
            State::Hopes(until) => until,
            _ => ms + NODE_PATIENCE,
        };
        if !case.course.has_begun() || ms >= until {
            return self.over(job, false);
        }
        case.state = State::Hopes(until);
        self.events.after(ASK_AGAIN, Event::AsksAgain(job, case.course.request.attempt));
    }

    fn ask_again(&mut self, job: usize, number: u32) {
        let case = &mut self.jobs[job];
        if !matches!(case.state, State::Hopes(_)) || case.course.request.attempt != number {
            return;
        }
        let here: Vec<_> = self.scheduler.view().nodes.iter().map(|node| node.peer).collect();
        case.course.forgive(|peer| here.contains(peer));
        self.ask(job);
    }

    fn serve(&mut self) {
        for (ticket, fate) in self.scheduler.placements(self.now()) {
            let job = self.jobs.iter().position(|case| case.state == State::Waits(ticket));
            let job = job.expect("a fate for somebody who waits, and once");
            match fate {
                Fate::Placed(placed) => self.begin(job, placed),
                Fate::Refused(_) => self.over(job, false),
                Fate::Nobody => self.hope(job),
            }
        }
    }

    fn begin(&mut self, job: usize, placed: Placed) {
        let (ms, case) = (self.events.ms, &mut self.jobs[job]);
        assert!(!case.course.tried().contains(&placed.peer), "a node that has failed is not asked");
        let before = case.course.request.attempt;
        let request = case.course.next();
        assert!(request.attempt > before, "each attempt has a number of its own");
        let node = self.nodes.iter().position(|node| node.peer == placed.peer).expect("a node that there is");
        assert!(!self.nodes[node].turned_out, "who is no member gets nothing");
        if case.course.has_begun() {
            self.ends.taken_over += 1;
        }
        case.state = State::Runs { placed, node, began: ms, before: case.given.len() };
        self.note("begins", job);
        let attempt = Attempt { job, number: request.attempt };
        match self.admit(node, attempt, &request) {
            Some(true) => self.events.after(FIRST_SILENCE, Event::IsSilent(attempt, self.jobs[job].given.len())),
            Some(false) => self.ends_on(job, Outcome::Busy, true),
            // Nobody answers: a deadline says so, or the connection that breaks.
            None => {
                let noticed = 20 + self.random.below(SILENCE);
                self.events.after(noticed, Event::IsLost(attempt));
            }
        }
    }

    /// Takes a piece; `None` of the tokens where the engine failed.
    fn takes(&mut self, node: usize, attempt: Attempt, tokens: Option<(usize, Vec<u32>)>) {
        let ms = self.events.ms;
        let case = &mut self.jobs[attempt.job];
        let current = matches!(case.state, State::Runs { node: runs, .. } if runs == node);
        if !current || case.course.request.attempt != attempt.number {
            self.ends.late += 1;
            return;
        }
        let Some((first, tokens)) = tokens else {
            let failure = if self.random.chance(50) { JobFailure::EngineDied } else { JobFailure::OutOfMemory };
            return self.fails(attempt, DispatchError::NodeFailed(failure));
        };
        assert_eq!(first, case.given.len(), "a piece goes on where the reader is");
        case.course.gave(&tokens);
        if !case.given.is_empty() {
            case.worst_gap = case.worst_gap.max(ms - case.last_token);
        }
        (case.last_token, self.ends.tokens) = (ms, self.ends.tokens + tokens.len() as u64);
        case.given.extend(tokens);
        let given = case.given.len();
        let expected = (first..given).map(|index| token(attempt.job, index));
        assert!(expected.eq(case.given[first..].iter().copied()), "a token is wrong");
        if given == case.length {
            self.ends_on(attempt.job, Outcome::Served, false);
            return self.over(attempt.job, true);
        }
        self.events.after(SILENCE, Event::IsSilent(attempt, given));
    }

    fn fails(&mut self, attempt: Attempt, error: DispatchError) {
        let case = &mut self.jobs[attempt.job];
        let State::Runs { placed, .. } = case.state else { return };
        if case.course.request.attempt != attempt.number {
            return;
        }
        let last = case.course.failed(placed.peer, error);
        self.note("fails", attempt.job);
        self.ends_on(attempt.job, Outcome::Failed, last.is_ok());
        if last.is_err() {
            self.over(attempt.job, false);
        }
    }

    /// The attempt is over for the gateway: the scheduler is told, the node as far as it can be reached, and the job
    /// may ask `again`.
    fn ends_on(&mut self, job: usize, outcome: Outcome, again: bool) {
        let (now, ms) = (self.now(), self.events.ms);
        let case = &mut self.jobs[job];
        let State::Runs { placed, node, began, before } = case.state else { panic!("it does not run") };
        let tokens = (case.given.len() - before) as u32;
        let spent = Duration::from_millis(ms - began);
        let usage = Usage { prompt_tokens: 136, cached_tokens: 0, completion_tokens: case.given.len() as u32 };
        let seen = Observed {
            first_token: (tokens > 0).then_some(Duration::from_millis(50)),
            decode: (tokens > 1).then_some(spent),
            tokens,
            spent,
            usage: (outcome == Outcome::Served).then_some(usage),
        };
        self.scheduler.ended(placed, outcome, &seen, now);
        let attempt = Attempt { job, number: case.course.request.attempt };
        let told = if self.nodes[node].is_heard() { 20 } else { DETACHED };
        self.events.after(told, Event::IsOver(node, attempt));
        self.jobs[job].state = State::ToCome;
        if again {
            self.ask(job);
        }
    }

    fn over(&mut self, job: usize, whole: bool) {
        let case = &mut self.jobs[job];
        assert_ne!(case.state, State::Ended, "a job ends once");
        case.state = State::Ended;
        self.open -= 1;
        match (whole, case.given.len()) {
            (true, given) => {
                assert_eq!(given, case.length, "an answer that is whole has all of its tokens");
                self.ends.whole += 1;
                self.ends.worst_gap = self.ends.worst_gap.max(case.worst_gap);
            }
            (false, 0) => self.ends.refused += 1,
            (false, _) => self.ends.broke += 1,
        }
        self.note(if whole { "whole" } else { "ends" }, job);
    }

    /// It comes back with what it has kept. Nodes go on with what they compute, for a while.
    fn gateway_dies(&mut self) {
        self.scheduler = Scheduler::new(Rules { trials: 0, ..Rules::default() });
        for job in 0..self.jobs.len() {
            let case = &mut self.jobs[job];
            let (kept, attempts) = case.kept;
            match case.state {
                State::Ended => continue,
                State::ToCome if case.given.is_empty() => continue,
                _ => {}
            }
            if let State::Runs { node, .. } = case.state {
                let attempt = Attempt { job, number: case.course.request.attempt };
                self.events.after(DETACHED, Event::IsOver(node, attempt));
            }
            let case = &mut self.jobs[job];
            // Its reader has more, and is given it again.
            case.given.truncate(kept);
            let newest = case.course.request.attempt;
            let course = resumed(&case.course, case.given.clone(), attempts.saturating_add(UNKEPT_ATTEMPTS));
            assert!(course.request.attempt >= newest, "numbers of attempts are not used again");
            (case.course, case.state) = (course, State::ToCome);
            self.ends.taken_up += 1;
            // It waits for nodes to come back.
            self.events.after(2_000, Event::Arrives(job));
            self.note("is taken up", job);
        }
    }
}

fn need(random: &mut Random) -> Need {
    let owner = format!("{:032x}", random.below(4)).parse().expect("an id");
    let priority = [Priority::Interactive, Priority::Interactive, Priority::Normal][random.below(3) as usize];
    Need::new(MODEL, &Task::Chat(Chat::default()), vec![], priority, owner)
}

fn case(random: &mut Random) -> Case {
    let need = need(random);
    let request =
        JobRequest { job: JobId::generate(), attempt: 0, model: MODEL, task: Task::Chat(Chat::default()), beats: true };
    Case {
        course: Course::new(request, need),
        length: 1 + random.below(400) as usize,
        state: State::ToCome,
        given: vec![],
        kept: (0, 0),
        last_token: 0,
        worst_gap: 0,
    }
}

/// The same job in a new process.
fn resumed(old: &Course, continue_from: Vec<u32>, attempts: u32) -> Course {
    let task = Task::Chat(Chat { continue_from, ..Chat::default() });
    let need = Need::new(MODEL, &task, vec![], old.need.priority, old.need.owner);
    Course::new(JobRequest { attempt: attempts, task, ..old.request.clone() }, need)
}
