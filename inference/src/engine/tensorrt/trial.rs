//! Finds out whether TensorRT may serve a model on this machine: every engine that was built of it for this card is run
//! with a fixed prompt, held against the reference, and measured beside llama.cpp. Runs in a process of its own.
//!
//! What was found is kept beside the engine, for that engine's very bytes, this driver, card, library and llama.cpp, so
//! that it is found out once. A test that never came back is not tried for ever either.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::engine::graph::{GraphEngine, Room, hyper_of};
use crate::engine::llama::device::survey;
use crate::engine::llama::{Llama, Options as LlamaOptions};
use crate::graph::interpret::Interpreter;
use crate::graph::weights::{GgufWeights, graph_of};
use crate::model::{Hashes, ModelFile, to_hex};
use crate::{DeviceChoice, OpenError, Progress};

use super::batch::Frame;
use super::choice::{Found, Llama as LlamaPace, Tested, Tried};
use super::cuda::Card;
use super::file::{self, CHECKSUM, Description};
use super::ladder::measure::{Asked, allowed_of, compare, pace, prompt};
use super::open::{Options, open, wanted};
use super::run::{Opening, Running};
use super::stored::Rounded;
use super::{Library, Precision};

/// What llama.cpp is here: another one may be faster.
pub const LLAMA: &str = env!("STARLING_LLAMA");
/// A test that did not come back is tried so often.
const ATTEMPTS: u8 = 2;
/// Longest record that is read.
const MAX_RECORD: u64 = 64 << 10;

/// What is tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// The model's file.
    pub model: PathBuf,
    /// As it will be served.
    pub context_tokens: Option<u32>,
    /// As it will be served.
    pub slots: Option<u32>,
    /// The one that was asked for; `None`: every one that was built.
    pub precision: Option<Precision>,
    /// Where library and engines are, and what may be taken; its precision does not count.
    pub options: Options,
    /// Where hashes of large files are remembered.
    pub hashes: Option<PathBuf>,
    /// The driver's version, as it says itself; empty where it is not known.
    pub driver: String,
}

/// For what a verdict holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    engine: String,
    driver: String,
    card: String,
    library: String,
    llama: String,
}

/// A verdict beside its engine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    key: Key,
    /// Tests that have begun.
    attempts: u8,
    /// None: it has not ended.
    tested: Option<Tested>,
}

/// Finds out. `tell` hears what is being done.
///
/// # Errors
/// When the model's file is not good, or the options do not fit it.
pub fn try_out(order: &Trial, tell: &mut dyn FnMut(&str)) -> Result<Found, OpenError> {
    let model = ModelFile::open(&order.model)?;
    let hyper = match hyper_of(&model) {
        Ok(hyper) => hyper,
        Err(error) => return Ok(Found::NotBuilt(error.to_string())),
    };
    let room = Room::choose(&hyper, order.context_tokens, order.slots)?;
    if let Err(error) = Library::load(&order.options.library) {
        return Ok(Found::NoLibrary(error.to_string()));
    }
    let card = match Card::open() {
        Ok(card) => card,
        Err(why) => return Ok(Found::NoCard(why.to_string())),
    };
    let hashes = order.hashes.clone().map(Hashes::new);
    let (capability, name) = (card.capability, format!("{} {}", card.name, card.capability));
    let driver = format!("{} CUDA {}", order.driver, card.cuda);
    // Another program may have it on another device.
    let chosen = survey().map_or_else(|_| "nothing".to_owned(), |survey| survey.chosen);
    let llama = format!("{LLAMA} on {chosen}");
    // Each engine opens the card anew, and ends with it.
    drop(card);
    let mut tried = Vec::new();
    for (_, precision) in Precision::ALL {
        let wanted = wanted(&model, room, (precision, capability), hashes.as_ref())?;
        let path = order.options.engines.join(wanted.file_name());
        if order.precision.is_some_and(|asked| asked != precision) || !path.is_file() {
            continue;
        }
        let key = Key {
            engine: checksum(&path).unwrap_or_default(),
            driver: driver.clone(),
            card: name.clone(),
            library: super::VERSION.to_owned(),
            llama: llama.clone(),
        };
        let test = || {
            tell(&format!("testing the {precision} engine of {} on this card, once", model.name()));
            examine(order, (&model, room), &wanted, &path).unwrap_or_else(Tested::Impossible)
        };
        tried.push(Tried { precision, tested: remembered(&path, key, test) });
    }
    if tried.is_empty() {
        let precision = order.precision.map_or_else(|| "int4".to_owned(), |precision| precision.to_string());
        return Ok(Found::NotBuilt(format!(
            "there is no engine of it for this card, {} slots and a context of {}: starling-node models build {} --engine \
             tensorrt --precision {precision} --target {capability} --slots {} --context {}",
            room.slots,
            room.context_tokens,
            order.model.display(),
            room.slots,
            room.context_tokens,
        )));
    }
    Ok(Found::Engines(tried))
}

