//! The self-test of a machine: each rung needs those below it. What it finds decides whether TensorRT is used here
//! ([`super::choice`]), and is what the owner of a new card shows.

use std::path::PathBuf;
use std::time::Instant;

use crate::Progress;
use crate::engine::graph::{Compute, GraphEngine, Room, hyper_of};
use crate::graph::interpret::Interpreter;
use crate::graph::weights::{GgufWeights, graph_of};
use crate::model::ModelFile;

use super::batch::Frame;
use super::choice::Tested;
use super::cuda::Card;
use super::file;
use super::kernels::Begin;
use super::memory::{SHARE, WORKSPACE};
use super::open::{Options, open, wanted};
use super::run::{Opening, Running};
use super::stored::Rounded;
use super::trial::llama_pace;
use super::{Build, Capability, Library, Precision, build};
use measure::{Asked, allowed, compare, pace, prompt};

pub(super) mod measure;

/// Slots of the test.
const SLOTS: u32 = 2;
/// Tokens that a slot holds in it.
const CONTEXT: u32 = 256;
/// What came of a rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds; what was seen.
    Ok(String),
    /// It does not; why.
    Failed(String),
    /// This machine cannot show it; why.
    Impossible(String),
}

/// One thing that is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// What.
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What is tested with what.
#[derive(Clone, Debug)]
pub struct Climb {
    /// A small model.
    pub model: PathBuf,
    /// Folder of the library.
    pub library: PathBuf,
    /// Folder for engines of the test.
    pub engines: PathBuf,
    /// What weights are stored as.
    pub precision: Precision,
}

/// The rungs, in their order.
const LIBRARY: &str = "library";
const BUILDS: [(&str, Precision); 2] =
    [("builds for 8.9, fp16", Precision::Fp16), ("builds for 8.9, int4", Precision::Int4)];
const CARD: &str = "driver and card";
const OWN: &str = "engine for this card";
const NUMBERS: &str = "numbers against the reference";
const AGAIN: &str = "kernels kept for the next start";
const SPEED: &str = "speed beside llama.cpp";

/// Climbs as high as this machine allows, and tells each rung.
pub fn climb(order: &Climb, tell: &mut dyn FnMut(Rung)) -> Tested {
    let mut told = |name, outcome| tell(Rung { name, outcome });
    let above = [BUILDS[0].0, BUILDS[1].0, CARD, OWN, NUMBERS, AGAIN, SPEED];
    let rest = |from: &'static str, why: &str, told: &mut dyn FnMut(&'static str, Outcome)| {
        let above = above.iter().skip_while(|name| **name != from);
        above.for_each(|name| told(name, Outcome::Impossible(why.to_owned())));
        Tested::Impossible(why.to_owned())
    };
    match Library::load(&order.library) {
        Ok(_) => told(LIBRARY, Outcome::Ok(format!("TensorRT-RTX {}", super::VERSION))),
        Err(error) => {
            told(LIBRARY, Outcome::Failed(format!("{error}; next: {}", error.hint())));
            return rest(BUILDS[0].0, "there is no library", &mut told);
        }
    }
    for (name, precision) in BUILDS {
        told(name, made(&built(order, precision, Capability::ADA)));
    }
    let card = match Card::open() {
        Ok(card) => card,
        Err(why) => {
            told(CARD, Outcome::Impossible(format!("{why}; next: {}", why.hint())));
            return rest(OWN, &why.to_string(), &mut told);
        }
    };
    let (megabytes, cuda) = (card.memory / 1_000_000, &card.cuda);
    told(CARD, Outcome::Ok(format!("{}, {}, {megabytes} MB, driver for CUDA {cuda}", card.name, card.capability)));
    let own = built(order, order.precision, card.capability);
    told(OWN, made(&own));
    if let Err(why) = own {
        return rest(NUMBERS, &why, &mut told);
    }
    match numbers(order, card) {
        Ok(seen) => told(NUMBERS, Outcome::Ok(seen)),
        Err(why) => {
            told(NUMBERS, Outcome::Failed(why.clone()));
            rest(AGAIN, "its numbers are wrong", &mut told);
            return Tested::Wrong(why);
        }
    }
    measured(order, &mut told)
}

