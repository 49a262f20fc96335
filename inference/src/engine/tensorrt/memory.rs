//! Whether an engine will fit a card, before anything of it is built or loaded: weights, caches and workspace against a
//! share of the card's memory. Plain arithmetic, on the high side.

use std::fmt;

use crate::graph::hyper::Hyper;
use crate::model::footprint::Bytes;

use super::Precision;
use super::stored::BLOCKS;

/// Of a card's memory that an engine may take, in hundredths: the rest is for the screen and whatever else is open.
pub const SHARE: u64 = 85;
/// What the library may take as scratch while it computes, on all streams together, where nobody says otherwise.
pub const WORKSPACE: u64 = 2 << 30;
/// Streams that compute at once, each in memory of its own: running answers, and prompts.
pub const STREAMS: u64 = 2;
/// Bytes of a number in caches and of one that is not quantised.
const WIDE: u64 = 2;
/// What an engine has besides weights, at the most: 32 MB of Qwen3-0.6B's in INT4, and 39 of 8B's.
const BESIDE: u64 = 48 << 20;
/// The part of its weights that it is in a small one.
const BESIDE_SMALL: u64 = 10;
/// The driver's own, for each process that uses a card.
pub(super) const CONTEXT: u64 = 300 << 20;

/// What an engine needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Weights, embedding and scales.
    pub weights: u64,
    /// Keys and values of all slots.
    pub cache: u64,
    /// Scratch of all streams.
    pub workspace: u64,
    /// What passes from layer to layer, inputs and logits, of all streams.
    pub values: u64,
    /// The driver's own.
    pub context: u64,
}

/// What is asked of a card.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// What weights are stored as.
    pub precision: Precision,
    /// Sequences at once.
    pub slots: u32,
    /// Tokens that each holds.
    pub context_tokens: u32,
    /// Tokens of a prompt that are read at once.
    pub chunk_tokens: u32,
    /// What computing may take, on all streams together.
    pub workspace: u64,
}

impl Wish {
    /// Of that, what one stream may take: an engine is built with it, and runs on each of them.
    #[must_use]
    pub fn stream_workspace(&self) -> u64 {
        self.workspace / STREAMS
    }
}

impl Sum {
    /// For a model of this shape, before there is an engine that could be asked.
    #[must_use]
    pub fn new(hyper: &Hyper, wish: &Wish) -> Self {
        let count = |number: usize| number as u64;
        // Embedding and head may be one.
        let weights = weights(hyper, wish.precision, true);
        let token = 2 * count(hyper.layers) * count(hyper.kv_heads) * count(hyper.head_size) * WIDE;
        let rows = u64::from(cache_rows(wish.context_tokens));
        let cache = token.saturating_mul(rows * u64::from(wish.slots));
        // One stream computes a token for each slot, the other a piece of a prompt.
        let tokens = u64::from(wish.slots) + u64::from(wish.chunk_tokens);
        let values = values(hyper, rows).saturating_mul(tokens);
        let logits = 4 * count(hyper.vocabulary) * u64::from(wish.slots) * STREAMS;
        let workspace = wish.stream_workspace().saturating_mul(STREAMS);
        Self { weights, cache, workspace, values: values.saturating_add(logits), context: CONTEXT }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { weights, cache, workspace, values, context } = *self;
        [cache, workspace, values, context].into_iter().fold(weights, u64::saturating_add)
    }

    /// Whether it fits a card.
    ///
    /// # Errors
    /// The arithmetic.
    pub fn fits(self, room: Room) -> Result<Self, TooLarge> {
        if self.total() <= room.bytes() { Ok(self) } else { Err(TooLarge { sum: self, room }) }
    }
}

/// What may be taken of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of its memory.
    pub memory: u64,
    /// Of these, what nobody has taken; none: not known, as for a card that is not here.
    pub free: Option<u64>,
    /// Hundredths of its memory that may be taken.
    pub share: u64,
}

impl Room {
    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.memory / 100 * self.share.min(SHARE)).min(self.free.unwrap_or(u64::MAX))
    }
}

