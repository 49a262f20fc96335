//! From a folder of a sentence-transformers BERT, as its authors publish it, to one GGUF file of 16-bit floats.
//!
//! Names and entries are those that llama.cpp reads for `bert`. The same folder gives the same bytes, so that the
//! result is known by its hash. Everything is checked against the file's real length before it is read.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::write::{self, Header, Precision};
use safetensors::Safetensors;
use vocabulary::Vocabulary;

pub(crate) mod safetensors;
mod vocabulary;

/// Longest JSON file; a vocabulary has a few megabytes.
const MAX_JSON: u64 = 64 << 20;
/// As in `check`: far above every model there is.
const MAX_LAYERS: u64 = 512;
const MAX_WIDTH: u64 = 1 << 16;
const MAX_CONTEXT: u64 = 1 << 20;
/// llama.cpp's number for files whose matrices are 16-bit floats.
const MOSTLY_HALF: u32 = 1;

/// Why a folder cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A file is not there or cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is damaged: {problem}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A good model of another kind.
    #[error("cannot convert this model: {0}")]
    Unsupported(String),
    /// The result cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What `config.json` says.
struct Config {
    width: u64,
    layers: u64,
    inner: u64,
    heads: u64,
    context: u64,
    words: u64,
    types: u64,
    epsilon: f32,
}

/// A tensor of the result, and where it comes from.
struct Tensor {
    name: String,
    source: String,
    shape: Vec<u64>,
    precision: Precision,
}

/// Converts the model in `folder` (`config.json`, `model.safetensors`, `tokenizer.json`, `1_Pooling/config.json`) and
/// writes it to `output`, which is whole or not there at all.
///
/// # Errors
/// See [`ConvertError`].
pub fn convert(folder: &Path, output: &Path) -> Result<(), ConvertError> {
    let config = Config::read(&folder.join("config.json"))?;
    let pooling = pooling(folder)?;
    let vocabulary = Vocabulary::read(folder)?;
    if vocabulary.tokens.len() as u64 != config.words {
        let problem = format!("it has {} words and the model {}", vocabulary.tokens.len(), config.words);
        return Err(ConvertError::bad(&folder.join("tokenizer.json"), problem));
    }
    let mut source = Safetensors::open(&folder.join("model.safetensors"))?;
    let tensors = config.tensors();
    let header = header(&config, pooling, &vocabulary, &tensors);
    let failed = |error| ConvertError::Write { path: output.to_owned(), source: error };
    let beside = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(beside).map_err(failed)?);
    header.write(&mut file).map_err(failed)?;
    for tensor in &tensors {
        let values = source.read(&tensor.source, &tensor.shape)?;
        write::tensor(&mut file, &tensor.stored(&values)).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.persist(output).map_err(|error| failed(error.error))?;
    Ok(())
}

impl Config {
    fn read(path: &Path) -> Result<Self, ConvertError> {
        let json = read_json(path)?;
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
        for (key, wanted) in [("model_type", "bert"), ("hidden_act", "gelu")] {
            if text(key) != wanted {
                return Err(ConvertError::Unsupported(format!("its {key} is {:?} and not {wanted}", text(key))));
            }
        }
        if !matches!(text("position_embedding_type"), "" | "absolute") {
            return Err(ConvertError::Unsupported("its positions are not absolute".to_owned()));
        }
        let number = |key: &str, most: u64| {
            let found = json.get(key).and_then(Value::as_u64).filter(|number| (1..=most).contains(number));
            found.ok_or_else(|| ConvertError::bad(path, format!("{key} is not from 1 to {most}")))
        };
        let config = Self {
            width: number("hidden_size", MAX_WIDTH)?,
            layers: number("num_hidden_layers", MAX_LAYERS)?,
            inner: number("intermediate_size", MAX_WIDTH)?,
            heads: number("num_attention_heads", MAX_WIDTH)?,
            context: number("max_position_embeddings", MAX_CONTEXT)?,
            words: number("vocab_size", MAX_CONTEXT)?,
            types: number("type_vocab_size", MAX_WIDTH)?,
            epsilon: json.get("layer_norm_eps").and_then(Value::as_f64).unwrap_or(1e-12) as f32,
        };
        if config.width.is_multiple_of(config.heads) {
            return Ok(config);
        }
        Err(ConvertError::bad(path, "hidden_size is no multiple of num_attention_heads"))
    }

