//! From an engine's file to an engine that answers, on the card that is here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::graph::{CHUNK_TOKENS, Compute, GraphEngine, Piece, Room, hyper_of};
use crate::graph::weights::{GgufWeights, graph_of};
use crate::model::{Hashes, ModelFile};
use crate::{OpenError, Progress, WHOLE};

use super::batch::Frame;
use super::cuda::{Card, NoCard};
use super::file::{self, Description};
use super::memory::{Sum, Wish};
use super::run::{RunError, Running};
use super::{Library, Precision, no_library};

/// Bytes of a hash.
const HASH: usize = 32;
/// Compiled kernels are some megabytes; more is not read.
const MAX_COMPILED: u64 = 1 << 30;

/// What an owner chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Folder of the library.
    pub library: PathBuf,
    /// Folder of the engines.
    pub engines: PathBuf,
    /// What weights are stored as.
    pub precision: Precision,
    /// Bytes that computing may take.
    pub workspace: u64,
    /// Hundredths of the card's memory that may be taken.
    pub share: u64,
}

/// Opens the engine that was built of the model at `path` for the card of this machine.
///
/// # Errors
/// See [`OpenError`]: without a library, a card, an engine for it, or room on it.
pub(crate) fn open(
    path: &Path,
    (context_tokens, slots): (Option<u32>, Option<u32>),
    options: &Options,
    (hashes, progress): (Option<&Hashes>, &Progress),
) -> Result<GraphEngine<Running>, OpenError> {
    let file = ModelFile::open(path)?;
    let hyper = hyper_of(&file)?;
    let room = Room::choose(&hyper, context_tokens, slots)?;
    let library = Library::load(&options.library).map_err(no_library)?;
    let mut card = Card::open().map_err(no_card)?;
    let wish = Wish {
        precision: options.precision,
        slots: room.slots,
        context_tokens: room.context_tokens,
        workspace: options.workspace,
    };
    let sum = Sum::new(&hyper, &wish)
        .fits(card.memory, options.share)
        .map_err(|problem| OpenError::Memory { path: path.to_owned(), problem: problem.to_string() })?;
    card.allow(card.memory / 100 * options.share);
    let wanted = wanted(&file, room, (options.precision, card.capability), hashes)?;
    let engine_path = options.engines.join(wanted.file_name());
    let engine = file::read(&engine_path, &wanted).map_err(|error| not_built(path, &wanted, &error.to_string()))?;
    progress.reach(WHOLE / 2);
    let weights = GgufWeights::open(&file).map_err(|error| lacking(error.to_string(), "pull the model again"))?;
    let graph = graph_of(&hyper, &weights).map_err(|error| lacking(error.to_string(), "use --engine llama"))?;
    let frame = Frame::new(graph.cache, graph.vocabulary(), &wanted);
    let kept = engine_path.with_extension("kernels");
    let running = Running::new(library, card, frame, (&engine, &read_compiled(&kept))).map_err(not_running)?;
    drop(engine);
    let mut running = running;
    warm_up(&mut running, room, progress)?;
    keep_compiled(&kept, &running.compiled());
    progress.reach(WHOLE);
    let device = running.device();
    GraphEngine::new(running, &file, room, (device, sum.total()), hashes)
}

/// What the engine of a file has to be.
pub(super) fn wanted(
    file: &ModelFile,
    room: Room,
    kinds: (Precision, super::Capability),
    hashes: Option<&Hashes>,
) -> Result<Description, OpenError> {
    let chunk = u32::try_from(CHUNK_TOKENS).unwrap_or(u32::MAX).min(room.context_tokens);
    Ok(file::wanted(&file.sha256(hashes)?, kinds, (room.context_tokens, room.slots, chunk)))
}

/// Kernels are compiled when a shape is first seen: before anybody waits for an answer.
fn warm_up(running: &mut Running, room: Room, progress: &Progress) -> Result<(), OpenError> {
    let mut logits = Vec::new();
    let chunk = CHUNK_TOKENS.min(room.context_tokens as usize);
    let long = vec![0; chunk];
    let mut run = |pieces: &[Piece<'_>]| {
        logits.clear();
        running.compute(pieces, &mut logits).map_err(|error| OpenError::Engine { reason: error.to_string() })
    };
    run(&[Piece { slot: 0, from: 0, tokens: &long }])?;
    // Every number of neighbours that a step may have; twice, for the second is captured as a graph.
    for last in 0..room.slots as usize {
        // Compiling takes its time, and who waits is told that it goes on.
        progress.reach(WHOLE / 2 + WHOLE / 2 * u32::try_from(last).unwrap_or(0) / room.slots);
        for _ in 0..2 {
            run(&[Piece { slot: 0, from: 0, tokens: &[0] }, Piece { slot: last, from: 0, tokens: &[0] }]
                [..1 + usize::from(last > 0)])?;
        }
    }
    Ok(())
}

/// Compiled kernels of an earlier run; nothing where they are not there or not whole.
fn read_compiled(path: &Path) -> Vec<u8> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > MAX_COMPILED) {
        return Vec::new();
    }
    let bytes = std::fs::read(path).unwrap_or_default();
    match bytes.split_at_checked(HASH) {
        Some((hash, compiled)) if Sha256::digest(compiled)[..] == *hash => compiled.to_vec(),
        _ => Vec::new(),
    }
}

/// The next start is slower without them, and no more than that.
fn keep_compiled(path: &Path, compiled: &[u8]) {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, &[&Sha256::digest(compiled)[..], compiled].concat())?;
        file.persist(path)?;
        Ok(())
    };
    if !compiled.is_empty()
        && let Err(error) = write()
    {
        tracing::warn!(%error, "compiled kernels are not kept: the next start takes longer");
    }
}

pub(super) fn no_card(why: NoCard) -> OpenError {
    lacking(
        why.to_string(),
        "TensorRT-RTX needs an NVIDIA card and its driver (580 or newer); --engine llama needs none",
    )
}

fn not_built(model: &Path, wanted: &Description, why: &str) -> OpenError {
    let Description { precision, capability, context_tokens, slots, .. } = wanted;
    let hint = format!(
        "starling-node models build {} --engine tensorrt --precision {precision} --target {capability} --context \
         {context_tokens} --slots {slots}",
        model.display()
    );
    lacking(format!("there is no engine for this card: {why}"), &hint)
}

fn not_running(error: RunError) -> OpenError {
    match error {
        RunError::Library(error) => no_library(error),
        error => OpenError::Engine { reason: error.to_string() },
    }
}

pub(super) fn lacking(what: String, hint: &str) -> OpenError {
    OpenError::Lacking { what, hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_kernels_are_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernels");
        assert!(read_compiled(&path).is_empty());
        keep_compiled(&path, b"kernels");
        assert_eq!(read_compiled(&path), b"kernels");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[35] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_compiled(&path).is_empty());
        std::fs::write(&path, &bytes[..10]).unwrap();
        assert!(read_compiled(&path).is_empty());
    }
}
