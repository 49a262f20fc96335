//! Builds engines: a file's numbers through the library into a file of ours. Needs no card.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::OpenError;
use crate::engine::graph::{Room, hyper_of};
use crate::graph::weights::{GgufWeights, graph_of};
use crate::model::{Hashes, ModelFile};

use super::cost::Cost;
use super::file::{self, Description};
use super::lower::{LowerError, Sizes, lower};
use super::memory::{self, SHARE, STREAMS, Sum, cache_rows};
use super::network::{Network, NetworkError};
use super::open::{wanted, wish};
use super::{Capability, Library, LibraryError, Precision};

/// Of a build's thousandths those in which the network is written.
const WRITING: u32 = 300;

/// What to build.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Build {
    /// The model's file.
    pub model: PathBuf,
    /// What its weights are to be stored as.
    pub precision: Precision,
    /// For which kind of card.
    pub capability: Capability,
    /// Tokens that a slot holds; `None`: what the model was made for, at most 4,096.
    pub context_tokens: Option<u32>,
    /// Sequences at once; `None`: 4.
    pub slots: Option<u32>,
    /// Bytes that computing may take, on all streams together.
    pub workspace: u64,
    /// Where engines lie.
    pub engines: PathBuf,
    /// Where the library lies.
    pub library: PathBuf,
    /// Where hashes of large files are remembered.
    pub hashes: Option<PathBuf>,
}

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The file.
    pub path: PathBuf,
    /// What it says about itself.
    pub description: Description,
}

/// The engine that `order` would build, where it lies there already and is whole.
///
/// # Errors
/// When the model's file is not good, or the options do not fit it.
pub fn cached(order: &Build) -> Result<Option<Built>, OpenError> {
    let (_, description) = describe(order)?;
    let path = order.engines.join(description.file_name());
    Ok(file::read(&path, &description).ok().map(|engine| {
        let description = Description { bytes: engine.len() as u64, ..description };
        Built { path, description }
    }))
}

/// Whether the engine will fit a card with so many bytes of memory: to be asked before minutes are spent on it.
///
/// # Errors
/// [`OpenError::Memory`] with the arithmetic; others when the model's file is not good.
pub fn fits(order: &Build, memory: u64) -> Result<Sum, OpenError> {
    let model = ModelFile::open(&order.model)?;
    let hyper = hyper_of(&model)?;
    let room = Room::choose(&hyper, order.context_tokens, order.slots)?;
    Sum::new(&hyper, &wish(room, order.precision, order.workspace))
        .fits(memory::Room { memory, free: None, share: SHARE })
        .map_err(|problem| OpenError::Memory { path: order.model.clone(), problem: problem.to_string() })
}

/// What building will take of this machine, about.
///
/// # Errors
/// When the model's file is not good.
pub fn cost(order: &Build) -> Result<Cost, OpenError> {
    let model = ModelFile::open(&order.model)?;
    let head = model.header.tensors().contains_key("output.weight");
    Ok(Cost::new(&hyper_of(&model)?, order.precision, head))
}

/// Builds an engine and puts it into its place. `step` is told thousandths, and answers whether to go on.
///
/// # Errors
/// See [`OpenError`]; [`OpenError::Engine`] where the library refuses.
pub fn build(order: &Build, step: &mut dyn FnMut(u32) -> bool) -> Result<Built, OpenError> {
    let (model, description) = describe(order)?;
    let library = Library::load(&order.library).map_err(no_library)?;
    let engine = build_engine(order, &model, &description, (&library, step))?;
    let description = Description { bytes: engine.len() as u64, ..description };
    let path = file::write(&order.engines, &description, &engine)
        .map_err(|error| OpenError::Engine { reason: error.to_string() })?;
    Ok(Built { path, description })
}

fn describe(order: &Build) -> Result<(ModelFile, Description), OpenError> {
    let model = ModelFile::open(&order.model)?;
    let room = Room::choose(&hyper_of(&model)?, order.context_tokens, order.slots)?;
    let hashes = order.hashes.clone().map(Hashes::new);
    let description = wanted(&model, room, (order.precision, order.capability), hashes.as_ref())?;
    Ok((model, description))
}

fn build_engine(
    order: &Build,
    model: &ModelFile,
    description: &Description,
    (library, step): (&Library, &mut dyn FnMut(u32) -> bool),
) -> Result<Vec<u8>, OpenError> {
    let unsupported = |reason: String| OpenError::Unsupported { path: model.path.clone(), reason };
    let mut weights = GgufWeights::open(model).map_err(|error| unsupported(error.to_string()))?;
    let graph = graph_of(&hyper_of(model)?, &weights).map_err(|error| unsupported(error.to_string()))?;
    let sizes = Sizes {
        rows: cache_rows(description.context_tokens) as usize,
        slots: description.slots as usize,
        chunk: description.chunk_tokens as usize,
    };
    let mut network = Network::new(library).map_err(refused)?;
    let mut goes_on = true;
    let mut written = |done: usize, of: usize| {
        goes_on &= step(u32::try_from(done * WRITING as usize / of.max(1)).unwrap_or(WRITING));
    };
    lower(&mut network, &graph, &mut weights, (order.precision, sizes), &mut written).map_err(|error| match error {
        LowerError::Weights(error) => unsupported(error.to_string()),
        LowerError::Network(error) => refused(error),
    })?;
    if !goes_on {
        return Err(refused(NetworkError::Stopped));
    }
    let mut built = |share: u32| step(WRITING + share * (1000 - WRITING) / 1000);
    network.build(order.capability, order.workspace / STREAMS, &mut built).map_err(refused)
}

fn refused(error: NetworkError) -> OpenError {
    match error {
        NetworkError::Library(error) => no_library(error),
        error => OpenError::Engine { reason: error.to_string() },
    }
}

/// With its own next step, which is not that of other engines.
pub(super) fn no_library(error: LibraryError) -> OpenError {
    OpenError::Lacking { what: error.to_string(), hint: error.hint().to_owned() }
}
