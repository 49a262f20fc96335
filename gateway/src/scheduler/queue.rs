//! Who waits for one model, and in which order.
//!
//! Classes first (but for a program now and then, so that an evening of chats does not keep all programs out); within a class every owner has a counter of the tokens that were computed for it (virtual token
//! counters, Sheng et al., "Fairness in Serving Large Language Models", 2024), and whoever has had the least is next.
//! Who comes anew starts where the others are: neither waiting nor staying away saves anything up. So an owner with a
//! hundred jobs in line has no more of the swarm than one with a few.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use starling_protocol::swarm::PeerId;

use super::{
    demand::LONGEST_LOAD,
    need::{Need, Priority, Ticket},
};
use crate::id::UserId;

/// Accounts of a class that are kept while nobody waits in them.
const MAX_ACCOUNTS: usize = 4_096;
/// People who pass a program that waits, before it is its turn.
const MAY_PASS: u32 = 4;

/// A job in line.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) need: Need,
    pub(super) tried: Vec<PeerId>,
    pub(super) since: Instant,
    /// Tokens that it is charged for when it is placed.
    pub(super) cost: f64,
}

impl Waiting {
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Whether it has waited for too long. The time does not count in which a load of its model came further: `moved`
    /// is when one did last.
    pub(super) fn is_overdue(&self, moved: Option<Instant>, now: Instant) -> bool {
        let since = moved.map_or(self.since, |moved| moved.max(self.since));
        now.saturating_duration_since(since) >= self.need.priority.max_wait() || self.waited(now) >= LONGEST_LOAD
    }
}

#[derive(Debug, Default)]
struct Account {
    /// Tokens computed for this owner, and more for the time in which it was not here.
    counter: f64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug, Default)]
struct Class {
    accounts: BTreeMap<UserId, Account>,
    /// Where whoever comes anew starts: at the counter of the last one that was served.
    level: f64,
}

/// The line for one model.
#[derive(Debug, Default)]
pub(super) struct Queue {
    classes: [Class; 3],
    len: usize,
    /// People who have passed the first program.
    passed: u32,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.len += 1;
        let class = &mut self.classes[waiting.need.priority as usize];
        if waiting.need.priority == Priority::Normal && class.is_empty() {
            self.passed = 0;
        }
        let account = class.accounts.entry(waiting.need.owner).or_default();
        if account.waiting.is_empty() {
            account.counter = account.counter.max(class.level);
        }
        account.waiting.push_back(waiting);
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        let accounts = self.classes.iter().flat_map(|class| class.accounts.values());
        accounts.flat_map(|account| &account.waiting).find(|waiting| waiting.ticket == ticket)
    }

    /// Takes a job out of the line for nothing.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let mut accounts = self.classes.iter_mut().flat_map(|class| class.accounts.values_mut());
        let taken = accounts.find_map(|account| {
            let at = account.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
            account.waiting.remove(at)
        });
        self.len -= usize::from(taken.is_some());
        taken
    }

    /// Takes a job out of the line because it has a slot: its owner pays.
    pub(super) fn serve(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.remove(ticket)?;
        match waiting.need.priority {
            Priority::Interactive => self.passed = self.passed.saturating_add(1),
            Priority::Normal => self.passed = 0,
            Priority::Background => {}
        }
        let class = &mut self.classes[waiting.need.priority as usize];
        if let Some(account) = class.accounts.get_mut(&waiting.need.owner) {
            class.level = class.level.max(account.counter);
            account.counter += waiting.cost;
        }
        class.forget_idle();
        Some(waiting)
    }

    /// A job has cost more than it was charged for, or less.
    pub(super) fn settle(&mut self, priority: Priority, owner: &UserId, more: f64) {
        if let Some(account) = self.classes[priority as usize].accounts.get_mut(owner) {
            account.counter += more;
        }
    }

    /// Takes out all that match.
    pub(super) fn drain(&mut self, gone: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let mut taken = vec![];
        for account in self.classes.iter_mut().flat_map(|class| class.accounts.values_mut()) {
            let (out, stay) = std::mem::take(&mut account.waiting).into_iter().partition(|waiting| gone(waiting));
            account.waiting = stay;
            taken.extend::<VecDeque<_>>(out);
        }
        self.len -= taken.len();
        taken
    }

    /// Whether any of them is so.
    pub(super) fn any(&self, mut is: impl FnMut(&Waiting) -> bool) -> bool {
        let mut accounts = self.classes.iter().flat_map(|class| class.accounts.values());
        self.len > 0 && accounts.any(|account| account.waiting.iter().any(&mut is))
    }

    /// The line, first to last. Answers that have begun and stand still come before everybody.
    pub(super) fn line(&self) -> Vec<&Waiting> {
        let mut line = self.in_turn();
        line.sort_by_key(|waiting| !waiting.need.continues);
        line
    }

    fn in_turn(&self) -> Vec<&Waiting> {
        let [people, programs, rest] = [0, 1, 2].map(|class: usize| self.classes[class].line());
        let (mut people, mut programs) = (people.into_iter().peekable(), programs.into_iter().peekable());
        let (mut line, mut passed) = (Vec::with_capacity(self.len), self.passed);
        loop {
            let is_programs_turn = people.peek().is_none() || (passed >= MAY_PASS && programs.peek().is_some());
            let next = if is_programs_turn { programs.next() } else { people.next() };
            passed = if is_programs_turn { 0 } else { passed + 1 };
            let Some(next) = next else { break };
            line.push(next);
        }
        line.extend(rest);
        line
    }

    /// Whether nobody waits in front of background work.
    pub(super) fn is_quiet(&self) -> bool {
        self.classes[Priority::Interactive as usize].is_empty() && self.classes[Priority::Normal as usize].is_empty()
    }
}

impl Class {
    fn is_empty(&self) -> bool {
        self.accounts.values().all(|account| account.waiting.is_empty())
    }

    /// By what each owner will have had when it is the job's turn.
    fn line(&self) -> Vec<&Waiting> {
        let mut line: Vec<(f64, &Waiting)> = vec![];
        for account in self.accounts.values() {
            let mut counter = account.counter;
            for waiting in &account.waiting {
                line.push((counter, waiting));
                counter += waiting.cost;
            }
        }
        line.sort_by(|(a, one), (b, other)| a.total_cmp(b).then(one.ticket.cmp(&other.ticket)));
        line.into_iter().map(|(_, waiting)| waiting).collect()
    }

    /// Accounts of owners who wait for nothing are only worth their debts; the smallest go first.
    fn forget_idle(&mut self) {
        if self.accounts.len() <= MAX_ACCOUNTS {
            return;
        }
        let level = self.level;
        self.accounts.retain(|_, account| !account.waiting.is_empty() || account.counter > level);
        while self.accounts.len() > MAX_ACCOUNTS {
            let idle = self.accounts.iter().filter(|(_, account)| account.waiting.is_empty());
            let least = idle.min_by(|(_, a), (_, b)| a.counter.total_cmp(&b.counter)).map(|(owner, _)| *owner);
            let Some(owner) = least else { return };
            self.accounts.remove(&owner);
        }
    }
}
