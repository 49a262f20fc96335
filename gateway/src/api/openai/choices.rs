//! The answers to one request, each a job of its own, read side by side.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use serde::{Deserialize, Serialize};
use starling_protocol::{
    limits::MAX_CONTINUE_TOKENS,
    message::{Finish, Style, Task, TokenLogprob, Usage},
};

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
    /// Of that, what another gateway has counted.
    counted: u64,
}

/// What it takes to go on with answers at another gateway.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    choices: Vec<KeptChoice>,
    /// Tokens that are counted already.
    counted: u64,
}

/// What there is of one answer: its text as the model wrote it.
#[derive(Clone, Default, Serialize, Deserialize)]
struct KeptChoice {
    tokens: Vec<u32>,
    text: String,
    /// Of a whole one: of its prompt, of these cached, and of itself.
    usage: Option<[u32; 3]>,
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
    /// What there is of it, as long as one can go on behind that.
    kept: Option<KeptChoice>,
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
    /// Another gateway has sent this already.
    pub(super) again: bool,
}

impl Choices {
    pub(super) fn start(dispatch: &Dispatch, order: Order, tab: Tab) -> Self {
        Self::go_on(dispatch, order, tab, Kept::default())
    }

    /// Goes on behind what another gateway has given of them.
    pub(super) fn go_on(dispatch: &Dispatch, order: Order, tab: Tab, kept: Kept) -> Self {
        let Order { jobs, per_prompt, tools, logprobs, keeps } = order;
        let (mut there, mut choices, mut events) = (kept.choices.into_iter(), vec![], SelectAll::new());
        for (index, mut job) in jobs.into_iter().enumerate() {
            let choice = Choice::of(&job, there.next().unwrap_or_default(), keeps);
            if choice.usage.is_none() {
                if let (Task::Chat(chat), Some(kept)) = (&mut job.task, &choice.kept) {
                    chat.continue_from.clone_from(&kept.tokens);
                }
                events.push(read(index, dispatch.start(job)));
            }
            choices.push(choice);
        }
        Self { events, choices, began: Instant::now(), per_prompt, tools, logprobs, tab, counted: kept.counted }
    }

    /// What it takes to go on with them; `None` where that is too much.
    pub(super) fn kept(&self) -> Option<Kept> {
        let choices = self.choices.iter().map(|choice| {
            let usage = choice.usage.map(|usage| [usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens]);
            Some(KeptChoice { usage, ..choice.kept.clone()? })
        });
        Some(Kept { choices: choices.collect::<Option<_>>()?, counted: self.spent() })
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
                of.placement = Some(placement);
                of.queue = of.queue.or_else(since);
                if of.begun {
                    return None;
                }
                of.parser = Parser::new(style);
                let there = of.kept.as_ref().map(|kept| &kept.text).filter(|text| !text.is_empty())?;
                Some(News { parts: of.parser.push(there), again: true, ..News::of(choice) })
            }
            AnswerEvent::Piece { text, logprobs, tokens } => {
                of.begun = true;
                of.tokens = of.tokens.saturating_add(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
                of.first_token = of.first_token.or_else(since);
                if let Some(kept) = &mut of.kept {
                    kept.tokens.extend_from_slice(&tokens);
                    kept.text.push_str(&text.0);
                }
                of.kept.take_if(|kept| kept.tokens.len() > MAX_CONTINUE_TOKENS);
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
        Self { choice, parts: vec![], tokens: 0, logprobs: vec![], finish: None, loading: None, again: false }
    }
}

impl Drop for Choices {
    fn drop(&mut self) {
        let spent = self.spent().saturating_sub(self.counted);
        self.tab.comes_to(spent);
    }
}

impl Choice {
    fn of(job: &Job, kept: KeptChoice, keeps: bool) -> Self {
        let usage = |[prompt_tokens, cached_tokens, completion_tokens]: [u32; 3]| Usage {
            prompt_tokens,
            cached_tokens,
            completion_tokens,
        };
        Self {
            parser: Parser::new(Style::default()),
            begun: false,
            placement: None,
            queue: None,
            first_token: None,
            tokens: u32::try_from(kept.tokens.len()).unwrap_or(u32::MAX),
            prompt_guess: job.expected().prompt,
            usage: kept.usage.map(usage),
            kept: keeps.then_some(kept),
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
