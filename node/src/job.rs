//! A stream that a gateway has opened, up to where its attempt takes it.
//!
//! It begins an attempt at a job, or goes on with one whose stream broke or has found a better path. An attempt ends
//! when the gateway says so; a stream that ends otherwise is one that broke.

mod attempt;
mod link;
mod loading;
mod log;
mod table;

use std::{io, time::Duration};

use futures::AsyncWriteExt;
use starling_inference::Generation;
use starling_protocol::{
    ModelId,
    frame::{self, FrameError},
    limits::{ADMISSION_TIMEOUT, FIRST_FRAME_TIMEOUT, MAX_REQUEST_FRAME},
    message::{JobEvent, JobOpening, JobRequest, Refusal, Resume, Task},
    swarm::{InboundStream, PeerId, Stream},
};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tracing::{Span, debug, field};

use self::{
    attempt::{Attempt, Letter},
    table::{Key, Table, Undelivered},
};
use crate::{
    Stops, convert,
    engines::{Models, Served},
    fair::{Seat, Seats},
    shelf::{Shelf, Use},
};

/// How soon the slot of an attempt that was ended is free: after the step that runs.
const FREED_IN: Duration = Duration::from_secs(1);

/// What streams are served with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Jobs {
    models: watch::Receiver<Models>,
    shelf: Shelf,
    shift: watch::Receiver<Stops>,
    attempts: Table<Letter>,
    seats: Seats,
}

impl Jobs {
    pub(crate) fn new(models: watch::Receiver<Models>, shelf: Shelf, shift: watch::Receiver<Stops>) -> Self {
        Self { models, shelf, shift, attempts: Table::default(), seats: Seats::default() }
    }

    pub(crate) async fn serve(self, inbound: InboundStream) {
        let InboundStream { peer, mut stream } = inbound;
        Span::current().record("gateway", field::display(peer));
        let served = async {
            match read_opening(&mut stream).await? {
                Ok(JobOpening::Begin(request)) => self.begin(peer, request, stream).await,
                Ok(JobOpening::Resume(resume)) => self.resume(peer, resume, stream).await,
                Err(refusal) => refuse(stream, refusal).await,
            }
        };
        if let Err(error) = served.await {
            debug!(%error, "the stream broke");
        }
    }

    async fn begin(&self, gateway: PeerId, request: JobRequest, mut stream: Stream) -> io::Result<()> {
        Span::current().record("id", field::display(request.job));
        let key = Key { gateway, job: request.job, attempt: request.attempt };
        let Some((place, ended)) = self.attempts.enter(key) else {
            return refuse(stream, invalid("attempt", "this attempt, or a newer one, has been begun before")).await;
        };
        // What ends this shift ends the attempt, whatever comes after.
        let stops = self.shift.borrow().clone();
        let (served, _in_use) = match self.engine(request.model, &stops, &mut stream).await? {
            Ok(found) => found,
            Err(refusal) => return refuse(stream, refusal).await,
        };
        if ended {
            is_free(&served).await;
        }
        let beats = request.beats;
        match self.admit(gateway, &served, &stops, request).await {
            // The seat, and the right to the model, are given back when the attempt is over.
            Ok((generation, _seat)) => {
                Box::pin(Attempt::new(place, generation, stream, beats).run(&stops)).await;
                Ok(())
            }
            Err(refusal) => refuse(stream, refusal).await,
        }
    }

    async fn resume(&self, gateway: PeerId, resume: Resume, stream: Stream) -> io::Result<()> {
        Span::current().record("id", field::display(resume.job));
        let Resume { job, attempt, received } = resume;
        let (refused, refusal) = oneshot::channel();
        let sent = self.attempts.send(&Key { gateway, job, attempt }, Letter { stream, received, refused });
        let (stream, refusal) = match sent {
            Err((letter, Undelivered::Unknown)) => (letter.stream, Refusal::NotHere),
            Err((letter, Undelivered::Full)) => (letter.stream, Refusal::Busy),
            Ok(()) => match refusal.await {
                Ok(refused) => refused,
                // The attempt has taken the stream.
                Err(_) => return Ok(()),
            },
        };
        refuse(stream, refusal).await
    }

    /// The engine of a model, which is loaded now where it has to be; the stream is told how far that is.
    async fn engine(
        &self,
        model: ModelId,
        stops: &Stops,
        stream: &mut Stream,
    ) -> io::Result<Result<(Served, Option<Use>), Refusal>> {
        if stops.accepting.is_cancelled() {
            return Ok(Err(Refusal::Stopping));
        }
        let served = self.models.borrow().iter().find(|served| served.id == model).cloned();
        if let Some(served) = served {
            return Ok(Ok((served, None)));
        }
        match self.shelf.want(model) {
            None => Ok(Err(Refusal::UnknownModel)),
            Some(Err(refusal)) => Ok(Err(refusal)),
            Some(Ok(coming)) => loading::wait(coming, stops, stream).await,
        }
    }

    async fn admit(
        &self,
        gateway: PeerId,
        model: &Served,
        stops: &Stops,
        request: JobRequest,
    ) -> Result<(Generation, Seat), Refusal> {
        if stops.accepting.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        let admitted = async {
            match request.task {
                Task::Chat(chat) => model.engine.generate(convert::request(chat)).await,
                Task::Embed(texts) => model.engine.embed(texts.into_iter().map(|text| text.0).collect()).await,
            }
        };
        // An engine that hangs admits nobody; to the gateway that is a busy node.
        let in_time =
            async { timeout(ADMISSION_TIMEOUT, admitted).await.map_err(|_| Refusal::Busy)?.map_err(convert::refusal) };
        self.seats.admit(gateway, model, in_time).await
    }
}

/// An older attempt at the same job was ended, and its slot will be free in a moment.
async fn is_free(served: &Served) {
    let mut load = served.engine.load();
    let free = load.wait_for(|load| load.slots_free > 0);
    // Otherwise the engine says what it has to say.
    let _ = timeout(FREED_IN, free).await;
}

/// The first frame, or what to say when it makes no sense.
async fn read_opening(stream: &mut Stream) -> io::Result<Result<JobOpening, Refusal>> {
    let read = frame::read::<JobOpening>(stream, MAX_REQUEST_FRAME);
    Ok(match timeout(FIRST_FRAME_TIMEOUT, read).await {
        Ok(Ok(opening)) => match opening.validate() {
            Ok(()) => Ok(opening),
            Err(error) => Err(invalid(error.field, error.reason)),
        },
        Ok(Err(FrameError::Io(error))) => return Err(error),
        Ok(Err(error)) => Err(invalid("request", error.to_string())),
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    })
}

fn invalid(field: &str, reason: impl Into<String>) -> Refusal {
    Refusal::Invalid { field: field.to_owned(), reason: reason.into() }
}

async fn refuse(mut stream: Stream, refusal: Refusal) -> io::Result<()> {
    debug!(%refusal, "refused");
    frame::write(&mut stream, &JobEvent::Refused(refusal)).await?;
    stream.close().await
}
