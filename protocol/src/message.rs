//! The messages of the job and status protocols.
//!
//! Each struct is a CBOR map with small integer keys: a reader ignores keys it does not know, so a
//! field can be added without a new protocol version. Text that people wrote or read is [`Private`]:
//! it cannot reach a log through `Debug`.

use std::fmt;

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::{
    id::{JobId, ModelId},
    limits,
};

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

/// Who a message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Instructions from whoever runs the conversation.
    #[n(0)]
    System,
    /// The person.
    #[n(1)]
    User,
    /// The model.
    #[n(2)]
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChatMessage {
    /// Who it is from.
    #[n(0)]
    pub role: Role,
    /// What it says.
    #[n(1)]
    pub content: Private,
}

/// How the next token is chosen. `None` leaves a value to the node's default.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Sampling {
    /// 0 (greedy) to 2.
    #[n(0)]
    pub temperature: Option<f32>,
    /// Nucleus: the smallest set of tokens with this much probability, above 0 to 1.
    #[n(1)]
    pub top_p: Option<f32>,
    /// The k most likely tokens only; 0 means all.
    #[n(2)]
    pub top_k: Option<u32>,
    /// Tokens at least this likely relative to the likeliest, 0 to 1.
    #[n(3)]
    pub min_p: Option<f32>,
    /// Divides the logits of tokens seen; 1 means off.
    #[n(4)]
    pub repetition_penalty: Option<f32>,
    /// Makes the answer repeatable.
    #[n(5)]
    pub seed: Option<u64>,
}

/// The first frame on a job stream, from the gateway.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct JobRequest {
    /// The same over all attempts at this job.
    #[n(0)]
    pub job: JobId,
    /// Counts from 1; events of an older attempt are void.
    #[n(1)]
    pub attempt: u32,
    /// The model, by content.
    #[n(2)]
    pub model: ModelId,
    /// The conversation, oldest first.
    #[n(3)]
    pub messages: Vec<ChatMessage>,
    /// How tokens are chosen.
    #[n(4)]
    pub sampling: Sampling,
    /// Most tokens in the answer; `None` is as many as the context holds.
    #[n(5)]
    pub max_tokens: Option<u32>,
    /// The answer ends before any of these.
    #[n(6)]
    pub stop: Vec<Private>,
    /// Token ids of this answer that an earlier attempt has given already.
    #[n(7)]
    pub continue_from: Vec<u32>,
}

/// A frame from the node: `Accepted` or `Refused` first, then pieces, then `Done` or `Failed`.
///
/// A stream that ends without `Done`, `Refused` or `Failed` is a failure.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum JobEvent {
    /// The job has a slot.
    #[n(0)]
    Accepted,
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
}

/// Some tokens of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
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
}

/// A frame on a status stream: all of a node's present state.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Status {
    /// What the owner calls the node.
    #[n(0)]
    pub name: String,
    /// The program's version.
    #[n(1)]
    pub version: String,
    /// What computes, in words.
    #[n(2)]
    pub device: String,
    /// The models that are loaded.
    #[n(3)]
    pub offers: Vec<Offer>,
    /// Takes no more jobs.
    #[n(4)]
    pub stopping: bool,
}

/// A model that a node serves, and how busy it is.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Offer {
    /// The model, by content.
    #[n(0)]
    pub model: ModelId,
    /// What people call it.
    #[n(1)]
    pub name: String,
    /// Tokens one slot holds.
    #[n(2)]
    pub context_tokens: u32,
    /// Jobs it runs at once.
    #[n(3)]
    pub slots: u32,
    /// Of these, free now.
    #[n(4)]
    pub slots_free: u32,
    /// Measured, all slots together; 0 until known.
    #[n(5)]
    pub decode_tokens_per_second: f32,
    /// Measured; 0 until known.
    #[n(6)]
    pub prefill_tokens_per_second: f32,
    /// The tiny model that is only there to show that all works.
    #[n(7)]
    pub demo: bool,
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

impl JobRequest {
    /// Checks what the frame's length does not bound.
    ///
    /// # Errors
    /// Names the first field beyond its limit.
    pub fn validate(&self) -> Result<(), Invalid> {
        at_most("messages", self.messages.len(), limits::MAX_MESSAGES)?;
        if self.messages.is_empty() {
            return Err(invalid("messages", "must not be empty"));
        }
        let bytes = self.messages.iter().map(|message| message.content.0.len()).sum();
        at_most("messages", bytes, limits::MAX_PROMPT_BYTES)?;
        at_most("continue_from", self.continue_from.len(), limits::MAX_CONTINUE_TOKENS)?;
        at_most("stop", self.stop.len(), limits::MAX_STOPS)?;
        for stop in &self.stop {
            at_most("stop", stop.0.len(), limits::MAX_STOP_BYTES)?;
        }
        let most = limits::MAX_ANSWER_TOKENS;
        match self.max_tokens {
            Some(tokens) if !(1..=most).contains(&tokens) => Err(invalid("max_tokens", format!("must be 1 to {most}"))),
            _ => self.sampling.validate(),
        }
    }
}

impl Sampling {
    /// Checks each value against its range.
    ///
    /// # Errors
    /// Names the first field out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        within("temperature", self.temperature, 0.0, 2.0)?;
        within("top_p", self.top_p, f32::MIN_POSITIVE, 1.0)?;
        within("min_p", self.min_p, 0.0, 1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.1, 10.0)
    }
}

