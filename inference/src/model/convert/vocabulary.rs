//! The words of a BERT, as llama.cpp wants them: a piece that begins a word has a mark in front, one that goes on with
//! a word has none, and control tokens are as they are.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::{ConvertError, read_json};

/// Most tokens; the largest BERT has some 500,000.
const MAX_TOKENS: usize = 2_000_000;
/// What is put in front of a piece that begins a word.
const MARK: char = '\u{2581}';
const GOES_ON: &str = "##";
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// The tokens in order, and which of them mean what.
pub(super) struct Vocabulary {
    pub(super) tokens: Vec<String>,
    /// llama.cpp's numbers for kinds of tokens.
    pub(super) kinds: Vec<i32>,
    pub(super) lowercase: bool,
    pub(super) strip_accents: bool,
    /// Ids of `[UNK]`, `[SEP]`, `[PAD]`, `[CLS]`, `[MASK]`.
    pub(super) special: [u32; 5],
}

impl Vocabulary {
    /// Reads `tokenizer.json` in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, ConvertError> {
        let path = folder.join("tokenizer.json");
        let json = read_json(&path)?;
        let bad = |what: &str| ConvertError::bad(&path, what);
        let words = json.pointer("/model/vocab").and_then(Value::as_object).ok_or_else(|| bad("it has no words"))?;
        if json.pointer("/model/type").is_some_and(|kind| kind != "WordPiece") {
            return Err(ConvertError::Unsupported("its tokenizer is not BERT's".to_owned()));
        }
        if words.len() > MAX_TOKENS {
            return Err(bad("it has too many words"));
        }
        let mut tokens = vec![None; words.len()];
        for (word, id) in words {
            let place = id.as_u64().and_then(|id| tokens.get_mut(usize::try_from(id).ok()?));
            let place =
                place.filter(|place| place.is_none()).ok_or_else(|| bad("its words are not numbered in order"))?;
            *place = Some(word.clone());
        }
        // As many words as places, each in one of its own: there is one in every place.
        let tokens: Vec<String> = tokens.into_iter().flatten().collect();
        let control = control_tokens(&json);
        let id = |name: &str| tokens.iter().position(|token| token == name).and_then(|id| u32::try_from(id).ok());
        let mut special = [0; 5];
        for (place, name) in special.iter_mut().zip(["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]) {
            *place = id(name).ok_or_else(|| bad(&format!("it has no {name}")))?;
        }
        let kinds = tokens.iter().map(|token| if control.contains(token) { CONTROL } else { NORMAL }).collect();
        let tokens: Vec<String> = tokens.into_iter().map(|token| piece(token, &control)).collect();
        if tokens.iter().collect::<HashSet<_>>().len() < tokens.len() {
            return Err(bad("two of its words are the same"));
        }
        let lowercase = json.pointer("/normalizer/lowercase").and_then(Value::as_bool).unwrap_or(true);
        // Where it is left open, case decides.
        let strip_accents = json.pointer("/normalizer/strip_accents").and_then(Value::as_bool).unwrap_or(lowercase);
        Ok(Self { tokens, kinds, lowercase, strip_accents, special })
    }
}

fn control_tokens(json: &Value) -> HashSet<String> {
    let added = json.pointer("/added_tokens").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let special = added.iter().filter(|token| token["special"] == true);
    special.filter_map(|token| token["content"].as_str()).map(str::to_owned).collect()
}

fn piece(token: String, control: &HashSet<String>) -> String {
    if control.contains(&token) {
        return token;
    }
    match token.strip_prefix(GOES_ON) {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => format!("{MARK}{token}"),
    }
}
