//! `cargo xtask bench engine`: our engine and llama-server on one file, in turns.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::binaries::{self, PROGRAMS, Profile};
use crate::blocked::Blocked;
use crate::places::{self, Places};
use crate::process;
use crate::say;
use crate::stop::Stop;
use crate::system::{self, Consent};

/// The model of random weights in the cache; a new number whenever its maker changes what it writes.
const MODEL: &str = "random-qwen3-0.6b-1.gguf";

#[derive(Args)]
pub(crate) struct Options {
    /// llama-server to compare with: see the README for how to build one.
    #[arg(long, value_name = "FILE")]
    llama_server: Option<PathBuf>,
    /// A model of your own [default: random weights in the shape of Qwen3-0.6B, made once].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How often the two take turns at each measure.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these measures, by the beginning of their names.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(options: &Options, stop: &Stop) -> Result<()> {
    check(options.llama_server.as_deref(), "give --llama-server the path of the program, or leave it out")?;
    check(options.model.as_deref(), "give --model the path of a GGUF file, or leave it out")?;
    let places = Places::find()?;
    system::provide(&system::TO_BUILD, Consent::from(options.yes), stop)?;
    let programs = binaries::build(&places, Profile::Release, &PROGRAMS, stop)?;
    binaries::build(&places, Profile::Release, &["starling-tests"], stop)?;
    let model = match &options.model {
        Some(model) => std::path::absolute(model)?,
        None => provide_model(&places, &programs, stop)?,
    };
    let mut bench = process::command(places::program(&programs, "engine"));
    bench.arg("--model").arg(model).args(["--rounds", &options.rounds.to_string()]);
    bench.arg("--node").arg(places::program(&programs, "starling-node"));
    if let Some(server) = &options.llama_server {
        bench.arg("--llama-server").arg(std::path::absolute(server)?);
    }
    for name in &options.only {
        bench.args(["--only", name]);
    }
    process::run(bench, stop)
}

fn check(file: Option<&Path>, hint: &'static str) -> Result<()> {
    match file {
        Some(file) if !file.is_file() => Err(Blocked::error(format!("there is no file {}", file.display()), hint)),
        _ => Ok(()),
    }
}

fn provide_model(places: &Places, programs: &Path, stop: &Stop) -> Result<PathBuf> {
    let model = places.cache.join(MODEL);
    if !model.is_file() {
        say::step("Making a model of random weights (640 MB)");
        let mut maker = process::command(places::program(programs, "random_model"));
        maker.arg(&model);
        process::run(maker, stop)?;
    }
    Ok(model)
}
