//! What an engine is given in a step, and how large it is built: plain numbers, with no card.

use crate::engine::graph::Piece;
use crate::graph::{CacheShape, Side};

use super::Precision;
use super::file::Description;
use super::lower::{LAST, LENGTHS, LOGITS, MASK, PLACES, POSITIONS, TOKENS, cache_name};
use super::memory::cache_rows;
use super::network::Kind;

/// Bytes of a number in a cache and of a logit.
const CACHED: usize = 2;
pub(super) const LOGIT: usize = 4;
/// Whatever the library is told the place of begins at a multiple of so many bytes.
const PLACED: usize = 256;

/// The shape of what an engine takes and gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) cache: CacheShape,
    pub(super) vocabulary: usize,
    pub(super) slots: usize,
    pub(super) rows: usize,
    pub(super) chunk: usize,
    /// What a cache holds.
    pub(super) kind: Kind,
}

impl Frame {
    pub(super) fn new(cache: CacheShape, vocabulary: usize, description: &Description) -> Self {
        let Description { slots, context_tokens, chunk_tokens, precision, .. } = *description;
        let rows = cache_rows(context_tokens) as usize;
        let kind = if precision == Precision::Bf16 { Kind::Bfloat } else { Kind::Half };
        Self { cache, vocabulary, slots: slots as usize, rows, chunk: chunk_tokens as usize, kind }
    }

    /// The inputs of an engine by name: what they hold, and their lengths; -1 is one that each computation chooses.
    pub(super) fn takes(&self) -> Vec<(String, Kind, Vec<i64>)> {
        let mut inputs = vec![
            (TOKENS.to_owned(), Kind::Int32, vec![-1, -1]),
            (POSITIONS.to_owned(), Kind::Int64, vec![-1, -1]),
            (PLACES.to_owned(), Kind::Int32, vec![-1]),
            (LENGTHS.to_owned(), Kind::Int32, vec![-1]),
            (MASK.to_owned(), Kind::Bool, vec![-1, 1, -1, self.rows as i64]),
            (LAST.to_owned(), Kind::Int32, vec![-1, 1]),
        ];
        let [_, rest @ ..] = self.cache_shape(0);
        let held = [&[-1][..], &rest].concat();
        inputs.extend(self.sides().map(|name| (name, self.kind, held.clone())));
        inputs
    }

    /// The outputs of an engine by name.
    pub(super) fn gives(&self) -> Vec<String> {
        self.sides().map(|name| format!("{name}_out")).chain([LOGITS.to_owned()]).collect()
    }

    /// The caches by name, in their order.
    pub(super) fn sides(&self) -> impl Iterator<Item = String> + use<> {
        let sides = |layer| [Side::Keys, Side::Values].map(|side| cache_name(layer, side));
        (0..self.cache.layers).flat_map(sides)
    }

    /// Lengths of a layer's keys or values for so many slots.
    pub(super) fn cache_shape(&self, slots: usize) -> [i64; 4] {
        [slots, self.cache.heads, self.rows, self.cache.size].map(|length| length as i64)
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

    /// Bytes from one computation's logits to the next one's, where several are computed before anybody reads.
    pub(super) fn logits_stride(&self) -> usize {
        self.logits_bytes().next_multiple_of(PLACED)
    }

    /// Shapes that are ever computed, the largest first: all neighbours from the first slot on, and pieces of prompts.
    pub(super) fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![self.chunk];
        let powers = (1..usize::BITS).map(|power| 1 << power).take_while(|length| *length < self.chunk);
        lengths.extend(powers.collect::<Vec<_>>().into_iter().rev());
        lengths
    }

    /// Cuts a piece of a prompt into what is computed at once. A card's kernels are compiled for a shape and kept, so
    /// there are few of them: a piece is filled up to the next one, and cut where its slot has no room for that.
    fn cut<'a>(&self, piece: Piece<'a>) -> Vec<(Piece<'a>, usize)> {
        let (mut cuts, mut rest) = (Vec::new(), piece);
        while !rest.tokens.is_empty() {
            let tokens = rest.tokens.len();
            let filled = tokens.next_power_of_two().max(2).min(self.chunk);
            let fits = rest.from + filled <= self.rows;
            let (taken, length) = if fits { (tokens, filled) } else { (1 << tokens.ilog2(), 1 << tokens.ilog2()) };
            let (now, later) = rest.tokens.split_at(taken);
            cuts.push((Piece { tokens: now, ..rest }, length));
            rest = Piece { tokens: later, from: rest.from + taken, ..rest };
        }
        cuts
    }
}

