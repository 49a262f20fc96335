//! `starling-node selftest`: whether an engine is right on this machine, rung by rung, and what follows from it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use starling_inference::{
    demo,
    tensorrt::{
        Precision, VERSION,
        choice::{Tested, choose},
        ladder::{Climb, Outcome, Rung, climb},
    },
};
use starling_protocol::program::{self, Exit, say};

use crate::{
    models::{Place, show::note},
    tensorrt,
};

/// Longest record that is read.
const MAX_RECORD: u64 = 64 << 10;

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
    program::init_log("warn")?;
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
    say(format_args!("engine {}", choose(false, &tested)));
    Found { library: VERSION.to_owned(), precision: options.precision, tested }.keep(&data);
    note("--engine tensorrt takes TensorRT-RTX by name, where it runs and is right");
    failed.map_or(Ok(()), |what| Err(Exit::usage(what, "send the lines above with a report")))
}

/// What a self-test has found, for the next start of the node.
#[derive(Serialize, Deserialize)]
struct Found {
    /// The version that was tested.
    library: String,
    precision: Precision,
    tested: Tested,
}

impl Found {
    fn keep(&self, data: &Path) {
        let write = || -> std::io::Result<()> {
            let path = record(data);
            std::fs::create_dir_all(path.parent().unwrap_or(data))?;
            std::fs::write(path, serde_json::to_vec_pretty(self)?)
        };
        if let Err(error) = write() {
            note(&format!("what was found is not kept: {error}"));
        }
    }
}

fn record(data: &Path) -> PathBuf {
    data.join("tensorrt").join("selftest.json")
}

/// What the last self-test of this library and precision has found here.
#[must_use]
pub fn found(data: &Path, precision: Precision) -> Tested {
    let path = record(data);
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MAX_RECORD) {
        return Tested::Never;
    }
    let found = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Found>(&bytes).ok());
    found
        .filter(|found| found.library == VERSION && found.precision == precision)
        .map_or(Tested::Never, |found| found.tested)
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

    #[test]
    fn what_was_found_counts_for_the_same_library_and_precision() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(found(data.path(), Precision::Fp16), Tested::Never);
        let tested = Tested::Wrong("off by 3".into());
        Found { library: VERSION.into(), precision: Precision::Fp16, tested: tested.clone() }.keep(data.path());
        assert_eq!(found(data.path(), Precision::Fp16), tested);
        assert_eq!(found(data.path(), Precision::Int4), Tested::Never);
        std::fs::write(record(data.path()), "{").unwrap();
        assert_eq!(found(data.path(), Precision::Fp16), Tested::Never);
    }
}
