//! The models on this machine: `starling-node models`, and which file `--model` means.

pub(crate) mod build;
pub(crate) mod client;
pub(crate) mod hub;
mod list;
pub(crate) mod name;
pub(crate) mod pull;
mod quantisation;
pub(crate) mod show;
mod store;
mod verify;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use starling_inference::model::{Hashes, ModelFile, convert::convert};
use starling_protocol::program::{self, Exit, say};

pub use self::build::build_engine;

use self::{
    client::hub,
    name::Name,
    store::{Entry, Store},
};

/// The flags of `starling-node models`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
    /// Folder for everything that lasts, as for starling-node run [default: the platform's own].
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Get a model, from the hub or from an address; goes on where an earlier pull stopped.
    Pull(pull::Options),
    /// Show the models that are here.
    List {
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Delete models.
    Remove {
        /// Names as models list shows them.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Turn a folder with a BERT of sentence-transformers into one GGUF file.
    Convert {
        /// The folder, with config.json, model.safetensors and tokenizer.json in it.
        folder: PathBuf,
        /// The file to write.
        output: PathBuf,
    },
    /// Build an engine of a model for a kind of card; needs no card.
    Build(build::Options),
    /// Read models again and compare them with what was pulled.
    Verify {
        /// Names as models list shows them [default: every model].
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Where a node keeps models and what it knows of them.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) store: Store,
    pub(crate) hashes: PathBuf,
}

impl Place {
    pub(crate) fn new(data: &Path) -> Self {
        Self { store: Store::new(data), hashes: data.join("hashes.json") }
    }

    /// The file that `--model` means: a path, or a model that was pulled.
    ///
    /// # Errors
    /// When it is neither, with the command that pulls it.
    pub(crate) fn resolve(&self, model: &Path) -> Result<PathBuf, Exit> {
        if model.exists() {
            return Ok(model.to_owned());
        }
        let Some(text) = model.to_str() else { return Ok(model.to_owned()) };
        let hub = hub()?;
        if let Some(entry) = self.store.find(text, &hub)? {
            return Ok(self.store.path(&entry));
        }
        let looks_like_a_path = model.components().count() > 1 || model.extension().is_some_and(|end| end == "gguf");
        match Name::parse(text, &hub)? {
            // The engine says that there is no such file.
            Name::Local(path) if looks_like_a_path => Ok(path),
            Name::Local(_) => Err(Exit::usage(
                format!("there is no model {text} here"),
                "starling-node models list shows what there is",
            )),
            name => {
                let hint = format!("starling-node models pull {name} gets it");
                Err(Exit::usage(format!("the model {name} was not pulled yet"), hint))
            }
        }
    }
}

impl Place {
    /// As [`Place::resolve`], for a model that has to be one that makes vectors.
    ///
    /// # Errors
    /// Also when the file is a good model of another kind.
    pub(crate) fn resolve_embedding(&self, model: &Path) -> Result<PathBuf, Exit> {
        let path = self.resolve(model)?;
        let file = ModelFile::open(&path).map_err(|error| Exit::usage(&error, error.hint()))?;
        if file.header.pooling().is_none() {
            let what = format!("{} is no embedding model", path.display());
            return Err(Exit::usage(what, "name it with --model, or use a GGUF file of an embedding model"));
        }
        Ok(path)
    }
}

/// Does what the command line says.
///
/// # Errors
/// Says what went wrong and what to do.
pub async fn run(options: Options) -> Result<(), Exit> {
    let data = program::data_dir(options.data, "node")?;
    let place = Place::new(&data);
    let hashes = Hashes::new(place.hashes.clone());
    let store = &place.store;
    match options.command {
        Command::Pull(options) => pull::until_stopped(&place.store, &hashes, options).await,
        Command::List { json } => {
            let form = if json { list::Form::Json } else { list::Form::Table };
            list::run(store, &hashes, &crate::tensorrt::engines(&data), form)
        }
        Command::Remove { names, yes } => remove(store, &here(store, &names)?, !yes && io::stdin().is_terminal()),
        Command::Build(options) => build::run(&data, &place, options).await,
        Command::Convert { folder, output } => convert(&folder, &output).map_err(|error| {
            Exit::usage(error, "name the folder of a BERT as its authors publish it, and a file that may be written")
        }),
        Command::Verify { names } if names.is_empty() => verify::run(store, &hashes, &store.entries()?),
        Command::Verify { names } => verify::run(store, &hashes, &here(store, &names)?),
    }
}

/// The models of these names, all of which have to be here.
fn here(store: &Store, names: &[String]) -> Result<Vec<Entry>, Exit> {
    let hub = hub()?;
    let find = |name: &String| match store.find(name, &hub)? {
        Some(entry) => Ok(entry),
        None => Err(Exit::usage(
            format!("{name} was not pulled"),
            format!("starling-node models list shows what there is in {}", store.folder().display()),
        )),
    };
    names.iter().map(find).collect()
}

fn remove(store: &Store, entries: &[Entry], ask: bool) -> Result<(), Exit> {
    for entry in entries {
        if ask && !confirmed(&format!("delete {} ({})?", entry.name, show::size(entry.bytes))) {
            show::note(&format!("{} stays", entry.name));
            continue;
        }
        store.remove(entry)?;
        say(format_args!("removed {}", entry.name));
    }
    Ok(())
}

/// Asks the person at the terminal; anything but y or yes is a no.
pub(crate) fn confirmed(question: &str) -> bool {
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stdin().lock().read_line(&mut answer));
    asked.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests;
