//! One turn is one task is one function, from the job to the stored answer.

use std::time::{Duration, Instant};

use starling_protocol::message::{Done, Finish, Private, Style};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Ended, Log, MAX_ANSWER_BYTES, Started, code, interrupted, seats::Seat};
use crate::{
    dispatch::{Answer, AnswerEvent, DispatchError, Placement},
    store::{
        Store, StoreError,
        messages::{self, FinishReason, Message, Status, TurnError},
        turns::Ending,
    },
    style::{Parser, Part},
};

/// The waits between tries to store an answer while the database is busy or full.
const STORE_AGAIN: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// A turn that runs.
pub(super) struct Turn {
    pub(super) seat: Seat,
    pub(super) log: watch::Sender<Log>,
    pub(super) store: Store,
    pub(super) facts: Facts,
    pub(super) reading: Reading,
    /// The reader wants no more.
    pub(super) stop: CancellationToken,
    /// The gateway's grace is over.
    pub(super) cancel: CancellationToken,
}

/// The model's text, as it is taken apart.
pub(super) struct Reading {
    parser: Parser,
    /// Of all the text, thoughts included.
    bytes: usize,
}

/// What is measured here, where the reader is.
pub(super) struct Facts {
    model: String,
    began: Instant,
    placed: Option<Placement>,
    tokens: u32,
    first: Option<Instant>,
    last: Option<Instant>,
}

enum Outcome {
    Done(Done),
    Stopped,
    Broken(TurnError),
}

impl Turn {
    pub(super) async fn run(mut self, answer: Answer) {
        let outcome = self.follow(answer).await;
        let rest = self.reading.parser.end();
        self.show(rest);
        let ending = self.ending(outcome);
        let Self { seat, log, store, .. } = self;
        let ended = finish(&store, &seat, ending).await;
        // Who reads of the end may ask the next question at once.
        drop(seat);
        log.send_modify(|log| log.end(ended));
    }

    /// Owns the answer: the node's slot is free before the disk is asked anything.
    async fn follow(&mut self, mut answer: Answer) -> Outcome {
        loop {
            let event = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Outcome::Stopped,
                () = self.cancel.cancelled() => return Outcome::Broken(interrupted()),
                event = answer.next() => event,
            };
            if let Some(outcome) = self.take(event) {
                return outcome;
            }
        }
    }

    fn take(&mut self, event: Result<AnswerEvent, DispatchError>) -> Option<Outcome> {
        match event {
            Ok(AnswerEvent::Vectors(_)) => {}
            Ok(AnswerEvent::Waiting(estimate)) => self.log.send_modify(|log| log.wait(estimate)),
            Ok(AnswerEvent::Started { placement, accepted, .. }) => self.started(placement, accepted.style),
            Ok(AnswerEvent::Moved { relayed }) => self.moved(relayed),
            Ok(AnswerEvent::Piece { tokens, text, .. }) => return self.piece(&tokens, &text),
            Ok(AnswerEvent::Done(done)) => return Some(Outcome::Done(done)),
            Err(error) => {
                tracing::debug!(%error, "an answer broke off");
                return Some(Outcome::Broken(TurnError { code: code(&error).into(), message: error.to_string() }));
            }
        }
        None
    }

    fn started(&mut self, placement: Placement, style: Style) {
        self.reading = Reading::new(style);
        self.show_who(placement);
    }

    fn moved(&mut self, relayed: bool) {
        if let Some(placement) = self.facts.placed.take() {
            self.show_who(Placement { relayed, ..placement });
        }
    }

    fn show_who(&mut self, placement: Placement) {
        let who = Started {
            node_name: placement.node_name.clone(),
            node_peer: placement.peer.to_string(),
            relayed: placement.relayed,
            model: self.facts.model.clone(),
        };
        self.facts.placed = Some(placement);
        self.log.send_modify(|log| log.start(who));
    }

    fn piece(&mut self, tokens: &[u32], text: &Private) -> Option<Outcome> {
        self.facts.count(tokens.len());
        self.reading.bytes = self.reading.bytes.saturating_add(text.0.len());
        if self.reading.bytes > MAX_ANSWER_BYTES {
            let message = format!("the answer was longer than {MAX_ANSWER_BYTES} bytes");
            return Some(Outcome::Broken(TurnError { code: "answer_too_long".into(), message }));
        }
        let parts = self.reading.parser.push(&text.0);
        self.show(parts);
        None
    }

    /// A reader is told that the model thinks, and not what: thoughts are neither shown nor kept.
    fn show(&self, parts: Vec<Part>) {
        for part in parts {
            match part {
                Part::Thought(_) => self.log.send_if_modified(Log::think),
                Part::Text(text) => {
                    self.log.send_modify(|log| log.push(&text));
                    true
                }
                // The model was not told of any tools.
                Part::Call { .. } | Part::Arguments(_) | Part::CallEnd | Part::CallBroken => false,
            };
        }
    }

    fn ending(&self, outcome: Outcome) -> Ending {
        let text = Private(self.log.borrow().text().to_owned());
        let (status, reason, error, done) = match outcome {
            Outcome::Done(done) => (Status::Complete, finish_reason(done.finish), None, Some(done)),
            Outcome::Stopped => (Status::Partial, FinishReason::Cancelled, None, None),
            Outcome::Broken(error) if text.0.is_empty() => (Status::Failed, FinishReason::Error, Some(error), None),
            Outcome::Broken(error) => (Status::Partial, FinishReason::Error, Some(error), None),
        };
        let answer = self.facts.answer(reason, done.as_ref());
        Ending { text, status, error, answer }
    }
}

