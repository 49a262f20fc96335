//! An engine over whatever computes a neutral graph: slots, batches, what is held, sampling and tokens are the same on
//! the CPU and on a card; only [`Compute`] differs.

use crate::engine::{
    Admitted, Encoded, Engine, EngineError, Event, ModelInfo, Pace, Plan, Progress, Sequence, SlotId, Stepped,
};
use crate::graph::hyper::Hyper;
use crate::graph::interpret::{Interpreter, Refusal};
use crate::graph::weights::{GgufWeights, graph_of};
use crate::model::{Hashes, ModelFile};
use crate::prefix::{Origin, Prefixes};
use crate::sample::Sampler;
use crate::{Invalid, Kind, OpenError, Request, TokenLogprob};

use super::llama::load;
use super::turns::{Reading, Turn};
use super::vocabulary::Vocabulary;

/// Tokens of prompts in one step at most.
pub(crate) const CHUNK_TOKENS: usize = 512;
/// What a slot holds where nobody says otherwise.
const DEFAULT_CONTEXT: u32 = 4096;
const DEFAULT_SLOTS: u32 = 4;
const LEAST_CONTEXT: u32 = 16;
/// Far more than fit anywhere.
const MAX_SLOTS: u32 = 64;

/// Tokens to append to what a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) slot: SlotId,
    /// Tokens before these, which are computed.
    pub(crate) from: usize,
    /// At least one, and no more than fit.
    pub(crate) tokens: &'a [u32],
}

