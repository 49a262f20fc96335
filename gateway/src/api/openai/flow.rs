//! A streamed answer on its way out: server-sent events, in the form that its endpoint gives them.
//!
//! One that breaks off ends with an error: never a clean-looking end. Each event has an id, the answer's own and a
//! number from 1, which a client of a resumable answer (`replay`) can ask for the rest with.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::response::{
    IntoResponse,
    sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Begun,
    choices::{Choices, Kept, News},
};
use crate::dispatch::DispatchError;

/// A comment goes out when nothing else did for so long, so that proxies do not take the line for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What an event begins with that is a comment; JSON never does.
const COMMENT: &str = ":";
/// What an event begins with that says its own kind, which is then also the event's name.
const KIND: &str = r#"{"type":""#;

/// How an endpoint writes its events. One line each: JSON has no line breaks of its own.
pub(super) trait Form: Send {
    /// More of the answer.
    fn take(&mut self, news: News, choices: &Choices, ready: &mut VecDeque<String>);

    /// All of it is whole.
    fn end(&mut self, choices: &Choices, ready: &mut VecDeque<String>);

    /// There is no more of it.
    fn broken(&mut self, error: DispatchError, ready: &mut VecDeque<String>);
}

/// A streamed answer, event by event.
pub(super) struct Flow {
    id: String,
    form: Box<dyn Form>,
    /// `None` after the end.
    choices: Option<Choices>,
    ready: VecDeque<String>,
    cancel: CancellationToken,
}

/// The body of a streamed answer: numbered events. Dropping it drops what they come from.
pub(super) fn body(id: String, events: impl Stream<Item = (u64, String)> + Send + 'static) -> impl IntoResponse {
    let event = move |(number, data): (u64, String)| match data.strip_prefix(COMMENT) {
        Some(words) => Event::default().comment(words),
        None => named(&data).id(format!("{id}:{number}")).data(data),
    };
    let events = events.map(move |numbered| Ok::<_, Infallible>(event(numbered)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn named(data: &str) -> Event {
    let kind = data.strip_prefix(KIND).and_then(|rest| rest.split('"').next());
    kind.map_or_else(Event::default, |kind| Event::default().event(kind))
}

impl Flow {
    pub(super) fn new(id: String, form: impl Form + 'static, begun: Begun, cancel: CancellationToken) -> Self {
        let Begun { choices, first } = begun;
        let mut flow = Self { id, form: Box::new(form), choices: Some(choices), ready: VecDeque::new(), cancel };
        flow.take(first);
        flow
    }

    /// One that goes on behind what another gateway has given of it.
    pub(super) fn going_on(id: String, form: impl Form + 'static, choices: Choices, cancel: CancellationToken) -> Self {
        Self { id, form: Box::new(form), choices: Some(choices), ready: VecDeque::new(), cancel }
    }

    /// What it takes to go on with it elsewhere, behind the events that are ready; `None` when it has ended, or cannot.
    pub(super) fn kept(&self) -> Option<Kept> {
        self.choices.as_ref()?.kept()
    }

    /// The events that are ready.
    pub(super) fn ready(&mut self) -> impl Iterator<Item = String> {
        self.ready.drain(..)
    }

    /// The answer's id.
    pub(super) fn id(&self) -> &str {
        &self.id
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
                Ok(None) => {
                    let choices = self.choices.take()?;
                    self.form.end(&choices, &mut self.ready);
                }
                Err(error) => {
                    tracing::debug!(%error, "a streamed answer broke off");
                    self.choices = None;
                    self.form.broken(error, &mut self.ready);
                }
            }
        }
    }

    fn take(&mut self, news: News) {
        if let Some(permille) = news.loading {
            // It keeps the line open, and clients pass over it.
            return self.ready.push_back(format!("{COMMENT}loading the model: {} %", permille / 10));
        }
        if let Some(choices) = &self.choices {
            self.form.take(news, choices, &mut self.ready);
        }
    }
}

/// One event's line.
pub(super) fn line(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("an event is plain data")
}
