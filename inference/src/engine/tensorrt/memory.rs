//! Whether an engine will fit a card, before anything of it is built or loaded: weights, caches and workspace against a
//! share of the card's memory. Plain arithmetic, on the high side.

use std::fmt;

use crate::graph::hyper::Hyper;
use crate::model::footprint::Bytes;

use super::Precision;

/// Of a card's memory that an engine may take, in hundredths: the rest is for the screen and whatever else is open.
pub const SHARE: u64 = 85;
/// What the library may take while it computes, where nobody says otherwise.
pub const WORKSPACE: u64 = 2 << 30;
/// Inputs that share a scale, at the worst.
const LEAST_BLOCK: u64 = 32;
/// Bytes of a number in caches and of one that is not quantised.
const WIDE: u64 = 2;
/// The driver's own, for each process that uses a card.
const CONTEXT: u64 = 300 << 20;

/// What an engine needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Weights, embedding and scales.
    pub weights: u64,
    /// Keys and values of all slots.
    pub cache: u64,
    /// What computing takes.
    pub workspace: u64,
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
    /// What computing may take.
    pub workspace: u64,
}

impl Sum {
    /// For a model of this shape.
    #[must_use]
    pub fn new(hyper: &Hyper, wish: &Wish) -> Self {
        let count = |number: usize| number as u64;
        let (width, inner) = (count(hyper.width), count(hyper.inner));
        let heads = count(hyper.heads + 2 * hyper.kv_heads) * count(hyper.head_size);
        let output = count(hyper.heads) * count(hyper.head_size);
        let block = (heads * width).saturating_add(output * width).saturating_add(3 * inner * width);
        let matrices = block.saturating_mul(count(hyper.layers));
        let table = count(hyper.vocabulary).saturating_mul(width).saturating_mul(WIDE);
        // Embedding and head, which may be one or two.
        let weights = stored(matrices, wish.precision).saturating_add(table.saturating_mul(2));
        let token = 2 * count(hyper.layers) * count(hyper.kv_heads) * count(hyper.head_size) * WIDE;
        let rows = u64::from(cache_rows(wish.context_tokens)) * u64::from(wish.slots);
        Self { weights, cache: token.saturating_mul(rows), workspace: wish.workspace, context: CONTEXT }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { weights, cache, workspace, context } = *self;
        weights.saturating_add(cache).saturating_add(workspace).saturating_add(context)
    }

    /// Whether it fits `share` hundredths of a card with `memory` bytes.
    ///
    /// # Errors
    /// The arithmetic.
    pub fn fits(self, memory: u64, share: u64) -> Result<Self, TooLarge> {
        let room = memory / 100 * share.min(SHARE);
        if self.total() <= room { Ok(self) } else { Err(TooLarge { sum: self, memory, room }) }
    }
}

/// Rows of a slot's cache: one more than its tokens, where a row goes that is computed for nothing; in eights, so that
/// every slot begins at a place that cards like.
#[must_use]
pub fn cache_rows(context_tokens: u32) -> u32 {
    context_tokens.saturating_add(1).next_multiple_of(8)
}

/// Bytes of so many numbers of weights.
fn stored(numbers: u64, precision: Precision) -> u64 {
    match precision {
        Precision::Fp16 | Precision::Bf16 => numbers.saturating_mul(WIDE),
        Precision::Int8 | Precision::Fp8 => numbers.saturating_add(numbers / 256),
        Precision::Int4 => (numbers / 2).saturating_add(numbers / LEAST_BLOCK * WIDE),
    }
}

/// Why an engine does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    sum: Sum,
    memory: u64,
    room: u64,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sum { weights, cache, workspace, context } = self.sum;
        write!(
            f,
            "it needs {} ({} of weights + {} of keys and values + {} of workspace + {} of the driver's) and may take {} \
             of the card's {}",
            Bytes(self.sum.total()),
            Bytes(weights),
            Bytes(cache),
            Bytes(workspace),
            Bytes(context),
            Bytes(self.room),
            Bytes(self.memory),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Pairs;
    use crate::graph::hyper::Family;

    /// Qwen3-8B.
    fn large() -> Hyper {
        Hyper {
            family: Family::Qwen3,
            layers: 36,
            width: 4096,
            inner: 12288,
            heads: 32,
            kv_heads: 8,
            head_size: 128,
            vocabulary: 151_936,
            context_tokens: 40_960,
            epsilon: 1e-6,
            rotary_base: 1e6,
            pairs: Pairs::Halves,
        }
    }

    const CARD: u64 = 12 << 30;

    fn wish(precision: Precision, slots: u32, context_tokens: u32) -> Wish {
        Wish { precision, slots, context_tokens, workspace: WORKSPACE }
    }

    #[test]
    fn eight_billion_weights_fit_a_card_of_twelve_in_four_bits_only() {
        let sum = |precision| Sum::new(&large(), &wish(precision, 4, 4096));
        let four = sum(Precision::Int4);
        // 6.95 billion numbers in matrices: half a byte and a scale; embedding and head in two bytes each.
        assert!((6_200_000_000..6_500_000_000).contains(&four.weights), "{}", four.weights);
        assert_eq!(four.cache, 2 * 36 * 8 * 128 * 2 * 4 * 4104);
        let text = four.fits(CARD, SHARE).unwrap_err().to_string();
        assert!(text.starts_with("it needs 11.3 GB (6.4 GB of weights + 2.4 GB of keys and values"), "{text}");
        assert!(text.ends_with("and may take 11.0 GB of the card's 12.9 GB"), "{text}");
        Sum::new(&large(), &wish(Precision::Int4, 2, 4096)).fits(CARD, SHARE).unwrap();
        for precision in [Precision::Fp16, Precision::Int8, Precision::Fp8] {
            assert!(sum(precision).fits(CARD, SHARE).is_err(), "{precision}");
        }
        sum(Precision::Fp16).fits(4 * CARD, SHARE).unwrap();
    }

    #[test]
    fn nobody_gets_more_than_the_share_and_nothing_overflows() {
        let four = Sum::new(&large(), &wish(Precision::Int4, 2, 4096));
        assert!(four.fits(CARD, 100).is_ok() && four.fits(CARD, 50).is_err());
        assert!(four.fits(four.total(), 100).is_err());
        let most = 1 << 20;
        let lying = Hyper { layers: most, width: most, inner: most, heads: most, kv_heads: most, ..large() };
        assert!(Sum::new(&lying, &wish(Precision::Fp16, u32::MAX, u32::MAX - 8)).fits(CARD, SHARE).is_err());
    }

    #[test]
    fn a_cache_has_a_row_to_spare() {
        assert_eq!([1, 7, 8, 4096].map(cache_rows), [8, 8, 16, 4104]);
    }
}
