//! Where an engine comes from, and what can go wrong on the way.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::engine::graph::GraphEngine;
use crate::engine::llama::{self, Llama, LlamaEmbedder};
use crate::engine::scripted::{self, Scripted, ScriptedEmbedder};
use crate::engine::tensorrt;
use crate::model::{Hashes, ModelFile};
use crate::{DeviceChoice, Handle, Progress, Runner, demo};

/// A disk slower than twice this is broken; a file may have to be hashed before it is loaded.
const SLOW_DISK_BYTES_PER_SECOND: u64 = 8 << 20;

/// Which engine to open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// No model: answers by a script.
    Scripted(scripted::Options),
    /// A chat model or an embedding model in a GGUF file, on llama.cpp.
    Gguf {
        /// The file.
        #[serde(with = "any_path")]
        path: PathBuf,
        /// Tokens of prompt and answer together that each slot holds, or of a text to embed. `None`: what the model
        /// was made for and fits into memory, at most 4,096 on the CPU and 8,192 on a GPU; where a text is read in
        /// both directions at most 2,048.
        context_tokens: Option<u32>,
        /// Answers at once (`None`: 4, or as many as fit into memory), or requests for vectors at once (`None`: 16).
        slots: Option<u32>,
        /// Threads to compute on. `None`: 1 for a file under 200 MB, else one for each core.
        threads: Option<u32>,
        /// Bytes of the machine's memory for conversations that have no slot, so that their next turn is quick; 0 for
        /// none. `None`: a tenth of what is free, at most 8 GiB.
        saved_bytes: Option<u64>,
        /// Where the hashes of large files are remembered. `None`: the file is hashed each time.
        #[serde(with = "any_path::or_none")]
        hashes: Option<PathBuf>,
        /// What to compute on.
        #[serde(default)]
        device: DeviceChoice,
    },
    /// A chat model in a GGUF file, computed from our own description of it, on the CPU and plainly: slow, for tests.
    Reference {
        /// The file.
        #[serde(with = "any_path")]
        path: PathBuf,
        /// As for [`Source::Gguf`], by default at most 4,096.
        context_tokens: Option<u32>,
        /// Answers at once, by default 4.
        slots: Option<u32>,
    },
    /// A chat model in a GGUF file, on the engine that TensorRT-RTX has built of it for this machine's card.
    TensorRt {
        /// The file.
        #[serde(with = "any_path")]
        path: PathBuf,
        /// As for [`Source::Gguf`], by default at most 4,096; as the engine was built.
        context_tokens: Option<u32>,
        /// Answers at once, by default 4; as the engine was built.
        slots: Option<u32>,
        /// Where the hashes of large files are remembered.
        #[serde(with = "any_path::or_none")]
        hashes: Option<PathBuf>,
        /// Where library and engines are, and what may be taken.
        options: Box<tensorrt::Options>,
    },
    /// The tiny demo model that is built in. Options as for [`Source::Gguf`].
    Demo {
        /// Folder to which the file is written once; made if it is not there.
        #[serde(with = "any_path")]
        cache_dir: PathBuf,
        /// As for a file.
        context_tokens: Option<u32>,
        /// As for a file.
        slots: Option<u32>,
        /// As for a file.
        threads: Option<u32>,
        /// As for a file.
        saved_bytes: Option<u64>,
        /// As for a file.
        #[serde(default)]
        device: DeviceChoice,
    },
}

/// Why an engine cannot be opened. Shows as one line; [`OpenError::hint`] is the next step.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no model file at {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there but cannot be read.
    #[error("cannot read the model file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a whole GGUF file.
    #[error("{} is not a usable GGUF file: {problem}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A good file that this engine can neither chat with nor embed with.
    #[error("cannot serve {}: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An option does not fit the model.
    #[error("{option}: {reason}")]
    Option {
        /// The option as people write it.
        option: &'static str,
        /// What is wrong with it, with the limit.
        reason: String,
    },
    /// The model does not fit into the memory that there is.
    #[error("{} is too large for this machine: {problem}", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// What it needs and what there is.
        problem: String,
    },
    /// What the engine needs is not here.
    #[error("{what}")]
    Lacking {
        /// What is missing.
        what: String,
        /// The next step.
        hint: String,
    },
    /// The demo model cannot be written to its folder.
    #[error("cannot write the demo model to {}: {source}", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The process that holds the engine cannot open it.
    #[error("{what}")]
    Elsewhere {
        /// One of the other errors, as it shows.
        what: String,
        /// Its next step.
        hint: String,
        /// Which of them.
        reason: Reason,
    },
    /// The engine itself failed.
    #[error("the engine cannot start: {reason}")]
    Engine {
        /// What is known.
        reason: String,
    },
}

/// What kind of reason there is that an engine cannot be opened, for whoever has to act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// There was too little memory; later there may be more.
    Memory,
    /// The file is missing, damaged, or of a kind that is not served: it stays so until somebody replaces it.
    File,
    /// Anything else.
    Other,
}

