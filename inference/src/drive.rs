//! The loop of an engine's thread, whatever the engine is for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::embed::{EmbedRunner, Embedder};
use crate::engine::{Engine, EngineError};
use crate::handle::Ends;
use crate::stream::Reader;
use crate::{Failure, Handle, Output, runner};

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

/// Serves to the end and says why that came too early, if it did.
pub(crate) fn serve(serve: impl FnOnce() -> Result<(), EngineError>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(serve)) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        // The message of a panic may quote what it stumbled over, so it goes no further.
        Err(_) => Some("it panicked".to_owned()),
    }
}

/// The end: refuses what comes, fails what runs.
pub(crate) fn close(mut ends: Ends, reason: Option<String>, running: impl IntoIterator<Item = Reader>) {
    ends.close(reason.as_deref());
    let Some(reason) = reason else { return };
    tracing::error!(%reason, "the engine died");
    for reader in running {
        reader.end(Output::Failed(Failure::EngineDied { reason: reason.clone() }));
    }
}
