//! One attempt from admission to its end: one task, whatever becomes of its streams.
//!
//! The engine's output goes into the log, and the log to the stream that there is. A stream that breaks leaves the
//! attempt computing for [`DETACHED_GRACE`]; within it the gateway may resume it on another one.

use std::time::Duration;

use futures::future::{self, OptionFuture};
use starling_inference::{Generation, Output};
use starling_protocol::{
    frame,
    limits::{BEAT, WRITE_TIMEOUT},
    message::{JobEvent, JobFailure, JobOrder, Refusal},
    swarm::Stream,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use super::{
    link::{Link, News},
    log::Log,
    table::Place,
};
use crate::{Stops, convert};

/// How long an attempt goes on without a stream, and what it said is kept when it is over. Longer than it takes a
/// gateway to notice a dead path and to come back; short enough that a gateway that died, or went on elsewhere, holds
/// no slot for long.
const DETACHED_GRACE: Duration = Duration::from_secs(8);
/// The same for a gateway that beats and is not heard, on a stream that has not broken: its path may be dead.
const UNHEARD: Duration = BEAT.saturating_mul(4);
/// The same, whatever becomes of the streams: the gateway has long gone on elsewhere, and the slot is for others.
const ABANDONED: Duration = BEAT.saturating_mul(5);
/// What a stopping node may take to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A stream on which the gateway wants to go on.
pub(super) struct Letter {
    pub(super) stream: Stream,
    pub(super) received: u64,
    /// The way back, when that cannot be.
    pub(super) refused: oneshot::Sender<(Stream, Refusal)>,
}

/// An attempt that was admitted.
pub(super) struct Attempt {
    place: Place<Letter>,
    generation: Option<Generation>,
    /// Pieces so far.
    pieces: u64,
    log: Log,
    link: Option<Link>,
    /// Whether the gateway says that it is there, and when it last did.
    beats: bool,
    heard: Instant,
    /// Since when it waits for the gateway: without a stream, or with nothing left to say.
    waits_since: Instant,
}

enum Step {
    Output(Option<Output>),
    Link(News),
    Letter(Option<Letter>),
    Late,
    Stopping,
}

impl Attempt {
    pub(super) fn new(place: Place<Letter>, generation: Generation, stream: Stream, beats: bool) -> Self {
        Self {
            place,
            generation: Some(generation),
            pieces: 0,
            log: Log::default(),
            link: Some(Link::new(stream)),
            beats,
            heard: Instant::now(),
            waits_since: Instant::now(),
        }
    }

    /// Ends when the gateway says so, has all, or does not come back. The slot is free then.
    pub(super) async fn run(mut self, stops: &Stops) {
        loop {
            let step = self.step(stops).await;
            if let Step::Link(News::Order(_)) | Step::Letter(_) = step {
                self.heard = Instant::now();
            }
            match step {
                Step::Output(output) => self.on_output(output),
                Step::Link(News::Order(JobOrder::Received(count))) if self.has_sent(count) => self.log.received(count),
                Step::Link(News::Order(JobOrder::End)) => return debug!("ended by the gateway"),
                Step::Link(News::Order(JobOrder::Received(_)) | News::Nonsense) => {
                    return debug!("the gateway broke the protocol");
                }
                Step::Link(News::Sent) => self.wait(),
                Step::Link(News::Broken(error)) => {
                    debug!(%error, "the stream broke");
                    self.detach();
                }
                Step::Letter(Some(letter)) => self.on_letter(letter),
                Step::Letter(None) => return debug!("a newer one needs its place"),
                Step::Late if self.is_unheard() => return debug!("the gateway is not heard any more"),
                Step::Late if self.is_stuck() => {
                    debug!("the stream takes nothing");
                    self.detach();
                }
                Step::Late => return debug!("the gateway did not come back"),
                Step::Stopping => return self.stop().await,
            }
        }
    }

    async fn step(&mut self, stops: &Stops) -> Step {
        let deadline = self.deadline();
        let has_room = self.log.has_room();
        let output = OptionFuture::from(self.generation.as_mut().map(Generation::next));
        let stream = async {
            match &mut self.link {
                Some(link) => link.next(&self.log).await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            Some(output) = output, if has_room => Step::Output(output),
            news = stream => Step::Link(news),
            letter = self.place.next() => Step::Letter(letter),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Step::Late,
            () = stops.jobs.cancelled() => Step::Stopping,
        }
    }

    /// When the present state has lasted for too long.
    fn deadline(&self) -> Option<Instant> {
        let unheard = self.link.as_ref().filter(|_| self.beats).map(|_| self.heard + UNHEARD);
        unheard.into_iter().chain(self.gives_up_at()).min()
    }

    fn gives_up_at(&self) -> Option<Instant> {
        match &self.link {
            None => {
                let comes_back = self.waits_since + DETACHED_GRACE;
                Some(if self.beats { comes_back.min(self.heard + ABANDONED) } else { comes_back })
            }
            Some(link) => match link.stuck_since(&self.log) {
                Some(since) => Some(since + WRITE_TIMEOUT),
                None if self.log.has_ended() => Some(self.waits_since + DETACHED_GRACE),
                None => None,
            },
        }
    }

    fn is_unheard(&self) -> bool {
        self.beats && self.link.is_some() && self.heard.elapsed() >= UNHEARD
    }

    fn is_stuck(&self) -> bool {
        self.link.as_ref().and_then(|link| link.stuck_since(&self.log)).is_some()
    }

    fn has_sent(&self, count: u64) -> bool {
        self.link.as_ref().is_some_and(|link| count <= link.sent())
    }

    fn on_output(&mut self, output: Option<Output>) {
        let Some(output) = output else { return self.end() };
        let event = convert::event(output, &mut self.pieces);
        self.log.push(frame::encode(&event));
        if matches!(event, JobEvent::Done(_) | JobEvent::Failed(_)) {
            self.end();
        }
    }

    fn end(&mut self) {
        self.generation = None;
        self.log.end();
        // From now on the gateway is waited for, and not since it was last: the end itself has still to go out.
        self.waits_since = Instant::now();
        if self.link.is_none() {
            self.place.over();
        }
    }

    fn on_letter(&mut self, letter: Letter) {
        let Letter { stream, received, refused } = letter;
        let refusal = if received > self.log.next() {
            let reason = format!("the attempt has made {} events", self.log.next());
            Refusal::Invalid { field: "received".to_owned(), reason }
        } else if received < self.log.first() {
            Refusal::NotHere
        } else {
            debug!(received, made = self.log.next(), path = ?stream.path(), "goes on on a new stream");
            // The old stream goes: one reader, one place.
            self.link = Some(Link::resumed(stream, received));
            return self.place.is_read();
        };
        // Whoever waits for it may have gone.
        let _ = refused.send((stream, refusal));
    }

    fn detach(&mut self) {
        self.link = None;
        self.wait();
    }

    fn wait(&mut self) {
        self.waits_since = Instant::now();
        if self.log.has_ended() {
            self.place.over();
        }
    }

    /// Says that the node stops, where there is somebody to say it to and an answer to break off.
    async fn stop(mut self) {
        self.generation = None;
        if !self.log.has_ended() {
            self.log.push(frame::encode(&JobEvent::Failed(JobFailure::Stopping)));
            self.log.end();
        }
        let Some(link) = &mut self.link else { return };
        let said = async { while matches!(link.next(&self.log).await, News::Order(JobOrder::Received(_))) {} };
        let _ = timeout(LAST_WORDS, said).await;
    }
}