/// Bytes that a token of a step takes between layers, on the high side: rows in 32 bits around norms, all three parts of
/// attention and of the feed-forward part at once, and scores of each head over the whole cache.
fn values(hyper: &Hyper, rows: u64) -> u64 {
    let count = |number: usize| number as u64;
    let heads = count(hyper.heads + 2 * hyper.kv_heads) * count(hyper.head_size);
    let scores = count(hyper.heads).saturating_mul(rows).saturating_mul(4);
    // A byte of mask for each row, too.
    (6 * 4 * count(hyper.width) + 3 * WIDE * count(hyper.inner) + 2 * WIDE * heads).saturating_add(scores + rows)
}

/// Rows of a slot's cache: one more than its tokens, where a row goes that is computed for nothing; so many together that
/// every slot begins at a multiple of 256 bytes, as the library demands, however small its heads are.
#[must_use]
pub fn cache_rows(context_tokens: u32) -> u32 {
    context_tokens.saturating_add(1).next_multiple_of(64)
}

/// Bytes of all weights as they are stored: matrices, embedding and, where the model has one of its own, the head.
pub(super) fn weights(hyper: &Hyper, precision: Precision, head: bool) -> u64 {
    let table = (hyper.vocabulary as u64).saturating_mul(hyper.width as u64);
    // A head keeps more bits than the rest, and so does what cannot be cut into blocks.
    let wide = if precision == Precision::Int4 { Precision::Int8 } else { precision };
    let head = if head { stored(table, wide, None) } else { 0 };
    let (numbers, block) = (matrices(hyper), block(hyper));
    let matrices = if block.is_some() { stored(numbers, precision, block) } else { stored(numbers, wide, None) };
    let all = matrices.saturating_add(table.saturating_mul(WIDE)).saturating_add(head);
    all.saturating_add(BESIDE.min(all / BESIDE_SMALL))
}

/// Inputs that share a scale in every matrix, at the worst.
fn block(hyper: &Hyper) -> Option<u64> {
    let inputs = [hyper.width, hyper.inner, hyper.heads.saturating_mul(hyper.head_size)];
    let fits = |block: &usize| inputs.iter().all(|inputs| inputs.is_multiple_of(*block));
    BLOCKS.into_iter().find(fits).map(|block| block as u64)
}

/// Numbers in the matrices of all layers.
fn matrices(hyper: &Hyper) -> u64 {
    let count = |number: usize| number as u64;
    let (width, inner) = (count(hyper.width), count(hyper.inner));
    // Queries and the way out, keys and values; gate, up and down.
    let heads = 2 * count(hyper.heads + hyper.kv_heads) * count(hyper.head_size);
    (heads * width).saturating_add(3 * inner * width).saturating_mul(count(hyper.layers))
}

/// Bytes of so many numbers of weights, with their scales.
fn stored(numbers: u64, precision: Precision, block: Option<u64>) -> u64 {
    match precision {
        Precision::Fp16 | Precision::Bf16 => numbers.saturating_mul(WIDE),
        Precision::Int8 | Precision::Fp8 => numbers.saturating_add(numbers / 256),
        Precision::Int4 => {
            let scales = block.and_then(|block| numbers.checked_div(block)).unwrap_or(numbers);
            (numbers / 2).saturating_add(scales.saturating_mul(WIDE))
        }
    }
}

