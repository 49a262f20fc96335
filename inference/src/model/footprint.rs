//! How much memory a model takes, from its header, before any of it is taken; and how many slots of which context fit.
//!
//! Estimates, on the high side: weights are the file's length, the KV cache is exact for plain attention in 16 bits,
//! and the buffers of a computation follow llama.cpp's largest graph. What recurrent layers keep is small and left out.

use std::fmt;

use super::Header;

/// Bytes of a number in the KV cache (f16) and in a computation (f32).
const KV_BYTES: u64 = 2;
const BUFFER_BYTES: u64 = 4;
/// Activations of one layer that live at once, in multiples of its two widths: input, output, queries, gate, up.
const LIVE_ACTIVATIONS: u64 = 4;
/// What a context costs however small its model: threads, graph, tables.
const FIXED_BYTES: u64 = 32 << 20;
/// Slots where nobody asked for a number; fewer when memory is short.
const DEFAULT_SLOTS: u32 = 4;
/// A default context goes no lower: below, a chat makes no sense.
const LEAST_DEFAULT_CONTEXT: u32 = 512;

/// What a model needs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The file, which is mapped or copied whole.
    pub weights: u64,
    /// Each token that a slot has room for.
    pub kv_token: u64,
    /// Each token that one batch has room for.
    pub batch_token: u64,
}

impl Footprint {
    /// Of a file of `bytes` with this header. Entries that are missing count as the widest that they can be.
    pub fn new(header: &Header, bytes: u64) -> Self {
        let own = |key: &str| header.number(&format!("{}.{key}", header.architecture()));
        let layers = own("block_count").unwrap_or(1);
        let width = own("embedding_length").unwrap_or(0);
        let list = |key: &str| {
            let layers = usize::try_from(layers).unwrap_or(usize::MAX);
            header.numbers(&format!("{}.{key}", header.architecture()), layers)
        };
        let queries = list("attention.head_count").unwrap_or_default();
        let most_heads = queries.iter().copied().max().unwrap_or(1).max(1);
        let head = width / most_heads;
        let (key, value) = (own("attention.key_length"), own("attention.value_length"));
        let row = key.unwrap_or(head).saturating_add(value.unwrap_or(head)).saturating_mul(KV_BYTES);
        let kv_heads = list("attention.head_count_kv").unwrap_or(queries);
        let heads = kv_heads.iter().fold(0_u64, |sum, &heads| sum.saturating_add(heads));
        let inner = list("feed_forward_length").and_then(|widths| widths.into_iter().max()).unwrap_or(4 * width);
        let live = width.saturating_add(inner).saturating_mul(LIVE_ACTIVATIONS);
        let vocabulary = header.length("tokenizer.ggml.tokens").unwrap_or(0);
        Self {
            weights: bytes,
            kv_token: heads.saturating_mul(row),
            batch_token: live.saturating_add(vocabulary).saturating_mul(BUFFER_BYTES),
        }
    }

    /// All of it.
    pub fn total(&self, size: &Size) -> u64 {
        self.weights.saturating_add(self.cache(size)).saturating_add(self.buffers(size))
    }

    fn cache(&self, size: &Size) -> u64 {
        let tokens = u64::from(size.context_tokens) * u64::from(size.slots);
        tokens.saturating_mul(self.kv_token)
    }

    /// Besides the activations, each row of a batch has a mask over the context, in 32 and in 16 bits.
    fn buffers(&self, size: &Size) -> u64 {
        let row = self.batch_token.saturating_add(u64::from(size.context_tokens) * (BUFFER_BYTES + KV_BYTES));
        row.saturating_mul(size.batch_tokens.into()).saturating_add(FIXED_BYTES)
    }
}

/// How large to build a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Tokens that each slot holds.
    pub context_tokens: u32,
    /// Slots.
    pub slots: u32,
    /// Tokens in one batch.
    pub batch_tokens: u32,
}

/// What a person asked for, and what there is.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Asked for.
    pub context_tokens: Option<u32>,
    /// Asked for.
    pub slots: Option<u32>,
    /// Context where nobody asked: what the model was made for, at most what makes sense on this device.
    pub default_context: u32,
    /// Tokens in one batch.
    pub batch_tokens: u32,
    /// Bytes that may be taken.
    pub room: u64,
}

