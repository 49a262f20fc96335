//! What a node is started with.

use std::{
    io::{self, BufRead},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use starling_inference::{
    DeviceChoice, Source,
    model::ModelFile,
    scripted,
    tensorrt::{self, Precision, memory},
};
use starling_protocol::{
    membership::Membership,
    program::{Exit, SwarmOptions, parse_span},
    swarm::{self, Role},
};

use crate::{
    engines::Apart,
    membership::{self, Files},
    models::Place,
    polite,
    shelf::OnDemand,
    tensorrt::Wish,
};

/// Longest line that is read for an invite; one has some hundred bytes.
const MAX_INVITE_BYTES: u64 = 16 << 10;

/// Everything that [`start`](crate::start) needs, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the node takes part in the swarm.
    pub swarm: swarm::Config,
    /// What it is called.
    pub name: String,
    /// What it serves from its start on; at least one here or on demand.
    pub sources: Vec<Source>,
    /// What it loads when somebody asks.
    pub on_demand: OnDemand,
    /// What its owner wants of TensorRT for the chat models among them; none: nothing.
    pub tensorrt: Option<Wish>,
    /// Where that runs.
    pub engines: Apart,
    /// What it does for whoever sits at its machine.
    pub polite: polite::Options,
    /// What makes it a member of its swarm.
    pub membership: Membership,
    /// Its folder: what lasts lies there, and there it can be asked how it does; none: nowhere.
    pub data: Option<PathBuf>,
}

/// The flags, checked, of a node that may not be a member yet.
struct Checked {
    alone: swarm::Config,
    name: String,
    sources: Vec<Source>,
    on_demand: OnDemand,
    tensorrt: Option<Wish>,
    engines: Apart,
    polite: polite::Options,
    data: PathBuf,
    options: SwarmOptions,
}

/// The flags of `starling-node join`.
#[derive(Args, Clone, Debug)]
pub struct JoinOptions {
    /// The string that the swarm's gateway has printed; - reads it from the input, where nobody else sees it.
    pub invite: String,
    /// Only join: serve later, with `run`.
    #[arg(long, alias = "no-run")]
    pub only: bool,
    #[command(flatten)]
    pub run: Options,
}

/// The flags of `starling-node run`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// What every member of a swarm is told.
    #[command(flatten)]
    pub swarm: SwarmOptions,
    /// What others call this node [default: this machine's name].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Chat model: a GGUF file, or the name of one that was pulled, see starling-node models; may be repeated
    /// [default: the tiny demo model that is built in].
    #[arg(long, value_name = "PATH|NAME")]
    pub model: Vec<PathBuf>,
    /// Embedding model to serve beside the chat model: a GGUF file, or the name of one that was pulled; may be repeated.
    #[arg(long, value_name = "PATH|NAME")]
    pub embedding_model: Vec<PathBuf>,
    /// Model to load only when somebody asks for it: a GGUF file, or the name of one that was pulled; may be repeated.
    #[arg(long, value_name = "PATH|NAME")]
    pub offer: Vec<PathBuf>,
    /// Offer every model that was pulled.
    #[arg(long)]
    pub offer_all: bool,
    /// How long a model that was loaded because somebody asked is kept while nobody uses it: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_span)]
    pub keep_loaded: Duration,
    /// Memory in MiB that models which are loaded on demand may take together [default: what is free].
    #[arg(long, value_name = "MIB")]
    pub offer_mb: Option<u64>,
    /// Options of a scripted engine that is loaded on demand; may be repeated.
    #[arg(long, value_name = "KEY=VALUE,…", hide = true)]
    pub offer_scripted: Vec<String>,
    /// What computes the answers.
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// Options of the scripted engine, such as seed=1,tokens_per_second=50,answer_tokens=64,slots=4.
    #[arg(long, value_name = "KEY=VALUE,…", default_value = "")]
    pub scripted: String,
    /// Answers computed at once, for each model.
    #[arg(long, value_name = "N")]
    pub slots: Option<NonZeroU32>,
    /// Tokens of prompt and answer together that one slot holds.
    #[arg(long, value_name = "TOKENS")]
    pub context: Option<NonZeroU32>,
    /// Threads each model computes with.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroU32>,
    /// With TensorRT, what weights are stored as: fp16, bf16, int8, int4 or fp8 [default: whichever engine was built and
    /// is fastest].
    #[arg(long)]
    pub precision: Option<Precision>,
    /// With TensorRT, memory of the card in MiB that an engine was built to compute in.
    #[arg(long, value_name = "MIB", default_value_t = memory::WORKSPACE >> 20)]
    pub workspace_mb: u64,
    /// With TensorRT, hundredths of the card's memory that may be taken, at most 85.
    #[arg(long, value_name = "PERCENT", default_value_t = memory::SHARE,
        value_parser = clap::value_parser!(u64).range(1..=memory::SHARE))]
    pub card_share: u64,
    /// What to compute on: auto, cpu, cuda or vulkan. What is asked for and not there is an error.
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub device: DeviceChoice,
    /// Memory in MiB, for each model, that keeps conversations which have no slot, 0 for none [default: a tenth of
    /// what is free, at most 8192].
    #[arg(long, value_name = "MIB")]
    pub saved_mb: Option<u64>,
    /// Run scripted engines in processes of their own, as llama.cpp's are.
    #[arg(long, hide = true)]
    pub isolate: bool,
    /// Where newer releases come from.
    #[command(flatten)]
    pub update: crate::update::Flags,
    /// What it does for whoever sits at this machine.
    #[command(flatten)]
    pub polite: polite::Options,
}

