//! `starling-node selftest`: whether an engine is right on this machine, rung by rung, and what follows from it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use starling_inference::{
    demo,
    tensorrt::{
        Precision,
        choice::judge,
        ladder::{Climb, Outcome, Rung, climb},
    },
};
use starling_protocol::program::{self, Exit, say};

use crate::{
    models::{Place, show::note},
    tensorrt,
};

/// What its owner does next, where nothing is wrong.
const GOES_ON: &str = "starling-node models build MODEL --engine tensorrt builds an engine of a model for this card; the \
                       next start of the node tests it once and takes it where it is right and faster (--engine auto), \
                       or with --engine tensorrt by name. No card has run this yet in our own hands: please send the \
                       lines above, with your card and driver (starling-node doctor), also when all is well";
/// And where something is.
const BROKEN: &str = "the node serves with llama.cpp meanwhile; please send the lines above with your card and driver \
                      (starling-node doctor) and the output of the same command with STARLING_LOG=debug";

/// Engines that can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// NVIDIA's TensorRT-RTX, with llama.cpp beside it.
    Tensorrt,
}

/// The flags of `starling-node selftest`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Which engine.
    #[arg(long, value_enum)]
    engine: Engine,
    /// Model to test with: a GGUF file, or the name of one that was pulled [default: the built-in demo model].
    #[arg(long, value_name = "PATH|NAME")]
    model: Option<PathBuf>,
    /// What weights are stored as on this machine's card: fp16, bf16, int8, int4 or fp8.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Folder for everything that lasts, as for starling-node run [default: the platform's own].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Tests and shows it.
///
/// # Errors
/// When a rung that this machine could have reached does not hold.
pub fn run(options: Options) -> Result<(), Exit> {
    // A report needs more than a page does.
    program::init_log(&std::env::var("STARLING_LOG").unwrap_or_else(|_| "warn".to_owned()))?;
    let Engine::Tensorrt = options.engine;
    let data = program::data_dir(options.data, "node")?;
    let place = Place::new(&data);
    let model = match &options.model {
        Some(model) => place.resolve(model)?,
        None => demo::extract(place.store.folder()).map_err(|error| Exit::usage(&error, error.hint()))?,
    };
    let order = Climb {
        model,
        library: tensorrt::folder(&data),
        engines: tensorrt::engines(&data).join("selftest"),
        precision: options.precision,
    };
    let mut failed = None;
    let tested = climb(&order, &mut |rung| {
        say(line(&rung));
        if let Outcome::Failed(why) = rung.outcome {
            failed.get_or_insert(format!("{}: {why}", rung.name));
        }
    });
    let (good, why) = judge(false, &tested);
    say(format_args!("engine {}: {why}", if good { "TensorRT-RTX" } else { "llama.cpp" }));
    note(if failed.is_some() { BROKEN } else { GOES_ON });
    failed.map_or(Ok(()), |what| Err(Exit::usage(what, "send the lines above with a report")))
}

fn line(rung: &Rung) -> String {
    let (mark, text) = match &rung.outcome {
        Outcome::Ok(seen) => ("ok", seen),
        Outcome::Failed(why) => ("FAILED", why),
        Outcome::Impossible(why) => ("not possible here", why),
    };
    format!("{:<34} {mark:<18} {text}", rung.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_a_line() {
        let rung = Rung { name: "library", outcome: Outcome::Failed("it is not here".into()) };
        assert_eq!(line(&rung), "library                            FAILED             it is not here");
    }
}
