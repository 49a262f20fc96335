//! Numbers of a GGUF file, whatever they are stored as.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::{Weight, WeightError, Weights, blocks, count};
use crate::model::{ModelFile, Tensor};

/// Bytes read at once; a multiple of every kind's block.
const PIECE_BLOCKS: usize = 1 << 14;

/// An open file.
pub struct GgufWeights {
    path: PathBuf,
    file: File,
    tensors: BTreeMap<String, Tensor>,
}

impl GgufWeights {
    /// Opens a file whose header is good.
    ///
    /// # Errors
    /// When it cannot be opened any more.
    pub fn open(model: &ModelFile) -> Result<Self, WeightError> {
        let path = model.path.clone();
        let file = File::open(&path).map_err(|source| WeightError::Io { path: path.clone(), source })?;
        Ok(Self { path, file, tensors: model.header.tensors().clone() })
    }

    fn wrong(&self, weight: &Weight, problem: impl Into<String>) -> WeightError {
        WeightError::Tensor { path: self.path.clone(), name: weight.name.clone(), problem: problem.into() }
    }

    /// The tensor's place, when it has the lengths that are asked for.
    fn find(&self, weight: &Weight) -> Result<&Tensor, WeightError> {
        let tensor = self.tensors.get(&weight.name).ok_or_else(|| self.wrong(weight, "is missing"))?;
        let wanted = [weight.columns as u64, weight.rows as u64];
        // The format counts from the other end, and leaves out that there is only one row.
        let shape = tensor.shape.as_slice();
        if shape == wanted || (weight.rows == 1 && shape == &wanted[..1]) {
            return Ok(tensor);
        }
        Err(self.wrong(weight, format!("has the lengths {shape:?} and not {wanted:?}")))
    }
}

impl Weights for GgufWeights {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn read(&mut self, weight: &Weight) -> Result<Vec<f32>, WeightError> {
        let Tensor { kind, start, .. } = *self.find(weight)?;
        let numbers = count(weight).ok_or_else(|| self.wrong(weight, "is too large"))?;
        let decoder = blocks::decoder(kind)
            .ok_or_else(|| self.wrong(weight, format!("is stored in a way (type {kind}) that is not read here")))?;
        let unreadable = |source| WeightError::Io { path: self.path.clone(), source };
        self.file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        let mut values = Vec::with_capacity(numbers);
        let mut bytes = vec![0; PIECE_BLOCKS * decoder.bytes];
        let mut left = numbers / decoder.numbers;
        while left > 0 {
            let blocks = left.min(PIECE_BLOCKS);
            let piece = &mut bytes[..blocks * decoder.bytes];
            self.file.read_exact(piece).map_err(unreadable)?;
            piece.chunks_exact(decoder.bytes).for_each(|block| (decoder.decode)(block, &mut values));
            left -= blocks;
        }
        if values.len() != numbers || values.iter().any(|value| !value.is_finite()) {
            return Err(self.wrong(weight, "holds what is no number"));
        }
        Ok(values)
    }
}
