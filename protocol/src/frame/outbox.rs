//! Frames on their way out, for a writer that also has other things to wait for.

use std::io;

use futures::{AsyncWrite, AsyncWriteExt};

/// Bytes that are to be written, and how many of them are. It remembers where it was when its future is dropped, so
/// that no frame goes out twice or by half.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// Adds a frame (see [`encode`](super::encode)) behind the others.
    pub fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
    }

    /// Whether all is written and flushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes in it that are not written yet, or not flushed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes some of it; when all is written, flushes it. Cancel safe.
    ///
    /// # Errors
    /// Whatever the stream says.
    pub async fn write_some(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        if self.written == self.bytes.len() {
            stream.flush().await?;
            self.bytes.clear();
            self.written = 0;
        }
        Ok(())
    }

    /// Writes and flushes all of it. Cancel safe.
    ///
    /// # Errors
    /// Whatever the stream says.
    pub async fn write_all(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while !self.is_empty() {
            self.write_some(stream).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use futures::FutureExt;

    use super::*;

    /// Takes three bytes, then none for a while.
    #[derive(Default)]
    struct Halting {
        taken: Vec<u8>,
        calls: usize,
    }

    impl AsyncWrite for Halting {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.calls += 1;
            if self.calls.is_multiple_of(2) {
                return Poll::Pending;
            }
            let count = bytes.len().min(3);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.calls += 1;
            if self.calls.is_multiple_of(3) { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_future_that_is_dropped_loses_and_doubles_nothing() {
        let (mut outbox, mut stream) = (Outbox::default(), Halting::default());
        outbox.push(b"the first frame, ");
        outbox.push(b"the second");
        let mut tries = 0;
        // Each try is dropped where it has to wait.
        while outbox.write_all(&mut stream).now_or_never().is_none() {
            tries += 1;
            assert!(tries < 100);
        }
        assert!(tries > 3 && outbox.is_empty());
        assert_eq!(stream.taken, b"the first frame, the second");
    }
}
