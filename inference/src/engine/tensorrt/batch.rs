//! What an engine is given in a step, and how large it is built: plain numbers, with no card.

use crate::engine::SlotId;
use crate::engine::graph::Piece;
use crate::graph::CacheShape;

use super::file::Description;
use super::lower::{LAST, LENGTHS, MASK, PLACES, POSITIONS, TOKENS};
use super::memory::cache_rows;

/// Bytes of a number in a cache and of a logit.
const CACHED: usize = 2;
pub(super) const LOGIT: usize = 4;

/// The shape of what an engine takes and gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) cache: CacheShape,
    pub(super) vocabulary: usize,
    pub(super) slots: usize,
    pub(super) rows: usize,
    pub(super) chunk: usize,
}

impl Frame {
    pub(super) fn new(cache: CacheShape, vocabulary: usize, description: &Description) -> Self {
        let Description { slots, context_tokens, chunk_tokens, .. } = *description;
        let rows = cache_rows(context_tokens) as usize;
        Self { cache, vocabulary, slots: slots as usize, rows, chunk: chunk_tokens as usize }
    }

    /// Bytes of one slot in a layer's keys or values.
    pub(super) fn slot_bytes(&self) -> usize {
        self.cache.heads * self.rows * self.cache.size * CACHED
    }

    /// Bytes of each input at the most, in their order.
    pub(super) fn input_bytes(&self) -> [usize; INPUTS] {
        let (tokens, sequences) = (self.slots.max(self.chunk), self.slots);
        [tokens * 4, tokens * 8, sequences * 4, sequences * 4, tokens * self.rows, sequences * 4]
    }

    pub(super) fn logits_bytes(&self) -> usize {
        self.vocabulary * LOGIT
    }
}

/// What a computation is given: sequences in neighbouring slots, all with as many tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// The first slot.
    pub(super) first: SlotId,
    pub(super) sequences: usize,
    /// Of each sequence.
    length: usize,
    tokens: Vec<i32>,
    positions: Vec<i64>,
    /// Rows where the new tokens go.
    places: Vec<i32>,
    /// Rows that count then.
    lengths: Vec<i32>,
    /// Rows of a cache, whether they count or not.
    rows: usize,
}

impl Batch {
    /// Pieces of one token each: all slots from the first to the last of them.
    pub(super) fn of_single<'a>(frame: &Frame, pieces: impl Iterator<Item = Piece<'a>> + Clone) -> Option<Self> {
        let (first, last) =
            (pieces.clone().map(|piece| piece.slot).min()?, pieces.clone().map(|piece| piece.slot).max()?);
        let sequences = last - first + 1;
        // Who has nothing to do writes behind all others, and looks at one row.
        let mut batch = Self {
            first,
            sequences,
            length: 1,
            tokens: vec![0; sequences],
            positions: vec![0; sequences],
            places: vec![small(frame.rows - 1); sequences],
            lengths: vec![1; sequences],
            rows: frame.rows,
        };
        for piece in pieces {
            let at = piece.slot - first;
            batch.tokens[at] = piece.tokens.first().map_or(0, |token| small(*token as usize));
            batch.positions[at] = piece.from as i64;
            batch.places[at] = small(piece.from);
            batch.lengths[at] = small(piece.from + 1);
        }
        Some(batch)
    }

    pub(super) fn of_prompt(frame: &Frame, piece: Piece<'_>) -> Self {
        let length = piece.tokens.len();
        Self {
            first: piece.slot,
            sequences: 1,
            length,
            tokens: piece.tokens.iter().map(|token| small(*token as usize)).collect(),
            positions: (piece.from..piece.from + length).map(|position| position as i64).collect(),
            places: vec![small(piece.from)],
            lengths: vec![small(piece.from + length)],
            rows: frame.rows,
        }
    }

    /// For each token the rows that it sees: those up to its own position.
    fn mask(&self) -> Vec<u8> {
        let row = |position: i64| (0..self.rows).map(move |row| u8::from(row as i64 <= position));
        self.positions.iter().copied().flat_map(row).collect()
    }

    /// The inputs by name: lengths and bytes.
    pub(super) fn inputs(&self) -> [(&'static str, Vec<i64>, Vec<u8>); INPUTS] {
        let (sequences, length) = (self.sequences as i64, self.length as i64);
        let bytes = |numbers: &[i32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        let positions = self.positions.iter().flat_map(|position| position.to_le_bytes()).collect();
        let last = vec![small(self.length - 1); self.sequences];
        [
            (TOKENS, vec![sequences, length], bytes(&self.tokens)),
            (POSITIONS, vec![sequences, length], positions),
            (PLACES, vec![sequences], bytes(&self.places)),
            (LENGTHS, vec![sequences], bytes(&self.lengths)),
            (MASK, vec![sequences, 1, length, self.rows as i64], self.mask()),
            (LAST, vec![sequences, 1], bytes(&last)),
        ]
    }
}

/// Inputs beside the caches.
pub(super) const INPUTS: usize = 6;

/// Tokens, rows and lengths are far below this.
fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame { cache: CacheShape { layers: 2, heads: 2, size: 8 }, vocabulary: 10, slots: 4, rows: 24, chunk: 16 }
    }

    #[test]
    fn a_batch_bridges_slots_with_a_row_that_nobody_reads() {
        let pieces = [Piece { slot: 3, from: 7, tokens: &[5] }, Piece { slot: 1, from: 2, tokens: &[6] }];
        let batch = Batch::of_single(&frame(), pieces.into_iter()).unwrap();
        assert_eq!((batch.first, batch.sequences, batch.length), (1, 3, 1));
        assert_eq!((batch.tokens, batch.positions), (vec![6, 0, 5], vec![2, 0, 7]));
        assert_eq!((batch.places, batch.lengths), (vec![2, 23, 7], vec![3, 1, 8]));
        assert!(Batch::of_single(&frame(), [].into_iter()).is_none());
    }

    #[test]
    fn a_prompt_goes_on_where_it_was() {
        let batch = Batch::of_prompt(&frame(), Piece { slot: 2, from: 4, tokens: &[7, 8, 9] });
        assert_eq!((batch.first, batch.sequences, batch.length), (2, 1, 3));
        assert_eq!((&batch.places, &batch.lengths, &batch.positions), (&vec![4], &vec![7], &vec![4, 5, 6]));
        let inputs = batch.inputs();
        assert_eq!((inputs[0].1.as_slice(), inputs[1].2.len(), inputs[5].1.as_slice()), (&[1, 3][..], 24, &[1, 1][..]));
        assert_eq!(inputs[5].2, 2_i32.to_le_bytes());
        // Each token sees itself and what is before it.
        let seen: Vec<usize> =
            inputs[4].2.chunks(24).map(|row| row.iter().map(|bit| usize::from(*bit)).sum()).collect();
        assert_eq!((inputs[4].1.as_slice(), seen), (&[1, 1, 3, 24][..], vec![5, 6, 7]));
        for ((_, _, bytes), most) in inputs.iter().zip(frame().input_bytes()) {
            assert!(bytes.len() <= most);
        }
    }

    #[test]
    fn sizes_are_those_of_the_engine() {
        assert_eq!((frame().slot_bytes(), frame().logits_bytes()), (2 * 24 * 8 * 2, 40));
    }
}
