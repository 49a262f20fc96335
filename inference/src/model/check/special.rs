//! Special tokens: those that stand in front of a text, between two and behind one.
//!
//! llama.cpp takes its tokenizer's usual token where the file names none or one that is not in the vocabulary, and
//! none at all where the usual one is not there either. As soon as a text is to have it, it aborts.

use crate::model::gguf::Header;
use crate::model::reader::HeaderError;

/// Tokenizers with no words, on which llama.cpp aborts at the first text.
const NO_WORDS: [&str; 3] = ["none", "no_vocab", "test"];
/// Places of a special token.
const PLACES: [Place; 3] = [
    Place { name: "bos", usual: &[("llama", 1), ("bert", 101), ("gpt2", 11), ("plamo2", 1)] },
    // The format has it misspelt.
    Place { name: "seperator", usual: &[("bert", 102)] },
    Place { name: "eos", usual: &[("llama", 2), ("gpt2", 11), ("t5", 1), ("plamo2", 2)] },
];

struct Place {
    name: &'static str,
    /// Which token it is where the file does not say, by tokenizer.
    usual: &'static [(&'static str, u64)],
}

/// Checks them against the vocabulary, of `tokens` tokens.
pub(super) fn tokens(header: &Header, tokens: u64) -> Result<(), HeaderError> {
    let tokenizer = header.text("tokenizer.ggml.model").unwrap_or_default();
    if NO_WORDS.contains(&tokenizer) {
        return Err(HeaderError::broken("its tokenizer has no words"));
    }
    match PLACES.iter().find(|place| place.is_wanted(header, tokenizer) && !place.is_there(header, tokenizer, tokens)) {
        Some(place) => {
            Err(HeaderError::broken(format!("tokenizer.ggml.{}_token_id is none of its tokens", place.name)))
        }
        None => Ok(()),
    }
}

impl Place {
    /// BERT's tokenizer puts its two around every text, whatever the file says.
    fn is_wanted(&self, header: &Header, tokenizer: &str) -> bool {
        let name = if self.name == "seperator" { "sep" } else { self.name };
        let asked = header.number(&format!("tokenizer.ggml.add_{name}_token")) == Some(1);
        asked || (tokenizer == "bert" && self.usual_of(tokenizer).is_some())
    }

    fn is_there(&self, header: &Header, tokenizer: &str, tokens: u64) -> bool {
        let named = header.number(&format!("tokenizer.ggml.{}_token_id", self.name));
        [named, self.usual_of(tokenizer)].into_iter().flatten().any(|id| id < tokens)
    }

    fn usual_of(&self, tokenizer: &str) -> Option<u64> {
        self.usual.iter().find(|(name, _)| *name == tokenizer).map(|(_, id)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reader::Value;

    fn check(tokenizer: &str, numbers: &[(&str, u64)], words: u64) -> bool {
        let mut entries = vec![("tokenizer.ggml.model", Value::Text(tokenizer.to_owned()))];
        entries.extend(numbers.iter().map(|(key, number)| (*key, Value::Number(*number))));
        tokens(&Header::of(&entries), words).is_ok()
    }

    #[test]
    fn what_every_text_has_is_in_the_vocabulary() {
        let (bos, sep, add) =
            ("tokenizer.ggml.bos_token_id", "tokenizer.ggml.seperator_token_id", "tokenizer.ggml.add_bos_token");
        for (tokenizer, numbers, words, good) in [
            ("llama", &[(add, 1)][..], 2, true),
            ("llama", &[(add, 1)], 1, false),
            ("gpt2", &[(add, 1), (bos, 20)], 10, false),
            ("gpt2", &[(add, 1), (bos, 9)], 10, true),
            ("gpt2", &[(add, 0), (bos, 20)], 10, true),
            ("rwkv", &[(add, 1)], 1000, false),
            ("rwkv", &[], 1000, true),
            ("bert", &[], 30_000, true),
            ("bert", &[], 102, false),
            ("bert", &[(bos, 2)], 16, false),
            ("bert", &[(bos, 2), (sep, 16)], 16, false),
            ("bert", &[(bos, 2), (sep, 3)], 16, true),
            ("none", &[], 1000, false),
        ] {
            assert_eq!(check(tokenizer, numbers, words), good, "{tokenizer} {numbers:?} {words}");
        }
    }
}
