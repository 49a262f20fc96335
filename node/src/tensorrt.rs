//! `starling-node tensorrt`: NVIDIA's library, which each user gets from its vendor and under its licence. It is never
//! part of what we give out.

pub(crate) mod choose;
mod trial;
mod wheel;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use starling_inference::tensorrt::{FILE, Library, VERSION};
use starling_protocol::program::{self, Exit, say};
use tokio_util::sync::CancellationToken;

use crate::models::{client::Client, confirmed, hub::Remote, pull::fetch, show};
use wheel::Wheel;

pub use self::{choose::Wish, trial::test_engine};

/// The licence beside the library.
const LICENSE: &str = "LICENSE.txt";

/// The flags of `starling-node tensorrt`.
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
    /// Get the library from PyPI, show its licence and, when you accept it, put it into the data folder.
    Install {
        /// Accept NVIDIA's licence without being asked: for scripts, by who has read it.
        #[arg(long)]
        accept_license: bool,
        /// Also when it is there already.
        #[arg(long)]
        again: bool,
        /// Take this wheel, which was downloaded before, and ask no server.
        #[arg(long, value_name = "FILE")]
        wheel: Option<PathBuf>,
    },
    /// Show whether the library is here, and its licence's place.
    Status,
}

/// Where the library lies under a data folder.
#[must_use]
pub fn folder(data: &Path) -> PathBuf {
    data.join("tensorrt").join(VERSION)
}

/// Where engines lie under a data folder.
#[must_use]
pub fn engines(data: &Path) -> PathBuf {
    data.join("engines")
}

/// Does what the command line says.
///
/// # Errors
/// Says what went wrong and what to do.
pub async fn run(options: Options) -> Result<(), Exit> {
    let data = program::data_dir(options.data, "node")?;
    let folder = folder(&data);
    match options.command {
        Command::Status => status(&folder),
        Command::Install { again, .. } if !again && Library::load(&folder).is_ok() => {
            say(format_args!("TensorRT-RTX {VERSION} is here already"));
            Ok(())
        }
        Command::Install { accept_license, wheel, .. } => {
            let cancel = CancellationToken::new();
            program::cancel_on_signal(cancel.clone());
            let installing = Box::pin(install(&data, &folder, accept_license, wheel));
            let stopped = || Err(Exit::failed("stopped; the same command goes on from there"));
            cancel.run_until_cancelled(installing).await.unwrap_or_else(stopped)
        }
    }
}

fn status(folder: &Path) -> Result<(), Exit> {
    Library::load(folder).map_err(|error| Exit::usage(&error, error.hint()))?;
    say(format_args!("TensorRT-RTX {VERSION} in {}", folder.display()));
    say(format_args!("licence {}", folder.join(LICENSE).display()));
    Ok(())
}

async fn install(data: &Path, folder: &Path, accepted: bool, given: Option<PathBuf>) -> Result<(), Exit> {
    let wheel = Wheel::here()?;
    if !accepted && !io::stdin().is_terminal() {
        return Err(Exit::usage(
            "NVIDIA's licence has to be accepted and nobody can be asked here",
            "read it in the wheel on PyPI, and pass --accept-license",
        ));
    }
    let question = format!(
        "TensorRT-RTX is NVIDIA's and not free software: it is under NVIDIA's own licence, which forbids passing it on \
         and some uses for others.\nGet {} from PyPI and read the licence before anything is installed?",
        show::size(wheel.bytes)
    );
    if !accepted && given.is_none() && !confirmed(&question) {
        return Err(Exit::usage("not installed", "llama.cpp serves every model without it"));
    }
    let path = match given {
        Some(path) => path,
        None => download(data, &wheel).await?,
    };
    wheel.verify(&path)?;
    if !accepted {
        say(wheel::license(&path)?);
        if !confirmed("Do you accept this licence?") {
            return Err(Exit::usage("not installed: the licence was not accepted", "llama.cpp needs no such library"));
        }
    }
    wheel::unpack(&path, folder, &[FILE, LICENSE])?;
    Library::load(folder).map_err(|error| Exit::usage(&error, error.hint()))?;
    say(format_args!("installed TensorRT-RTX {VERSION}"));
    show::note(
        "starling-node models build MODEL --engine tensorrt builds an engine; selftest --engine tensorrt tests it",
    );
    Ok(())
}

/// The wheel, kept until the next version: what stopped goes on, and a damaged library is made anew.
async fn download(data: &Path, wheel: &Wheel) -> Result<PathBuf, Exit> {
    let path = data.join("tensorrt").join(wheel.name);
    if wheel.verify(&path).is_ok() {
        return Ok(path);
    }
    let remote = Remote {
        url: wheel.url()?,
        source: wheel.address.to_owned(),
        file: wheel.name.to_owned(),
        bytes: Some(wheel.bytes),
        sha256: Some(wheel.sha256()?),
    };
    fetch(&Client::from_environment()?, &remote, &path).await?;
    Ok(path)
}