/// What an earlier start has found out, or what `test` finds now.
fn remembered(engine: &Path, key: Key, test: impl FnOnce() -> Tested) -> Tested {
    let path = record_of(engine);
    let record = read(&path).filter(|record| record.key == key).unwrap_or_default();
    match record.tested {
        Some(tested) => return tested,
        None if record.attempts >= ATTEMPTS => {
            let why = format!("{ATTEMPTS} tests of it have not come back; delete {} to try again", path.display());
            return Tested::Impossible(why);
        }
        None => {}
    }
    let record = Record { key, attempts: record.attempts + 1, tested: None };
    keep(&path, &record);
    let tested = test();
    // What does not run now may run when there is room again.
    let lasting = matches!(tested, Tested::Right { llama: Ok(_), .. } | Tested::Wrong(_));
    let attempts = if lasting { record.attempts } else { 0 };
    keep(&path, &Record { attempts, tested: Some(tested.clone()).filter(|_| lasting), ..record });
    tested
}

/// Takes back that the test which was begun since then has begun: whoever ended it needed the machine, and the engine is not
/// to blame.
pub fn given_up(engines: &Path, since: SystemTime) {
    // The clock of files is a little behind.
    let since = since - Duration::from_secs(1);
    let is_new = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).is_ok_and(|at| at >= since);
    let files = std::fs::read_dir(engines).into_iter().flatten().filter_map(Result::ok).map(|file| file.path());
    for path in files.filter(|path| path.extension().is_some_and(|end| end == "tested")).filter(is_new) {
        if let Some(record) = read(&path).filter(|record| record.tested.is_none()) {
            keep(&path, &Record { attempts: record.attempts.saturating_sub(1), ..record });
        }
    }
}

/// Where the verdict on an engine lies.
fn record_of(engine: &Path) -> PathBuf {
    engine.with_extension("tested")
}

fn read(path: &Path) -> Option<Record> {
    if std::fs::metadata(path).ok()?.len() > MAX_RECORD {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn keep(path: &Path, record: &Record) {
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        serde_json::to_writer(&mut file, record)?;
        file.persist(path)?;
        Ok(())
    };
    if let Err(error) = write() {
        tracing::warn!(%error, "what the test has found is not kept: the next start tests again");
    }
}

/// The checksum at the end of an engine's file: of everything before it.
fn checksum(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::End(-(CHECKSUM as i64)))?;
    let mut bytes = [0; CHECKSUM as usize];
    file.read_exact(&mut bytes)?;
    Ok(to_hex(&bytes))
}

/// Every engine of a model that lies in `folder`, whatever card it is for, and what was found out about it.
#[must_use]
pub fn built(folder: &Path, model: &[u8; 32]) -> Vec<(Description, Option<Tested>)> {
    let model = to_hex(model);
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|file| file.path());
    let mut engines: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "engine"))
        .filter_map(|path| Some((file::description(&path).ok()?, read(&record_of(&path)))))
        .filter(|(description, _)| description.model == model)
        .map(|(description, record)| (description, record.and_then(|record| record.tested)))
        .collect();
    engines.sort_by_key(|(description, _)| description.file_name());
    engines
}

/// One engine: its numbers, its speed, and that of llama.cpp; why not, where it does not come so far.
fn examine(
    order: &Trial,
    (model, room): (&ModelFile, Room),
    wanted: &Description,
    path: &Path,
) -> Result<Tested, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    if let Err(why) = numbers(order, (model, room), wanted, path)? {
        return Ok(Tested::Wrong(why));
    }
    let options = Options { precision: wanted.precision, ..order.options.clone() };
    let hashes = order.hashes.clone().map(Hashes::new);
    let sizes = (Some(room.context_tokens), Some(room.slots));
    let engine = open(&order.model, sizes, &options, (hashes.as_ref(), &Progress::new()));
    let mut engine: GraphEngine<Running> = engine.map_err(|error| told(&error))?;
    let tokens_per_second = pace(&mut engine)?;
    // The card has no room for both.
    drop(engine);
    Ok(Tested::Right { tokens_per_second, llama: llama_pace(&order.model, room) })
}