    /// Every tensor of the result, in the file's order.
    fn tensors(&self) -> Vec<Tensor> {
        let (width, inner) = (self.width, self.inner);
        let mut all = vec![
            Tensor::new(
                "token_embd.weight",
                "embeddings.word_embeddings.weight",
                &[self.words, width],
                Precision::Half,
            ),
            Tensor::new(
                "position_embd.weight",
                "embeddings.position_embeddings.weight",
                &[self.context, width],
                Precision::Full,
            ),
            Tensor::new(
                "token_types.weight",
                "embeddings.token_type_embeddings.weight",
                &[self.types, width],
                Precision::Full,
            ),
        ];
        let mut pair = |name: &str, source: &str, shape: &[u64]| {
            let precision = if shape.len() > 1 { Precision::Half } else { Precision::Full };
            all.push(Tensor::new(&format!("{name}.weight"), &format!("{source}.weight"), shape, precision));
            all.push(Tensor::new(&format!("{name}.bias"), &format!("{source}.bias"), &shape[..1], Precision::Full));
        };
        pair("token_embd_norm", "embeddings.LayerNorm", &[width]);
        for layer in 0..self.layers {
            let mut part = |name: &str, source: &str, shape: &[u64]| {
                pair(&format!("blk.{layer}.{name}"), &format!("encoder.layer.{layer}.{source}"), shape);
            };
            part("attn_q", "attention.self.query", &[width, width]);
            part("attn_k", "attention.self.key", &[width, width]);
            part("attn_v", "attention.self.value", &[width, width]);
            part("attn_output", "attention.output.dense", &[width, width]);
            part("attn_output_norm", "attention.output.LayerNorm", &[width]);
            part("ffn_up", "intermediate.dense", &[inner, width]);
            part("ffn_down", "output.dense", &[width, inner]);
            part("layer_output_norm", "output.LayerNorm", &[width]);
        }
        all
    }
}

impl Tensor {
    /// Matrices are halves here, all else is full.
    fn stored(&self, values: &[f32]) -> Vec<u8> {
        if self.precision == Precision::Half { write::halves(values) } else { write::full(values) }
    }

    fn new(name: &str, source: &str, shape: &[u64], precision: Precision) -> Self {
        Self { name: name.to_owned(), source: source.to_owned(), shape: shape.to_vec(), precision }
    }
}

/// llama.cpp's number for how the folder's modules make one vector of many.
fn pooling(folder: &Path) -> Result<u32, ConvertError> {
    let modules = read_json(&folder.join("modules.json"))?;
    let kinds = modules.as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = |module: &Value| module["type"].as_str().and_then(|kind| kind.rsplit('.').next().map(str::to_owned));
    let known = ["Transformer", "Pooling", "Normalize"];
    if let Some(other) = kinds.iter().filter_map(kind).find(|kind| !known.contains(&kind.as_str())) {
        return Err(ConvertError::Unsupported(format!("it has a module of kind {other:?}")));
    }
    let json = read_json(&folder.join("1_Pooling").join("config.json"))?;
    let modes: Vec<&str> =
        json.as_object().into_iter().flatten().filter(|(_, on)| *on == true).map(|(mode, _)| mode.as_str()).collect();
    match modes.iter().filter(|mode| mode.starts_with("pooling_mode_")).collect::<Vec<_>>()[..] {
        [&"pooling_mode_mean_tokens"] => Ok(1),
        [&"pooling_mode_cls_token"] => Ok(2),
        _ => Err(ConvertError::Unsupported("its vectors are neither means nor those of the first token".to_owned())),
    }
}

fn header(config: &Config, pooling: u32, vocabulary: &Vocabulary, tensors: &[Tensor]) -> Header {
    // All of them were bounded as they were read.
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let mut header = Header::default();
    header.text("general.architecture", "bert");
    header.number("general.file_type", MOSTLY_HALF);
    header.number("bert.block_count", small(config.layers));
    header.number("bert.context_length", small(config.context));
    header.number("bert.embedding_length", small(config.width));
    header.number("bert.feed_forward_length", small(config.inner));
    header.number("bert.attention.head_count", small(config.heads));
    header.float("bert.attention.layer_norm_epsilon", config.epsilon);
    header.flag("bert.attention.causal", false);
    header.number("bert.pooling_type", pooling);
    header.text("tokenizer.ggml.model", "bert");
    header.number("tokenizer.ggml.token_type_count", small(config.types));
    header.flag("tokenizer.ggml.normalizer.lowercase", vocabulary.lowercase);
    header.flag("tokenizer.ggml.normalizer.strip_accents", vocabulary.strip_accents);
    header.texts("tokenizer.ggml.tokens", &vocabulary.tokens);
    header.integers("tokenizer.ggml.token_type", &vocabulary.kinds);
    let [unknown, separator, padding, first, mask] = vocabulary.special;
    // The misspelt one is how the format has it.
    let keys = [("unknown", unknown), ("seperator", separator), ("eos", separator), ("padding", padding)];
    for (key, id) in keys.into_iter().chain([("cls", first), ("bos", first), ("mask", mask)]) {
        header.number(&format!("tokenizer.ggml.{key}_token_id"), id);
    }
    for tensor in tensors {
        header.tensor(&tensor.name, &tensor.shape, tensor.precision);
    }
    header
}

fn read_json(path: &Path) -> Result<Value, ConvertError> {
    let unreadable = |error| ConvertError::unreadable(path, error);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > MAX_JSON {
        return Err(ConvertError::bad(path, "it is too long"));
    }
    let mut text = Vec::new();
    file.take(MAX_JSON).read_to_end(&mut text).map_err(unreadable)?;
    serde_json::from_slice(&text).map_err(|_| ConvertError::bad(path, "it is not JSON"))
}

impl ConvertError {
    fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }

    fn bad(path: &Path, problem: impl Into<String>) -> Self {
        Self::Bad { path: path.to_owned(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests;
