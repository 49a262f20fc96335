//! One stream to an attempt: events come in, receipts go out.

use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    io::{ReadHalf, WriteHalf},
    stream::{self, BoxStream},
};
use starling_protocol::{
    frame::{self, FrameError, Outbox},
    limits::{BEAT, MAX_EVENT_FRAME, RECEIPT_EVERY},
    message::{JobEvent, JobOrder},
    swarm::{Path, Stream},
};
use tokio::time::{Instant, sleep_until};

pub(super) struct Line {
    events: BoxStream<'static, Result<JobEvent, FrameError>>,
    writer: WriteHalf<Stream>,
    outbox: Outbox,
    path: Path,
    /// The number of the next event on this stream.
    at: u64,
    /// Events below this came on an older stream.
    from: u64,
    /// Of how many events the node knows that they came.
    receipted: u64,
    /// When it is told the next time that we are there.
    beat_at: Instant,
}

impl Line {
    /// A stream whose next event is number `at`.
    pub(super) fn new(stream: Stream, at: u64) -> Self {
        let path = stream.path();
        let (reader, writer) = stream.split();
        let events = stream::try_unfold(reader, next_event).boxed();
        let beat_at = Instant::now() + BEAT;
        Self { events, writer, outbox: Outbox::default(), path, at, from: at, receipted: at, beat_at }
    }

    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// What came so far was no event of the attempt.
    pub(super) fn goes_on_from(&mut self, at: u64) {
        (self.at, self.receipted) = (at, at);
    }

    /// Passes over events that came on an older stream.
    pub(super) fn skip_to(&mut self, received: u64) {
        self.from = received;
    }

    /// The next event that is new. Receipts are held back while the attempt may be resumed from an earlier event:
    /// the node forgets what has a receipt. Cancel safe.
    ///
    /// # Errors
    /// Why the stream is of no more use, in words.
    pub(super) async fn next(&mut self, with_receipts: bool) -> Result<JobEvent, String> {
        loop {
            if with_receipts && self.outbox.is_empty() && self.at >= self.receipted + RECEIPT_EVERY {
                self.receipted = self.at;
                self.beat();
            }
            let event = tokio::select! {
                event = self.events.next() => event,
                () = sleep_until(self.beat_at), if self.outbox.is_empty() => {
                    self.beat();
                    continue;
                }
                Err(error) = self.outbox.write_all(&mut self.writer), if !self.outbox.is_empty() => {
                    // What remains of the answer may be here already.
                    tracing::debug!(%error, "no receipt");
                    self.outbox = Outbox::default();
                    continue;
                }
            };
            let event = match event {
                Some(Ok(event)) => event,
                // Never a clean end: that is what `Done` is for.
                Some(Err(FrameError::End)) | None => return Err("the stream ended without `Done`".to_owned()),
                Some(Err(error)) => return Err(error.to_string()),
            };
            if matches!(event, JobEvent::Loading(_)) {
                return Ok(event);
            }
            self.at += 1;
            if self.at > self.from {
                return Ok(event);
            }
        }
    }

    /// Tells the node that we are there, and reads nothing. Never ends. Cancel safe.
    pub(super) async fn keep_up(&mut self) {
        loop {
            if self.outbox.is_empty() {
                sleep_until(self.beat_at).await;
                self.beat();
            }
            if self.outbox.write_all(&mut self.writer).await.is_err() {
                // Whoever reads finds out.
                self.outbox = Outbox::default();
            }
        }
    }

    fn beat(&mut self) {
        self.outbox.push(&frame::encode(&JobOrder::Received(self.receipted)));
        self.beat_at = Instant::now() + BEAT;
    }

    /// Says that the answer is over.
    pub(super) async fn end(&mut self) {
        self.outbox.push(&frame::encode(&JobOrder::End));
        // Where it cannot be said the node finds out by itself.
        let _ = self.outbox.write_all(&mut self.writer).await;
        let _ = self.writer.close().await;
    }
}

async fn next_event(mut reader: ReadHalf<Stream>) -> Result<Option<(JobEvent, ReadHalf<Stream>)>, FrameError> {
    let event = frame::read(&mut reader, MAX_EVENT_FRAME).await?;
    Ok(Some((event, reader)))
}
