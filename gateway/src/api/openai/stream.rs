//! A streamed answer: server-sent events, a chunk each, and `[DONE]` after an answer that is whole.
//!
//! One that breaks off ends with an error and without `[DONE]`: never a clean-looking end. Each event has an id, the
//! answer's own and a number from 1, which a client of a resumable answer (`replay`) can ask for the rest with.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse,
    sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use starling_protocol::message::TokenLogprob;
use tokio_util::sync::CancellationToken;

use super::{
    Begun,
    answer::Head,
    call,
    choices::{Choices, News},
    chunk::{ChunkChoice, Delta},
    error::ErrorAnswer,
};
use crate::{api::error::ApiError, dispatch::DispatchError, style::Part};

/// A comment goes out when nothing else did for so long, so that proxies do not take the line for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What an event begins with that is a comment; JSON never does.
const COMMENT: &str = ":";

/// A streamed answer, event by event.
pub(super) struct Flow {
    head: Head,
    /// `None` after the end.
    choices: Option<Choices>,
    said: Vec<Said>,
    ready: VecDeque<String>,
    include_usage: bool,
    cancel: CancellationToken,
}

/// What a client has of a choice.
#[derive(Clone, Default)]
struct Said {
    role: bool,
    calls: u32,
}

/// The body of a streamed answer: numbered events. Dropping it drops what they come from.
pub(super) fn body(id: String, events: impl Stream<Item = (u64, String)> + Send + 'static) -> impl IntoResponse {
    // JSON has no line breaks of its own, so one event is one line.
    let event = move |(number, data): (u64, String)| match data.strip_prefix(COMMENT) {
        Some(words) => Event::default().comment(words),
        None => Event::default().id(format!("{id}:{number}")).data(data),
    };
    let events = events.map(move |numbered| Ok::<_, Infallible>(event(numbered)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

impl Flow {
    pub(super) fn new(head: Head, begun: Begun, include_usage: bool, cancel: CancellationToken) -> Self {
        let Begun { choices, first } = begun;
        let said = vec![Said::default(); choices.count()];
        let mut flow = Self { head, choices: Some(choices), said, ready: VecDeque::new(), include_usage, cancel };
        flow.take(first);
        flow
    }

    /// The answer's id.
    pub(super) fn id(&self) -> &str {
        &self.head.id
    }

    /// Its events, numbered from 1. Dropping them drops the jobs.
    pub(super) fn events(self) -> impl Stream<Item = (u64, String)> + Send {
        stream::unfold((self, 1), |(mut flow, number)| async move {
            let event = flow.next().await?;
            Some(((number, event), (flow, number + 1)))
        })
    }

    /// The next event; cancel safe.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let choices = self.choices.as_mut()?;
            let news = tokio::select! {
                news = choices.next() => news,
                () = self.cancel.cancelled() => Err(DispatchError::Stopping),
            };
            match news {
                Ok(Some(news)) => self.take(news),
                Ok(None) => self.end(),
                Err(error) => self.broken(error),
            }
        }
    }

    /// A chunk for each part; the tokens' log-probabilities are in the first.
    fn take(&mut self, News { choice: index, parts, logprobs, finish, loading }: News) {
        if let Some(permille) = loading {
            // It keeps the line open, and clients pass over it.
            return self.ready.push_back(format!("{COMMENT}loading the model: {} %", permille / 10));
        }
        if !std::mem::replace(&mut self.said[index].role, true) {
            self.chunk(index, Delta::role(), vec![]);
        }
        let mut deltas: VecDeque<Delta> = parts.into_iter().filter_map(|part| self.said[index].delta(part)).collect();
        if !logprobs.is_empty() {
            // Tokens whose text is held back have no part yet.
            self.chunk(index, deltas.pop_front().unwrap_or_default(), logprobs);
        }
        for delta in deltas {
            self.chunk(index, delta, vec![]);
        }
        if finish.is_some() {
            self.push(ChunkChoice { index, finish_reason: finish, ..ChunkChoice::default() });
        }
    }

    fn end(&mut self) {
        let Some(choices) = self.choices.take() else { return };
        if self.include_usage {
            self.ready.push_back(event(&self.head.chunk(None, Some(Some(choices.usage().into())))));
        }
        self.ready.push_back("[DONE]".to_owned());
    }

    fn broken(&mut self, error: DispatchError) {
        tracing::debug!(%error, "a streamed answer broke off");
        self.choices = None;
        self.ready.push_back(event(&ErrorAnswer::from(ApiError::from(error).refusal())));
    }

    fn chunk(&mut self, index: usize, delta: Delta, logprobs: Vec<TokenLogprob>) {
        let logprobs = (!logprobs.is_empty()).then(|| logprobs.into());
        self.push(ChunkChoice { index, delta, logprobs, finish_reason: None });
    }

    fn push(&mut self, choice: ChunkChoice) {
        let not_yet = self.include_usage.then_some(None);
        self.ready.push_back(event(&self.head.chunk(Some(choice), not_yet)));
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

fn event(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("an event is plain data")
}
