//! The messages of the job and status protocols.
//!
//! Each struct is a CBOR map with small integer keys: a reader ignores keys it does not know, so a
//! field can be added without a new protocol version. Text that people wrote or read is [`Private`]:
//! it cannot reach a log through `Debug`.

use std::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

mod event;
mod opening;
mod request;
mod status;

pub use event::{
    Accepted, Done, Finish, JobEvent, JobFailure, Likely, LoadFailure, Loading, Piece, Reasoning, Refusal, Style,
    Timings, TokenLogprob, Usage, Vector,
};
pub use opening::{JobOpening, JobOrder, Resume};
pub use request::{Bias, Chat, ChatMessage, Format, JobRequest, RawPrompt, Role, Sampling, Task, ToolChoice};
pub use status::{Gpu, Kind, Loadable, Memory, Nat, Network, Offer, PauseKind, Paused, Status};

/// Text of a conversation. Its `Debug` shows only the length.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Private(#[n(0)] pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl From<String> for Private {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Bytes of text, which may end inside a character. Their `Debug` shows only the length.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct PrivateBytes(
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub Vec<u8>,
);

impl fmt::Debug for PrivateBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// Token ids of a text. Their `Debug` shows only how many there are.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct PrivateTokens(#[n(0)] pub Vec<u32>);

impl fmt::Debug for PrivateTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} tokens]", self.0.len())
    }
}

/// Why a well-formed message was not believed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

fn invalid(field: &'static str, reason: impl Into<String>) -> Invalid {
    Invalid { field, reason: reason.into() }
}

fn at_most(field: &'static str, found: usize, limit: usize) -> Result<(), Invalid> {
    if found <= limit { Ok(()) } else { Err(invalid(field, format!("{found} is over the limit of {limit}"))) }
}

/// NaN is in no range.
fn within(field: &'static str, value: Option<f32>, low: f32, high: f32) -> Result<(), Invalid> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            let low = if low == f32::MIN_POSITIVE { "above 0".to_owned() } else { low.to_string() };
            Err(invalid(field, format!("must be {low} to {high}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
