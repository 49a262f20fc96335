//! Which files are embedding models, and how they make one vector out of those of all tokens.

use super::gguf::Header;

/// Networks that embed, whatever else their file says.
const EMBEDDING: [&str; 10] = [
    "bert",
    "eurobert",
    "gemma-embedding",
    "jina-bert-v2",
    "jina-bert-v3",
    "llama-embed",
    "modern-bert",
    "neo-bert",
    "nomic-bert",
    "nomic-bert-moe",
];
/// llama.cpp's number for a model that gives a text a rank and no vector.
const RANK: u64 = 4;

/// Which tokens' vectors make the text's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all.
    Mean,
    /// The first token's, such as BERT's `[CLS]`.
    First,
    /// The last token's.
    Last,
}

impl Header {
    /// How an embedding model makes its vector; `None` for a model that makes none.
    pub fn pooling(&self) -> Option<Pooling> {
        match self.own_number("pooling_type") {
            Some(1) => Some(Pooling::Mean),
            Some(2) => Some(Pooling::First),
            Some(3) => Some(Pooling::Last),
            Some(RANK) => None,
            _ => EMBEDDING.contains(&self.architecture()).then_some(Pooling::Mean),
        }
    }

    /// Whether each token sees those behind it.
    pub fn reads_both_ways(&self) -> bool {
        EMBEDDING.contains(&self.architecture()) || self.own_number("attention.causal") == Some(0)
    }

    /// Whether it says how well a text fits a question, in place of a vector.
    pub(super) fn ranks(&self) -> bool {
        self.own_number("pooling_type") == Some(RANK)
    }

    fn own_number(&self, key: &str) -> Option<u64> {
        self.number(&format!("{}.{key}", self.architecture()))
    }
}
