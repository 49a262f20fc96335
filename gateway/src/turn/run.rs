//! One turn is one task is one function, from the job to the stored answer.

use std::{ops::ControlFlow, time::Duration};

use starling_protocol::message::{Done, Finish, Private, Reasoning, Style};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Ended, Loading, Log, MAX_ANSWER_BYTES, Started, Turns, code,
    facts::{self, Facts, names},
    seats::Seat,
};
use crate::{
    dispatch::{Answer, AnswerEvent, DispatchError, Placement},
    store::{
        Store, StoreError,
        messages::{FinishReason, Message, Status, TurnError},
        progress::{Node, Progress},
        turns::Ending,
    },
    style::{Parser, Part},
};

/// The waits between tries to store an answer while the database is busy or full.
const STORE_AGAIN: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// A turn that runs.
pub(super) struct Turn {
    log: watch::Sender<Log>,
    /// What is kept of it while it runs.
    pub(super) progress: watch::Sender<Progress>,
    store: Store,
    facts: Facts,
    reading: Reading,
    /// The reader wants no more.
    stop: CancellationToken,
    /// Somebody else goes on: another gateway, or the next start.
    leave: CancellationToken,
}

/// The model's text, as it is taken apart.
struct Reading {
    parser: Parser,
    /// Of all the text, thoughts included.
    bytes: usize,
    /// All of it is in the progress.
    kept: bool,
}

enum Outcome {
    Done(Done),
    Stopped,
    Broken(TurnError),
    /// Somebody else goes on.
    Suspended,
}

impl Turn {
    /// One that goes on behind `progress`.
    pub(super) fn new(
        turns: &Turns,
        log: watch::Sender<Log>,
        progress: Progress,
        [stop, leave]: [&CancellationToken; 2],
    ) -> Self {
        let mut turn = Self {
            log,
            store: turns.store.clone(),
            facts: Facts::new(progress.tokens.len()),
            reading: Reading::new(progress.reasoning),
            progress: watch::Sender::new(progress),
            stop: stop.clone(),
            leave: leave.clone(),
        };
        let before = turn.progress.borrow().text.clone();
        turn.reading.bytes = before.0.len();
        let parts = turn.reading.parser.push(&before.0);
        turn.show(parts);
        turn
    }

    /// Breaks off when somebody else goes on with it.
    pub(super) async fn run(
        mut self,
        seat: Seat,
        answer: impl Future<Output = Result<Answer, TurnError>>,
    ) -> ControlFlow<()> {
        let outcome = match self.unless_told(answer).await {
            Ok(Ok(answer)) => self.follow(answer).await,
            Ok(Err(error)) => Outcome::Broken(error),
            Err(told) => told,
        };
        if let Outcome::Suspended = outcome {
            self.suspend(seat).await;
            return ControlFlow::Break(());
        }
        let rest = self.reading.parser.end();
        self.show(rest);
        let ending = self.ending(outcome);
        let Self { log, store, .. } = self;
        let ended = finish(&store, &seat, ending).await;
        let elsewhere = ended.message.is_none() && store.is_given_elsewhere(seat.turn).await.unwrap_or_default();
        // Who reads of the end may ask the next question at once.
        drop(seat);
        if elsewhere {
            log.send_modify(Log::suspend);
            return ControlFlow::Break(());
        }
        log.send_modify(|log| log.end(ended));
        ControlFlow::Continue(())
    }

    /// Owns the answer: the node's slot is free before the disk is asked anything.
    async fn follow(&mut self, mut answer: Answer) -> Outcome {
        loop {
            let event = match self.unless_told(answer.next()).await {
                Ok(event) => event,
                Err(told) => return told,
            };
            if let Some(outcome) = self.take(event) {
                return outcome;
            }
        }
    }