impl Reading {
    pub(super) fn new(style: Style) -> Self {
        Self { parser: Parser::new(Style { tool_calls: false, ..style }), bytes: 0 }
    }
}

impl Facts {
    pub(super) fn new(model: String) -> Self {
        Self { model, began: Instant::now(), placed: None, tokens: 0, first: None, last: None }
    }

    fn count(&mut self, tokens: usize) {
        let now = Instant::now();
        self.tokens = self.tokens.saturating_add(u32::try_from(tokens).unwrap_or(u32::MAX));
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    fn answer(&self, finish_reason: FinishReason, done: Option<&Done>) -> Option<messages::Answer> {
        let placed = self.placed.as_ref()?;
        Some(messages::Answer {
            node_name: placed.node_name.clone(),
            node_peer: placed.peer.to_string(),
            device: placed.device.clone(),
            model: self.model.clone(),
            finish_reason,
            prompt_tokens: done.map_or(0, |done| done.usage.prompt_tokens),
            completion_tokens: done.map_or(self.tokens, |done| done.usage.completion_tokens),
            first_token_ms: self.first.map(|first| (first - self.began).as_secs_f64() * 1000.0),
            tokens_per_second: self.speed(),
        })
    }

    /// After the first token; of one token there is none.
    fn speed(&self) -> Option<f64> {
        let span = (self.last? - self.first?).as_secs_f64();
        let more = self.tokens.checked_sub(1).filter(|more| *more > 0)?;
        (span > 0.0).then(|| f64::from(more) / span)
    }
}

fn finish_reason(finish: Finish) -> FinishReason {
    match finish {
        Finish::Stop => FinishReason::Stop,
        Finish::Length => FinishReason::Length,
    }
}

async fn finish(store: &Store, seat: &Seat, ending: Ending) -> Ended {
    let error = ending.error.clone();
    match store_ending(store, seat, &ending).await {
        Ok(message) => Ended { message, error },
        Err(cause) => {
            tracing::error!(%cause, "an answer could not be stored");
            let message = "The answer could not be stored: the database is not available.".to_owned();
            Ended { message: None, error: Some(TurnError { code: "not_stored".into(), message }) }
        }
    }
}

async fn store_ending(store: &Store, seat: &Seat, ending: &Ending) -> Result<Option<Message>, StoreError> {
    for wait in STORE_AGAIN {
        match store.finish(seat.turn, ending).await {
            Err(StoreError::Broken(error)) => return Err(StoreError::Broken(error)),
            Err(error) => tracing::warn!(%error, "an answer waits for the database"),
            Ok(message) => return Ok(message),
        }
        tokio::time::sleep(wait).await;
    }
    store.finish(seat.turn, ending).await
}
