//! Which tokens each slot of an engine still holds, which conversations are saved outside the slots, and where a new
//! sequence starts so that the least is computed again.
//!
//! Bookkeeping only: it decides, the engine copies. An engine asks [`Prefixes::plan`] where a sequence goes, does what
//! the plan says, and tells how far it came. What was used longest ago is overwritten or thrown away first.

use std::cmp::Reverse;
use std::rc::Rc;

use crate::engine::{Sequence, SlotId};

/// Fewer tokens than this are computed again rather than copied or saved.
const LEAST_TOKENS: usize = 32;
/// Computing a token takes at least as long as copying this many; a processor's ratio is near a hundred.
const COPIES_PER_TOKEN: usize = 8;
/// A turn begins with the last one's prompt, but for what the template writes only where an answer is to come.
const TEMPLATE_END: usize = 4;
/// Labels of one sequence that are remembered: those of its latest messages.
const LABELS_EACH: usize = 64;
/// Labels that are told, all sequences together; as many as an announcement takes.
const LABELS_TOLD: usize = 256;

/// Everything that is held. `S` is a saved state.
pub(crate) struct Prefixes<S> {
    places: Vec<Place>,
    saved: Vec<Saved<S>>,
    /// Most bytes of saved states.
    budget: u64,
    /// Whether a sequence can be cut at any token; some networks only go on.
    cuts: bool,
    /// Counts uses, for their order.
    clock: u64,
}

/// A sequence, computed up to some token.
#[derive(Default)]
struct Held {
    tokens: Vec<u32>,
    computed: usize,
    /// Tokens that were given, in front of those that the engine chose.
    prompt: usize,
    labels: Vec<u64>,
    used: u64,
}

/// A slot.
#[derive(Default)]
struct Place {
    held: Held,
    busy: bool,
}

struct Saved<S> {
    held: Held,
    state: Rc<S>,
    bytes: u64,
}

/// Where a sequence goes and what it starts from. To be done in this order: save, copy, cut at `keep`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan<S> {
    pub(crate) slot: SlotId,
    /// The slot's content is worth saving before it goes.
    pub(crate) save: bool,
    pub(crate) origin: Origin<S>,
    /// Tokens of the origin that are also those of the new sequence.
    pub(crate) keep: usize,
}

/// What a slot is filled with before its new sequence is computed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin<S> {
    /// What it holds.
    Own,
    /// What another slot holds, of so many tokens.
    Slot(SlotId, usize),
    /// A saved state, of so many tokens.
    Saved(Rc<S>, usize),
}

impl<S> Prefixes<S> {
    /// Nothing in any of `slots`, and room for `budget` bytes of saved states.
    pub(crate) fn new(slots: usize, budget: u64) -> Self {
        let places = (0..slots).map(|_| Place::default()).collect();
        Self { places, saved: Vec::new(), budget, cuts: true, clock: 0 }
    }

    /// From now on a sequence is only gone on with as it is.
    pub(crate) fn never_cut(&mut self) {
        self.cuts = false;
    }

    /// Whether sequences can be cut at any token.
    pub(crate) fn cuts(&self) -> bool {
        self.cuts
    }

    /// Where a sequence of `tokens` goes, which are not empty; `None` when every slot is busy.
    pub(crate) fn plan(&mut self, tokens: &[u32]) -> Option<Plan<S>> {
        let nearest = self.idle().max_by_key(|&slot| {
            let held = &self.places[slot].held;
            (self.usable(held, tokens), Reverse(held.computed), Reverse(slot))
        })?;
        let oldest = self.idle().min_by_key(|&slot| {
            let held = &self.places[slot].held;
            (self.is_apart(slot), held.computed > 0, held.used, slot)
        })?;
        let continues = self.places[nearest].held.goes_on(self.usable(&self.places[nearest].held, tokens));
        let slot = if continues { nearest } else { oldest };
        let held = &self.places[slot].held;
        let lost = held.computed - held.common(tokens);
        let save = !continues && lost >= LEAST_TOKENS && self.budget > 0 && !self.is_saved(held);
        let (origin, keep) = self.origin(slot, tokens);
        Some(Plan { slot, save, origin, keep })
    }

    /// Keeps the state of what `slot` holds, which took `bytes`.
    pub(crate) fn save(&mut self, slot: SlotId, state: S, bytes: u64) {
        if bytes > self.budget {
            return;
        }
        let Held { tokens, computed, prompt, labels, used } = &self.places[slot].held;
        let (tokens, labels) = (tokens[..*computed].to_vec(), labels.clone());
        // An earlier state of the same conversation has nothing that this one has not.
        self.saved.retain(|saved| !tokens.starts_with(saved.held.done()));
        let held = Held { tokens, computed: *computed, prompt: *prompt, labels, used: *used };
        self.saved.push(Saved { held, state: Rc::new(state), bytes });
        while self.saved_bytes() > self.budget {
            let Some(oldest) = (0..self.saved.len()).min_by_key(|&index| self.saved[index].held.used) else { return };
            self.saved.swap_remove(oldest);
        }
    }

    /// A sequence begins in a planned slot, of which `keep` tokens are there. `answered` at its end were not given as
    /// its prompt.
    pub(crate) fn begin(&mut self, slot: SlotId, sequence: &Sequence, keep: usize) {
        let Sequence { tokens, answered, prefixes, .. } = sequence;
        let labels = prefixes[prefixes.len().saturating_sub(LABELS_EACH)..].to_vec();
        let prompt = tokens.len().saturating_sub(*answered);
        let held = Held { tokens: tokens.clone(), computed: keep, prompt, labels, used: self.tick() };
        self.places[slot] = Place { held, busy: true };
    }

