//! Answers as they go by: how many there are, how many tokens came from whom, and what became of each. Its readers'
//! tasks write it down and the one look a second takes it away.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use starling_protocol::swarm::PeerId;

use crate::{
    clock::Timestamp,
    dispatch::{AnswerEvent, DispatchError},
};

/// News between two looks. Beyond it only what moves is kept, and nothing beyond twice as much.
const MAX_NEWS: usize = 256;

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It waits for a slot.
    Waits,
    /// This node loads the model for it.
    Loads(PeerId),
    /// This node begins with it.
    Began(PeerId),
    /// Another node goes on with it.
    Moved {
        /// Who had it.
        from: PeerId,
        /// Who has it now.
        to: PeerId,
    },
    /// It is over, or its reader has left.
    Ended {
        /// Who had it.
        on: Option<PeerId>,
        /// What came of it.
        tokens: u32,
    },
    /// It broke off.
    Failed {
        /// Who had it.
        on: Option<PeerId>,
        /// What came of it.
        tokens: u32,
    },
}

/// What became of one answer, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// When.
    pub at: Timestamp,
    /// Its number, which says nothing of whose it is.
    pub answer: u32,
    /// What.
    pub fact: Fact,
}

/// All answers of this gateway. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Flow(Arc<Mutex<Tally>>);

#[derive(Debug, Default)]
struct Tally {
    begun: u32,
    running: u32,
    waiting: u32,
    tokens: HashMap<PeerId, u32>,
    news: Vec<News>,
}

/// What has gone by since it was last asked for.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) running: u32,
    pub(super) waiting: u32,
    pub(super) tokens: HashMap<PeerId, u32>,
    pub(super) news: Vec<News>,
}

impl Flow {
    /// One more answer; it is over when this is dropped.
    #[must_use]
    pub fn begin(&self) -> Trace {
        let number = self.with(|tally| {
            tally.running += 1;
            tally.begun = tally.begun.wrapping_add(1);
            tally.begun
        });
        Trace { flow: self.clone(), number, on: None, waits: false, loads: false, tokens: 0, over: false }
    }

    /// Takes away what has gone by.
    pub(super) fn take(&self) -> Passed {
        self.with(|tally| Passed {
            running: tally.running,
            waiting: tally.waiting,
            tokens: mem::take(&mut tally.tokens),
            news: mem::take(&mut tally.news),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Tally) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tally {
    fn tell(&mut self, news: News) {
        let most = if matches!(news.fact, Fact::Moved { .. }) { 2 * MAX_NEWS } else { MAX_NEWS };
        if self.news.len() < most {
            self.news.push(news);
        }
    }
}

/// Follows one answer.
#[derive(Debug)]
pub struct Trace {
    flow: Flow,
    number: u32,
    on: Option<PeerId>,
    waits: bool,
    loads: bool,
    tokens: u32,
    over: bool,
}

impl Trace {
    /// What its reader gets next.
    pub fn see(&mut self, event: &Result<AnswerEvent, DispatchError>, now: Timestamp) {
        self.wait(matches!(event, Ok(AnswerEvent::Waiting(_))), now);
        match event {
            Ok(AnswerEvent::Piece { tokens, .. }) => self.came(tokens.len()),
            Ok(AnswerEvent::Started { placement, .. }) => self.started(placement.peer, now),
            Ok(AnswerEvent::Loading { placement, .. }) if !self.loads => {
                self.loads = true;
                self.tell(Fact::Loads(placement.peer), now);
            }
            Ok(AnswerEvent::Done(_)) => self.end(Fact::Ended { on: self.on, tokens: self.tokens }, now),
            Ok(AnswerEvent::Waiting(_) | AnswerEvent::Loading { .. } | AnswerEvent::Moved { .. })
            | Ok(AnswerEvent::Vectors(_)) => {}
            Err(_) => self.end(Fact::Failed { on: self.on, tokens: self.tokens }, now),
        }
    }

    fn came(&mut self, tokens: usize) {
        let Some(on) = self.on else { return };
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(tokens);
        self.flow.with(|tally| {
            let of_node = tally.tokens.entry(on).or_default();
            *of_node = of_node.saturating_add(tokens);
        });
    }

    fn started(&mut self, peer: PeerId, now: Timestamp) {
        match self.on.replace(peer) {
            None => self.tell(Fact::Began(peer), now),
            Some(from) if from != peer => self.tell(Fact::Moved { from, to: peer }, now),
            Some(_) => {}
        }
    }

    fn wait(&mut self, waits: bool, now: Timestamp) {
        match (mem::replace(&mut self.waits, waits), waits) {
            (false, true) => {
                self.flow.with(|tally| tally.waiting += 1);
                self.tell(Fact::Waits, now);
            }
            (true, false) => self.flow.with(|tally| tally.waiting -= 1),
            _ => {}
        }
    }

    fn end(&mut self, fact: Fact, now: Timestamp) {
        if !mem::replace(&mut self.over, true) {
            self.tell(fact, now);
        }
    }

    fn tell(&self, fact: Fact, at: Timestamp) {
        self.flow.with(|tally| tally.tell(News { at, answer: self.number, fact }));
    }
}

impl Drop for Trace {
    /// Without an end its reader has left, or stopped it.
    fn drop(&mut self) {
        let now = Timestamp::now();
        self.wait(false, now);
        self.end(Fact::Ended { on: self.on, tokens: self.tokens }, now);
        self.flow.with(|tally| tally.running -= 1);
    }
}
