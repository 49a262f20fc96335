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
    _place: Option<Place>,
}

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
    pub(crate) fn new(inner: libp2p::Stream, path: Path, traffic: Arc<Traffic>) -> Self {
        Self { inner, path, traffic, _place: None }
    }

    pub(crate) fn holding(self, place: Place) -> Self {
        Self { _place: Some(place), ..self }
    }

    /// The path it takes.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, bytes))?;
        self.traffic.add(self.path, read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.traffic.add(self.path, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