/// Why an engine does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    sum: Sum,
    room: Room,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum { weights, cache, workspace, values, context } = self.sum;
        write!(
            f,
            "it needs {} ({} of weights + {} of keys and values + {} of workspace for {STREAMS} streams + {} between \
             layers + {} of the driver's) and may take {}: {} % of the card's {}",
            Bytes(self.sum.total()),
            Bytes(weights),
            Bytes(cache),
            Bytes(workspace),
            Bytes(values),
            Bytes(context),
            Bytes(self.room.bytes()),
            self.room.share.min(SHARE),
            Bytes(self.room.memory),
        )?;
        match self.room.free {
            Some(free) => write!(f, ", of which {} are free", Bytes(free)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Qwen3-8B.
    fn large() -> Hyper {
        Hyper::qwen3(36, 4096, 12288, 32)
    }

    const CARD: u64 = 12 << 30;

    fn wish(precision: Precision, slots: u32, context_tokens: u32) -> Wish {
        Wish { precision, slots, context_tokens, chunk_tokens: 512, workspace: WORKSPACE }
    }

    fn room(memory: u64, share: u64) -> Room {
        Room { memory, free: None, share }
    }

    #[test]
    fn eight_billion_weights_fit_a_card_of_twelve_in_four_bits_only() {
        let sum = |precision| Sum::new(&large(), &wish(precision, 4, 4096));
        let four = sum(Precision::Int4);
        // 6.95 billion numbers in matrices: half a byte and a scale for each 128; the embedding in two bytes, the head in one.
        // The engine that was built has 5,489,420,586 bytes.
        assert!((5_490_000_000..5_520_000_000).contains(&four.weights), "{}", four.weights);
        assert_eq!(four.cache, 2 * 36 * 8 * 128 * 2 * 4 * 4160);
        four.fits(room(CARD, SHARE)).unwrap();
        let more = Sum::new(&large(), &wish(Precision::Int4, 8, 4096)).fits(room(CARD, SHARE)).unwrap_err().to_string();
        let begin = "it needs 13.3 GB (5.5 GB of weights + 4.9 GB of keys and values + 2.1 GB of";
        assert!(more.starts_with(begin), "{more}");
        assert!(more.ends_with("and may take 11.0 GB: 85 % of the card's 12.9 GB"), "{more}");
        for precision in [Precision::Fp16, Precision::Int8, Precision::Fp8] {
            assert!(sum(precision).fits(room(CARD, SHARE)).is_err(), "{precision}");
        }
        sum(Precision::Fp16).fits(room(4 * CARD, SHARE)).unwrap();
    }

    #[test]
    fn smaller_blocks_have_more_scales_and_what_has_none_keeps_eight_bits() {
        let four = |inner| weights(&Hyper { inner, ..large() }, Precision::Int4, false);
        assert!(four(12_288 + 32) > four(12_288 + 64) && four(12_288 + 64) > four(12_288 + 128));
        assert!(four(12_288 + 1) > weights(&large(), Precision::Int8, false));
    }

    #[test]
    fn two_streams_take_what_the_sum_counts() {
        let wish = wish(Precision::Int4, 4, 4096);
        let sum = Sum::new(&large(), &wish);
        // An engine is built with one stream's part of it, and runs on both.
        assert_eq!((wish.stream_workspace(), sum.workspace), (1 << 30, WORKSPACE));
        assert_eq!(sum.total(), sum.weights + sum.cache + sum.workspace + sum.values + sum.context);
        // A token of 8B takes 0.7 MB over 4,096 rows, of which 0.5 are scores; logits of four slots on both streams.
        let token = 24 * 4096 + 6 * 12288 + 4 * 48 * 128 + 4 * 32 * 4160 + 4160;
        assert_eq!(sum.values, 516 * token + 8 * 4 * 151_936);
        // An odd number of bytes is not rounded up behind anybody's back.
        let odd = Wish { workspace: 3, ..wish };
        assert_eq!(Sum::new(&large(), &odd).workspace, 2);
    }

    #[test]
    fn what_others_have_taken_is_not_there() {
        let sum = Sum::new(&large(), &wish(Precision::Int4, 2, 4096));
        let with = |free| sum.fits(Room { free: Some(free), ..room(CARD, SHARE) });
        with(CARD).unwrap();
        let text = with(9_000_000_000).unwrap_err().to_string();
        let end = "and may take 9.0 GB: 85 % of the card's 12.9 GB, of which 9.0 GB are free";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn nobody_gets_more_than_the_share_and_nothing_overflows() {
        let four = Sum::new(&large(), &wish(Precision::Int4, 2, 4096));
        assert!(four.fits(room(CARD, 100)).is_ok() && four.fits(room(CARD, 50)).is_err());
        assert!(four.fits(room(four.total(), 100)).is_err());
        let most = 1 << 20;
        let lying = Hyper { layers: most, width: most, inner: most, heads: most, kv_heads: most, ..large() };
        let wish = Wish { chunk_tokens: u32::MAX, ..wish(Precision::Fp16, u32::MAX, u32::MAX - 64) };
        assert!(Sum::new(&lying, &wish).fits(room(CARD, SHARE)).is_err());
    }

    #[test]
    fn a_cache_has_a_row_to_spare_and_slots_begin_where_the_library_wants_them() {
        assert_eq!([1, 63, 64, 4096].map(cache_rows), [64, 64, 128, 4160]);
        // The smallest head there can be: two numbers of two bytes.
        assert!([1, 100, 4096].map(cache_rows).iter().all(|rows| (rows * 2 * 2).is_multiple_of(256)));
    }
}
