//! What a node answers on a job stream.

use std::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

use super::{Private, PrivateBytes};
use crate::membership::NotMember;

/// A frame from the node: `Accepted` or `Refused` first, then pieces, then `Done` or `Failed`.
///
/// Before `Accepted` there may be any number of `Loading`, where the job is for a model that the node said it can load
/// ([`Status::loadable`](super::Status)). Who does not read that never asks for such a model, and is never told this.
/// They are no events of the attempt: they are not counted, and not said again on another stream.
///
/// A stream that ends without `Done`, `Refused` or `Failed` is a failure.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum JobEvent {
    /// The job has a slot.
    #[n(0)]
    Accepted(#[n(0)] Accepted),
    /// The job was not begun.
    #[n(1)]
    Refused(#[n(0)] Refusal),
    /// Tokens of the answer and the text they add.
    #[n(2)]
    Piece(#[n(0)] Piece),
    /// The answer is whole.
    #[n(3)]
    Done(#[n(0)] Done),
    /// The answer broke off.
    #[n(4)]
    Failed(#[n(0)] JobFailure),
    /// The vector of one text, in the order of the texts.
    #[n(5)]
    Vector(#[n(0)] Vector),
    /// The attempt goes on on this stream; what was missed follows.
    #[n(6)]
    Resumed,
    /// The model is being loaded for this job.
    #[n(7)]
    Loading(#[n(0)] Loading),
}

/// How far a load has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Loading {
    /// Of [`WHOLE_LOAD`](crate::limits::WHOLE_LOAD); what is beyond counts as all.
    #[n(0)]
    pub permille: u32,
}

/// The job has a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Accepted {
    /// How to read the answer's text.
    #[n(0)]
    pub style: Style,
}

/// What a model writes into its text besides the answer, so that a reader can tell the parts apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Style {
    /// Whether there are thoughts.
    #[n(0)]
    pub reasoning: Reasoning,
    /// Whether `<tool_call>{"name": …, "arguments": …}</tool_call>` is a call.
    #[n(1)]
    pub tool_calls: bool,
}

/// Where a model's thoughts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Reasoning {
    /// Nowhere: all text is the answer.
    #[default]
    #[n(0)]
    Never,
    /// Between `<think>` and `</think>`, where the text begins with it.
    #[n(1)]
    Marked,
    /// From the first character up to `</think>`: the prompt has opened them.
    #[n(2)]
    Open,
}

/// The vector of one text.
#[derive(Clone, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Vector {
    /// Which of the texts.
    #[n(0)]
    pub index: u32,
    /// Its numbers, of length 1 together: 32-bit floats, little end first.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub values: Vec<u8>,
}

impl Vector {
    /// The vector of text `index`.
    #[must_use]
    pub fn new(index: u32, values: &[f32]) -> Self {
        Self { index, values: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }

    /// Its numbers; `None` when they are none, not whole, or not finite.
    #[must_use]
    pub fn floats(&self) -> Option<Vec<f32>> {
        let (chunks, rest) = self.values.as_chunks::<4>();
        let floats: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        let good = rest.is_empty() && !floats.is_empty() && floats.iter().all(|value| value.is_finite());
        good.then_some(floats)
    }
}

impl fmt::Debug for Vector {
    /// A vector says what its text means.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vector({}, {} bytes)", self.index, self.values.len())
    }
}

/// Some tokens of an answer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Piece {
    /// Counts pieces of this attempt from 0 without a gap.
    #[n(0)]
    pub seq: u64,
    /// The token ids.
    #[n(1)]
    pub tokens: Vec<u32>,
    /// The text they add; may be empty while a character is incomplete.
    #[n(2)]
    pub text: Private,
    /// One for each token where they were asked for, else empty.
    #[n(3)]
    #[cbor(default)]
    pub logprobs: Vec<TokenLogprob>,
}

/// How likely a token was, before any penalty, filter or temperature.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct TokenLogprob {
    /// The token that was taken.
    #[n(0)]
    pub taken: Likely,
    /// The likeliest, the likeliest first.
    #[n(1)]
    pub top: Vec<Likely>,
}