/// What computes.
pub(crate) trait Compute {
    /// Appends each piece to its slot, each of which occurs once, and gives the logits behind each one's last token.
    ///
    /// # Errors
    /// When the step failed as a whole: nothing of these slots can be trusted.
    fn compute(&mut self, pieces: &[Piece<'_>], logits: &mut Vec<Vec<f32>>) -> Result<(), EngineError>;

    /// Makes slot `to` hold what `from` holds.
    ///
    /// # Errors
    /// When that is not possible.
    fn copy(&mut self, from: SlotId, to: SlotId) -> Result<(), EngineError>;
}

/// The reference: plainly, on the CPU.
impl Compute for Interpreter {
    fn compute(&mut self, pieces: &[Piece<'_>], logits: &mut Vec<Vec<f32>>) -> Result<(), EngineError> {
        for piece in pieces {
            let computed = self.run(piece.slot, piece.from, piece.tokens);
            logits.push(computed.map_err(|refusal: Refusal| EngineError::died(refusal.to_string()))?);
        }
        Ok(())
    }

    fn copy(&mut self, from: SlotId, to: SlotId) -> Result<(), EngineError> {
        Interpreter::copy(self, from, to);
        Ok(())
    }
}

/// How many and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) context_tokens: u32,
    pub(crate) slots: u32,
}

impl Room {
    /// What was asked for, where it fits the model.
    ///
    /// # Errors
    /// Names the option that does not.
    pub(crate) fn choose(hyper: &Hyper, context: Option<u32>, slots: Option<u32>) -> Result<Self, OpenError> {
        let trained = u32::try_from(hyper.context_tokens).unwrap_or(u32::MAX).max(LEAST_CONTEXT);
        let context_tokens = context.unwrap_or(DEFAULT_CONTEXT.min(trained));
        load::within("context", context_tokens, LEAST_CONTEXT, trained)?;
        let slots = slots.unwrap_or(DEFAULT_SLOTS);
        load::within("slots", slots, 1, MAX_SLOTS)?;
        Ok(Self { context_tokens, slots })
    }
}

/// The shape of a model that there is a description of.
///
/// # Errors
/// [`OpenError::Unsupported`] says what is not described.
pub(crate) fn hyper_of(file: &ModelFile) -> Result<Hyper, OpenError> {
    Hyper::of(&file.header)
        .map_err(|problem| OpenError::Unsupported { path: file.path.clone(), reason: problem.to_string() })
}

/// The engine.
pub(crate) struct GraphEngine<C> {
    compute: C,
    vocabulary: Vocabulary,
    info: ModelInfo,
    slots: Vec<Option<Slot>>,
    held: Prefixes<()>,
    turn: Turn,
    /// How many sequences ever came.
    admitted: u64,
}

/// A sequence's choices; its tokens are with what is held.
struct Slot {
    /// Its number among all that ever came.
    number: u64,
    /// Tokens of the answer so far.
    answered: usize,
    sampler: Sampler,
}

impl GraphEngine<Interpreter> {
    /// Opens a model for the interpreter: all its weights as 32-bit floats, and slow.
    ///
    /// # Errors
    /// When the file is not good, not described, or its options do not fit it.
    pub(crate) fn on_cpu(
        path: &std::path::Path,
        (context_tokens, slots): (Option<u32>, Option<u32>),
        hashes: Option<&Hashes>,
    ) -> Result<Self, OpenError> {
        let file = ModelFile::open(path)?;
        let hyper = hyper_of(&file)?;
        let room = Room::choose(&hyper, context_tokens, slots)?;
        let unsupported = |reason: String| OpenError::Unsupported { path: path.to_owned(), reason };
        let mut weights = GgufWeights::open(&file).map_err(|error| unsupported(error.to_string()))?;
        let graph = graph_of(&hyper, &weights).map_err(|error| unsupported(error.to_string()))?;
        let interpreter = Interpreter::new(graph, &mut weights, room.slots as usize, room.context_tokens as usize)
            .map_err(|error| unsupported(error.to_string()))?;
        Self::new(interpreter, &file, room, ("CPU, plainly".to_owned(), 0), hashes)
    }
}

impl<C: Compute> GraphEngine<C> {
    /// Over `compute`, which has room for what `room` says. `device` is what it computes on and the bytes it takes there.
    ///
    /// # Errors
    /// When the file's tokenizer is not known, or it cannot be hashed.
    pub(crate) fn new(
        compute: C,
        file: &ModelFile,
        room: Room,
        (device, memory_bytes): (String, u64),
        hashes: Option<&Hashes>,
    ) -> Result<Self, OpenError> {
        let info = ModelInfo {
            id: file.sha256(hashes)?,
            name: file.name(),
            context_tokens: room.context_tokens,
            slots: room.slots,
            demo: false,
            device,
            warning: String::new(),
            kind: Kind::Chat,
            memory_bytes,
        };
        Ok(Self {
            compute,
            vocabulary: Vocabulary::open(file)?,
            slots: (0..room.slots).map(|_| None).collect(),
            // Nothing is kept outside the slots: a card's memory is for weights and running answers.
            held: Prefixes::new(room.slots as usize, 0),
            info,
            turn: Turn::default(),
            admitted: 0,
        })
    }

    /// What computes.
    pub(crate) fn compute(&self) -> &C {
        &self.compute
    }

    /// How many tokens each slot moves on, and how many of them are of prompts.
    fn shares(&mut self, plan: &Plan<'_>) -> (Vec<(SlotId, usize)>, usize) {
        let (mut shares, mut reading) = (Vec::new(), Vec::new());
        for &slot in plan.slots {
            let Some(Slot { number, .. }) = self.slots[slot] else { continue };
            match self.held.unread(slot) {
                1 => shares.push((slot, 1)),
                unread => reading.push(Reading { slot, unread, number }),
            }
        }
        let answering = shares.len();
        self.turn.share(&mut reading, plan.prompt_tokens.clamp(1, CHUNK_TOKENS), &mut shares);
        let read = shares[answering..].iter().map(|share| share.1).sum();
        (shares, read)
    }

    fn choose(&mut self, slot: SlotId, logits: &[f32]) -> Event {
        let Some(running) = &mut self.slots[slot] else { return Event::End };
        match running.sampler.choose(logits, self.held.tokens(slot), running.answered) {
            Ok(token) if self.vocabulary.is_end(token) => Event::End,
            Ok(token) => {
                self.held.push(slot, token);
                running.answered += 1;
                Event::Token(token)
            }
            Err(failure) => {
                self.held.forget(slot);
                Event::Failed(failure)
            }
        }
    }
}

impl<C: Compute> Engine for GraphEngine<C> {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn vocabulary(&self) -> u32 {
        self.vocabulary.count()
    }

    fn end_tokens(&self) -> Vec<u32> {
        self.vocabulary.end_tokens()
    }

    fn encode(&self, request: &Request) -> Result<Encoded, Invalid> {
        self.vocabulary.encode(request)
    }

    fn token_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        self.vocabulary.bytes(token, bytes);
    }

    fn admit(&mut self, sequence: Sequence) -> Result<Admitted, EngineError> {
        let plan = self.held.plan(&sequence.tokens);
        let plan = plan.ok_or_else(|| EngineError::died("more was admitted than there are slots"))?;
        let mut keep = plan.keep;
        if let Origin::Slot(other, _) = plan.origin
            && self.compute.copy(other, plan.slot).is_err()
        {
            keep = 0;
        }
        self.held.begin(plan.slot, &sequence, keep);
        self.admitted += 1;
        let Sequence { answered, sampling, matcher, .. } = sequence;
        let sampler = Sampler::new(sampling, matcher);
        self.slots[plan.slot] = Some(Slot { number: self.admitted, answered, sampler });
        Ok(Admitted { slot: plan.slot, cached_tokens: u32::try_from(keep).unwrap_or(u32::MAX) })
    }

    fn release(&mut self, slot: SlotId) {
        self.slots[slot] = None;
        self.held.end(slot);
    }

    fn step(&mut self, plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Stepped, EngineError> {
        let (shares, prompt_tokens) = self.shares(plan);
        let held = &self.held;
        let piece = |&(slot, tokens): &(SlotId, usize)| {
            let from = held.computed(slot);
            Piece { slot, from, tokens: &held.tokens(slot)[from..from + tokens] }
        };
        let pieces: Vec<Piece<'_>> = shares.iter().map(piece).collect();
        let mut logits = Vec::with_capacity(pieces.len());
        if let Err(error) = self.compute.compute(&pieces, &mut logits) {
            shares.iter().for_each(|(slot, _)| self.held.forget(*slot));
            return Err(error);
        }
        for ((slot, tokens), logits) in shares.into_iter().zip(logits) {
            self.held.advance(slot, tokens);
            if self.held.unread(slot) == 0 {
                progress.push(Progress { slot, event: self.choose(slot, &logits) });
            }
        }
        Ok(Stepped { pace: Pace::Ready, prompt_tokens })
    }

    fn take_logprob(&mut self, slot: SlotId) -> Option<TokenLogprob> {
        self.slots.get_mut(slot)?.as_mut()?.sampler.take_logprob()
    }

    fn held(&self, prefixes: &mut Vec<u64>) {
        self.held.labels(prefixes);
    }
}
