//! Numbers of a safetensors file, by the names that Hugging Face's `transformers` gives to the same tensors.
//!
//! Queries and keys lie there as they were trained: pairs of a rotation are in the two halves of a head, also for
//! Llama.

use std::path::{Path, PathBuf};

use super::{Weight, WeightError, Weights};
use crate::model::convert::safetensors::Safetensors;

/// What GGUF calls a part of a block, and what `transformers` does.
const PARTS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];
/// The rest of them.
const WHOLE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// An open file.
pub struct SafetensorsWeights {
    path: PathBuf,
    file: Safetensors,
}

impl SafetensorsWeights {
    /// Opens a file and checks its header.
    ///
    /// # Errors
    /// When it cannot be read or is no whole safetensors file.
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        let file = Safetensors::open(path)
            .map_err(|error| WeightError::Io { path: path.to_owned(), source: std::io::Error::other(error) })?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Weights for SafetensorsWeights {
    fn has(&self, name: &str) -> bool {
        translate(name).is_some_and(|name| self.file.has(&name))
    }

    fn names(&self) -> Vec<String> {
        self.file.names().map(|name| own_name(name).unwrap_or_else(|| name.to_owned())).collect()
    }

    fn read(&mut self, weight: &Weight) -> Result<Vec<f32>, WeightError> {
        let wrong =
            |problem: String| WeightError::Tensor { path: self.path.clone(), name: weight.name.clone(), problem };
        let name = translate(&weight.name).ok_or_else(|| wrong("has no name in such files".into()))?;
        let shape = [weight.rows as u64, weight.columns as u64];
        let shape = if weight.rows == 1 { &shape[1..] } else { &shape[..] };
        self.file.read(&name, shape).map_err(|error| wrong(format!("cannot be used: {error}")))
    }
}

/// The name there for a name of GGUF.
fn translate(name: &str) -> Option<String> {
    if let Some((_, theirs)) = WHOLE.iter().find(|(ours, _)| *ours == name) {
        return Some((*theirs).to_owned());
    }
    let (layer, part) = name.strip_prefix("blk.")?.strip_suffix(".weight")?.split_once('.')?;
    let (_, theirs) = PARTS.iter().find(|(ours, _)| *ours == part)?;
    Some(format!("model.layers.{layer}.{theirs}.weight"))
}

/// The name of GGUF for a name there.
fn own_name(name: &str) -> Option<String> {
    if let Some((ours, _)) = WHOLE.iter().find(|(_, theirs)| *theirs == name) {
        return Some((*ours).to_owned());
    }
    let (layer, part) = name.strip_prefix("model.layers.")?.strip_suffix(".weight")?.split_once('.')?;
    let (ours, _) = PARTS.iter().find(|(_, theirs)| *theirs == part)?;
    Some(format!("blk.{layer}.{ours}.weight"))
}
