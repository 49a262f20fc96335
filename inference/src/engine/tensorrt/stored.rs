//! In which way each matrix of a model is stored, and what is left of its numbers then: an engine and the reference that
//! it is held against multiply by the same ones.

use crate::graph::Weight;
use crate::graph::quantise::{Scheme, transpose};
use crate::graph::weights::{WeightError, Weights};
use crate::model::float::{bfloat, from_bfloat, from_half, half};

use super::Precision;

/// Sizes of blocks that share a scale, the largest first: fewer scales are faster.
pub(super) const BLOCKS: [usize; 3] = [128, 64, 32];
/// What turns tokens into rows; it is looked into and, where there is no head, multiplied by as it is.
const TABLE: &str = "token_embd.weight";
/// What decides between tokens is worth more bits than the rest.
const HEAD: &str = "output.weight";

/// How a matrix is stored in fewer bits; `None`: in 16, as are all numbers of the embedding.
pub(super) fn scheme(precision: Precision, weight: &Weight) -> Option<Scheme> {
    let block = BLOCKS.into_iter().find(|block| weight.columns.is_multiple_of(*block));
    match precision {
        _ if weight.name == TABLE => None,
        Precision::Fp16 | Precision::Bf16 => None,
        Precision::Int8 => Some(Scheme::Int8),
        Precision::Fp8 => Some(Scheme::Fp8),
        // Not every matrix can be cut into blocks.
        Precision::Int4 => match block {
            Some(block) if weight.name != HEAD && weight.rows.is_multiple_of(2) => Some(Scheme::Int4(block)),
            _ => Some(Scheme::Int8),
        },
    }
}

/// The numbers of a file as they are after they were stored.
pub(super) struct Rounded<'a> {
    pub(super) weights: &'a mut dyn Weights,
    pub(super) precision: Precision,
}

impl Weights for Rounded<'_> {
    fn has(&self, name: &str) -> bool {
        self.weights.has(name)
    }

    fn names(&self) -> Vec<String> {
        self.weights.names()
    }

    fn read(&mut self, weight: &Weight) -> Result<Vec<f32>, WeightError> {
        let numbers = self.weights.read(weight)?;
        // Scales of norms, and factors, keep their 32 bits.
        if weight.rows == 1 {
            return Ok(numbers);
        }
        let (outputs, inputs) = (weight.rows, weight.columns);
        Ok(match scheme(self.precision, weight) {
            Some(scheme) => {
                let stored = scheme.quantise(&transpose(&numbers, outputs, inputs), outputs);
                transpose(&scheme.restore(&stored, outputs), inputs, outputs)
            }
            None if self.precision == Precision::Bf16 => {
                numbers.into_iter().map(|number| from_bfloat(bfloat(number))).collect()
            }
            None => numbers.into_iter().map(|number| from_half(half(number))).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::graph::hyper_of;
    use crate::graph::interpret::Interpreter;
    use crate::graph::weights::{GgufWeights, graph_of};
    use crate::model::ModelFile;

    /// Logits of the demo model with its numbers stored so.
    fn logits(precision: Option<Precision>) -> Vec<f32> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/swarm-demo-3M-f16.gguf");
        let file = ModelFile::open(&path).unwrap();
        let mut weights = GgufWeights::open(&file).unwrap();
        let graph = graph_of(&hyper_of(&file).unwrap(), &weights).unwrap();
        let mut rounded = precision.map(|precision| Rounded { weights: &mut weights, precision });
        let made = match &mut rounded {
            Some(rounded) => Interpreter::new(graph, rounded, 1, 32),
            None => {
                let mut plain = GgufWeights::open(&file).unwrap();
                Interpreter::new(graph, &mut plain, 1, 32)
            }
        };
        made.unwrap().run(0, 0, &[1, 403, 407, 5, 17, 99, 203]).unwrap()
    }

    /// How far off the logits are, as a share of the largest.
    fn off(precision: Precision) -> f32 {
        let (exact, rounded) = (logits(None), logits(Some(precision)));
        let largest = exact.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        exact.iter().zip(&rounded).fold(0.0_f32, |off, (exact, rounded)| off.max((exact - rounded).abs())) / largest
    }

    #[test]
    fn what_is_stored_in_fewer_bits_is_still_the_same_model() {
        // The file has 16 bits itself.
        assert_eq!(off(Precision::Fp16), 0.0);
        let all = [Precision::Bf16, Precision::Int8, Precision::Fp8, Precision::Int4].map(off);
        let most = [0.03, 0.03, 0.2, 0.5];
        assert!(all.iter().zip(most).all(|(off, most)| *off > 0.0 && *off < most), "{all:?}");
    }

    #[test]
    fn a_head_has_more_bits_and_the_embedding_sixteen() {
        let weight = |name: &str, rows, columns| Weight { name: name.into(), rows, columns };
        let four = |name, rows, columns| scheme(Precision::Int4, &weight(name, rows, columns));
        assert_eq!(four("blk.0.attn_q.weight", 64, 256), Some(Scheme::Int4(128)));
        assert_eq!(four("blk.0.attn_q.weight", 64, 96), Some(Scheme::Int4(32)));
        assert_eq!(four("blk.0.attn_q.weight", 64, 72), Some(Scheme::Int8));
        assert_eq!(four("blk.0.attn_q.weight", 63, 128), Some(Scheme::Int8));
        assert_eq!((four(HEAD, 512, 256), four(TABLE, 512, 256)), (Some(Scheme::Int8), None));
        assert_eq!(scheme(Precision::Fp16, &weight(HEAD, 8, 8)), None);
    }
}