/// What computes the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// TensorRT-RTX for models that an engine was built of, where it is right and faster on this machine; else llama.cpp.
    Auto,
    /// llama.cpp, with any GGUF chat model.
    Llama,
    /// NVIDIA's TensorRT-RTX, with engines that starling-node models build has built, and nothing else.
    Tensorrt,
    /// No model: answers by a script, for tests and load.
    Scripted,
}

impl Options {
    /// Checks the flags and reads the identity key and the membership.
    ///
    /// # Errors
    /// Says which flag is wrong and what to do; or that this machine has joined no swarm.
    pub fn config(self) -> Result<Config, Exit> {
        let checked = self.check()?;
        let membership = Files::new(&checked.data).load()?;
        checked.of_member(membership)
    }

    fn check(self) -> Result<Checked, Exit> {
        let data = self.swarm.data_dir("node")?;
        #[cfg(windows)]
        crate::service::prepare_folder(&data)?;
        let place = Place::new(&data);
        Ok(Checked {
            on_demand: self.on_demand(&place)?,
            alone: self.swarm.swarm_config(Role::Node, &data, false)?,
            name: self.name.clone().unwrap_or_else(machine_name),
            tensorrt: self.wish(&data)?,
            engines: Apart { program: Some(this_program()?), scripted: self.isolate },
            options: self.swarm.clone(),
            polite: self.polite.clone(),
            sources: self.sources(&place)?,
            data,
        })
    }

    fn offers_any(&self) -> bool {
        !self.offer.is_empty() || self.offer_all || !self.offer_scripted.is_empty()
    }

    /// What the owner says of TensorRT-RTX.
    fn wish(&self, data: &Path) -> Result<Option<Wish>, Exit> {
        let by_name = match self.engine {
            Engine::Auto => false,
            Engine::Tensorrt => true,
            Engine::Llama | Engine::Scripted => return Ok(None),
        };
        if by_name && self.model.is_empty() {
            return Err(Exit::usage("--engine tensorrt serves a model of yours", "name it with --model"));
        }
        if by_name && self.device != DeviceChoice::Auto {
            return Err(Exit::usage("--device is for llama.cpp", "leave it out with --engine tensorrt"));
        }
        let options = tensorrt::Options {
            library: crate::tensorrt::folder(data),
            engines: crate::tensorrt::engines(data),
            precision: self.precision.unwrap_or_default(),
            workspace: self.workspace_mb.saturating_mul(1 << 20),
            share: self.card_share,
        };
        Ok(Some(Wish { by_name, precision: self.precision, options }))
    }

    fn on_demand(&self, place: &Place) -> Result<OnDemand, Exit> {
        let mut sources = self.offer_scripted.iter().map(|options| scripted(options)).collect::<Result<Vec<_>, _>>()?;
        let mut paths = vec![];
        for model in &self.offer {
            paths.push(place.resolve(model)?);
        }
        if self.offer_all {
            paths.extend(place.store.entries()?.iter().map(|entry| place.store.path(entry)));
        }
        // What is named is found, or the owner is told so; what was pulled long ago may have gone.
        for path in &paths[..self.offer.len()] {
            ModelFile::open(path).map_err(|error| Exit::usage(&error, error.hint()))?;
        }
        paths.sort();
        paths.dedup();
        sources.extend(paths.iter().map(|path| self.offered(path, place)));
        let limit_bytes = self.offer_mb.map(|megabytes| megabytes.saturating_mul(1 << 20));
        Ok(OnDemand { sources, keep_loaded: self.keep_loaded, limit_bytes, device: self.device })
    }

