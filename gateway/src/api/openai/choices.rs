//! The answers to one request, each a job of its own, read side by side.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use starling_protocol::message::{Finish, Style, TokenLogprob, Usage};

use tokio::time::Instant;

use super::{facts::Facts, order::Order};
use crate::{
    dispatch::{self, AnswerEvent, Dispatch, DispatchError, Job, Placement},
    ledger::Tab,
    style::{Parser, Part},
};

type Event = (usize, Result<AnswerEvent, DispatchError>);

/// All answers to one request. Dropping this cancels their jobs.
pub(super) struct Choices {
    events: SelectAll<BoxStream<'static, Event>>,
    choices: Vec<Choice>,
    began: Instant,
    per_prompt: usize,
    tools: bool,
    logprobs: bool,
    /// What they run up together.
    tab: Tab,
}

struct Choice {
    parser: Parser,
    /// Whether it has any token: a node that goes on with it goes on with its text.
    begun: bool,
    /// Who answers.
    placement: Option<Placement>,
    /// From the beginning to its slot, and to its first token.
    queue: Option<Duration>,
    first_token: Option<Duration>,
    /// Tokens so far.
    tokens: u32,
    /// What its prompt has, more or less.
    prompt_guess: u32,
    /// Once it is whole.
    usage: Option<Usage>,
}

/// More of one of the answers.
pub(super) struct News {
    /// Of which.
    pub(super) choice: usize,
    pub(super) parts: Vec<Part>,
    /// How many tokens they are.
    pub(super) tokens: usize,
    /// One for each new token, where they were asked for.
    pub(super) logprobs: Vec<TokenLogprob>,
    /// Why it has ended, when it has.
    pub(super) finish: Option<&'static str>,
    /// Nothing of the answer yet, but its model is being loaded: so much of a thousand has come.
    pub(super) loading: Option<u32>,
}

impl Choices {
    pub(super) fn start(dispatch: &Dispatch, order: Order, tab: Tab) -> Self {
        let Order { jobs, per_prompt, tools, logprobs } = order;
        let (began, choices) = (Instant::now(), jobs.iter().map(Choice::of).collect());
        let start = |(choice, job)| read(choice, dispatch.start(job));
        let events = jobs.into_iter().enumerate().map(start).collect();
        Self { events, choices, began, per_prompt, tools, logprobs, tab }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.choices.len()
    }

    /// Who answers one of them, and how long that took.
    pub(super) fn facts(&self, choice: usize) -> Option<Facts> {
        let of = self.choices.get(choice)?;
        Some(Facts::new(of.placement.as_ref()?, of.queue, of.first_token))
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

    /// What they cost together. A prompt counts once, however many answers there are to it.
    pub(super) fn usage(&self) -> Usage {
        let counted = self.choices.iter().enumerate().filter_map(|(index, choice)| Some((index, choice.usage?)));
        counted.fold(Usage::default(), |sum, (index, more)| {
            let prompt = if index.is_multiple_of(self.per_prompt) { more } else { Usage::default() };
            Usage {
                prompt_tokens: sum.prompt_tokens.saturating_add(prompt.prompt_tokens),
                cached_tokens: sum.cached_tokens.saturating_add(prompt.cached_tokens),
                completion_tokens: sum.completion_tokens.saturating_add(more.completion_tokens),
            }
        })
    }

    /// What they have come to: all that is whole, and of the rest what came, with its prompts as far as they can be
    /// guessed.
    fn spent(&self) -> u64 {
        let spent = |(index, choice): (usize, &Choice)| {
            let guess = if choice.tokens > 0 { choice.prompt_guess } else { 0 };
            let (prompt, answer) =
                choice.usage.map_or((guess, choice.tokens), |usage| (usage.prompt_tokens, usage.completion_tokens));
            u64::from(answer) + if index.is_multiple_of(self.per_prompt) { u64::from(prompt) } else { 0 }
        };
        self.choices.iter().enumerate().map(spent).sum()
    }

    fn take(&mut self, choice: usize, event: AnswerEvent) -> Option<News> {
        let of = &mut self.choices[choice];
        let since = || Some(self.began.elapsed());
        match event {
            AnswerEvent::Waiting(_) | AnswerEvent::Moved { .. } | AnswerEvent::Vectors(_) => None,
            AnswerEvent::Loading { placement, permille } => {
                of.placement = Some(placement);
                Some(News { loading: Some(permille), ..News::of(choice) })
            }
            AnswerEvent::Started { placement, accepted, .. } => {
                // Who was not told of tools calls none.
                let style = Style { tool_calls: accepted.style.tool_calls && self.tools, ..accepted.style };
                if !of.begun {
                    of.parser = Parser::new(style);
                }
                of.placement = Some(placement);
                of.queue = of.queue.or_else(since);
                None
            }
            AnswerEvent::Piece { text, logprobs, tokens } => {
                of.begun = true;
                of.tokens = of.tokens.saturating_add(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
                of.first_token = of.first_token.or_else(since);
                let logprobs = if self.logprobs { logprobs } else { vec![] };
                Some(News { parts: of.parser.push(&text.0), tokens: tokens.len(), logprobs, ..News::of(choice) })
            }
            AnswerEvent::Done(done) => {
                of.usage = Some(done.usage);
                let parts = of.parser.end();
                let finish = Some(reason(done.finish, of.parser.calls()));
                Some(News { parts, finish, ..News::of(choice) })
            }
        }
    }
}

impl News {
    pub(super) fn of(choice: usize) -> Self {
        Self { choice, parts: vec![], tokens: 0, logprobs: vec![], finish: None, loading: None }
    }
}

impl Drop for Choices {
    fn drop(&mut self) {
        let spent = self.spent();
        self.tab.comes_to(spent);
    }
}

impl Choice {
    fn of(job: &Job) -> Self {
        Self {
            parser: Parser::new(Style::default()),
            begun: false,
            placement: None,
            queue: None,
            first_token: None,
            tokens: 0,
            prompt_guess: job.expected().prompt,
            usage: None,
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
