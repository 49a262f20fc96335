//! Runs a trace under a policy, in simulated time.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    policy::{Asked, Now, Orders, Policy, Went},
    trace::{Chat, MACHINES},
};

/// How often the dispatcher looks, in seconds.
const TICK: f64 = 0.05;
/// Seconds in which the trace must be over, lest a policy that loses jobs runs for ever.
const LIMIT: f64 = 100_000.0;

/// What one answer was like, in seconds from the question.
pub(crate) struct Answered {
    pub(crate) first_token: f64,
    pub(crate) finished: f64,
    pub(crate) prompt_tokens: f64,
    pub(crate) cached_tokens: f64,
    /// The conversation's second turn or a later one.
    pub(crate) later: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asks(usize),
    Ends(usize),
}

#[derive(Default)]
struct Place {
    taken: u32,
    /// Conversations and the tokens held of each, the latest last.
    held: Vec<(usize, f64)>,
}

#[derive(Clone, Copy)]
struct Running {
    machine: usize,
    placed: f64,
    first_token: f64,
    decode: f64,
    cached: f64,
}

/// A conversation, and where it is. One job at a time, of its number.
struct Talk<'a> {
    chat: &'a Chat,
    turn: usize,
    asked: f64,
    /// Tokens of all that was said before this turn.
    before: f64,
    /// Tokens behind each question so far.
    questions: Vec<f64>,
    running: Option<Running>,
}

pub(crate) struct World<'a> {
    policy: Box<dyn Policy>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
    places: Vec<Place>,
    talks: Vec<Talk<'a>>,
    answered: Vec<Answered>,
    pub(crate) refused: u32,
}

impl<'a> World<'a> {
    pub(crate) fn new(policy: Box<dyn Policy>, chats: &'a [Chat]) -> Self {
        let talk = |chat| Talk { chat, turn: 0, asked: 0.0, before: 0.0, questions: vec![], running: None };
        let places = MACHINES.iter().map(|_| Place::default()).collect();
        let (events, talks) = (BinaryHeap::new(), chats.iter().map(talk).collect());
        let mut world = Self { policy, events, number: 0, places, talks, answered: vec![], refused: 0 };
        for (job, chat) in chats.iter().enumerate() {
            world.at(chat.start, Event::Asks(job));
        }
        world
    }

    pub(crate) fn run(mut self) -> (Vec<Answered>, u32) {
        let mut now = 0.0;
        (0..MACHINES.len()).for_each(|machine| self.tell(machine, 0.0));
        let mut told = 0.0;
        while let Some(Reverse((micros, ..))) = self.events.peek() {
            assert!(now < LIMIT, "a job is lost");
            let next = *micros as f64 / 1e6;
            // Between two events only time passes: whoever waits for something may have waited enough.
            now = next.min(now + TICK);
            if next <= now
                && let Some(Reverse((.., event))) = self.events.pop()
            {
                self.happens(event, now);
            }
            if now - told >= 1.0 {
                (0..MACHINES.len()).for_each(|machine| self.tell(machine, now));
                told = now;
            }
            self.obey(now);
        }
        (self.answered, self.refused)
    }

    fn at(&mut self, seconds: f64, event: Event) {
        self.number += 1;
        self.events.push(Reverse(((seconds * 1e6) as u64, self.number, event)));
    }

    fn happens(&mut self, event: Event, now: f64) {
        match event {
            Event::Asks(job) => self.ask(job, now),
            Event::Ends(job) => self.end(job, now),
        }
    }

    fn ask(&mut self, job: usize, now: f64) {
        let talk = &mut self.talks[job];
        let turn = &talk.chat.turns[talk.turn];
        if talk.questions.len() == talk.turn {
            talk.asked = now;
            talk.questions.push(talk.before + turn.question_tokens);
        }
        let label = |turn: usize| (job as u64) << 8 | turn as u64;
        let answered = |turn: usize| talk.chat.turns[turn].answer_tokens * f64::from(u8::from(turn < talk.turn));
        let prefixes = talk.questions.iter().enumerate().map(|(turn, tokens)| (label(turn), tokens + answered(turn)));
        let asked = Asked {
            owner: talk.chat.owner,
            prompt_tokens: talk.before + turn.question_tokens,
            prefixes: prefixes.collect(),
        };
        self.policy.ask(job, &asked, now);
    }

    fn obey(&mut self, now: f64) {
        let Orders { placed, refused } = self.policy.orders(now);
        for (job, machine) in placed {
            self.begin(job, machine, now);
        }
        for (job, seconds) in refused {
            self.refused += 1;
            self.at(now + seconds, Event::Asks(job));
        }
    }

    fn begin(&mut self, job: usize, machine: usize, now: f64) {
        let (place, node, talk) = (&mut self.places[machine], MACHINES[machine], &mut self.talks[job]);
        assert!(place.taken < node.slots, "{} has more jobs than slots", node.name);
        let turn = &talk.chat.turns[talk.turn];
        let prompt = talk.before + turn.question_tokens;
        let cached =
            place.held.iter().find(|(held, _)| *held == job).map_or(0.0, |(_, tokens)| tokens.min(prompt - 1.0));
        let first_token = node.rtt + (prompt - cached) / node.prefill + 1.0 / node.decode;
        let decode = turn.answer_tokens / node.decode * (1.0 + node.neighbour * f64::from(place.taken));
        place.taken += 1;
        place.held.retain(|(held, _)| *held != job);
        place.held.push((job, prompt));
        let most = node.slots as usize + node.kept;
        place.held.drain(..place.held.len().saturating_sub(most));
        talk.running = Some(Running { machine, placed: now, first_token, decode, cached });
        self.at(now + first_token + decode, Event::Ends(job));
        self.tell(machine, now);
    }

    fn end(&mut self, job: usize, now: f64) {
        let talk = &mut self.talks[job];
        let Some(Running { machine, placed, first_token, decode, cached }) = talk.running.take() else { return };
        let turn = &talk.chat.turns[talk.turn];
        let prompt = talk.before + turn.question_tokens;
        let went = Went {
            prompt_tokens: prompt,
            cached_tokens: cached,
            answer_tokens: turn.answer_tokens,
            first_token,
            decode,
        };
        self.answered.push(Answered {
            first_token: placed + first_token - talk.asked,
            finished: now - talk.asked,
            prompt_tokens: prompt,
            cached_tokens: cached,
            later: talk.turn > 0,
        });
        talk.before = prompt + turn.answer_tokens;
        talk.turn += 1;
        let pause = talk.chat.turns.get(talk.turn).map(|turn| turn.pause);
        if let Some((_, tokens)) = self.places[machine].held.iter_mut().find(|(held, _)| *held == job) {
            *tokens = talk.before;
        }
        self.places[machine].taken -= 1;
        self.policy.ended(job, machine, &went, now);
        self.tell(machine, now);
        if let Some(pause) = pause {
            self.at(now + pause, Event::Asks(job));
        }
    }

    fn tell(&mut self, machine: usize, now: f64) {
        let place = &self.places[machine];
        let label = |(job, tokens): &(usize, f64)| {
            let questions = self.talks[*job].questions.iter().take_while(|behind| **behind <= *tokens).count();
            (*job as u64) << 8 | (questions.max(1) - 1) as u64
        };
        let held = place.held.iter().map(label).collect();
        self.policy.status(machine, &Now { taken: place.taken, held }, now);
    }
}
