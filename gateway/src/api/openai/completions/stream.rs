//! A streamed completion: a chunk for each piece of text, and `[DONE]` behind an answer that is whole.

use std::collections::VecDeque;

use super::{
    answer::{Choice, Completion},
    logprobs::{Logprobs, Places},
    request::Asked,
};
use crate::{
    api::{
        error::ApiError,
        openai::{
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
    answers: Vec<Answer>,
}

/// What a client has of an answer.
struct Answer {
    /// Its prompt, while that is still to be sent.
    echo: String,
    places: Places,
}

impl Chunks {
    pub(super) fn new(head: Head, asked: &Asked) -> Self {
        let answer = |index| Answer { echo: asked.echo(index).to_owned(), places: Places::default() };
        Self { head, include_usage: asked.include_usage, answers: (0..asked.answers()).map(answer).collect() }
    }

    fn chunk(&self, choice: Choice, facts: Option<Facts>) -> String {
        let not_yet = self.include_usage.then_some(None);
        line(&Completion::chunk(self.head.clone(), Some(choice), not_yet, facts))
    }
}

impl Form for Chunks {
    fn take(&mut self, news: News, choices: &Choices, ready: &mut VecDeque<String>) {
        let News { choice: index, parts, logprobs, finish, .. } = news;
        let answer = &mut self.answers[index];
        let mut text = std::mem::take(&mut answer.echo);
        for part in parts {
            // Nothing else is in a text that no template has begun.
            if let Part::Text(more) = part {
                text.push_str(&more);
            }
        }
        let logprobs = (!logprobs.is_empty()).then(|| Logprobs::new(logprobs, &mut answer.places));
        if !text.is_empty() || logprobs.is_some() {
            ready.push_back(self.chunk(Choice { index, text, logprobs, finish_reason: None }, None));
        }
        if finish.is_some() {
            let last = Choice { index, finish_reason: finish, ..Choice::default() };
            ready.push_back(self.chunk(last, choices.facts(index)));
        }
    }

    fn end(&mut self, choices: &Choices, ready: &mut VecDeque<String>) {
        if self.include_usage {
            let usage = Some(Some(choices.usage().into()));
            ready.push_back(line(&Completion::chunk(self.head.clone(), None, usage, None)));
        }
        ready.push_back("[DONE]".to_owned());
    }

    fn broken(&mut self, error: DispatchError, ready: &mut VecDeque<String>) {
        ready.push_back(line(&ErrorAnswer::from(ApiError::from(error).refusal())));
    }
}
