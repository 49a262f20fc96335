//! One stream of an attempt: what was said goes out, orders come in.

use std::io;

use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    io::{ReadHalf, WriteHalf},
    stream::{self, BoxStream},
};
use starling_protocol::{
    frame::{self, FrameError, Outbox},
    limits::MAX_ORDER_FRAME,
    message::{JobEvent, JobOrder},
    swarm::Stream,
};
use tokio::time::Instant;

use super::log::Log;

/// Bytes given to the stream at one time: many small events leave together when the stream was slow.
const BATCH_BYTES: usize = 16 << 10;

/// An attempt's present stream.
pub(super) struct Link {
    orders: BoxStream<'static, Result<JobOrder, FrameError>>,
    writer: WriteHalf<Stream>,
    outbox: Outbox,
    /// The event to be sent next.
    cursor: u64,
    /// When the stream last took something or the gateway said something, or when nothing was to be taken or said.
    moved: Instant,
    closed: bool,
}

/// What happens on a stream.
pub(super) enum News {
    /// The gateway wants this.
    Order(JobOrder),
    /// It said what is not in the protocol.
    Nonsense,
    /// All there will ever be is sent.
    Sent,
    /// Nothing more goes over this stream.
    Broken(io::Error),
}

impl Link {
    /// The stream that an attempt began on.
    pub(super) fn new(stream: Stream) -> Self {
        let (reader, writer) = stream.split();
        let orders = stream::try_unfold(reader, next_order).boxed();
        Self { orders, writer, outbox: Outbox::default(), cursor: 0, moved: Instant::now(), closed: false }
    }

    /// A stream on which it goes on, with event `cursor`.
    pub(super) fn resumed(stream: Stream, cursor: u64) -> Self {
        let mut link = Self { cursor, ..Self::new(stream) };
        link.outbox.push(&frame::encode(&JobEvent::Resumed));
        link
    }

    /// Events that were given to the stream.
    pub(super) fn sent(&self) -> u64 {
        self.cursor
    }

    /// Since when it takes nothing, or the gateway does not say that anything came; none when nothing is wanted.
    pub(super) fn stuck_since(&self, log: &Log) -> Option<Instant> {
        (!self.outbox.is_empty() || !log.has_room()).then_some(self.moved)
    }

    /// Sends what is in the log until something happens. Cancel safe.
    pub(super) async fn next(&mut self, log: &Log) -> News {
        loop {
            self.fill(log);
            let last = log.has_ended() && self.cursor == log.next();
            let has_work = !self.outbox.is_empty() || (last && !self.closed);
            tokio::select! {
                order = self.orders.next() => {
                    self.moved = Instant::now();
                    return read(order);
                }
                result = write(&mut self.outbox, &mut self.writer), if has_work => match result {
                    Ok(Written::Closed) => {
                        self.closed = true;
                        return News::Sent;
                    }
                    Ok(Written::Some) => self.moved = Instant::now(),
                    Err(error) => return News::Broken(error),
                }
            }
        }
    }

    fn fill(&mut self, log: &Log) {
        if self.outbox.is_empty() && log.has_room() {
            self.moved = Instant::now();
        }
        while self.outbox.len() < BATCH_BYTES
            && let Some(frame) = log.get(self.cursor)
        {
            self.outbox.push(frame);
            self.cursor += 1;
        }
    }
}

enum Written {
    Some,
    Closed,
}

/// Writes some, or closes our half when there is nothing left to write.
async fn write(outbox: &mut Outbox, writer: &mut WriteHalf<Stream>) -> io::Result<Written> {
    if outbox.is_empty() {
        writer.close().await?;
        return Ok(Written::Closed);
    }
    outbox.write_some(writer).await?;
    Ok(Written::Some)
}

async fn next_order(mut reader: ReadHalf<Stream>) -> Result<Option<(JobOrder, ReadHalf<Stream>)>, FrameError> {
    let order = frame::read(&mut reader, MAX_ORDER_FRAME).await?;
    Ok(Some((order, reader)))
}

fn read(order: Option<Result<JobOrder, FrameError>>) -> News {
    match order {
        Some(Ok(order)) => News::Order(order),
        Some(Err(FrameError::Io(error))) => News::Broken(error),
        Some(Err(FrameError::TooLong { .. } | FrameError::Malformed(_))) => News::Nonsense,
        Some(Err(FrameError::End)) | None => News::Broken(io::ErrorKind::UnexpectedEof.into()),
    }
}
