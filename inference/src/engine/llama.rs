//! llama.cpp on a GPU or the CPU: any chat model in a GGUF file.
//!
//! Sequences have KV streams of their own, so that no slot's neighbours change its answer. Rows of running answers and
//! chunks of prompts share each batch. Native code aborts on what it does not like; whatever can be known before is
//! checked before (`model`).

use std::path::Path;

use llama_cpp_2::DecodeError;
use llama_cpp_2::llama_batch::LlamaBatch;

use super::turns::{Reading, Turn};
use super::vocabulary::{self, native};
use crate::engine::{
    Admitted, Encoded, Engine, EngineError, Event, ModelInfo, Pace, Plan, Progress, Sequence, SlotId, Stepped,
};
use crate::model::{Hashes, ModelFile};
use crate::prompt::Prompt;
use crate::sample::Sampler;
use crate::{Invalid, Kind, OpenError, Progress as Opening, Request, TokenLogprob};

use backend::BACKEND;
use cache::Cache;
use device::DeviceChoice;
use load::{Loaded, Placed};

pub use embed::LlamaEmbedder;
pub use fits::fits;

pub(super) mod backend;
mod cache;
pub mod device;
mod embed;
mod fits;
pub(super) mod load;
mod processor;

/// Choices that a user makes; `None` is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Tokens of prompt and answer together that each slot holds.
    pub context_tokens: Option<u32>,
    /// Answers at once.
    pub slots: Option<u32>,
    /// Threads to compute on.
    pub threads: Option<u32>,
    /// Bytes of the machine's memory for conversations that have no slot; 0 for none.
    pub saved_bytes: Option<u64>,
    /// What to compute on.
    pub device: DeviceChoice,
}

/// Tokens in one batch at most: a chunk of prompt and a row for every slot.
pub(crate) const BATCH_TOKENS: u32 = 512;
/// Longest gap between two slots that is bridged: on two cores with a model of 0.6 B a row costs 9 ms, and another run
/// through the weights 31 ms. On a graphics card rows cost next to nothing.
const MOST_BRIDGED: usize = 3;
/// llama.cpp's own limit on sequences, below the batch so that every slot has its row.
const MAX_SLOTS: u32 = 256;

/// The engine.
pub struct Llama {
    loaded: Loaded,
    info: ModelInfo,
    prompt: Prompt,
    batch: LlamaBatch<'static>,
    slots: Vec<Option<Slot>>,
    cache: Cache,
    turn: Turn,
    /// How many sequences ever came.
    admitted: u64,
    /// Reused from step to step.
    rows: Vec<Row>,
    reading: Vec<Reading>,
    shares: Vec<(SlotId, usize)>,
    /// Slots that compute a token for nothing in this step; see [`Llama::bridge`].
    bridged: Vec<SlotId>,
}

/// A sequence's choices; its tokens are in the [`Cache`].
struct Slot {
    /// Its number among all that ever came.
    number: u64,
    /// Tokens of the answer so far.
    answered: usize,
    sampler: Sampler,
}

/// A row of the batch whose logits are wanted.
struct Row {
    slot: SlotId,
    index: i32,
}

