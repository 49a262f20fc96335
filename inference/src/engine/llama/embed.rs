//! llama.cpp as an embedding engine: BERT and its relatives, and chat networks that were trained to embed.
//!
//! A network that reads in both directions, or whose vector is made of all tokens, has to see a whole text at once;
//! one that reads forwards and gives its last token's vector can read a long text in parts.

use std::num::NonZeroU32;
use std::path::Path;

use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_batch::LlamaBatch;

use super::load::{self, Loaded};
use super::{Options, broken, native, small, undone};
use crate::embed::{Capacity, Embedder};
use crate::engine::{EngineError, ModelInfo};
use crate::model::{Hashes, ModelFile, Pooling};
use crate::{Kind, OpenError, Progress};

/// Tokens computed at once where the texts do not need more: enough to keep a CPU's caches busy.
const BATCH_TOKENS: u32 = 512;
/// Texts computed at once.
const BATCH_TEXTS: u32 = 64;
/// Longest text where nobody asked for another limit. What a computation needs grows with the square of it where the
/// whole text is read at once.
const WHOLE_TEXT_TOKENS: u32 = 2048;
const LONG_TEXT_TOKENS: u32 = 4096;
/// Shortest limit for a text: less holds no sentence.
const LEAST_TEXT_TOKENS: u32 = 16;
/// Requests at once; they share each computation, so that one more costs no memory to speak of.
const DEFAULT_REQUESTS: u32 = 16;
const MAX_REQUESTS: u32 = 256;

/// The engine.
pub struct LlamaEmbedder {
    loaded: Loaded,
    info: ModelInfo,
    batch: LlamaBatch<'static>,
    capacity: Capacity,
}

/// How large to build it.
struct Shape {
    context_tokens: u32,
    requests: u32,
    threads: u32,
    /// Tokens in one call of llama.cpp.
    batch_tokens: u32,
    pooling: Pooling,
}

impl LlamaEmbedder {
    /// Checks and loads the embedding model at `path`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        path: &Path,
        options: Options,
        hashes: Option<&Hashes>,
        progress: &Progress,
    ) -> Result<Self, OpenError> {
        let file = ModelFile::open(path)?;
        let pooling = file.header.pooling().ok_or_else(|| unsupported(&file, "it makes no vectors".into()))?;
        let shape = Shape::choose(&file, pooling, options)?;
        let (device, loaded) = load::fall_back(options.device, |device| {
            let loaded = load::native(&file, &device, shape.params(), ("texts of this length", progress))?;
            Ok((device, loaded))
        })?;
        let dimensions = u32::try_from(loaded.borrow_owner().n_embd_out()).unwrap_or_default();
        let info = ModelInfo {
            id: file.sha256(hashes)?,
            name: file.name(),
            context_tokens: shape.context_tokens,
            slots: shape.requests,
            device: device.label(shape.threads),
            warning: device.warning,
            kind: Kind::Embedding { dimensions },
            memory_bytes: file.bytes,
            ..ModelInfo::default()
        };
        let capacity = Capacity { tokens: shape.batch_tokens as usize, texts: BATCH_TEXTS as usize };
        Ok(Self { loaded, info, batch: LlamaBatch::new(capacity.tokens, 1), capacity })
    }

    /// Reads the texts into the network, a sequence for each; `false` when it was given up.
    fn read(&mut self, texts: &[&[u32]], abandoned: &dyn Fn() -> bool) -> Result<bool, EngineError> {
        self.batch.clear();
        for (sequence, text) in texts.iter().enumerate() {
            for (position, &token) in text.iter().enumerate() {
                if usize::try_from(self.batch.n_tokens()).is_ok_and(|tokens| tokens >= self.capacity.tokens) {
                    self.compute()?;
                    if abandoned() {
                        return Ok(false);
                    }
                    self.batch.clear();
                }
                let added = self.batch.add(native(token), small(position), &[small(sequence)], true);
                added.map_err(|_| broken("the batch is too small"))?;
            }
        }
        self.compute().map(|()| true)
    }

    fn compute(&mut self) -> Result<(), EngineError> {
        let batch = &mut self.batch;
        // For networks without a KV cache this is the same as `encode`.
        self.loaded.with_dependent_mut(|_, context| context.decode(batch)).map_err(undone)
    }

    fn vectors(&self, count: usize) -> Result<Vec<Vec<f32>>, EngineError> {
        let context = self.loaded.borrow_dependent();
        let vector = |sequence| context.embeddings_seq_ith(small(sequence)).map(<[f32]>::to_vec);
        (0..count).map(vector).collect::<Result<_, _>>().map_err(|_| broken("a text has no vector"))
    }
}

impl Embedder for LlamaEmbedder {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        let tokens = self.loaded.borrow_owner().vocab().tokenize(text.as_bytes(), true, true);
        tokens.into_iter().filter_map(|token| u32::try_from(token.0).ok()).collect()
    }

    fn embed(&mut self, texts: &[&[u32]], abandoned: &dyn Fn() -> bool) -> Result<Vec<Vec<f32>>, EngineError> {
        let vectors = match self.read(texts, abandoned) {
            Ok(true) => self.vectors(texts.len()),
            Ok(false) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        self.loaded.with_dependent_mut(|_, context| context.clear_kv_cache());
        vectors
    }
}

impl Shape {
    /// The user's choices, or defaults that suit the file.
    fn choose(file: &ModelFile, pooling: Pooling, options: Options) -> Result<Self, OpenError> {
        let whole = pooling != Pooling::Last || file.header.reads_both_ways();
        let trained = file.header.context_tokens().and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX);
        let most = if whole { WHOLE_TEXT_TOKENS } else { LONG_TEXT_TOKENS };
        let context_tokens = options.context_tokens.unwrap_or(trained.min(most));
        load::within("context", context_tokens, LEAST_TEXT_TOKENS, trained)?;
        let requests = options.slots.unwrap_or(DEFAULT_REQUESTS);
        load::within("slots", requests, 1, MAX_REQUESTS)?;
        let threads = load::threads(file, options.threads)?;
        let batch_tokens = if whole { context_tokens.max(BATCH_TOKENS) } else { BATCH_TOKENS };
        Ok(Self { context_tokens, requests, threads, batch_tokens, pooling })
    }

    fn params(&self) -> LlamaContextParams {
        let threads = i32::try_from(self.threads).unwrap_or(1);
        let pooling = match self.pooling {
            Pooling::Mean => LlamaPoolingType::Mean,
            Pooling::First => LlamaPoolingType::Cls,
            Pooling::Last => LlamaPoolingType::Last,
        };
        LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(self.context_tokens.max(self.batch_tokens)))
            .with_n_seq_max(BATCH_TEXTS)
            .with_n_batch(self.batch_tokens)
            .with_n_ubatch(self.batch_tokens)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_embeddings(true)
            .with_pooling_type(pooling)
            // Streams of their own would cut texts of different lengths into parts, and each part would be pooled.
            .with_kv_unified(true)
    }
}

fn unsupported(file: &ModelFile, reason: String) -> OpenError {
    OpenError::Unsupported { path: file.path.clone(), reason }
}