    /// All tokens of the sequence in a slot, computed or not.
    pub(crate) fn tokens(&self, slot: SlotId) -> &[u32] {
        &self.places[slot].held.tokens
    }

    /// How many of them are computed.
    pub(crate) fn computed(&self, slot: SlotId) -> usize {
        self.places[slot].held.computed
    }

    /// How many are not.
    pub(crate) fn unread(&self, slot: SlotId) -> usize {
        let held = &self.places[slot].held;
        held.tokens.len() - held.computed
    }

    /// So many more tokens are computed.
    pub(crate) fn advance(&mut self, slot: SlotId, tokens: usize) {
        let held = &mut self.places[slot].held;
        held.computed = held.tokens.len().min(held.computed + tokens);
    }

    /// The sequence goes on.
    pub(crate) fn push(&mut self, slot: SlotId, token: u32) {
        self.places[slot].held.tokens.push(token);
    }

    /// The sequence is over; what was computed stays.
    pub(crate) fn end(&mut self, slot: SlotId) {
        let used = self.tick();
        let Place { held, busy } = &mut self.places[slot];
        held.tokens.truncate(held.computed);
        (held.used, *busy) = (used, false);
    }

    /// The slot holds nothing that could be trusted.
    pub(crate) fn forget(&mut self, slot: SlotId) {
        self.places[slot].held = Held::default();
    }

    /// Whether a sequence runs in any slot.
    pub(crate) fn is_busy(&self) -> bool {
        self.places.iter().any(|place| place.busy)
    }

    /// Appends the labels of the prompts that are held whole, what was used last first.
    pub(crate) fn labels(&self, told: &mut Vec<u64>) {
        let slots = self.places.iter().map(|place| &place.held);
        let mut all: Vec<&Held> = slots.chain(self.saved.iter().map(|saved| &saved.held)).collect();
        all.retain(|held| held.computed >= held.prompt);
        all.sort_by_key(|held| Reverse(held.used));
        for &label in all.into_iter().flat_map(|held| held.labels.iter().rev()) {
            if told.len() < LABELS_TOLD && !told.contains(&label) {
                told.push(label);
            }
        }
    }

    /// Whether a slot lies away from those that are busy: engines compute neighbours together. Where nothing can be
    /// saved, what was used longest ago matters more.
    fn is_apart(&self, slot: SlotId) -> bool {
        let busy = |slot: Option<SlotId>| slot.and_then(|slot| self.places.get(slot)).is_some_and(|place| place.busy);
        self.budget > 0 && self.is_busy() && !busy(slot.checked_sub(1)) && !busy(slot.checked_add(1))
    }

    fn idle(&self) -> impl Iterator<Item = SlotId> {
        (0..self.places.len()).filter(|&slot| !self.places[slot].busy)
    }

    /// What `slot` is filled with before `tokens` are computed in it: another's tokens if that is worth the copy.
    fn origin(&mut self, slot: SlotId, tokens: &[u32]) -> (Origin<S>, usize) {
        let own = self.usable(&self.places[slot].held, tokens);
        let worth = |held: &Held| {
            let keep = self.usable(held, tokens);
            let gain = keep.saturating_sub(own);
            (gain >= LEAST_TOKENS && gain * COPIES_PER_TOKEN >= held.computed).then_some(keep)
        };
        let slots = (0..self.places.len()).filter(|&other| other != slot);
        let slots = slots.filter_map(|other| worth(&self.places[other].held).map(|keep| (keep, other)));
        let saved = (0..self.saved.len()).filter_map(|index| worth(&self.saved[index].held).map(|keep| (keep, index)));
        match (slots.max_by_key(|best| best.0), saved.max_by_key(|best| best.0)) {
            (slot, Some((keep, index))) if slot.is_none_or(|(other, _)| keep > other) => {
                (self.restore(index, keep), keep)
            }
            (Some((keep, other)), _) => (Origin::Slot(other, self.computed(other)), keep),
            _ => (Origin::Own, own),
        }
    }

    /// Hands out a saved state. The conversation that goes on takes it along; others only begin as it does.
    fn restore(&mut self, index: usize, keep: usize) -> Origin<S> {
        let used = self.tick();
        let saved = &mut self.saved[index];
        saved.held.used = used;
        let origin = Origin::Saved(Rc::clone(&saved.state), saved.held.computed);
        if saved.held.goes_on(keep) {
            self.saved.swap_remove(index);
        }
        origin
    }

    /// Tokens at the front of a new sequence that `held` saves it from computing. The last one always has to be
    /// computed, since what comes next follows from it.
    fn usable(&self, held: &Held, tokens: &[u32]) -> usize {
        let common = held.common(tokens).min(tokens.len() - 1);
        if self.cuts || common == held.computed { common } else { 0 }
    }

    fn is_saved(&self, held: &Held) -> bool {
        self.saved.iter().any(|saved| saved.held.done().starts_with(held.done()))
    }

    fn saved_bytes(&self) -> u64 {
        self.saved.iter().map(|saved| saved.bytes).sum()
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl Held {
    fn done(&self) -> &[u32] {
        &self.tokens[..self.computed]
    }

    fn common(&self, tokens: &[u32]) -> usize {
        self.done().iter().zip(tokens).take_while(|(held, new)| held == new).count()
    }

    /// Whether a sequence that has `keep` tokens with it in common is the same conversation, further on or once more:
    /// then nothing is lost that anybody would ask for.
    fn goes_on(&self, keep: usize) -> bool {
        keep > 0 && (keep == self.computed || keep + TEMPLATE_END >= self.prompt)
    }
}

#[cfg(test)]
mod tests;