    fn offered(&self, path: &Path, place: &Place) -> Source {
        // Slots and context are the chat model's: a short text and a long answer have nothing in common.
        let embeds = ModelFile::open(path).is_ok_and(|file| file.header.pooling().is_some());
        let for_chat = |number: Option<NonZeroU32>| number.filter(|_| !embeds).map(Into::into);
        Source::Gguf {
            path: path.to_owned(),
            context_tokens: for_chat(self.context),
            slots: for_chat(self.slots),
            threads: self.threads.map(Into::into),
            saved_bytes: self.saved_mb.map(|megabytes| megabytes.saturating_mul(1 << 20)),
            hashes: Some(place.hashes.clone()),
            device: self.device,
        }
    }

    fn sources(self, place: &Place) -> Result<Vec<Source>, Exit> {
        let (context_tokens, slots, threads) =
            (self.context.map(Into::into), self.slots.map(Into::into), self.threads.map(Into::into));
        if self.engine == Engine::Scripted {
            if !self.model.is_empty() || !self.embedding_model.is_empty() {
                return Err(Exit::usage("models go with --engine llama", "leave one of the two out"));
            }
            return Ok(vec![scripted(&self.scripted)?]);
        }
        if !self.scripted.is_empty() {
            return Err(Exit::usage("--scripted goes with --engine scripted", "leave one of the two out"));
        }
        let device = self.device;
        let saved_bytes = self.saved_mb.map(|megabytes| megabytes.saturating_mul(1 << 20));
        let mut sources = vec![];
        if self.model.is_empty() && !self.offers_any() {
            let cache_dir = place.store.folder().to_owned();
            sources.push(Source::Demo { cache_dir, context_tokens, slots, threads, saved_bytes, device });
        }
        let hashes = || Some(place.hashes.clone());
        for model in &self.model {
            let path = place.resolve(model)?;
            sources.push(Source::Gguf { path, context_tokens, slots, threads, saved_bytes, hashes: hashes(), device });
        }
        for model in &self.embedding_model {
            // Slots and context are the chat model's: a short text and a long answer have nothing in common.
            let (path, hashes) = (place.resolve_embedding(model)?, hashes());
            let (context_tokens, slots) = (None, None);
            sources.push(Source::Gguf { path, context_tokens, slots, threads, saved_bytes, hashes, device });
        }
        Ok(sources)
    }
}

impl JoinOptions {
    /// Joins the swarm, after a look at all other flags: a mistake in them costs no invite.
    ///
    /// # Errors
    /// Says which flag is wrong, or why the invite buys nothing.
    pub async fn config(self) -> Result<Config, Exit> {
        let invite = if self.invite == "-" { first_line(io::stdin().lock())? } else { self.invite };
        let checked = self.run.check()?;
        let files = Files::new(&checked.data);
        let membership = membership::join(&invite, checked.alone.clone(), &checked.name, &files).await?;
        checked.of_member(membership)
    }
}

impl Checked {
    fn of_member(self, membership: Membership) -> Result<Config, Exit> {
        let swarm = membership::swarm_of(&membership)?;
        Ok(Config {
            swarm: self.options.of_swarm(self.alone, swarm, &membership.addresses),
            name: self.name,
            sources: self.sources,
            on_demand: self.on_demand,
            tensorrt: self.tensorrt,
            engines: self.engines,
            polite: self.polite,
            membership,
            data: Some(self.data),
        })
    }
}

/// Of as much as an invite can have.
fn first_line(input: impl BufRead) -> Result<String, Exit> {
    let mut line = String::new();
    let read = input.take(MAX_INVITE_BYTES).read_line(&mut line);
    read.map_err(|error| Exit::usage(format!("the input cannot be read: {error}"), "write the invite into it"))?;
    Ok(line.trim().to_owned())
}

fn scripted(options: &str) -> Result<Source, Exit> {
    let options: scripted::Options =
        options.parse().map_err(|error| Exit::usage(format!("--scripted: {error}"), "see --help for an example"))?;
    Ok(Source::Scripted(options))
}

/// This program, for the engines' processes.
pub(crate) fn this_program() -> Result<PathBuf, Exit> {
    // Still the same file when it was replaced by a newer one meanwhile.
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().map_err(|error| Exit::failed(format!("this program cannot find itself: {error}")))
}

/// What the machine calls itself, where it says so.
fn machine_name() -> String {
    sysinfo::System::host_name().unwrap_or_else(|_| "node".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_the_first_line_of_the_input() {
        assert_eq!(first_line(&b" starling-invite-x \r\nmore"[..]).unwrap(), "starling-invite-x");
        assert_eq!(first_line(&b""[..]).unwrap(), "");
        assert!(first_line(&b"\xff\xff\n"[..]).is_err());
        let long = vec![b'x'; 1 << 20];
        assert!(first_line(&long[..]).unwrap().len() as u64 <= MAX_INVITE_BYTES);
    }
}