    /// What is waited for, or how the turn ends without it.
    async fn unless_told<T>(&self, work: impl Future<Output = T>) -> Result<T, Outcome> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Outcome::Stopped),
            () = self.leave.cancelled() => Err(Outcome::Suspended),
            done = work => Ok(done),
        }
    }

    /// Keeps what there is for who goes on; in the database the turn runs on, and is nobody's.
    async fn suspend(self, seat: Seat) {
        let progress = self.progress.borrow().clone();
        if let Err(error) = self.store.let_go(seat.turn, &progress).await {
            tracing::warn!(%error, "the last of an answer could not be kept");
        }
        drop(seat);
        self.log.send_modify(Log::suspend);
    }

    fn take(&mut self, event: Result<AnswerEvent, DispatchError>) -> Option<Outcome> {
        match event {
            Ok(AnswerEvent::Vectors(_)) => {}
            Ok(AnswerEvent::Waiting(estimate)) => self.log.send_modify(|log| log.wait(estimate)),
            Ok(AnswerEvent::Loading { placement, permille }) => self.loading(placement, permille),
            Ok(AnswerEvent::Started { placement, accepted, attempt }) => {
                self.started(placement, accepted.style.reasoning, attempt);
            }
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

    fn loading(&self, placement: Placement, permille: u32) {
        let (node_name, model) = (placement.node_name, self.progress.borrow().model_name.clone());
        self.log.send_modify(|log| log.load(Loading { node_name, model, permille }));
    }

    /// Again when another node goes on, and then behind the text that there is.
    fn started(&mut self, placement: Placement, reasoning: Reasoning, attempt: u32) {
        if self.reading.bytes == 0 {
            self.reading = Reading::new(reasoning);
        }
        let node = Node {
            name: placement.node_name.clone(),
            peer: placement.peer.to_string(),
            device: placement.device.clone(),
        };
        let gave_nothing = self.facts.begins();
        let first_of_all = self.reading.bytes == 0;
        self.progress.send_modify(|progress| {
            if first_of_all {
                progress.reasoning = reasoning;
            }
            progress.attempts = attempt;
            facts::note(&mut progress.nodes, node, gave_nothing);
        });
        self.show_who(placement);
    }

    fn moved(&mut self, relayed: bool) {
        if let Some(placement) = self.facts.placed.take() {
            self.show_who(Placement { relayed, ..placement });
        }
    }

    fn show_who(&mut self, placement: Placement) {
        let progress = self.progress.borrow();
        let who = Started {
            node_name: placement.node_name.clone(),
            node_peer: placement.peer.to_string(),
            relayed: placement.relayed,
            model: progress.model_name.clone(),
            nodes: names(&progress.nodes),
        };
        drop(progress);
        self.facts.placed = Some(placement);
        self.log.send_modify(|log| log.start(who));
    }

    fn piece(&mut self, tokens: &[u32], text: &Private) -> Option<Outcome> {
        self.facts.count(tokens.len());
        self.keep(tokens, &text.0);
        self.reading.bytes = self.reading.bytes.saturating_add(text.0.len());
        if self.reading.bytes > MAX_ANSWER_BYTES {
            let message = format!("the answer was longer than {MAX_ANSWER_BYTES} bytes");
            return Some(Outcome::Broken(TurnError { code: "answer_too_long".into(), message }));
        }
        let parts = self.reading.parser.push(&text.0);
        self.show(parts);
        None
    }

    fn keep(&mut self, tokens: &[u32], text: &str) {
        let (kept, first_token_ms) = (&mut self.reading.kept, self.facts.first_token_ms());
        self.progress.send_modify(|progress| {
            *kept = *kept && progress.grow(tokens, text);
            progress.first_token_ms = progress.first_token_ms.or(first_token_ms);
        });
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
            Outcome::Stopped | Outcome::Suspended => (Status::Partial, FinishReason::Cancelled, None, None),
            Outcome::Broken(error) if text.0.is_empty() => (Status::Failed, FinishReason::Error, Some(error), None),
            Outcome::Broken(error) => (Status::Partial, FinishReason::Error, Some(error), None),
        };
        let progress = self.progress.borrow();
        let answer = self.facts.answer(&progress, reason, done.as_ref());
        let goes_on = status != Status::Complete && !progress.tokens.is_empty();
        Ending { text, status, error, answer, progress: goes_on.then(|| progress.clone()) }
    }
}

impl Reading {
    fn new(reasoning: Reasoning) -> Self {
        // The model was not told of any tools.
        Self { parser: Parser::new(Style { reasoning, tool_calls: false }), bytes: 0, kept: true }
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