/// A token and how likely it was.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Likely {
    /// The token id.
    #[n(0)]
    pub token: u32,
    /// Natural logarithm of its probability.
    #[n(1)]
    pub logprob: f32,
    /// Its text as far as it is one: a token may end inside a character, and then this is only part of it.
    #[n(2)]
    pub text: PrivateBytes,
}

/// The end of a whole answer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Done {
    /// Why it ended.
    #[n(0)]
    pub finish: Finish,
    /// What it cost.
    #[n(1)]
    pub usage: Usage,
    /// How long it took.
    #[n(2)]
    pub timings: Timings,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Finish {
    /// The model ended it, or a stop string was reached.
    #[n(0)]
    Stop,
    /// `max_tokens` or the context was reached.
    #[n(1)]
    Length,
}

/// Tokens read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Usage {
    /// Tokens of the prompt.
    #[n(0)]
    pub prompt_tokens: u32,
    /// Of these, not computed anew.
    #[n(1)]
    pub cached_tokens: u32,
    /// Tokens of the answer.
    #[n(2)]
    pub completion_tokens: u32,
}

/// Where a node's time went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Timings {
    /// From admission to the first token.
    #[n(0)]
    pub prefill_ms: f64,
    /// From the first token to the last.
    #[n(1)]
    pub decode_ms: f64,
}

/// Why a node did not begin a job.
#[derive(Clone, Debug, Error, PartialEq, Eq, Encode, Decode)]
pub enum Refusal {
    /// Every slot is taken.
    #[n(0)]
    #[error("every slot is taken")]
    Busy,
    /// The node does not serve this model.
    #[n(1)]
    #[error("the node does not serve this model")]
    UnknownModel,
    /// The request is wrong wherever it is sent.
    #[n(2)]
    #[error("{field}: {reason}")]
    Invalid {
        /// The field at fault.
        #[n(0)]
        field: String,
        /// What is wrong with it.
        #[n(1)]
        reason: String,
    },
    /// The prompt does not fit the model's context on this node.
    #[n(3)]
    #[error("the prompt has {tokens} tokens and the context holds {limit}")]
    PromptTooLong {
        /// Tokens of the prompt.
        #[n(0)]
        tokens: u32,
        /// What the context holds.
        #[n(1)]
        limit: u32,
    },
    /// The node is on its way out.
    #[n(4)]
    #[error("the node is stopping")]
    Stopping,
    /// There is no such attempt, or its beginning is forgotten.
    #[n(5)]
    #[error("the node does not have this attempt any more")]
    NotHere,
    /// The gateway is not a member of the node's swarm.
    #[n(6)]
    #[error("not a gateway of the node's swarm: {0}")]
    NotMember(#[n(0)] NotMember),
    /// The model could not be loaded. Only said to who asked for a model that the node said it can load.
    #[n(7)]
    #[error("the model could not be loaded: {0}")]
    NotLoaded(#[n(0)] LoadFailure),
}

/// Why a model could not be loaded.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum LoadFailure {
    /// There is too little memory for it, beside what is used.
    #[n(0)]
    #[error("too little memory")]
    Memory,
    /// Its file is missing or damaged.
    #[n(1)]
    #[error("its file is missing or damaged")]
    File,
    /// Anything else; the node's own log says what.
    #[n(2)]
    #[error("the engine does not start")]
    Other,
    /// It came no further for too long.
    #[n(3)]
    #[error("it came no further")]
    Stalled,
}

/// Why an answer broke off.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum JobFailure {
    /// Memory ran out on the node.
    #[n(0)]
    #[error("the node ran out of memory")]
    OutOfMemory,
    /// The engine died.
    #[n(1)]
    #[error("the node's engine died")]
    EngineDied,
    /// The engine gave something that is not an answer.
    #[n(2)]
    #[error("the node's engine gave garbage")]
    Garbage,
    /// The node is stopping.
    #[n(3)]
    #[error("the node is stopping")]
    Stopping,
    /// The engine did not come back from a step, and was ended.
    #[n(4)]
    #[error("the node's engine hung")]
    Hung,
}
