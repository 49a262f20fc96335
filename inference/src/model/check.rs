//! Rules beyond the format: values on which llama.cpp would abort instead of refusing, and files that are of no
//! use here.

use std::collections::BTreeMap;

use super::gguf::{Header, Tensor};
use super::reader::{HeaderError, KIND_F32, KIND_I32, KIND_TEXT, Value};

mod special;

/// llama.cpp's own limits on layers and experts; it aborts beyond them.
const MAX_LAYERS: u64 = 512;
const MAX_EXPERTS: u64 = 1024;
/// Far above every model there is; products of these still fit 64 bits.
const MAX_WIDTH: u64 = 1 << 20;
const MAX_CONTEXT: u64 = 1 << 28;
/// Writers fill up to the alignment, or to a page.
const MAX_PADDING: u64 = 4096;

/// Networks that encode or fill in, and parts of other models: good files that neither go on with a text nor embed it.
const OF_NO_USE: [&str; 7] = ["clip", "dream", "llada", "llada-moe", "t5", "t5encoder", "wavtokenizer-dec"];

/// Checks the entries that a file needs.
pub(super) fn entries(header: &Header) -> Result<(), HeaderError> {
    let architecture = header.architecture();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if architecture.is_empty() || !architecture.chars().all(fits) {
        return Err(HeaderError::broken("general.architecture does not name a kind of network"));
    }
    required(header, "block_count", 1..=MAX_LAYERS)?;
    required(header, "embedding_length", 1..=MAX_WIDTH)?;
    required(header, "context_length", 1..=MAX_CONTEXT)?;
    optional(header, "expert_count", 0..=MAX_EXPERTS)?;
    optional(header, "expert_used_count", 0..=header.number(&own(header, "expert_count")).unwrap_or(0))?;
    heads(header)?;
    vocabulary(header)
}

/// Says why a good file can neither chat nor embed.
pub(super) fn servable(header: &Header) -> Result<(), &'static str> {
    if OF_NO_USE.contains(&header.architecture()) {
        return Err("it is neither a chat model nor an embedding model");
    }
    if header.ranks() {
        return Err("it ranks texts, and neither answers nor makes vectors");
    }
    if header.get("adapter.type").is_some() {
        return Err("it is an adapter and needs its base model");
    }
    if header.number("split.count").is_some_and(|parts| parts > 1) {
        return Err("it is one part of several; join them with llama-gguf-split --merge");
    }
    Ok(())
}

/// Checks that the tensors fill the `room` behind the header: none beyond its end, none in another's place, and
/// nothing at the end that no tensor knows of (a lying count would shift every weight).
pub(super) fn layout(tensors: &BTreeMap<String, Tensor>, room: u64) -> Result<(), HeaderError> {
    let mut extents: Vec<(u64, u64)> =
        tensors.values().map(|tensor| (tensor.start, tensor.start.saturating_add(tensor.bytes))).collect();
    extents.sort_unstable();
    if extents.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(HeaderError::broken("tensors overlap"));
    }
    let end = extents.last().map_or(0, |extent| extent.1);
    match room.checked_sub(end) {
        None => Err(HeaderError::TooShort),
        Some(left) if left > MAX_PADDING => Err(HeaderError::broken(format!("{left} bytes belong to no tensor"))),
        Some(_) => Ok(()),
    }
}

fn own(header: &Header, key: &str) -> String {
    format!("{}.{key}", header.architecture())
}

fn required(header: &Header, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<(), HeaderError> {
    let key = own(header, key);
    if header.get(&key).is_none() {
        return Err(HeaderError::broken(format!("{key} is missing")));
    }
    within(header, &key, range)
}

fn optional(header: &Header, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<(), HeaderError> {
    let key = own(header, key);
    if header.get(&key).is_none() {
        return Ok(());
    }
    within(header, &key, range)
}

fn within(header: &Header, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<(), HeaderError> {
    match header.get(key) {
        Some(Value::Number(number)) if range.contains(number) => Ok(()),
        // Some networks give one value for each layer.
        Some(Value::Array { length, .. }) if *length <= MAX_LAYERS => Ok(()),
        _ => Err(HeaderError::broken(format!("{key} is not from {} to {}", range.start(), range.end()))),
    }
}

/// Heads divide: none at all would be a division by zero.
fn heads(header: &Header) -> Result<(), HeaderError> {
    optional(header, "attention.head_count", 1..=MAX_WIDTH)?;
    optional(header, "attention.head_count_kv", 0..=MAX_WIDTH)?;
    let queries = header.number(&own(header, "attention.head_count"));
    let keys = header.number(&own(header, "attention.head_count_kv"));
    match (queries, keys) {
        (Some(queries), Some(keys)) if keys > 0 && !queries.is_multiple_of(keys) => {
            Err(HeaderError::broken("attention.head_count is no multiple of attention.head_count_kv"))
        }
        _ => Ok(()),
    }
}

/// llama.cpp reads the lists beside the tokens by the tokens' count.
fn vocabulary(header: &Header) -> Result<(), HeaderError> {
    let Some(Value::Array { kind: KIND_TEXT, length: tokens, .. }) = header.get("tokenizer.ggml.tokens") else {
        return Err(HeaderError::broken("it has no tokens"));
    };
    if *tokens == 0 || header.text("tokenizer.ggml.model").is_none() {
        return Err(HeaderError::broken("it has no tokenizer"));
    }
    special::tokens(header, *tokens)?;
    list(header, "tokenizer.ggml.scores", &[KIND_F32, KIND_I32], *tokens)?;
    list(header, "tokenizer.ggml.token_type", &[KIND_I32], *tokens)?;
    list(header, "tokenizer.ggml.merges", &[KIND_TEXT], 0)
}

fn list(header: &Header, key: &str, kinds: &[u32], least: u64) -> Result<(), HeaderError> {
    match header.get(key) {
        None => Ok(()),
        Some(Value::Array { kind, length, .. }) if kinds.contains(kind) && *length >= least => Ok(()),
        Some(_) => Err(HeaderError::broken(format!("{key} does not fit the tokens"))),
    }
}
