//! Where a graph's numbers come from: a file that is read tensor by tensor, as 32-bit floats.
//!
//! The file is read at the tensors' places and not mapped into memory: a file that somebody cuts while it is mapped
//! ends the process, while a read that comes too short is an error like any other; and at no time is more than one
//! tensor of it in memory.

use std::path::PathBuf;

use super::decoder::Extras;
use super::hyper::Hyper;
use super::{Graph, GraphError, Weight};

pub use gguf::GgufWeights;
pub use safetensors::SafetensorsWeights;

mod blocks;
mod gguf;
mod safetensors;

/// Most numbers of one tensor: an embedding of a million tokens of width 4,096. Four bytes each are taken for them.
const MAX_NUMBERS: usize = 1 << 32;

/// Why numbers cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The file does not have what the graph needs.
    #[error("{}: tensor {name} {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Which one.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Numbers by name.
pub trait Weights {
    /// Whether there is a tensor of this name.
    fn has(&self, name: &str) -> bool;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;

    /// The numbers of a tensor, row by row; finite all of them.
    ///
    /// # Errors
    /// When it is not there, has other lengths, or cannot be read.
    fn read(&mut self, weight: &Weight) -> Result<Vec<f32>, WeightError>;
}

/// The graph of a file: nothing that the file holds is left out of it.
///
/// # Errors
/// When the numbers contradict each other, or the file has a tensor that the description does not know: what it is
/// for would be missing.
pub fn graph_of(hyper: &Hyper, weights: &dyn Weights) -> Result<Graph, GraphError> {
    let extras = Extras { head: weights.has("output.weight"), rotary_factors: weights.has("rope_freqs.weight") };
    let graph = hyper.graph(extras)?;
    let known: std::collections::HashSet<&str> = graph.weights().map(|weight| weight.name.as_str()).collect();
    match weights.names().into_iter().find(|name| !known.contains(name.as_str())) {
        Some(name) => Err(GraphError(format!("it has a tensor {name}, which is not described here"))),
        None => Ok(graph),
    }
}

/// How many numbers a weight has, where that many can be.
fn count(weight: &Weight) -> Option<usize> {
    weight.rows.checked_mul(weight.columns).filter(|numbers| (1..=MAX_NUMBERS).contains(numbers))
}
