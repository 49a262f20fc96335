//! llama.cpp on the CPU: any chat model in a GGUF file.
//!
//! Sequences have KV streams of their own, so that no slot's neighbours change its answer. Rows of running answers and
//! chunks of prompts share each batch. Native code aborts on what it does not like; whatever can be known before is
//! checked before (`model`).

use std::path::Path;
use std::sync::LazyLock;

use llama_cpp_2::DecodeError;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;

use crate::engine::{Admitted, Encoded, Engine, EngineError, Event, ModelInfo, Pace, Plan, Progress, Sequence, SlotId};
use crate::model::{Hashes, ModelFile};
use crate::prompt::{Prompt, Rendered};
use crate::sample::Sampler;
use crate::{Invalid, Kind, OpenError, Request, TokenLogprob};

use device::Device;
use load::Loaded;

pub use embed::LlamaEmbedder;
pub use fits::fits;

mod device;
mod embed;
mod fits;
mod load;

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
}

/// Tokens in one batch at most: a chunk of prompt and a row for every slot.
const BATCH_TOKENS: u32 = 512;
/// llama.cpp's own limit on sequences, below the batch so that every slot has its row.
const MAX_SLOTS: u32 = 256;

/// llama.cpp is initialised once a process and never taken down; it is global in C too. `None`: it failed.
static BACKEND: LazyLock<Option<LlamaBackend>> = LazyLock::new(|| {
    let mut backend = LlamaBackend::init().ok()?;
    // It would write to stderr, also what it thinks of a file; errors are told by ours.
    backend.void_logs();
    Some(backend)
});

/// The engine.
pub struct Llama {
    loaded: Loaded,
    info: ModelInfo,
    prompt: Prompt,
    batch: LlamaBatch<'static>,
    slots: Vec<Option<Slot>>,
}

/// A sequence and how much of it is in the KV cache.
struct Slot {
    tokens: Vec<u32>,
    cached: usize,
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
    pub fn open(path: &Path, options: Options, hashes: Option<&Hashes>) -> Result<Self, OpenError> {
        let file = ModelFile::open(path)?;
        let device = Device::choose();
        let shape = load::Shape::choose(&file, options, &device)?;
        let loaded = load::load(&file, &shape)?;
        let prompt = load::prompt(&file, loaded.borrow_owner())?;
        let info = ModelInfo {
            id: file.sha256(hashes)?,
            name: file.name(),
            context_tokens: shape.context_tokens,
            slots: shape.slots,
            demo: false,
            device: device.label,
            warning: device.warning,
            kind: Kind::Chat,
            memory_bytes: shape.memory_bytes,
        };
        let slots = (0..info.slots).map(|_| None).collect();
        Ok(Self { loaded, info, prompt, batch: LlamaBatch::new(BATCH_TOKENS as usize, 1), slots })
    }

    /// The same engine under another name.
    pub fn named(mut self, name: &str, demo: bool) -> Self {
        name.clone_into(&mut self.info.name);
        self.info.demo = demo;
        self
    }

    /// Fills the batch: first a row for each running answer, then prompts as far as there is room.
    fn fill(&mut self, plan: &Plan<'_>) -> Result<Vec<Row>, EngineError> {
        self.batch.clear();
        let mut rows = Vec::new();
        let (answering, reading): (Vec<SlotId>, Vec<SlotId>) =
            plan.slots.iter().partition(|&&slot| self.slots[slot].as_ref().is_some_and(|slot| slot.unread() == 1));
        let mut room = plan.prompt_tokens.min(BATCH_TOKENS as usize - answering.len()).max(1);
        for slot in answering {
            rows.extend(self.add(slot, 1)?);
        }
        for slot in reading {
            let before = self.batch.n_tokens();
            rows.extend(self.add(slot, room)?);
            room = room.saturating_sub(usize::try_from(self.batch.n_tokens() - before).unwrap_or(usize::MAX));
        }
        Ok(rows)
    }

