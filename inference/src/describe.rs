//! What an engine would serve, without opening it: for models that are loaded when somebody asks.
//!
//! Only safe code reads the file here. A large one is hashed, unless its hash is remembered.

use crate::engine::llama::BATCH_TOKENS;
use crate::engine::scripted::{Scripted, ScriptedEmbedder};
use crate::model::footprint::{Footprint, Size};
use crate::model::{Hashes, ModelFile};
use crate::{Kind, OpenError, Source, demo};

/// Context that is thought to be built where nobody asked for one; more is taken when there is room.
const CONTEXT_TOKENS: u32 = 4096;

/// A model that could be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// SHA-256 of the model file.
    pub id: [u8; 32],
    /// The name as people write it.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Tokens that a slot will hold, as far as memory allows.
    pub context_tokens: u32,
    /// Bytes to read.
    pub bytes: u64,
    /// Memory that it takes at the least, in bytes.
    pub memory_bytes: u64,
}

/// Reads what there is to know of a model before it is loaded. Blocks, for as long as hashing takes.
///
/// # Errors
/// As [`crate::open`], but for what only the machine can say.
pub fn describe(source: &Source) -> Result<Described, OpenError> {
    match source {
        Source::Scripted(options) => {
            let info = if options.embedding {
                crate::embed::Embedder::info(&ScriptedEmbedder::new(options.clone())).clone()
            } else {
                crate::engine::Engine::info(&Scripted::new(options.clone())).clone()
            };
            let (kind, context_tokens, bytes) = (info.kind, info.context_tokens, info.memory_bytes);
            Ok(Described { id: info.id, name: info.name, kind, context_tokens, bytes, memory_bytes: bytes })
        }
        Source::Gguf { path, context_tokens, slots, hashes, .. } => {
            let hashes = hashes.clone().map(Hashes::new);
            of_file(&ModelFile::open(path)?, *context_tokens, *slots, hashes.as_ref())
        }
        Source::TensorRt { path, context_tokens, slots, hashes, .. } => {
            let hashes = hashes.clone().map(Hashes::new);
            of_file(&ModelFile::open(path)?, *context_tokens, *slots, hashes.as_ref())
        }
        Source::Reference { path, context_tokens, slots } => {
            of_file(&ModelFile::open(path)?, *context_tokens, *slots, None)
        }
        Source::Demo { cache_dir, context_tokens, slots, .. } => {
            let file = ModelFile::open(&demo::extract(cache_dir)?)?;
            Ok(Described { name: demo::NAME.into(), ..of_file(&file, *context_tokens, *slots, None)? })
        }
    }
}

fn of_file(
    file: &ModelFile,
    context_tokens: Option<u32>,
    slots: Option<u32>,
    hashes: Option<&Hashes>,
) -> Result<Described, OpenError> {
    let header = &file.header;
    let trained = header.context_tokens().and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX);
    let context_tokens = context_tokens.unwrap_or(CONTEXT_TOKENS).min(trained);
    let own = |key: &str| header.number(&format!("{}.{key}", header.architecture()));
    let width = || own("embedding_length_out").or_else(|| own("embedding_length")).unwrap_or(0);
    let dimensions = || u32::try_from(width()).unwrap_or(0);
    let (kind, memory_bytes) = if header.pooling().is_some() {
        (Kind::Embedding { dimensions: dimensions() }, file.bytes)
    } else {
        let size = Size { context_tokens, slots: slots.unwrap_or(1), batch_tokens: BATCH_TOKENS };
        (Kind::Chat, Footprint::new(header, file.bytes).total(&size))
    };
    let id = file.sha256(hashes)?;
    Ok(Described { id, name: file.name(), kind, context_tokens, bytes: file.bytes, memory_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_described_as_it_is_served() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/swarm-demo-3M-q8_0.gguf");
        let bytes = std::fs::metadata(&path).unwrap().len();
        let source = Source::Gguf {
            path,
            context_tokens: Some(256),
            slots: Some(1),
            threads: None,
            saved_bytes: Some(0),
            hashes: None,
            device: crate::DeviceChoice::Cpu,
        };
        let described = describe(&source).unwrap();
        let (handle, _runner) = crate::open(&source).unwrap();
        let info = handle.info();
        assert_eq!((described.id, &described.name, described.kind), (info.id, &info.name, info.kind));
        assert_eq!((described.context_tokens, described.memory_bytes), (info.context_tokens, info.memory_bytes));
        assert_eq!(described.bytes, bytes);
    }

    #[test]
    fn a_file_that_is_not_there_is_not_offered() {
        let source = Source::Scripted("seed=3,memory_mb=5".parse().unwrap());
        assert_eq!(describe(&source).unwrap().memory_bytes, 5 << 20);
        let missing = Source::Demo {
            cache_dir: "/dev/null/nowhere".into(),
            context_tokens: None,
            slots: None,
            threads: None,
            saved_bytes: None,
            device: crate::DeviceChoice::Cpu,
        };
        assert!(describe(&missing).is_err());
    }
}
