//! From an engine's file to an engine that answers, on the card that is here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::engine::graph::{CHUNK_TOKENS, Compute, GraphEngine, Piece, Room, hyper_of};
use crate::graph::weights::{GgufWeights, graph_of};
use crate::model::{Hashes, ModelFile};
use crate::{OpenError, Progress, WHOLE};

use super::batch::Frame;
use super::cuda::{Card, NoCard};
use super::file::{self, Description};
use super::memory::{self, Sum, TooLarge, Wish};
use super::run::{Opening, RunError, Running};
use super::{Library, Precision, no_library};

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
    let card = Card::open().map_err(no_card)?;
    let free = card.free().map_err(|error| lacking(error.to_string(), "start the machine again"))?;
    let limit = memory::Room { memory: card.memory, free: Some(free), share: options.share };
    let too_large = |problem: TooLarge| OpenError::Memory { path: path.to_owned(), problem: problem.to_string() };
    // What is certain before anything is read; the engine itself is asked for the rest.
    Sum::new(&hyper, &wish(room, options.precision, 0)).fits(limit).map_err(too_large)?;
    let wanted = wanted(&file, room, (options.precision, card.capability), hashes)?;
    let engine_path = options.engines.join(wanted.file_name());
    let engine = file::read(&engine_path, &wanted).map_err(|error| not_built(path, &wanted, &error.to_string()))?;
    progress.reach(WHOLE / 2);
    let weights = GgufWeights::open(&file).map_err(|error| lacking(error.to_string(), "pull the model again"))?;
    let graph = graph_of(&hyper, &weights).map_err(|error| lacking(error.to_string(), "use --engine llama"))?;
    let frame = Frame::new(graph.cache, graph.vocabulary(), &wanted);
    let kernels = Some(engine_path.with_extension("kernels"));
    let opening = Opening { library, card, frame, engine: &engine, share: options.share, kernels };
    let mut running = Running::new(opening).map_err(|error| match error {
        RunError::Library(error) => no_library(error),
        RunError::TooLarge(problem) => too_large(*problem),
        error => OpenError::Engine { reason: error.to_string() },
    })?;
    drop(engine);
    warm_up(&mut running, &frame, progress)?;
    running.keep_kernels();
    progress.reach(WHOLE);
    let (device, taken) = (running.device(), running.taken());
    GraphEngine::new(running, &file, room, (device, taken), hashes)
}

/// What an engine of this size is asked to be.
pub(super) fn wish(room: Room, precision: Precision, workspace: u64) -> Wish {
    let Room { context_tokens, slots } = room;
    Wish { precision, slots, context_tokens, chunk_tokens: chunk_of(room), workspace }
}

/// Tokens of a prompt in one step.
fn chunk_of(room: Room) -> u32 {
    u32::try_from(CHUNK_TOKENS).unwrap_or(u32::MAX).min(room.context_tokens)
}

/// What the engine of a file has to be.
pub(super) fn wanted(
    file: &ModelFile,
    room: Room,
    kinds: (Precision, super::Capability),
    hashes: Option<&Hashes>,
) -> Result<Description, OpenError> {
    Ok(file::wanted(&file.sha256(hashes)?, kinds, (room.context_tokens, room.slots, chunk_of(room))))
}

/// Kernels are compiled when a shape is first seen: before anybody waits for an answer. There are no other shapes than
/// these, so that nothing is compiled later.
fn warm_up(running: &mut Running, frame: &Frame, progress: &Progress) -> Result<(), OpenError> {
    let (lengths, mut logits, mut done) = (frame.lengths(), Vec::new(), 0);
    let tokens = vec![0; frame.chunk];
    let all = u32::try_from(lengths.len() + 2 * frame.slots).unwrap_or(u32::MAX);
    let mut run = |piece: Piece<'_>| {
        logits.clear();
        // Compiling takes its time, and who waits is told that it goes on.
        progress.reach(WHOLE / 2 + WHOLE / 2 * done / all);
        done += 1;
        running.compute(&[piece], &mut logits).map_err(|error| OpenError::Engine { reason: error.to_string() })
    };
    // A piece that fills the whole chunk fills its slot, where the two are as long.
    for length in lengths {
        let tokens = &tokens[..length.min(frame.rows - 1)];
        if tokens.len() > 1 {
            run(Piece { slot: 0, from: 0, tokens })?;
        }
    }
    // Every number of neighbours that a step may have; twice, for the second is captured as a graph.
    for slot in (0..frame.slots).flat_map(|slot| [slot, slot]) {
        run(Piece { slot, from: 0, tokens: &tokens[..1] })?;
    }
    Ok(())
}

pub(super) fn no_card(why: NoCard) -> OpenError {
    lacking(why.to_string(), &format!("{}; --engine llama needs no card", why.hint()))
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

pub(super) fn lacking(what: String, hint: &str) -> OpenError {
    OpenError::Lacking { what, hint: hint.to_owned() }
}