impl Wish {
    /// The largest default that fits: fewer slots first, because who waits is served later, but a conversation that
    /// is too long never; then a smaller context.
    ///
    /// # Errors
    /// When what was asked for does not fit, or nothing does.
    pub fn fit(&self, footprint: &Footprint) -> Result<Size, TooLarge> {
        let slots: Vec<u32> = self.slots.map_or_else(|| (1..=DEFAULT_SLOTS).rev().collect(), |slots| vec![slots]);
        let widest = self.context_tokens.unwrap_or(self.default_context);
        let least = slots.last().copied().unwrap_or(1);
        let first = slots.iter().map(|&slots| (widest, slots));
        let narrower = std::iter::successors(self.context_tokens.is_none().then_some(widest / 2), |at| Some(at / 2));
        let narrower = narrower.take_while(|&context| context >= LEAST_DEFAULT_CONTEXT).map(|context| (context, least));
        let mut smallest = None;
        for (context_tokens, slots) in first.chain(narrower) {
            let size = Size { context_tokens, slots, batch_tokens: self.batch_tokens };
            if footprint.total(&size) <= self.room {
                return Ok(size);
            }
            smallest = Some(size);
        }
        let size = smallest.unwrap_or(Size { context_tokens: widest, slots: least, batch_tokens: self.batch_tokens });
        Err(TooLarge { footprint: *footprint, size, room: self.room })
    }
}

/// Why a model does not fit, with the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    footprint: Footprint,
    /// The smallest that was tried.
    size: Size,
    room: u64,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { footprint, size, room } = self;
        let Size { context_tokens, slots, .. } = size;
        write!(
            f,
            "it needs {} ({} of weights, {} for {slots} × {context_tokens} tokens, {} of buffers) and may take {}",
            Bytes(footprint.total(size)),
            Bytes(footprint.weights),
            Bytes(footprint.cache(size)),
            Bytes(footprint.buffers(size)),
            Bytes(*room),
        )
    }
}

/// A number of bytes as people read it.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        if bytes >= 1e9 { write!(f, "{:.1} GB", bytes / 1e9) } else { write!(f, "{:.0} MB", (bytes / 1e6).ceil()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelFile;

    /// 1 GB of weights, 100 kB a token.
    const MODEL: Footprint = Footprint { weights: 1_000_000_000, kv_token: 100_000, batch_token: 1_000_000 };

    fn wish(room: u64) -> Wish {
        Wish { context_tokens: None, slots: None, default_context: 4096, batch_tokens: 512, room }
    }

    fn check(wish: Wish, expected: (u32, u32)) {
        let size = wish.fit(&MODEL).unwrap();
        assert_eq!((size.context_tokens, size.slots), expected, "{wish:?}");
        assert!(MODEL.total(&size) <= wish.room);
    }

    #[test]
    fn the_demo_model_is_known_to_the_byte() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/swarm-demo-3M-q8_0.gguf");
        let file = ModelFile::open(&path).unwrap();
        let own = |key: &str| file.header.number(&format!("qwen3.{key}")).unwrap();
        let footprint = Footprint::new(&file.header, file.bytes);
        let row = own("attention.key_length") + own("attention.value_length");
        assert_eq!(footprint.kv_token, own("block_count") * own("attention.head_count_kv") * row * 2);
        assert_eq!(footprint.weights, file.bytes);
        let size = Size { context_tokens: 1024, slots: 4, batch_tokens: 512 };
        assert!((40_000_000..120_000_000).contains(&footprint.total(&size)), "{}", footprint.total(&size));
    }

    #[test]
    fn memory_decides_slots_then_context() {
        check(wish(u64::MAX), (4096, 4));
        check(wish(2_600_000_000), (4096, 2));
        check(wish(2_200_000_000), (4096, 1));
        check(wish(1_800_000_000), (2048, 1));
        check(Wish { slots: Some(3), ..wish(2_300_000_000) }, (2048, 3));
        check(Wish { context_tokens: Some(1024), ..wish(2_000_000_000) }, (1024, 4));
        check(Wish { context_tokens: Some(8192), ..wish(u64::MAX) }, (8192, 4));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_arithmetic() {
        let asked = Wish { context_tokens: Some(4096), slots: Some(4), ..wish(2_500_000_000) };
        let text = asked.fit(&MODEL).unwrap_err().to_string();
        assert_eq!(
            text,
            "it needs 3.2 GB (1.0 GB of weights, 1.6 GB for 4 × 4096 tokens, 559 MB of buffers) and may take 2.5 GB"
        );
        assert!(wish(1_000_000_000).fit(&MODEL).unwrap_err().to_string().contains("1 × 512 tokens"));
        let lying = Footprint { weights: u64::MAX, kv_token: u64::MAX, batch_token: u64::MAX };
        assert!(wish(u64::MAX - 1).fit(&lying).is_err());
    }
}
