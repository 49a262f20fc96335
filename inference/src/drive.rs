//! The loop of an engine's thread, whatever the engine is for.

use crate::Handle;
use crate::embed::{EmbedRunner, Embedder};
use crate::engine::Engine;
use crate::runner;

/// Drives one engine on the thread that calls [`Runner::run`].
pub struct Runner {
    serve: Box<dyn FnOnce()>,
}

impl Runner {
    /// A runner for an engine that answers, and the handle to it. Spawns nothing.
    pub fn new(engine: Box<dyn Engine>) -> (Handle, Self) {
        let (handle, runner) = runner::Runner::new(engine);
        (handle, Self::of(move || runner.run()))
    }

    /// A runner for an engine that makes vectors, and the handle to it. Spawns nothing.
    pub fn embedding(embedder: Box<dyn Embedder>) -> (Handle, Self) {
        let (handle, runner) = EmbedRunner::new(embedder);
        (handle, Self::of(move || runner.run()))
    }

    /// Serves until every [`Handle`] is dropped and nothing runs, or until the engine died: then every request got its
    /// failure and [`Load::alive`](crate::Load::alive) is false. Blocks.
    pub fn run(self) {
        (self.serve)();
    }

    fn of(serve: impl FnOnce() + 'static) -> Self {
        Self { serve: Box::new(serve) }
    }
}
