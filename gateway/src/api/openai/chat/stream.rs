//! A streamed chat completion: a chunk for each part, and `[DONE]` behind an answer that is whole.

use std::collections::VecDeque;

use starling_protocol::message::TokenLogprob;

use super::chunk::{ChunkChoice, Delta};
use crate::{
    api::{
        error::ApiError,
        openai::{
            call,
            choices::{Choices, News},
            error::ErrorAnswer,
            facts::Facts,
            flow::{Form, line},
            head::Head,
        },
    },
    dispatch::DispatchError,
    style::Part,
};

/// How chunks are written.
pub(super) struct Chunks {
    head: Head,
    include_usage: bool,
    said: Vec<Said>,
}

/// What a client has of a choice.
#[derive(Clone, Default)]
struct Said {
    role: bool,
    calls: u32,
}

impl Chunks {
    pub(super) fn new(head: Head, choices: usize, include_usage: bool) -> Self {
        Self { head, include_usage, said: vec![Said::default(); choices] }
    }

    fn chunk(&self, choice: ChunkChoice, facts: Option<Facts>) -> String {
        let not_yet = self.include_usage.then_some(None);
        line(&self.head.chunk(Some(choice), not_yet, facts))
    }
}

impl Form for Chunks {
    /// A chunk for each part; the tokens' log-probabilities are in the first.
    fn take(&mut self, news: News, choices: &Choices, ready: &mut VecDeque<String>) {
        let News { choice: index, parts, logprobs, finish, again, .. } = news;
        if again {
            self.said[index].role = true;
            return parts.into_iter().for_each(|part| drop(self.said[index].delta(part)));
        }
        let plain = |delta: Delta, logprobs: Vec<TokenLogprob>| {
            let logprobs = (!logprobs.is_empty()).then(|| logprobs.into());
            ChunkChoice { index, delta, logprobs, finish_reason: None }
        };
        if !std::mem::replace(&mut self.said[index].role, true) {
            ready.push_back(self.chunk(plain(Delta::role(), vec![]), None));
        }
        let mut deltas: VecDeque<Delta> = parts.into_iter().filter_map(|part| self.said[index].delta(part)).collect();
        if !logprobs.is_empty() {
            // Tokens whose text is held back have no part yet.
            ready.push_back(self.chunk(plain(deltas.pop_front().unwrap_or_default(), logprobs), None));
        }
        for delta in deltas {
            ready.push_back(self.chunk(plain(delta, vec![]), None));
        }
        if finish.is_some() {
            let last = ChunkChoice { index, finish_reason: finish, ..ChunkChoice::default() };
            ready.push_back(self.chunk(last, choices.facts(index)));
        }
    }

    fn end(&mut self, choices: &Choices, ready: &mut VecDeque<String>) {
        if self.include_usage {
            ready.push_back(line(&self.head.chunk(None, Some(Some(choices.usage().into())), None)));
        }
        ready.push_back("[DONE]".to_owned());
    }

    fn broken(&mut self, error: DispatchError, ready: &mut VecDeque<String>) {
        ready.push_back(line(&ErrorAnswer::from(ApiError::from(error).refusal())));
    }
}

impl Said {
    fn delta(&mut self, part: Part) -> Option<Delta> {
        match part {
            Part::Thought(text) => Some(Delta::thought(text)),
            Part::Text(text) => Some(Delta::text(text)),
            Part::Call { name, .. } => {
                self.calls += 1;
                Some(Delta::call(call::Delta::begin(self.calls - 1, name)))
            }
            Part::Arguments(more) => Some(Delta::call(call::Delta::more(self.calls.saturating_sub(1), more))),
            Part::CallEnd | Part::CallBroken => None,
        }
    }
}
