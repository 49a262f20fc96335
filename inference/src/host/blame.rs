//! Which requests have ended an engine, so that one request does not do it for ever.
//!
//! Known by a hash that means nothing outside this process, and forgotten with it.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::handle::Work;
use crate::{Invalid, Refused};

/// Requests remembered; the oldest is forgotten for the next.
const REMEMBERED: usize = 64;
/// Deaths that are enough.
const ENOUGH: u8 = 2;

/// A request, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// Remembers.
#[derive(Default)]
pub(super) struct Blame {
    keys: RandomState,
    /// The latest last.
    deaths: VecDeque<(Mark, u8)>,
}

impl Blame {
    /// The mark of a request. What was answered so far and how tokens are chosen is not in it: a second attempt
    /// differs there.
    pub(super) fn mark(&self, work: &Work) -> Mark {
        Mark(match work {
            Work::Answer(request) => {
                let turns = request.messages.iter();
                let text = |message: &crate::Message| self.keys.hash_one((message.role.as_str(), &message.content));
                let turns: Vec<u64> = turns.map(text).collect();
                self.keys.hash_one((turns, &request.raw, &request.tools, &request.stop))
            }
            Work::Embed(texts) => self.keys.hash_one(texts),
        })
    }

    /// The engine died while it had nothing else to do.
    pub(super) fn died(&mut self, mark: Mark) {
        let known = self.deaths.iter().position(|(known, _)| *known == mark);
        let before = known.and_then(|index| self.deaths.remove(index)).map_or(0, |(_, deaths)| deaths);
        if self.deaths.len() >= REMEMBERED {
            self.deaths.pop_front();
        }
        self.deaths.push_back((mark, before.saturating_add(1)));
    }

    /// Whether a request may be tried.
    ///
    /// # Errors
    /// When it has ended the engine often enough.
    pub(super) fn check(&self, work: &Work, mark: Mark) -> Result<(), Refused> {
        if !self.deaths.iter().any(|(known, deaths)| *known == mark && *deaths >= ENOUGH) {
            return Ok(());
        }
        let field = match work {
            Work::Answer(request) => request.text_field(),
            Work::Embed(_) => "input",
        };
        Err(Invalid::new(field, "this request has crashed the engine twice").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Request, Role};

    fn work(text: &str, continue_from: Vec<u32>) -> Work {
        let messages = vec![Message::new(Role::User, text)];
        Work::Answer(Box::new(Request { messages, continue_from, ..Request::default() }))
    }

    #[test]
    fn two_deaths_blame_a_request_and_nothing_else() {
        let mut blame = Blame::default();
        let bad = blame.mark(&work("bad", vec![]));
        blame.died(bad);
        assert_eq!(blame.check(&work("bad", vec![]), bad), Ok(()));
        let again = blame.mark(&work("bad", vec![1, 2]));
        assert_eq!(bad, again, "where it goes on is not what it is");
        blame.died(again);
        let refused = blame.check(&work("bad", vec![]), bad).expect_err("it crashed twice");
        assert!(matches!(refused, Refused::Invalid(invalid) if invalid.field == "messages"));
        let good = work("good", vec![]);
        assert_eq!(blame.check(&good, blame.mark(&good)), Ok(()));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut blame = Blame::default();
        for _ in 0..2 {
            blame.died(Mark(0));
        }
        for other in 1..=64 {
            blame.died(Mark(other));
        }
        assert_eq!(blame.deaths.len(), REMEMBERED);
        assert_eq!(blame.check(&work("x", vec![]), Mark(0)), Ok(()));
    }
}
