//! What comes back: pieces of an answer, and exactly one end.

use std::fmt;

/// One event of an answer: `Started`, any number of `Piece`s, then one of `Done` and `Failed`.
#[derive(Clone, PartialEq)]
pub enum Output {
    /// The prompt is accepted and has its slot.
    Started {
        /// Tokens of the prompt, without those of `continue_from`.
        prompt_tokens: u32,
        /// Tokens that need not be computed again.
        cached_tokens: u32,
    },
    /// The next tokens and exactly their text: whoever holds the pieces so far can continue the answer elsewhere.
    /// Only the last piece before `Done` may have less text than its tokens, when a stop string cut it.
    Piece {
        /// Token ids in the model's vocabulary.
        tokens: Vec<u32>,
        /// Whole characters, always.
        text: String,
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

/// Why a complete answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model's end token or a stop string.
    Stop,
    /// `max_tokens`, or the context is full.
    Length,
}

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, without those of `continue_from`.
    pub prompt_tokens: u32,
    /// How many tokens were not computed again.
    pub cached_tokens: u32,
    /// Tokens of the whole answer: those of `continue_from` and those that were given now, without the end token.
    pub completion_tokens: u32,
}

/// Wall time of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// From admission to the first token, in milliseconds.
    pub prefill_ms: f64,
    /// From the first token to the end, in milliseconds.
    pub decode_ms: f64,
}

/// Why an answer broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The engine computed something that cannot be a token.
    #[error("the engine gave garbage: {what}")]
    Garbage {
        /// What was wrong, without any text of the chat.
        what: &'static str,
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
            Self::Started { prompt_tokens, cached_tokens } => {
                write!(f, "Started({prompt_tokens} tokens, {cached_tokens} cached)")
            }
            Self::Piece { tokens, text } => write!(f, "Piece({} tokens, {} bytes)", tokens.len(), text.len()),
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
        let piece = Output::Piece { tokens: vec![4711], text: "secret".into() };
        assert_eq!(format!("{piece:?}"), "Piece(1 tokens, 6 bytes)");
    }
}
