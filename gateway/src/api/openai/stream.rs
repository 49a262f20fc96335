//! A streamed answer: server-sent events, a chunk each, and `[DONE]` after an answer that is whole.
//!
//! One that breaks off ends with an error and without `[DONE]`: never a clean-looking end.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse,
    sse::{Event, KeepAlive, Sse},
};
use futures::stream;
use serde::Serialize;
use starling_protocol::message::Done;
use tokio_util::sync::CancellationToken;

use super::{
    Begun, First,
    answer::{Delta, Head},
    error::ErrorAnswer,
};
use crate::{
    api::error::ApiError,
    dispatch::{self, AnswerEvent, DispatchError},
};

/// A comment goes out when nothing else did for so long, so that proxies do not take the line for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Flow {
    head: Head,
    /// `None` after the end.
    answer: Option<dispatch::Answer>,
    ready: VecDeque<Event>,
    include_usage: bool,
    cancel: CancellationToken,
}

/// The body of a streamed answer. Dropping it drops the job.
pub(super) fn events(head: Head, begun: Begun, include_usage: bool, cancel: CancellationToken) -> impl IntoResponse {
    let Begun { answer, first, .. } = begun;
    let mut flow = Flow { head, answer: Some(answer), ready: VecDeque::new(), include_usage, cancel };
    flow.chunk(Delta::role());
    match first {
        First::Piece(text) => flow.piece(text),
        First::Done(done) => flow.done(&done),
    }
    let events = stream::unfold(flow, |mut flow| async move {
        let event = flow.next().await?;
        Some((Ok::<_, Infallible>(event), flow))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

impl Flow {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let answer = self.answer.as_mut()?;
            let event = tokio::select! {
                event = answer.next() => event,
                () = self.cancel.cancelled() => Err(DispatchError::Stopping),
            };
            match event {
                Ok(AnswerEvent::Piece { text, .. }) => self.piece(text.0),
                Ok(AnswerEvent::Done(done)) => self.done(&done),
                Ok(AnswerEvent::Waiting | AnswerEvent::Started { .. } | AnswerEvent::Vector(_)) => {}
                Err(error) => self.broken(error),
            }
        }
    }

    /// A token that does not complete a character adds no text, and is no chunk.
    fn piece(&mut self, text: String) {
        if !text.is_empty() {
            self.chunk(Delta::text(text));
        }
    }

    fn done(&mut self, done: &Done) {
        self.answer = None;
        let not_yet = self.include_usage.then_some(None);
        self.ready.push_back(event(&self.head.chunk(Delta::default(), Some(done.finish), not_yet)));
        if self.include_usage {
            self.ready.push_back(event(&self.head.usage(done.usage.into())));
        }
        self.ready.push_back(Event::default().data("[DONE]"));
    }

    fn broken(&mut self, error: DispatchError) {
        tracing::debug!(%error, "a streamed answer broke off");
        self.answer = None;
        self.ready.push_back(event(&ErrorAnswer::from(ApiError::from(error).refusal())));
    }

    fn chunk(&mut self, delta: Delta) {
        let not_yet = self.include_usage.then_some(None);
        self.ready.push_back(event(&self.head.chunk(delta, None, not_yet)));
    }
}

fn event(data: &impl Serialize) -> Event {
    let json = serde_json::to_string(data).expect("an event is plain data");
    // JSON has no line breaks of its own, so one event is one line.
    Event::default().data(json)
}
