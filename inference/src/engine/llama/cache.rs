//! Carries out what [`Prefixes`] plans: saves, copies and cuts sequences of llama.cpp's KV cache.
//!
//! A sequence goes from one slot to another by way of its saved state; llama.cpp's own copy aborts the process unless
//! it is of a whole stream. Whatever does not work ends as an empty slot, whose sequence is computed from its start.

use std::time::{Duration, Instant};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::session::{LlamaStateSeqFlags, SeqState};
use llama_cpp_2::model::LlamaModel;

use super::small;
use crate::engine::{Admitted, Sequence, SlotId};
use crate::model::ModelFile;
use crate::prefix::{Origin, Plan, Prefixes};

/// Longest copy while answers run: part of the pause that they are promised at most.
const LONGEST_COPY: Duration = Duration::from_millis(100);
/// Bytes a second of a copy, until one was measured: half of what an old laptop does.
const FIRST_SPEED: f64 = 1e9;

/// What the slots hold, and how to get it there.
pub(super) struct Cache {
    pub(super) prefixes: Prefixes<SeqState>,
    /// Tokens back that a token sees at most; a saved state has no more than those. 0: all.
    window: usize,
    bytes_per_second: f64,
}

impl Cache {
    /// For the slots of a new context.
    pub(super) fn new(file: &ModelFile, model: &LlamaModel, slots: u32, saved_bytes: u64) -> Self {
        let mut prefixes = Prefixes::new(slots as usize, saved_bytes);
        if model.is_recurrent() || model.is_hybrid() {
            prefixes.never_cut();
        }
        let window = file.header.number(&format!("{}.attention.sliding_window", file.header.architecture()));
        let window = window.and_then(|tokens| usize::try_from(tokens).ok()).unwrap_or(0);
        Self { prefixes, window, bytes_per_second: FIRST_SPEED }
    }

    /// Gives a sequence its slot, with as much of it as is held anywhere. `None` when every slot is busy.
    pub(super) fn admit(&mut self, context: &mut LlamaContext<'_>, sequence: &Sequence) -> Option<Admitted> {
        let Plan { slot, save, origin, mut keep } = self.prefixes.plan(&sequence.tokens)?;
        if save && let Some(state) = self.state(context, slot) {
            let bytes = state.byte_len() as u64;
            self.prefixes.save(slot, state, bytes);
        }
        let there = self.bring(context, slot, origin);
        if !there.is_some_and(|there| self.cut(context, slot, there, keep)) {
            // A whole sequence can always be removed; only parts of some cannot.
            let _ = context.kv_cache_seq_rm(small(slot), None, None);
            keep = 0;
        }
        self.prefixes.begin(slot, sequence, keep);
        Some(Admitted { slot, cached_tokens: u32::try_from(keep).unwrap_or(u32::MAX) })
    }

    /// Throws away what a slot holds, after a computation that failed.
    pub(super) fn forget(&mut self, context: &mut LlamaContext<'_>, slot: SlotId) {
        let _ = context.kv_cache_seq_rm(small(slot), None, None);
        self.prefixes.forget(slot);
    }

    /// Whether a token that was computed for nothing can be taken out again with no trace.
    pub(super) fn takes_back(&self) -> bool {
        self.prefixes.cuts() && self.window == 0
    }

    /// Takes out what a slot has beyond the tokens that are known to be computed.
    pub(super) fn take_back(&mut self, context: &mut LlamaContext<'_>, slot: SlotId) {
        let known = u32::try_from(self.prefixes.computed(slot)).ok();
        if context.kv_cache_seq_rm(small(slot), known, None).is_err() {
            self.forget(context, slot);
        }
    }

    /// Fills a slot; says how many tokens are in it.
    fn bring(&mut self, context: &mut LlamaContext<'_>, slot: SlotId, origin: Origin<SeqState>) -> Option<usize> {
        match origin {
            Origin::Own => Some(self.prefixes.computed(slot)),
            Origin::Slot(other, tokens) => {
                let state = self.state(context, other)?;
                self.set(context, slot, &state).then_some(tokens)
            }
            Origin::Saved(state, tokens) => self.set(context, slot, &state).then_some(tokens),
        }
    }

    /// The state of a sequence, unless running answers would have to wait for it too long.
    fn state(&mut self, context: &LlamaContext<'_>, slot: SlotId) -> Option<SeqState> {
        let bytes = context.state_seq_get_size_ext(small(slot), LlamaStateSeqFlags::empty());
        self.bearable(bytes).then_some(())?;
        let began = Instant::now();
        let state = context.state_seq_get(small(slot), LlamaStateSeqFlags::empty()).ok()?;
        self.measure(bytes, began);
        Some(state)
    }

    fn set(&mut self, context: &mut LlamaContext<'_>, slot: SlotId, state: &SeqState) -> bool {
        if !self.bearable(state.byte_len()) {
            return false;
        }
        let began = Instant::now();
        let done = context.state_seq_set(state, small(slot)).is_ok();
        self.measure(state.byte_len(), began);
        done
    }

    fn bearable(&self, bytes: usize) -> bool {
        !self.prefixes.is_busy() || bytes as f64 / self.bytes_per_second <= LONGEST_COPY.as_secs_f64()
    }

    fn measure(&mut self, bytes: usize, began: Instant) {
        // Less than this says more about the clock than about the memory.
        if bytes >= 1 << 20 {
            let speed = bytes as f64 / began.elapsed().as_secs_f64().max(1e-6);
            self.bytes_per_second = (self.bytes_per_second + speed) / 2.0;
        }
    }

    /// Leaves the first `keep` of the `there` tokens in a slot; says whether they are all there and can be seen.
    fn cut(&self, context: &mut LlamaContext<'_>, slot: SlotId, there: usize, keep: usize) -> bool {
        if keep == 0 {
            return false;
        }
        if keep < there {
            let from = u32::try_from(keep).ok();
            let cut = context.kv_cache_seq_rm(small(slot), from, None).is_ok();
            // What lies too far back may be missing from a state that was saved further on.
            let first = usize::try_from(context.kv_cache_seq_pos_min(small(slot))).unwrap_or(usize::MAX);
            let seen = first == 0 || (self.window > 0 && first.saturating_add(self.window) <= keep);
            if !cut || !seen {
                return false;
            }
        }
        usize::try_from(context.kv_cache_seq_pos_max(small(slot))) == Ok(keep - 1)
    }
}
