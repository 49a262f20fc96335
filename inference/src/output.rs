//! What comes back: pieces of an answer, and exactly one end.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One event of an answer: `Started`, any number of `Piece`s, then one of `Done` and `Failed`. For texts to embed:
/// `Started`, a `Vector` for each text in order, then one of `Done` and `Failed`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// The prompt is accepted and has its slot.
    Started {
        /// Tokens of the prompt, without those of `continue_from`.
        prompt_tokens: u32,
        /// Tokens that need not be computed again.
        cached_tokens: u32,
        /// How to read the text.
        style: Style,
    },
    /// The next tokens and exactly their text: whoever holds the pieces so far can continue the answer elsewhere.
    /// Only the last piece before `Done` may have less text than its tokens, when a stop string cut it.
    Piece {
        /// Token ids in the model's vocabulary.
        tokens: Vec<u32>,
        /// Whole characters, always.
        text: String,
        /// One for each token where they were asked for, else empty.
        logprobs: Vec<TokenLogprob>,
    },
    /// The vector of one text.
    Vector {
        /// Which of the texts.
        index: u32,
        /// Of length 1, [`crate::Kind::Embedding`]'s number of them.
        values: Vec<f32>,
    },
    /// The answer is complete.
    Done {
        /// Why it ended.
        finish: Finish,
        /// What it took.
        usage: Usage,
        /// How long it took.
        timings: Timings,
    },
    /// The answer broke off; the pieces so far are good.
    Failed(Failure),
}

/// What a model writes into its text besides the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    /// Where its thoughts are.
    pub reasoning: Reasoning,
    /// Whether `<tool_call>{"name": …, "arguments": …}</tool_call>` is a call: the request has tools, and the model's
    /// template writes calls so.
    pub tool_calls: bool,
}

/// Where a model's thoughts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reasoning {
    /// Nowhere: all text is the answer.
    #[default]
    Never,
    /// Between `<think>` and `</think>`, where the text begins with it.
    Marked,
    /// From the first character up to `</think>`: the prompt has opened them.
    Open,
}

/// How likely a token was, before any penalty, filter or temperature.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token that was taken.
    pub taken: Likely,
    /// The likeliest, the likeliest first.
    pub top: Vec<Likely>,
}

/// A token and how likely it was.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Likely {
    /// The token id.
    pub token: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// Its bytes, which may end inside a character.
    pub bytes: Vec<u8>,
}

/// Why a complete answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finish {
    /// The model's end token or a stop string.
    Stop,
    /// `max_tokens`, or the context is full.
    Length,
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, without those of `continue_from`.
    pub prompt_tokens: u32,
    /// How many tokens were not computed again.
    pub cached_tokens: u32,
    /// Tokens of the whole answer: those of `continue_from` and those that were given now, without the end token.
    pub completion_tokens: u32,
}

/// Wall time of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From admission to the first token, in milliseconds.
    pub prefill_ms: f64,
    /// From the first token to the end, in milliseconds.
    pub decode_ms: f64,
}

/// Why an answer broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Failure {
    /// The device has no memory left for this batch; the engine lives on.
    #[error("the engine ran out of memory")]
    OutOfMemory,
    /// The engine is gone, and every other answer with it.
    #[error("the engine died: {reason}")]
    EngineDied {
        /// What is known, without any text of the chat.
        reason: String,
    },
    /// The engine did not come back from a step and was ended, and every other answer with it.
    #[error("the engine hung")]
    Hung,
    /// The engine computed something that cannot be a token.
    #[error("the engine gave garbage: {what}")]
    Garbage {
        /// What was wrong, without any text of the chat.
        what: Cow<'static, str>,
    },
}

impl Output {
    /// Whether nothing comes after this one.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed(_))
    }
}

impl fmt::Debug for Output {
    /// Shows sizes only: token ids are text to whoever has the model.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { prompt_tokens, cached_tokens, style } => {
                write!(f, "Started({prompt_tokens} tokens, {cached_tokens} cached, {style:?})")
            }
            Self::Vector { index, values } => write!(f, "Vector({index}, {} numbers)", values.len()),
            Self::Piece { tokens, text, .. } => write!(f, "Piece({} tokens, {} bytes)", tokens.len(), text.len()),
            Self::Done { finish, usage, timings } => write!(f, "Done({finish:?}, {usage:?}, {timings:?})"),
            Self::Failed(failure) => write!(f, "Failed({failure:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_text() {
        let piece = Output::Piece { tokens: vec![4711], text: "secret".into(), logprobs: vec![] };
        assert_eq!(format!("{piece:?}"), "Piece(1 tokens, 6 bytes)");
    }
}
