//! What a node is started with.

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, ValueEnum};
use starling_inference::{DeviceChoice, Source, scripted};
use starling_protocol::{
    membership::Membership,
    program::{Exit, SwarmOptions},
    swarm::{self, Role},
};

use crate::{
    engines::Apart,
    membership::{self, Files},
    models::Place,
};

/// Everything that [`start`](crate::start) needs, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the node takes part in the swarm.
    pub swarm: swarm::Config,
    /// What it is called.
    pub name: String,
    /// What it serves; at least one.
    pub sources: Vec<Source>,
    /// Where that runs.
    pub engines: Apart,
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
    engines: Apart,
    data: PathBuf,
    options: SwarmOptions,
}

/// The flags of `starling-node join`.
#[derive(Args, Clone, Debug)]
pub struct JoinOptions {
    /// The string that the swarm's gateway has printed.
    pub invite: String,
    /// Only join: serve later, with `run`.
    #[arg(long)]
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
    /// What computes the answers.
    #[arg(long, value_enum, default_value_t = Engine::Llama)]
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
}

/// What computes the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// llama.cpp, with any GGUF chat model.
    Llama,
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
        Ok(Checked {
            alone: self.swarm.swarm_config(Role::Node, &data, false)?,
            name: self.name.clone().unwrap_or_else(machine_name),
            engines: Apart { program: Some(this_program()?), scripted: self.isolate },
            options: self.swarm.clone(),
            sources: self.sources(&Place::new(&data))?,
            data,
        })
    }

    fn sources(self, place: &Place) -> Result<Vec<Source>, Exit> {
        let (context_tokens, slots, threads) =
            (self.context.map(Into::into), self.slots.map(Into::into), self.threads.map(Into::into));
        if self.engine == Engine::Scripted {
            if !self.model.is_empty() || !self.embedding_model.is_empty() {
                return Err(Exit::usage("models go with --engine llama", "leave one of the two out"));
            }
            let options: scripted::Options = self
                .scripted
                .parse()
                .map_err(|error| Exit::usage(format!("--scripted: {error}"), "see --help for an example"))?;
            return Ok(vec![Source::Scripted(options)]);
        }
        if !self.scripted.is_empty() {
            return Err(Exit::usage("--scripted goes with --engine scripted", "leave one of the two out"));
        }
        let device = self.device;
        let saved_bytes = self.saved_mb.map(|megabytes| megabytes.saturating_mul(1 << 20));
        let mut sources = vec![];
        if self.model.is_empty() {
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
        let checked = self.run.check()?;
        let files = Files::new(&checked.data);
        let membership = membership::join(&self.invite, checked.alone.clone(), &checked.name, &files).await?;
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
            engines: self.engines,
            membership,
            data: Some(self.data),
        })
    }
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