/// Whether its numbers are those of the reference; the outer error is why that cannot be said.
fn numbers(
    order: &Trial,
    (model, room): (&ModelFile, Room),
    wanted: &Description,
    path: &Path,
) -> Result<Result<String, String>, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let hyper = hyper_of(model).map_err(|error| told(&error))?;
    let mut weights = GgufWeights::open(model).map_err(|error| told(&error))?;
    let graph = graph_of(&hyper, &weights).map_err(|error| told(&error))?;
    let bytes = file::read(path, wanted).map_err(|error| told(&error))?;
    let library = Library::load(&order.options.library).map_err(|error| told(&error))?;
    let card = Card::open().map_err(|error| told(&error))?;
    let frame = Frame::new(graph.cache, graph.vocabulary(), wanted);
    let opening = Opening { library, card, frame, engine: &bytes, share: order.options.share, kernels: None };
    let mut running = Running::new(opening).map_err(|error| told(&error))?;
    drop(bytes);
    // The numbers that the engine has itself: what is off is not what fewer bits cost.
    let mut rounded = Rounded { weights: &mut weights, precision: wanted.precision };
    let tokens = prompt(hyper.vocabulary);
    let each = Interpreter::each(graph, &mut rounded, &tokens).map_err(|error| told(&error))?;
    let asked = Asked {
        tokens: &tokens,
        slots: room.slots.min(2) as usize,
        allowed: allowed_of(wanted.precision, hyper.layers),
    };
    Ok(compare(&mut running, &asked, &mut |pieces| {
        Ok(pieces.iter().map(|piece| each[piece.from + piece.tokens.len() - 1].clone()).collect())
    }))
}

/// How fast llama.cpp is with the same model, on what it would serve it on.
pub(super) fn llama_pace(model: &Path, room: Room) -> Result<LlamaPace, String> {
    let Room { context_tokens, slots } = room;
    let options = LlamaOptions {
        context_tokens: Some(context_tokens),
        slots: Some(slots),
        device: DeviceChoice::Auto,
        ..LlamaOptions::default()
    };
    let mut engine = Llama::open(model, options, None, &Progress::new()).map_err(|error| error.to_string())?;
    let device = engine.info().device.clone();
    Ok(LlamaPace { tokens_per_second: pace(&mut engine)?, device })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(engine: &str) -> Key {
        Key { engine: engine.into(), card: "RTX".into(), ..Key::default() }
    }

    fn right() -> Tested {
        let llama = LlamaPace { tokens_per_second: 70.0, device: "CPU".into() };
        Tested::Right { tokens_per_second: 90.0, llama: Ok(llama) }
    }

    fn never() -> Tested {
        panic!("it was tested again")
    }

    #[test]
    fn an_engine_is_tested_once() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("a.engine");
        assert_eq!(remembered(&engine, key("1"), right), right());
        assert_eq!(remembered(&engine, key("1"), never), right());
        // Another engine, driver, card, library or llama.cpp is another matter.
        let wrong = || Tested::Wrong("off".into());
        assert_eq!(remembered(&engine, Key { driver: "581".into(), ..key("1") }, wrong), wrong());
        assert_eq!(remembered(&engine, key("2"), right), right());
        std::fs::write(record_of(&engine), "{").unwrap();
        assert_eq!(remembered(&engine, key("2"), right), right());
    }

    #[test]
    fn what_does_not_run_now_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("a.engine");
        let full = || Tested::Impossible("the card is full".into());
        let alone = || Tested::Right { tokens_per_second: 90.0, llama: Err("the memory is full".into()) };
        for _ in 0..5 {
            assert_eq!(remembered(&engine, key("1"), full), full());
            assert_eq!(remembered(&engine, key("1"), alone), alone());
        }
        assert_eq!(remembered(&engine, key("1"), right), right());
    }

    #[test]
    fn what_never_comes_back_is_not_tried_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("a.engine");
        for _ in 0..ATTEMPTS {
            let crash = std::panic::catch_unwind(|| remembered(&engine, key("1"), || panic!("the driver has crashed")));
            assert!(crash.is_err());
        }
        let tested = remembered(&engine, key("1"), never);
        assert!(matches!(&tested, Tested::Impossible(why) if why.contains("a.tested")), "{tested:?}");
        assert_eq!(remembered(&engine, key("2"), right), right());
    }

    #[test]
    fn a_test_that_was_given_up_is_no_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("a.engine");
        for _ in 0..2 * ATTEMPTS {
            let ended = std::panic::catch_unwind(|| remembered(&engine, key("1"), || panic!("a game has begun")));
            assert!(ended.is_err());
            given_up(folder.path(), SystemTime::now());
        }
        assert_eq!(remembered(&engine, key("1"), right), right());
        // Of what is known nothing is taken back, nor of what was begun before.
        given_up(folder.path(), SystemTime::now());
        assert_eq!(remembered(&engine, key("1"), never), right());
        let old = Record { attempts: ATTEMPTS, ..Record::default() };
        keep(&record_of(&engine), &old);
        given_up(folder.path(), SystemTime::now() + Duration::from_secs(60));
        assert_eq!(read(&record_of(&engine)).unwrap().attempts, ATTEMPTS);
    }
}