/// The last two rungs.
fn measured(order: &Climb, told: &mut dyn FnMut(&'static str, Outcome)) -> Tested {
    let began = Instant::now();
    let first = answering(order);
    let (cold, began) = (began.elapsed(), Instant::now());
    let mut engine = match first.and_then(|_| answering(order)) {
        Ok(engine) => engine,
        Err(why) => {
            told(AGAIN, Outcome::Failed(why.clone()));
            told(SPEED, Outcome::Impossible("it does not start".into()));
            return Tested::Impossible(why);
        }
    };
    let seconds = format!("start {:.1} s, then {:.1} s", cold.as_secs_f64(), began.elapsed().as_secs_f64());
    told(
        AGAIN,
        match &engine.compute().kernels().begin {
            Begin::Kept(bytes) => Outcome::Ok(format!("{seconds} with {:.1} MB of them", *bytes as f64 / 1e6)),
            Begin::Anew => Outcome::Failed(format!("{seconds}; the library gave none to keep")),
            Begin::Useless(why) => Outcome::Failed(format!("{seconds}; {why}")),
        },
    );
    let ours = match pace(&mut engine) {
        Ok(ours) => ours,
        Err(why) => {
            told(SPEED, Outcome::Failed(why.clone()));
            return Tested::Impossible(why);
        }
    };
    let llama = llama_pace(&order.model, Room { context_tokens: CONTEXT, slots: SLOTS });
    told(
        SPEED,
        Outcome::Ok(match &llama {
            Ok(llama) => format!("{ours:.0} tokens/s, {llama}"),
            Err(why) => format!("{ours:.0} tokens/s; llama.cpp not beside it: {why}"),
        }),
    );
    Tested::Right { tokens_per_second: ours, llama }
}

fn made(built: &Result<String, String>) -> Outcome {
    match built {
        Ok(seen) => Outcome::Ok(seen.clone()),
        Err(why) => Outcome::Failed(why.clone()),
    }
}

fn built(order: &Climb, precision: Precision, capability: Capability) -> Result<String, String> {
    let began = Instant::now();
    let order = Build {
        model: order.model.clone(),
        precision,
        capability,
        context_tokens: Some(CONTEXT),
        slots: Some(SLOTS),
        workspace: WORKSPACE,
        engines: order.engines.clone(),
        library: order.library.clone(),
        hashes: None,
    };
    let built = build(&order, &mut |_| true).map_err(|error| error.to_string())?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(format!("{:.1} MB in {seconds:.1} s", built.description.bytes as f64 / 1e6))
}

/// Prefill, then token by token, in two slots of different lengths, against the interpreter with the very numbers that
/// the engine has: what is off is not what fewer bits cost.
fn numbers(order: &Climb, card: Card) -> Result<String, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let model = ModelFile::open(&order.model).map_err(|error| told(&error))?;
    let hyper = hyper_of(&model).map_err(|error| told(&error))?;
    let mut weights = GgufWeights::open(&model).map_err(|error| told(&error))?;
    let graph = graph_of(&hyper, &weights).map_err(|error| told(&error))?;
    let room = Room { context_tokens: CONTEXT, slots: SLOTS };
    let wanted = wanted(&model, room, (order.precision, card.capability), None).map_err(|error| told(&error))?;
    let engine = file::read(&order.engines.join(wanted.file_name()), &wanted).map_err(|error| told(&error))?;
    let library = Library::load(&order.library).map_err(|error| told(&error))?;
    let frame = Frame::new(graph.cache, graph.vocabulary(), &wanted);
    let opening = Opening { library, card, frame, engine: &engine, share: SHARE, kernels: None };
    let mut running = Running::new(opening).map_err(|error| told(&error))?;
    let mut rounded = Rounded { weights: &mut weights, precision: order.precision };
    let mut reference =
        Interpreter::new(graph, &mut rounded, SLOTS as usize, CONTEXT as usize).map_err(|error| told(&error))?;
    let tokens = prompt(hyper.vocabulary);
    let asked = Asked { tokens: &tokens, slots: SLOTS as usize, allowed: allowed(order.precision) };
    compare(&mut running, &asked, &mut |pieces| {
        let mut logits = Vec::new();
        reference.compute(pieces, &mut logits).map_err(|error| error.to_string())?;
        Ok(logits)
    })
}

fn answering(order: &Climb) -> Result<GraphEngine<Running>, String> {
    let options = Options {
        library: order.library.clone(),
        engines: order.engines.clone(),
        precision: order.precision,
        workspace: WORKSPACE,
        share: SHARE,
    };
    let room = (Some(CONTEXT), Some(SLOTS));
    open(&order.model, room, &options, (None, &Progress::new())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn without_a_library_every_other_rung_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let order = Climb {
            model: Path::new(env!("CARGO_MANIFEST_DIR")).join("models/swarm-demo-3M-f16.gguf"),
            library: folder.path().to_owned(),
            engines: folder.path().to_owned(),
            precision: Precision::Fp16,
        };
        let mut rungs = Vec::new();
        let tested = climb(&order, &mut |rung| rungs.push(rung));
        assert_eq!(tested, Tested::Impossible("there is no library".into()));
        assert!(matches!(&rungs[0].outcome, Outcome::Failed(why) if why.contains("tensorrt install")), "{rungs:?}");
        assert_eq!(rungs.len(), 8);
        assert!(rungs[1..].iter().all(|rung| matches!(rung.outcome, Outcome::Impossible(_))));
    }
}