impl OpenError {
    /// What kind of reason it is.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Memory { .. } => Reason::Memory,
            Self::Missing { .. } | Self::Unreadable { .. } | Self::Corrupt { .. } | Self::Unsupported { .. } => {
                Reason::File
            }
            Self::Option { .. } | Self::Cache { .. } | Self::Engine { .. } | Self::Lacking { .. } => Reason::Other,
            Self::Elsewhere { reason, .. } => *reason,
        }
    }

    /// Whether an option is wrong, and not the file or the machine.
    pub(crate) fn is_option(&self) -> bool {
        matches!(self, Self::Option { .. })
    }

    /// The next step for the person who reads the error.
    pub fn hint(&self) -> &str {
        match self {
            Self::Missing { .. } => "check the path; without a model the built-in demo model is served",
            Self::Unreadable { .. } => "check that it is a file that this user may read",
            Self::Corrupt { .. } => "download the file again and compare its size and checksum with the source",
            Self::Unsupported { .. } => {
                "use a GGUF file of a chat model with its chat template, or of an embedding model, in one part"
            }
            Self::Option { .. } => "change the option, or leave it out for the default",
            Self::Memory { .. } => "use a smaller quantisation or model, or lower --context or --slots",
            Self::Cache { .. } => "name a data folder that this user may write, with 4 MB free",
            Self::Elsewhere { hint, .. } | Self::Lacking { hint, .. } => hint,
            Self::Engine { .. } => "try fewer slots or a smaller context; the log at level debug has more",
        }
    }
}

impl Source {
    /// The same engine with fewer slots, where `slots` is fewer than the `usual`.
    pub(crate) fn with_slots(&self, slots: u32, usual: u32) -> Self {
        let mut fewer = self.clone();
        if slots < usual {
            match &mut fewer {
                // An engine is built for a number of slots, and is another one with fewer.
                Self::TensorRt { .. } => {}
                Self::Scripted(options) => options.slots = slots,
                Self::Gguf { slots: given, .. }
                | Self::Demo { slots: given, .. }
                | Self::Reference { slots: given, .. } => {
                    *given = Some(slots);
                }
            }
        }
        fewer
    }

    /// Time that a slow disk takes to read it.
    pub(crate) fn reading_time(&self) -> Duration {
        let (Self::Gguf { path, .. } | Self::Reference { path, .. } | Self::TensorRt { path, .. }) = self else {
            return Duration::ZERO;
        };
        // A file that is not there is soon found out.
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Duration::from_secs(bytes / SLOW_DISK_BYTES_PER_SECOND)
    }
}

/// Opens an engine. Blocks while it loads; call it on the thread that will call [`Runner::run`]. Spawns nothing.
///
/// # Errors
/// See [`OpenError`].
pub fn open(source: &Source) -> Result<(Handle, Runner), OpenError> {
    open_with(source, &Progress::new())
}

/// As [`open`], and shows how far it has come.
///
/// # Errors
/// See [`OpenError`].
pub fn open_with(source: &Source, progress: &Progress) -> Result<(Handle, Runner), OpenError> {
    let engine: Box<dyn Engine> = match source {
        Source::Scripted(options) => {
            scripted::load(options, progress)?;
            if options.embedding {
                return Ok(Runner::embedding(Box::new(ScriptedEmbedder::new(options.clone()))));
            }
            Box::new(Scripted::new(options.clone()))
        }
        Source::Gguf { path, context_tokens, slots, threads, saved_bytes, hashes, device } => {
            let (context_tokens, slots, threads, saved_bytes) = (*context_tokens, *slots, *threads, *saved_bytes);
            let hashes = hashes.clone().map(Hashes::new);
            let options = llama::Options { context_tokens, slots, threads, saved_bytes, device: *device };
            // What the file says it is for.
            if ModelFile::open(path)?.header.pooling().is_some() {
                let embedder = LlamaEmbedder::open(path, options, hashes.as_ref(), progress)?;
                return Ok(Runner::embedding(Box::new(embedder)));
            }
            Box::new(Llama::open(path, options, hashes.as_ref(), progress)?)
        }
        Source::Reference { path, context_tokens, slots } => {
            Box::new(GraphEngine::on_cpu(path, (*context_tokens, *slots), None)?)
        }
        Source::TensorRt { path, context_tokens, slots, hashes, options } => {
            let hashes = hashes.clone().map(Hashes::new);
            let room = (*context_tokens, *slots);
            Box::new(tensorrt::open(path, room, options, (hashes.as_ref(), progress))?)
        }
        Source::Demo { cache_dir, context_tokens, slots, threads, saved_bytes, device } => {
            let path = demo::extract(cache_dir)?;
            let (context_tokens, slots, threads, saved_bytes) = (*context_tokens, *slots, *threads, *saved_bytes);
            let options = llama::Options { context_tokens, slots, threads, saved_bytes, device: *device };
            let engine = Llama::open(&path, options, None, progress)?;
            Box::new(engine.named(demo::NAME, true))
        }
    };
    Ok(Runner::new(engine))
}

/// A path may hold what is no text, which serde's own way does not take.
mod any_path {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }

    pub(super) mod or_none {
        use super::{Deserialize, Deserializer, OsString, PathBuf, Serialize, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
            path.as_ref().map(|path| path.as_os_str()).serialize(to)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
            Option::<OsString>::deserialize(from).map(|path| path.map(PathBuf::from))
        }
    }
}