impl Llama {
    /// Checks and loads the model at `path`; seconds for large files. `hashes` spares the time to hash it again.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, options: Options, hashes: Option<&Hashes>, progress: &Opening) -> Result<Self, OpenError> {
        let file = ModelFile::open(path)?;
        let Placed { device, shape, loaded } = load::place(&file, options, progress)?;
        let prompt = load::prompt(&file, loaded.borrow_owner())?;
        let info = ModelInfo {
            id: file.sha256(hashes)?,
            name: file.name(),
            context_tokens: shape.context_tokens,
            slots: shape.slots,
            demo: false,
            device: device.label(shape.threads),
            warning: device.warning,
            kind: Kind::Chat,
            memory_bytes: shape.memory_bytes,
        };
        let saved_bytes = options.saved_bytes.unwrap_or_else(device::default_saved_bytes);
        Ok(Self {
            cache: Cache::new(&file, loaded.borrow_owner(), info.slots, saved_bytes),
            slots: (0..info.slots).map(|_| None).collect(),
            batch: LlamaBatch::new(BATCH_TOKENS as usize, 1),
            loaded,
            info,
            prompt,
            turn: Turn::default(),
            admitted: 0,
            rows: Vec::new(),
            reading: Vec::new(),
            shares: Vec::new(),
            bridged: Vec::new(),
        })
    }

    /// The same engine under another name.
    pub fn named(mut self, name: &str, demo: bool) -> Self {
        name.clone_into(&mut self.info.name);
        self.info.demo = demo;
        self
    }

    /// Fills the batch: a row for each running answer, and prompts as far as there is room. Says how many tokens are
    /// of prompts.
    fn fill(&mut self, plan: &Plan<'_>) -> Result<usize, EngineError> {
        self.batch.clear();
        self.rows.clear();
        self.reading.clear();
        self.shares.clear();
        for &slot in plan.slots {
            let Some(Slot { number, .. }) = self.slots[slot] else { continue };
            match self.cache.prefixes.unread(slot) {
                1 => self.shares.push((slot, 1)),
                unread => self.reading.push(Reading { slot, unread, number }),
            }
        }
        let answering = self.shares.len();
        // Beside answers there is a row for every slot, which may have to be bridged.
        let rows = if answering > 0 { self.slots.len() } else { 0 };
        let room = plan.prompt_tokens.min(BATCH_TOKENS as usize - rows).max(1);
        self.turn.share(&mut self.reading, room, &mut self.shares);
        self.shares.sort_unstable();
        self.bridged.clear();
        for index in 0..self.shares.len() {
            let (slot, tokens) = self.shares[index];
            if let Some(before) = index.checked_sub(1).filter(|_| answering > 0) {
                self.bridge(self.shares[before].0 + 1, slot)?;
            }
            self.add(slot, tokens)?;
        }
        let tokens = usize::try_from(self.batch.n_tokens()).unwrap_or_default();
        Ok(tokens.saturating_sub(answering + self.bridged.len()))
    }

    /// llama.cpp computes neighbouring slots together and reads all weights once more behind every gap. A few rows cost
    /// less than that: the slots `from` up to `to` compute a token that is thrown away behind the step.
    fn bridge(&mut self, from: SlotId, to: SlotId) -> Result<(), EngineError> {
        let room = |slot: &SlotId| self.cache.prefixes.computed(*slot) < self.info.context_tokens as usize;
        if to - from > MOST_BRIDGED || !self.cache.takes_back() || !(from..to).all(|slot| room(&slot)) {
            return Ok(());
        }
        for slot in from..to {
            let position = small(self.cache.prefixes.computed(slot));
            let added = self.batch.add(native(0), position, &[small(slot)], false);
            added.map_err(|_| broken("the batch is too small"))?;
            self.bridged.push(slot);
        }
        Ok(())
    }

    /// Adds a sequence's next tokens to the batch. Logits are wanted behind its last one only.
    fn add(&mut self, slot: SlotId, tokens: usize) -> Result<(), EngineError> {
        let (sequence, from) = (self.cache.prefixes.tokens(slot), self.cache.prefixes.computed(slot));
        for (position, &token) in sequence.iter().enumerate().skip(from).take(tokens) {
            let last = position + 1 == sequence.len();
            if last {
                self.rows.push(Row { slot, index: self.batch.n_tokens() });
            }
            let added = self.batch.add(native(token), small(position), &[small(slot)], last);
            added.map_err(|_| broken("the batch is too small"))?;
        }
        Ok(())
    }

    /// Computes the batch. What cannot be computed leaves nothing in its slots that anybody could trust.
    fn compute(&mut self) -> Result<(), EngineError> {
        let batch = &mut self.batch;
        let computed = self.loaded.with_dependent_mut(|_, context| context.decode(batch));
        for slot in self.bridged.drain(..) {
            self.loaded.with_dependent_mut(|_, context| self.cache.take_back(context, slot));
        }
        for &(slot, tokens) in &self.shares {
            if computed.is_ok() {
                self.cache.prefixes.advance(slot, tokens);
            } else {
                self.loaded.with_dependent_mut(|_, context| self.cache.forget(context, slot));
            }
        }
        computed.map_err(undone)
    }

    fn choose(&mut self, row: &Row) -> Event {
        let Some(slot) = &mut self.slots[row.slot] else { return Event::End };
        let logits = self.loaded.borrow_dependent().get_logits_ith(row.index);
        match slot.sampler.choose(logits, self.cache.prefixes.tokens(row.slot), slot.answered) {
            Ok(token) if self.loaded.borrow_owner().vocab().is_eog(native(token)) => Event::End,
            Ok(token) => {
                self.cache.prefixes.push(row.slot, token);
                slot.answered += 1;
                Event::Token(token)
            }
            Err(failure) => {
                self.loaded.with_dependent_mut(|_, context| self.cache.forget(context, row.slot));
                Event::Failed(failure)
            }
        }
    }
}

