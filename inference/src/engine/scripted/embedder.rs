//! The scripted engine as an embedding model: a vector is a function of (seed, text), and every text counts the same
//! tokens as in a chat. Texts that share words get vectors that are near each other.

use sha2::{Digest, Sha256};

use super::{BYTES_PER_TOKEN, FaultKind, HANG_POLL, Options, hash_token, mix, seconds};
use crate::Kind;
use crate::embed::{Capacity, Embedder};
use crate::engine::{EngineError, ModelInfo};

/// As many as a small BERT computes at once.
const CAPACITY: Capacity = Capacity { tokens: 512, texts: 64 };

/// The engine. See [`Options::dimensions`].
pub struct ScriptedEmbedder {
    options: Options,
    info: ModelInfo,
    /// Texts so far, for the fault.
    texts: u32,
}

impl ScriptedEmbedder {
    /// An engine of these options; they are valid by construction.
    pub fn new(options: Options) -> Self {
        let dimensions = options.dimensions;
        let same_vectors = format!("starling scripted embedding 1 seed={} dimensions={dimensions}", options.seed);
        let info = ModelInfo {
            id: Sha256::digest(same_vectors).into(),
            name: "scripted-embedding".into(),
            context_tokens: options.context_tokens,
            slots: options.slots,
            device: "CPU".into(),
            kind: Kind::Embedding { dimensions },
            memory_bytes: u64::from(options.memory_mb) << 20,
            ..ModelInfo::default()
        };
        Self { options, info, texts: 0 }
    }

    fn fault(&mut self, abandoned: &dyn Fn() -> bool) -> Result<Option<FaultKind>, EngineError> {
        let fault = self.options.fault.filter(|fault| fault.token == self.texts).map(|fault| fault.kind);
        self.texts += 1;
        match fault {
            Some(FaultKind::Die) => panic!("the scripted engine was told to die"),
            Some(FaultKind::Abort) => std::process::abort(),
            Some(FaultKind::Segfault) => super::segfault(),
            Some(FaultKind::OutOfMemory) => Err(EngineError::OutOfMemory),
            Some(FaultKind::Hang) => {
                while !abandoned() {
                    std::thread::sleep(HANG_POLL);
                }
                Err(EngineError::Died { reason: "it hung".into() })
            }
            garbage_or_none => Ok(garbage_or_none),
        }
    }
}

impl Embedder for ScriptedEmbedder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn capacity(&self) -> Capacity {
        CAPACITY
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        words(text).flat_map(|word| word.as_bytes().chunks(BYTES_PER_TOKEN)).map(hash_token).collect()
    }

    fn embed(&mut self, texts: &[&[u32]], abandoned: &dyn Fn() -> bool) -> Result<Vec<Vec<f32>>, EngineError> {
        let tokens = texts.iter().map(|text| text.len()).sum();
        std::thread::sleep(seconds(tokens, self.options.prefill_tokens_per_second));
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            vectors.push(match self.fault(abandoned)? {
                Some(_) => vec![f32::NAN; self.options.dimensions as usize],
                None => vector(self.options.seed, self.options.dimensions, text),
            });
        }
        Ok(vectors)
    }
}

/// The sum of one random direction for each token.
fn vector(seed: u64, dimensions: u32, text: &[u32]) -> Vec<f32> {
    let direction = |token: u32, index: u32| {
        let hash = mix(seed ^ mix(u64::from(token) << 32 | u64::from(index)));
        // 53 bits are what a float's mantissa holds.
        (hash >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..dimensions).map(|index| text.iter().map(|&token| direction(token, index)).sum::<f64>() as f32).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}