/// What a computation is given: sequences in neighbouring slots, all with as many tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// The first slot.
    pub(super) first: usize,
    pub(super) sequences: usize,
    /// Of each sequence.
    pub(super) length: usize,
    /// Of these, how many count.
    filled: usize,
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
    /// Pieces of one token each: all slots up to the last of them. They always begin at the first one, so that a step
    /// that the library has captured as a graph finds everything where it was.
    pub(super) fn of_single<'a>(frame: &Frame, pieces: impl Iterator<Item = Piece<'a>> + Clone) -> Option<Self> {
        let sequences = pieces.clone().map(|piece| piece.slot).max()? + 1;
        // Who has nothing to do writes behind all others, and looks at one row.
        let mut batch = Self {
            first: 0,
            sequences,
            length: 1,
            filled: 1,
            tokens: vec![0; sequences],
            positions: vec![0; sequences],
            places: vec![small(frame.rows - 1); sequences],
            lengths: vec![1; sequences],
            rows: frame.rows,
        };
        for piece in pieces {
            let at = piece.slot;
            batch.tokens[at] = piece.tokens.first().map_or(0, |token| small(*token as usize));
            batch.positions[at] = piece.from as i64;
            batch.places[at] = small(piece.from);
            batch.lengths[at] = small(piece.from + 1);
        }
        Some(batch)
    }

    /// A piece of a prompt, in the order in which it has to be computed. Tokens that fill a shape up write rows that the
    /// next ones overwrite, and nobody sees them until then.
    pub(super) fn of_prompt(frame: &Frame, piece: Piece<'_>) -> Vec<Self> {
        let batch = |(piece, length): (Piece<'_>, usize)| Self {
            first: piece.slot,
            sequences: 1,
            length,
            filled: piece.tokens.len(),
            tokens: (0..length).map(|at| piece.tokens.get(at).map_or(0, |token| small(*token as usize))).collect(),
            positions: (piece.from..piece.from + length).map(|position| position as i64).collect(),
            places: vec![small(piece.from)],
            lengths: vec![small(piece.from + piece.tokens.len())],
            rows: frame.rows,
        };
        frame.cut(piece).into_iter().map(batch).collect()
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
        let last = vec![small(self.filled - 1); self.sequences];
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
        Frame {
            cache: CacheShape { layers: 2, heads: 2, size: 8 },
            vocabulary: 10,
            slots: 4,
            rows: 24,
            chunk: 16,
            kind: Kind::Half,
        }
    }

    #[test]
    fn a_batch_bridges_slots_with_a_row_that_nobody_reads() {
        let pieces = [Piece { slot: 3, from: 7, tokens: &[5] }, Piece { slot: 1, from: 2, tokens: &[6] }];
        let batch = Batch::of_single(&frame(), pieces.into_iter()).unwrap();
        assert_eq!((batch.first, batch.sequences, batch.length), (0, 4, 1));
        assert_eq!((batch.tokens, batch.positions), (vec![0, 6, 0, 5], vec![0, 2, 0, 7]));
        assert_eq!((batch.places, batch.lengths), (vec![23, 2, 23, 7], vec![1, 3, 1, 8]));
        assert!(Batch::of_single(&frame(), [].into_iter()).is_none());
    }

    #[test]
    fn a_prompt_goes_on_where_it_was_and_fills_a_shape() {
        let batches = Batch::of_prompt(&frame(), Piece { slot: 2, from: 4, tokens: &[7, 8, 9] });
        let [batch] = &batches[..] else { panic!("{batches:?}") };
        assert_eq!((batch.first, batch.sequences, batch.length), (2, 1, 4));
        assert_eq!((&batch.places, &batch.lengths, &batch.positions), (&vec![4], &vec![7], &vec![4, 5, 6, 7]));
        let inputs = batch.inputs();
        assert_eq!((inputs[0].1.as_slice(), inputs[1].2.len(), inputs[5].1.as_slice()), (&[1, 4][..], 32, &[1, 1][..]));
        // What is asked for is what follows the last token that counts.
        assert_eq!(inputs[5].2, 2_i32.to_le_bytes());
        // Each token sees itself and what is before it.
        let seen: Vec<usize> =
            inputs[4].2.chunks(24).map(|row| row.iter().map(|bit| usize::from(*bit)).sum()).collect();
        assert_eq!((inputs[4].1.as_slice(), seen), (&[1, 1, 4, 24][..], vec![5, 6, 7, 8]));
        for ((_, _, bytes), most) in inputs.iter().zip(frame().input_bytes()) {
            assert!(bytes.len() <= most);
        }
    }

    #[test]
    fn there_are_few_shapes_and_none_leaves_its_slot() {
        let frame = Frame { chunk: 13, rows: 64, ..frame() };
        assert_eq!(frame.lengths(), [13, 8, 4, 2]);
        let tokens: Vec<u32> = (0..13).collect();
        for from in 0..64 {
            for count in 2..=13.min(63 - from) {
                let batches = Batch::of_prompt(&frame, Piece { slot: 0, from, tokens: &tokens[..count] });
                let mut next = from;
                for batch in &batches {
                    assert!(batch.length == 1 || frame.lengths().contains(&batch.length), "{batch:?}");
                    assert!(batch.places[0] as usize == next && next + batch.length <= 64, "{batch:?}");
                    assert_eq!(
                        batch.tokens[..batch.filled],
                        (next - from..).map(|token| token as i32).take(batch.filled).collect::<Vec<_>>()
                    );
                    next += batch.filled;
                    assert_eq!(batch.lengths, [next as i32]);
                }
                assert_eq!(next, from + count);
            }
        }
    }

    #[test]
    fn sizes_are_those_of_the_engine() {
        assert_eq!((frame().slot_bytes(), frame().logits_bytes(), frame().logits_stride()), (2 * 24 * 8 * 2, 40, 256));
    }
}