impl Engine for Llama {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn vocabulary(&self) -> u32 {
        u32::try_from(self.loaded.borrow_owner().n_vocab()).unwrap_or_default()
    }

    fn end_tokens(&self) -> Vec<u32> {
        let vocab = self.loaded.borrow_owner().vocab();
        (0..self.vocabulary()).filter(|&token| vocab.is_eog(native(token))).collect()
    }

    fn encode(&self, request: &Request) -> Result<Encoded, Invalid> {
        vocabulary::encode(self.loaded.borrow_owner(), &self.prompt, request)
    }

    fn token_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        self.loaded.borrow_owner().vocab().token_to_piece_into(native(token), bytes, false, None);
    }

    fn admit(&mut self, sequence: Sequence) -> Result<Admitted, EngineError> {
        let cache = &mut self.cache;
        let admitted = self.loaded.with_dependent_mut(|_, context| cache.admit(context, &sequence));
        let admitted = admitted.ok_or_else(|| broken("more was admitted than there are slots"))?;
        let Sequence { answered, sampling, matcher, .. } = sequence;
        self.admitted += 1;
        let slot = Slot { number: self.admitted, answered, sampler: Sampler::new(sampling, matcher) };
        self.slots[admitted.slot] = Some(slot);
        Ok(admitted)
    }

    fn release(&mut self, slot: SlotId) {
        self.slots[slot] = None;
        self.cache.prefixes.end(slot);
    }

    fn take_logprob(&mut self, slot: SlotId) -> Option<TokenLogprob> {
        self.slots.get_mut(slot)?.as_mut()?.sampler.take_logprob()
    }

    fn step(&mut self, plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Stepped, EngineError> {
        let prompt_tokens = self.fill(plan)?;
        if self.batch.n_tokens() > 0 {
            self.compute()?;
        }
        let rows = std::mem::take(&mut self.rows);
        progress.extend(rows.iter().map(|row| Progress { slot: row.slot, event: self.choose(row) }));
        self.rows = rows;
        Ok(Stepped { pace: Pace::Ready, prompt_tokens })
    }

    fn held(&self, prefixes: &mut Vec<u64>) {
        self.cache.prefixes.labels(prefixes);
    }
}

/// Why a batch was not computed.
fn undone(error: DecodeError) -> EngineError {
    match error {
        // No place in the KV cache, or (-2) no memory for the computation.
        DecodeError::NoKvCacheSlot | DecodeError::Unknown(-2) => EngineError::OutOfMemory,
        error => broken(&error.to_string()),
    }
}

fn broken(what: &str) -> EngineError {
    EngineError::died(format!("llama.cpp: {what}"))
}

/// A position or a sequence as llama.cpp has it; both are bounded by the context and the slots.
fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
