//! Length-prefixed CBOR frames: four bytes of big-endian length, then one message.
//!
//! The length is checked before anything is allocated for it.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use minicbor::{Decode, Encode};
use thiserror::Error;
use tokio::time::timeout;

pub use self::outbox::Outbox;
use crate::limits::WRITE_TIMEOUT;

mod outbox;

const PREFIX: usize = 4;

/// Why a frame could not be read.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The stream ended between two frames.
    #[error("the stream has ended")]
    End,
    /// The length is beyond the limit of this kind of frame.
    #[error("a frame of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// What the peer announced.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The bytes are not the message that belongs here.
    #[error("not a valid frame")]
    Malformed(#[from] minicbor::decode::Error),
    /// The stream broke, or ended inside a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A message as one frame.
///
/// # Panics
/// Never for messages of this crate: encoding into memory cannot fail.
pub fn encode<T: Encode<()>>(message: &T) -> Vec<u8> {
    let mut frame = vec![0; PREFIX];
    minicbor::encode(message, &mut frame).expect("encoding into a Vec cannot fail");
    let length = u32::try_from(frame.len() - PREFIX).expect("messages are far smaller than 4 GiB");
    frame[..PREFIX].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Writes one frame and flushes it: a token must not wait for the next.
///
/// # Errors
/// Whatever the stream says; `TimedOut` when the peer has not taken the frame within [`WRITE_TIMEOUT`].
/// Must be called within a tokio runtime.
pub async fn write<T: Encode<()>>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let write = async {
        stream.write_all(&encode(message)).await?;
        stream.flush().await
    };
    timeout(WRITE_TIMEOUT, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads one frame of at most `limit` bytes.
///
/// # Errors
/// [`FrameError::End`] when the stream ends before a frame begins; anything else ends the stream's use.
pub async fn read<T>(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<T, FrameError>
where
    T: for<'b> Decode<'b, ()>,
{
    let length = read_length(stream).await?;
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(minicbor::decode(&body)?)
}

async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> Result<usize, FrameError> {
    let mut prefix = [0; PREFIX];
    let first = stream.read(&mut prefix).await?;
    if first == 0 {
        return Err(FrameError::End);
    }
    stream.read_exact(&mut prefix[first..]).await?;
    Ok(u32::from_be_bytes(prefix) as usize)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;
    use crate::message::{JobEvent, Piece, Private};

    fn piece() -> JobEvent {
        JobEvent::Piece(Piece { seq: 1, tokens: vec![1, 2, 3], text: Private("grüß".into()), logprobs: vec![] })
    }

    fn read_event(bytes: Vec<u8>, limit: usize) -> Result<JobEvent, FrameError> {
        block_on(read(&mut Cursor::new(bytes), limit))
    }

    #[test]
    fn a_frame_reads_back() {
        assert_eq!(read_event(encode(&piece()), 1024).unwrap(), piece());
    }

    #[test]
    fn a_frame_may_be_as_long_as_its_limit_and_no_longer() {
        let frame = encode(&piece());
        let length = frame.len() - PREFIX;
        assert!(read_event(frame.clone(), length).is_ok());
        assert!(matches!(read_event(frame, length - 1), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn a_lying_length_allocates_nothing() {
        let lie = u32::MAX.to_be_bytes().to_vec();
        assert!(matches!(read_event(lie, 1 << 20), Err(FrameError::TooLong { length: 0xffff_ffff, .. })));
    }

    #[test]
    fn an_end_between_frames_is_not_an_end_inside_one() {
        assert!(matches!(read_event(vec![], 1024), Err(FrameError::End)));
        let whole = encode(&piece());
        for cut in 1..whole.len() {
            assert!(matches!(read_event(whole[..cut].to_vec(), 1024), Err(FrameError::Io(_))), "cut at {cut}");
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        let whole = encode(&piece());
        for at in PREFIX..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                let _ = read_event(flipped, 1024);
            }
        }
        // An array that claims 2^32 elements in a frame of nine bytes.
        let mut lie = 9_u32.to_be_bytes().to_vec();
        lie.extend([0x82, 0x02, 0x81, 0xa1, 0x01, 0x9a, 0xff, 0xff, 0xff]);
        assert!(read_event(lie, 1024).is_err());
    }
}
