//! What the runner asks of an engine.
//!
//! An engine knows slots and tokens. It does not know stop strings, lengths, readers, or what a piece of text is:
//! that is the runner's. It is driven step by step on one thread, so that it needs no locks and can be cancelled
//! between any two steps.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::constrain::Matcher;
use crate::{Failure, Invalid, Request, Sampling, Style, TokenLogprob};

pub(crate) mod graph;
pub mod llama;
pub mod scripted;
pub mod tensorrt;
mod turns;
mod vocabulary;

/// Index of a slot, room for one running sequence: below [`ModelInfo::slots`].
pub type SlotId = usize;

/// What an engine serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// SHA-256 of the model file: two nodes mean the same by it.
    pub id: [u8; 32],
    /// The name as people write it.
    pub name: String,
    /// Tokens of prompt and answer together that one slot holds.
    pub context_tokens: u32,
    /// Answers that run at once.
    pub slots: u32,
    /// The tiny model that is built in: people should be told that it is one.
    pub demo: bool,
    /// What it computes on, such as `CPU`.
    pub device: String,
    /// What the owner should know, such as why a GPU is not used; empty when all is well.
    pub warning: String,
    /// What it is for.
    pub kind: Kind,
    /// Memory that weights and caches take on that device; 0 when unknown.
    pub memory_bytes: u64,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// It answers conversations.
    #[default]
    Chat,
    /// It turns texts into vectors.
    Embedding {
        /// Numbers in a vector.
        dimensions: u32,
    },
}

/// A conversation as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Up to where the assistant's answer begins.
    pub tokens: Vec<u32>,
    /// How to read what the model will write.
    pub style: Style,
}

/// A sequence for a slot.
pub struct Sequence {
    /// The prompt, and behind it what was already answered. Never empty.
    pub tokens: Vec<u32>,
    /// How many at the end of `tokens` belong to the answer: the next token is number `answered` of it.
    pub answered: usize,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// The form that the answer must have, where it must.
    pub matcher: Option<Matcher>,
    /// The request's labels for its conversation; what the slot holds is known by them as long as it is held.
    pub prefixes: Vec<u64>,
}

/// A slot that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Which one; it stays taken until [`Engine::release`].
    pub slot: SlotId,
    /// Tokens at the front of the sequence that the slot still held.
    pub cached_tokens: u32,
}

/// What one step may do.
pub struct Plan<'a> {
    /// The slots to move on, each of which is to have its turn soon, however long another's prompt is.
    pub slots: &'a [SlotId],
    /// Most prompt tokens to read in this step, all slots together, so that no step is long.
    pub prompt_tokens: usize,
    /// Whether nobody waits for any answer any more; a step that takes long may look here.
    pub abandoned: &'a dyn Fn() -> bool,
}

/// What a step did in one slot. At most one token a slot and step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The slot, one of the plan.
    pub slot: SlotId,
    /// What happened there.
    pub event: Event,
}

/// What happened in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next token of the answer.
    Token(u32),
    /// The model's end token.
    End,
    /// This sequence cannot go on; the others can.
    Failed(Failure),
}

/// When the next step makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Ready,
    /// Nothing happens in the planned slots before then.
    Until(Instant),
}

/// What a step tells beside its [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// When the next one makes sense.
    pub pace: Pace,
    /// Prompt tokens that it read, all slots together; the runner sizes the next step by them.
    pub prompt_tokens: usize,
}

/// Why a whole step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No memory for the slots of this step; they fail, the engine lives on.
    #[error("out of memory")]
    OutOfMemory,
    /// The engine cannot be used any more.
    #[error("{reason}")]
    Died {
        /// What is known, without any text of the chat.
        reason: String,
    },
}

impl EngineError {
    /// The engine cannot be used any more, because of `reason`.
    pub(crate) fn died(reason: impl Into<String>) -> Self {
        Self::Died { reason: reason.into() }
    }
}

/// Something that turns tokens into more tokens.
pub trait Engine {
    /// What it serves; does not change.
    fn info(&self) -> &ModelInfo;

    /// Number of token ids; every id is below it.
    fn vocabulary(&self) -> u32;

    /// Tokens with which the model ends an answer; none when it cannot be kept to a form.
    fn end_tokens(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Turns a request's conversation and tools into the tokens of a prompt, ready for the assistant's answer.
    ///
    /// # Errors
    /// Names `messages` when the model's template does not take this conversation, `tools` when it knows no tools.
    fn encode(&self, request: &Request) -> Result<Encoded, Invalid>;

    /// Appends the bytes of `token`, which may end inside a character. `token` is below [`Engine::vocabulary`].
    fn token_bytes(&self, token: u32, bytes: &mut Vec<u8>);

    /// Takes a free slot for a sequence. The runner never admits more than [`ModelInfo::slots`] at once.
    ///
    /// # Errors
    /// When there is no memory, or the engine is broken.
    fn admit(&mut self, sequence: Sequence) -> Result<Admitted, EngineError>;

    /// Ends the sequence of a slot, at whatever point it is.
    fn release(&mut self, slot: SlotId);

    /// Moves the planned slots on by at most one token each and appends what happened.
    ///
    /// # Errors
    /// When the step as a whole failed; `progress` then does not count.
    fn step(&mut self, plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Stepped, EngineError>;

    /// How likely the last token of a slot was, where its sequence asked for that. The bytes of the tokens are left to
    /// the runner.
    fn take_logprob(&mut self, slot: SlotId) -> Option<TokenLogprob> {
        let _ = slot;
        None
    }

    /// Appends the labels of the conversations whose tokens need not be computed again, the latest first.
    fn held(&self, prefixes: &mut Vec<u64>) {
        let _ = prefixes;
    }
}
