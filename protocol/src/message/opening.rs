//! What a gateway says on a job stream: how it opens one, and that it is done with it.

use minicbor::{Decode, Encode};

use super::{Invalid, JobRequest};
use crate::id::JobId;

/// The first frame on a job stream.
#[expect(clippy::large_enum_variant, reason = "there is one for each stream, and it is used up at once")]
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum JobOpening {
    /// A new attempt.
    #[n(0)]
    Begin(#[n(0)] JobRequest),
    /// An attempt that goes on here, on this stream: its first one broke, or there is a better path now.
    #[n(1)]
    Resume(#[n(0)] Resume),
}

/// Which attempt, and from where.
///
/// A node keeps the events of an attempt for a while, and the attempt itself for some seconds without a
/// stream. The answer is [`JobEvent::Resumed`](super::JobEvent::Resumed) and the events that were missed, or
/// [`Refusal::NotHere`](super::Refusal::NotHere).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Resume {
    /// The job.
    #[n(0)]
    pub job: JobId,
    /// Which attempt at it; only the gateway that began it may resume it.
    #[n(1)]
    pub attempt: u32,
    /// Events of this attempt that have come so far, `Accepted` the first: the number of the next one.
    #[n(2)]
    pub received: u64,
}

/// What a gateway may say behind its opening. A stream that ends without it has broken, and the node waits a
/// while for a [`Resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum JobOrder {
    /// The answer is not wanted any more, or has come whole: the node forgets the attempt.
    #[n(0)]
    End,
    /// So many events have come, said every [`RECEIPT_EVERY`](crate::limits::RECEIPT_EVERY) events. A node may
    /// forget these, and no others: whatever was under way on a path that is lost can be had again.
    #[n(1)]
    Received(#[n(0)] u64),
}

impl JobOpening {
    /// Checks what the frame's length does not bound.
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        match self {
            Self::Begin(request) => request.validate(),
            Self::Resume(_) => Ok(()),
        }
    }
}