    /// Adds up to `room` of a sequence's next tokens. Logits are wanted behind its last one only.
    fn add(&mut self, id: SlotId, room: usize) -> Result<Option<Row>, EngineError> {
        let Some(slot) = &mut self.slots[id] else { return Ok(None) };
        let end = slot.tokens.len().min(slot.cached + room);
        let mut row = None;
        for position in slot.cached..end {
            let last = position + 1 == slot.tokens.len();
            row = last.then(|| Row { slot: id, index: self.batch.n_tokens() });
            let (token, position, sequence) = (native(slot.tokens[position]), small(position), [small(id)]);
            self.batch.add(token, position, &sequence, last).map_err(|_| broken("the batch is too small"))?;
        }
        slot.cached = end;
        Ok(row)
    }

    fn compute(&mut self) -> Result<(), EngineError> {
        let batch = &mut self.batch;
        self.loaded.with_dependent_mut(|_, context| context.decode(batch)).map_err(|error| match error {
            // No place in the KV cache, or (-2) no memory for the computation.
            DecodeError::NoKvCacheSlot | DecodeError::Unknown(-2) => EngineError::OutOfMemory,
            error => broken(&error.to_string()),
        })
    }

    fn choose(&mut self, row: &Row) -> Event {
        let Some(slot) = &mut self.slots[row.slot] else { return Event::End };
        let logits = self.loaded.borrow_dependent().get_logits_ith(row.index);
        match slot.sampler.choose(logits, &slot.tokens, slot.answered) {
            Ok(token) if self.loaded.borrow_owner().vocab().is_eog(native(token)) => Event::End,
            Ok(token) => {
                slot.tokens.push(token);
                slot.answered += 1;
                Event::Token(token)
            }
            Err(failure) => Event::Failed(failure),
        }
    }
}

impl Slot {
    fn unread(&self) -> usize {
        self.tokens.len() - self.cached
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
        let Rendered { text, style } = self.prompt.render(request)?;
        let vocab = self.loaded.borrow_owner().vocab();
        let tokens = vocab.tokenize(text.as_bytes(), false, true);
        // Many templates write the token themselves; twice would be wrong.
        let bos = vocab.should_add_bos().then(|| vocab.bos()).filter(|bos| tokens.first() != Some(bos));
        let tokens = bos.into_iter().chain(tokens).filter_map(|token| u32::try_from(token.0).ok()).collect();
        Ok(Encoded { tokens, style })
    }

    fn token_bytes(&self, token: u32, bytes: &mut Vec<u8>) {
        self.loaded.borrow_owner().vocab().token_to_piece_into(native(token), bytes, false, None);
    }

    fn admit(&mut self, sequence: Sequence) -> Result<Admitted, EngineError> {
        let Some(slot) = self.slots.iter().position(Option::is_none) else {
            return Err(broken("more was admitted than there are slots"));
        };
        let Sequence { tokens, answered, sampling, matcher, .. } = sequence;
        self.slots[slot] = Some(Slot { tokens, cached: 0, answered, sampler: Sampler::new(sampling, matcher) });
        Ok(Admitted { slot, cached_tokens: 0 })
    }

    fn release(&mut self, slot: SlotId) {
        self.slots[slot] = None;
        // A whole sequence can always be removed; only parts of some cannot.
        self.loaded.with_dependent_mut(|_, context| context.kv_cache_seq_rm(small(slot), None, None).ok());
    }

    fn take_logprob(&mut self, slot: SlotId) -> Option<TokenLogprob> {
        self.slots.get_mut(slot)?.as_mut()?.sampler.take_logprob()
    }

    fn step(&mut self, plan: &Plan<'_>, progress: &mut Vec<Progress>) -> Result<Pace, EngineError> {
        let rows = self.fill(plan)?;
        if self.batch.n_tokens() > 0 {
            self.compute()?;
        }
        for row in rows {
            progress.push(Progress { slot: row.slot, event: self.choose(&row) });
        }
        Ok(Pace::Ready)
    }
}

fn broken(what: &str) -> EngineError {
    EngineError::Died { reason: format!("llama.cpp: {what}") }
}

/// A token id as llama.cpp has it; ids are below its vocabulary, which is an `i32`.
fn native(token: u32) -> LlamaToken {
    LlamaToken::new(i32::try_from(token).unwrap_or(-1))
}

/// A position or a sequence as llama.cpp has it; both are bounded by the context and the slots.
fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
