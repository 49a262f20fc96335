//! Texts into vectors: what is asked of an embedding engine, and the loop of its thread.
//!
//! An embedding engine knows tokens and batches. It knows no readers, and it need not scale its vectors to length 1:
//! that is done here, once for all engines.

use crate::ModelInfo;
use crate::engine::EngineError;

pub(crate) use runner::EmbedRunner;

mod runner;

/// What one computation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Most tokens, all texts together; a text that is longer alone goes alone.
    pub tokens: usize,
    /// Most texts.
    pub texts: usize,
}

/// Something that turns texts into vectors. Driven on one thread.
pub trait Embedder {
    /// What it serves; does not change. Its kind is [`Kind::Embedding`](crate::Kind::Embedding), its context the
    /// longest text in tokens, its slots the requests that it takes at once.
    fn info(&self) -> &ModelInfo;

    /// What one call of [`Embedder::embed`] should get.
    fn capacity(&self) -> Capacity;

    /// The tokens of a text, with those that the model wants around it.
    fn encode(&self, text: &str) -> Vec<u32>;

    /// A vector for each text, in order, of any length but 0. None of the texts is empty or longer than the context.
    /// Only when `abandoned` says that nobody waits for them any more there may be fewer vectors.
    ///
    /// # Errors
    /// When there is no memory, or the engine is broken.
    fn embed(&mut self, texts: &[&[u32]], abandoned: &dyn Fn() -> bool) -> Result<Vec<Vec<f32>>, EngineError>;
}
