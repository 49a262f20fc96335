//! One of our streams: bytes both ways with a peer, and the path they take.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How a peer is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// Without anybody between.
    Direct,
    /// Through a relay, which sees only ciphertext.
    Relayed,
}

/// Bytes of our own streams since the start, both ways together.
#[derive(Debug, Default)]
pub struct Traffic {
    direct: AtomicU64,
    relayed: AtomicU64,
}

/// A stream with a peer. Its path stays what it was when it was opened.
#[derive(Debug)]
pub struct Stream {
    inner: libp2p::Stream,
    path: Path,
    traffic: Arc<Traffic>,
    /// One for each half, which two tasks may wait for.
    gone: [Gone; 2],
    _place: Option<Place>,
}

/// Ends when we close the connection. Yamux wakes nobody then: whoever waits for a stream would wait for ever.
type Gone = Pin<Box<WaitForCancellationFutureOwned>>;

const READING: usize = 0;
const WRITING: usize = 1;

/// Room for streams of one kind on one connection: each of them holds a clone for as long as it lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Arc<()>);

impl Place {
    /// How many streams there are.
    pub(crate) fn taken(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

impl Traffic {
    /// Bytes that took this path.
    #[must_use]
    pub fn bytes(&self, path: Path) -> u64 {
        self.of(path).load(Ordering::Relaxed)
    }

    fn add(&self, path: Path, bytes: usize) {
        self.of(path).fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn of(&self, path: Path) -> &AtomicU64 {
        match path {
            Path::Direct => &self.direct,
            Path::Relayed => &self.relayed,
        }
    }
}

impl Stream {
    /// A stream of a connection that is there until `gone`.
    pub(crate) fn new(inner: libp2p::Stream, path: Path, traffic: Arc<Traffic>, gone: &CancellationToken) -> Self {
        let gone = [(); 2].map(|()| Box::pin(gone.clone().cancelled_owned()));
        Self { inner, path, traffic, gone, _place: None }
    }

    pub(crate) fn holding(self, place: Place) -> Self {
        Self { _place: Some(place), ..self }
    }

    /// The path it takes.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// What is there is taken; what would have to be waited for never comes once the connection is gone.
    fn unless_gone<T>(
        &mut self,
        half: usize,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.gone[half].as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, bytes);
        let read = ready!(self.unless_gone(READING, polled, cx))?;
        self.traffic.add(self.path, read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        let written = ready!(self.unless_gone(WRITING, polled, cx))?;
        self.traffic.add(self.path, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.unless_gone(WRITING, polled, cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_close(cx);
        self.unless_gone(WRITING, polled, cx)
    }
}