impl Status {
    /// Checks what the frame's length does not bound.
    ///
    /// # Errors
    /// Names the first field beyond its limit.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (field, text) in [("name", &self.name), ("version", &self.version), ("device", &self.device)] {
            at_most(field, text.len(), limits::MAX_LABEL_BYTES)?;
        }
        at_most("offers", self.offers.len(), limits::MAX_OFFERS)?;
        self.offers.iter().try_for_each(Offer::validate)
    }
}

impl Offer {
    fn validate(&self) -> Result<(), Invalid> {
        at_most("offers.name", self.name.len(), limits::MAX_MODEL_NAME_BYTES)?;
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err(invalid("offers.name", "must be printable text"));
        }
        at_most("offers.slots", self.slots as usize, limits::MAX_SLOTS as usize)?;
        at_most("offers.slots_free", self.slots_free as usize, self.slots as usize)?;
        for speed in [self.decode_tokens_per_second, self.prefill_tokens_per_second] {
            within("offers.tokens_per_second", Some(speed), 0.0, f32::MAX)?;
        }
        Ok(())
    }
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
mod tests {
    use super::*;

    fn request() -> JobRequest {
        JobRequest {
            job: JobId::generate(),
            attempt: 1,
            model: ModelId::new([7; 32]),
            messages: vec![ChatMessage { role: Role::User, content: "hello".to_owned().into() }],
            sampling: Sampling::default(),
            max_tokens: None,
            stop: vec![],
            continue_from: vec![],
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut JobRequest), field: Option<&str>) {
        let mut request = request();
        change(&mut request);
        assert_eq!(request.validate().err().map(|invalid| invalid.field), field);
    }

    #[test]
    fn requests_are_bounded() {
        check(|_| {}, None);
        check(|r| r.messages.clear(), Some("messages"));
        check(|r| r.messages = vec![r.messages[0].clone(); limits::MAX_MESSAGES], None);
        check(|r| r.messages = vec![r.messages[0].clone(); limits::MAX_MESSAGES + 1], Some("messages"));
        check(|r| r.messages[0].content.0 = "x".repeat(limits::MAX_PROMPT_BYTES + 1), Some("messages"));
        check(|r| r.continue_from = vec![0; limits::MAX_CONTINUE_TOKENS + 1], Some("continue_from"));
        check(|r| r.stop = vec![Private::default(); limits::MAX_STOPS + 1], Some("stop"));
        check(|r| r.stop = vec!["x".repeat(limits::MAX_STOP_BYTES + 1).into()], Some("stop"));
        check(|r| r.max_tokens = Some(0), Some("max_tokens"));
        check(|r| r.sampling.temperature = Some(f32::NAN), Some("temperature"));
        check(|r| r.sampling.top_p = Some(0.0), Some("top_p"));
        check(|r| r.sampling.min_p = Some(-0.1), Some("min_p"));
        check(|r| r.sampling.repetition_penalty = Some(f32::INFINITY), Some("repetition_penalty"));
    }

    #[test]
    fn a_status_claims_no_more_than_it_may() {
        let offer = Offer {
            model: ModelId::new([1; 32]),
            name: "m".into(),
            context_tokens: 1024,
            slots: 2,
            slots_free: 2,
            decode_tokens_per_second: 1.0,
            prefill_tokens_per_second: 1.0,
            demo: false,
        };
        let status = |offer: Offer| Status { offers: vec![offer], ..Status::default() };
        assert_eq!(status(offer.clone()).validate(), Ok(()));
        for bad in [
            Offer { slots_free: 3, ..offer.clone() },
            Offer { slots: limits::MAX_SLOTS + 1, ..offer.clone() },
            Offer { name: "x".repeat(limits::MAX_MODEL_NAME_BYTES + 1), ..offer.clone() },
            Offer { name: "line\nbreak".into(), ..offer.clone() },
            Offer { decode_tokens_per_second: f32::NAN, ..offer.clone() },
        ] {
            assert!(status(bad.clone()).validate().is_err(), "{bad:?}");
        }
        let many = Status { offers: vec![offer; limits::MAX_OFFERS + 1], ..Status::default() };
        assert!(many.validate().is_err());
    }

    #[test]
    fn a_reader_ignores_fields_it_does_not_know() {
        #[derive(Encode)]
        #[cbor(map)]
        struct Later {
            #[n(0)]
            seq: u64,
            #[n(1)]
            tokens: Vec<u32>,
            #[n(2)]
            text: String,
            #[n(9)]
            news: Vec<String>,
        }
        let later = Later { seq: 3, tokens: vec![1], text: "a".into(), news: vec!["b".into()] };
        let piece: Piece = minicbor::decode(&minicbor::to_vec(later).unwrap()).unwrap();
        assert_eq!(piece, Piece { seq: 3, tokens: vec![1], text: Private("a".into()) });
    }

    #[test]
    fn what_people_say_stays_out_of_debug_output() {
        let mut request = request();
        request.messages[0].content.0 = "a marked secret".into();
        request.stop = vec!["a marked stop".to_owned().into()];
        assert!(!format!("{request:?}").contains("marked"));
    }
}
