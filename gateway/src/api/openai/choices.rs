//! The answers to one request, each a job of its own, read side by side.

use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use starling_protocol::{
    ModelId,
    message::{Finish, Style, TokenLogprob, Usage},
};

use super::request::Asked;
use crate::{
    dispatch::{self, AnswerEvent, Dispatch, DispatchError, Placement},
    id::UserId,
    style::{Parser, Part},
};

type Event = (usize, Result<AnswerEvent, DispatchError>);

/// All answers to one request. Dropping this cancels their jobs.
pub(super) struct Choices {
    events: SelectAll<BoxStream<'static, Event>>,
    choices: Vec<Choice>,
    asked: Wishes,
}

struct Choice {
    parser: Parser,
    /// Whether it has any token: a node that goes on with it goes on with its text.
    begun: bool,
    /// Who answers.
    placement: Option<Placement>,
    /// Once it is whole.
    usage: Option<Usage>,
}

#[derive(Clone, Copy)]
struct Wishes {
    tools: bool,
    logprobs: bool,
}

/// More of one of the answers.
pub(super) struct News {
    /// Of which.
    pub(super) choice: usize,
    pub(super) parts: Vec<Part>,
    /// One for each new token, where they were asked for.
    pub(super) logprobs: Vec<TokenLogprob>,
    /// Why it has ended, when it has.
    pub(super) finish: Option<&'static str>,
    /// Nothing of the answer yet, but its model is being loaded: so much of a thousand has come.
    pub(super) loading: Option<u32>,
}

impl Choices {
    pub(super) fn start(dispatch: &Dispatch, asked: &Asked, model: ModelId, owner: UserId) -> Self {
        let start = |choice: u32| read(choice as usize, dispatch.start(asked.job(model, owner, choice)));
        let choice = |_| Choice { parser: Parser::new(Style::default()), begun: false, placement: None, usage: None };
        Self {
            events: (0..asked.choices).map(start).collect(),
            choices: (0..asked.choices).map(choice).collect(),
            asked: Wishes { tools: asked.wants_tools(), logprobs: asked.wants_logprobs() },
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.choices.len()
    }

    /// The node that answers one of them.
    pub(super) fn placement(&self, choice: usize) -> Option<&Placement> {
        self.choices.get(choice)?.placement.as_ref()
    }

    /// More of any of them; `None` when all are whole. One that fails fails all: what is left is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<News>, DispatchError> {
        while let Some((choice, event)) = self.events.next().await {
            match event {
                Ok(event) => {
                    if let Some(news) = self.take(choice, event) {
                        return Ok(Some(news));
                    }
                }
                Err(error) => {
                    self.events.clear();
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// What they cost together. The prompt is the same for all, and counts once.
    pub(super) fn usage(&self) -> Usage {
        let mut all = self.choices.iter().filter_map(|choice| choice.usage);
        let first = all.next().unwrap_or_default();
        all.fold(first, |sum, more| Usage {
            completion_tokens: sum.completion_tokens.saturating_add(more.completion_tokens),
            ..sum
        })
    }

    fn take(&mut self, choice: usize, event: AnswerEvent) -> Option<News> {
        let of = &mut self.choices[choice];
        match event {
            AnswerEvent::Waiting(_) | AnswerEvent::Moved { .. } | AnswerEvent::Vectors(_) => None,
            AnswerEvent::Loading { placement, permille } => {
                of.placement = Some(placement);
                Some(News { choice, parts: vec![], logprobs: vec![], finish: None, loading: Some(permille) })
            }
            AnswerEvent::Started { placement, accepted, .. } => {
                // Who was not told of tools calls none.
                let style = Style { tool_calls: accepted.style.tool_calls && self.asked.tools, ..accepted.style };
                if !of.begun {
                    of.parser = Parser::new(style);
                }
                of.placement = Some(placement);
                None
            }
            AnswerEvent::Piece { text, logprobs, .. } => {
                of.begun = true;
                let logprobs = if self.asked.logprobs { logprobs } else { vec![] };
                Some(News { choice, parts: of.parser.push(&text.0), logprobs, finish: None, loading: None })
            }
            AnswerEvent::Done(done) => {
                of.usage = Some(done.usage);
                let parts = of.parser.end();
                let finish = Some(reason(done.finish, of.parser.calls()));
                Some(News { choice, parts, logprobs: vec![], finish, loading: None })
            }
        }
    }
}

/// Ends behind `Done` or an error, and lets go of the job there.
fn read(choice: usize, answer: dispatch::Answer) -> BoxStream<'static, Event> {
    let events = stream::unfold(Some(answer), move |answer| async move {
        let mut answer = answer?;
        let event = answer.next().await;
        let goes_on = !matches!(event, Ok(AnswerEvent::Done(_)) | Err(_));
        Some(((choice, event), goes_on.then_some(answer)))
    });
    events.boxed()
}

fn reason(finish: Finish, calls: u32) -> &'static str {
    match finish {
        Finish::Stop if calls > 0 => "tool_calls",
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}
