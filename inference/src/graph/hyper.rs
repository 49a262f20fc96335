//! The numbers that shape a decoder, as its file says them, checked before anything is built of them.

use super::{GraphError, Pairs};
use crate::model::Header;

/// What there is a description of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Qwen3, dense: a norm on each head of queries and keys.
    Qwen3,
    /// Llama 2 and 3, and what is built as they are.
    Llama,
}

/// The numbers that shape a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyper {
    /// Which description it follows.
    pub family: Family,
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Numbers of a token between two blocks.
    pub width: usize,
    /// Numbers inside the feed-forward part.
    pub inner: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and of values; `heads` is a multiple.
    pub kv_heads: usize,
    /// Numbers in each head.
    pub head_size: usize,
    /// Tokens that it knows.
    pub vocabulary: usize,
    /// Tokens of context that it was made for.
    pub context_tokens: usize,
    /// Added to the mean of squares in each norm.
    pub epsilon: f32,
    /// Base of the frequencies of positions.
    pub rotary_base: f32,
    /// How the file stores rotated pairs.
    pub pairs: Pairs,
}

/// Far above every model there is, and low enough that no product of three of these overflows.
const MOST: u64 = 1 << 20;

impl Hyper {
    /// What the header of a GGUF file says.
    ///
    /// # Errors
    /// Names what is missing, impossible, or beyond what is described here.
    pub fn of(header: &Header) -> Result<Self, GraphError> {
        let architecture = header.architecture();
        // llama.cpp's converter reorders the rows of Llama's queries and keys so that pairs become neighbours.
        let (family, pairs) = match architecture {
            "qwen3" => (Family::Qwen3, Pairs::Halves),
            "llama" => (Family::Llama, Pairs::Neighbours),
            other => return Err(GraphError(format!("a network of the kind {other} is not described here"))),
        };
        let own = Own { header, architecture };
        own.refuse("expert_count", "it is a mixture of experts")?;
        own.refuse("attention.sliding_window", "it has a sliding window")?;
        let scaling = header.text(&format!("{architecture}.rope.scaling.type"));
        if scaling.is_some_and(|kind| kind != "none") {
            return Err(GraphError("its positions are stretched, which is not described here".into()));
        }
        let (width, heads) = (own.number("embedding_length", None)?, own.number("attention.head_count", None)?);
        let head_size = own.number("attention.key_length", Some(width / heads))?;
        let same = [("attention.value_length", head_size), ("rope.dimension_count", head_size)];
        if let Some((key, _)) = same.iter().find(|(key, size)| own.number(key, Some(*size)) != Ok(*size)) {
            return Err(GraphError(format!("its {key} is not that of its keys, which is not described here")));
        }
        let vocabulary = header.length("tokenizer.ggml.tokens").filter(|tokens| *tokens <= MOST);
        let vocabulary = vocabulary.ok_or_else(|| GraphError("it has no list of tokens".into()))?;
        let hyper = Self {
            family,
            layers: own.number("block_count", None)?,
            width,
            inner: own.number("feed_forward_length", None)?,
            heads,
            kv_heads: own.number("attention.head_count_kv", Some(heads))?,
            head_size,
            vocabulary: usize::try_from(vocabulary).unwrap_or_default(),
            context_tokens: header.context_tokens().and_then(|tokens| usize::try_from(tokens).ok()).unwrap_or(1),
            epsilon: own.float("attention.layer_norm_rms_epsilon", None)?,
            rotary_base: own.float("rope.freq_base", Some(10_000.0))?,
            pairs,
        };
        if !hyper.heads.is_multiple_of(hyper.kv_heads) || !hyper.head_size.is_multiple_of(2) {
            return Err(GraphError("its heads cannot be grouped".into()));
        }
        Ok(hyper)
    }
}

/// Entries of the file's own kind of network.
struct Own<'a> {
    header: &'a Header,
    architecture: &'a str,
}

impl Own<'_> {
    fn number(&self, key: &str, otherwise: Option<usize>) -> Result<usize, GraphError> {
        let name = format!("{}.{key}", self.architecture);
        match self.header.number(&name) {
            Some(number) if (1..=MOST).contains(&number) => Ok(usize::try_from(number).unwrap_or_default()),
            None if self.header.float(&name).is_none() && self.header.length(&name).is_none() => {
                otherwise.ok_or_else(|| GraphError(format!("{name} is missing")))
            }
            _ => Err(GraphError(format!("{name} is not one number from 1 to {MOST}"))),
        }
    }

    fn float(&self, key: &str, otherwise: Option<f32>) -> Result<f32, GraphError> {
        let name = format!("{}.{key}", self.architecture);
        let number = self.header.float(&name).map(|number| number as f32).or(otherwise);
        let number = number.filter(|number| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| GraphError(format!("{name} is missing or not above 0")))
    }

    fn refuse(&self, key: &str, why: &str) -> Result<(), GraphError> {
        match self.header.number(&format!("{}.{key}", self.architecture)) {
            None | Some(0) => Ok(()),
            Some(_) => Err(GraphError(format!("{why}, which is not described here"))),
        }
    }
}

#[cfg(test)]
impl Hyper {
    /// Of the Qwen3 family, with the vocabulary and the heads that its models share.
    pub(crate) fn qwen3(layers: usize, width: usize, inner: usize, heads: usize) -> Self {
        Self {
            family: Family::Qwen3,
            layers,
            width,
            inner,
            heads,
            kv_heads: 8,
            head_size: 128,
            vocabulary: 151_936,
            context_tokens: 40_960,
            epsilon: 1e-6,
            rotary_base: 1e6,
            pairs: Pairs::Halves,
        }
    }
}
