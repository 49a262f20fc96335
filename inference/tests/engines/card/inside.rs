//! What is tried in a process that finds the card.
#![expect(unsafe_code, reason = "the card that is none is asked how it was treated")]

use std::ffi::{CString, c_char};
use std::path::Path;

use starling_inference::tensorrt::choice::{Found, Tested, judge};
use starling_inference::tensorrt::ladder::{Climb, Outcome, Rung, climb};
use starling_inference::tensorrt::trial::{Trial, built as listed, try_out};
use starling_inference::tensorrt::{Precision, build};
use starling_inference::{Failure, OpenError, Request, Source};

use super::fakes::DRIVER;
use super::{built, folder, options, order};
use crate::subject::{Engine, Subject, ask, described, models};

const STORIES: &str = "stories260K.gguf";
/// A Qwen3.
const DEMO: &str = "swarm-demo-3M-f16.gguf";
/// Slots and tokens.
const SMALL: (u32, u32) = (2, 64);

/// How the card was treated.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    allocations: i64,
    frees: i64,
    live: i64,
    streams: i64,
    contexts: i64,
    wrongs: i64,
    waits: i64,
}

impl Left {
    fn look() -> Self {
        let mut left = Self::default();
        let library = driver();
        // SAFETY: the function is written so, beside this file.
        unsafe {
            let look = library.get::<unsafe extern "C" fn(*mut Left)>(b"card_left\0").unwrap();
            look(&raw mut left);
        }
        left
    }

    /// Everything that was taken is given back, once.
    #[track_caller]
    fn nothing() {
        let left = Self::look();
        let Self { allocations, frees, live, streams, contexts, wrongs, .. } = left;
        assert!((live, streams, contexts, wrongs) == (0, 0, 0, 0) && allocations == frees, "{left:?}");
    }
}

fn driver() -> libloading::Library {
    // SAFETY: it is ours.
    unsafe { libloading::Library::new(DRIVER) }.unwrap()
}

/// Tells the card what it is like, until this goes.
struct Told(&'static str, i64);

impl Told {
    fn new(name: &'static str, value: i64, usual: i64) -> Self {
        tell(name, value);
        Self(name, usual)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        tell(self.0, self.1);
    }
}

fn tell(name: &str, value: i64) {
    let (library, name) = (driver(), CString::new(name).unwrap());
    // SAFETY: the function is written so, beside this file.
    unsafe {
        let tell = library.get::<unsafe extern "C" fn(*const c_char, i64)>(b"card_tell\0").unwrap();
        tell(name.as_ptr(), value);
    }
}

fn refused(source: &Source) -> OpenError {
    starling_inference::open(source).err().expect("it is refused")
}

#[tokio::test]
#[ignore = "another test starts it"]
async fn an_answer_is_that_of_the_reference_and_leaves_nothing() {
    let own = tempfile::tempdir().unwrap();
    for (file, prompt) in [(STORIES, "Once upon a time"), (DEMO, "Tell me a story")] {
        let engine = Engine::start(built(file, own.path(), (4, 512), Precision::Fp16));
        assert!(engine.handle.info().device.contains("no card (TensorRT-RTX 1.7"), "{}", engine.handle.info().device);
        let request = || Request { max_tokens: Some(40), ..ask(prompt) };
        let answer = engine.answer(request()).await.text();
        engine.stop().await;
        Left::nothing();
        let reference = Engine::start(described(file, 4, 512));
        assert_eq!(answer, reference.answer(request()).await.text(), "{file}");
    }
    assert!(Left::look().allocations > 50);
}

#[tokio::test]
#[ignore = "another test starts it"]
async fn prompts_and_answers_go_on_side_by_side() {
    let own = tempfile::tempdir().unwrap();
    let engine = Engine::start(built(STORIES, own.path(), (4, 512), Precision::Fp16));
    let long = |count: usize| Request { max_tokens: Some(30), ..ask(&"Once there was a dog. ".repeat(count)) };
    let mut alone = Vec::new();
    for count in 1..=8 {
        alone.push(engine.answer(long(count)).await.tokens());
    }
    // Some have much to read while others answer; half of them go on from what another slot holds.
    for turn in [1, 2, 3, 4, 5, 6, 7, 8].chunks(4) {
        let answers = futures::future::join_all(turn.iter().map(|count| engine.answer(long(*count)))).await;
        for (count, answer) in turn.iter().zip(answers) {
            assert_eq!(answer.tokens(), alone[count - 1], "{count}");
        }
    }
    engine.stop().await;
    Left::nothing();
}

#[test]
#[ignore = "another test starts it"]
fn memory_that_is_missing_at_any_moment_is_an_error_and_no_leak() {
    let own = tempfile::tempdir().unwrap();
    let source = built(STORIES, own.path(), SMALL, Precision::Fp16);
    for pools in [1, 0] {
        let _pools = Told::new("pools", pools, 1);
        let mut failed = 0;
        loop {
            let _full = Told::new("oom_at", Left::look().allocations + failed + 1, -1);
            match starling_inference::open(&source) {
                Ok(opened) => break drop(opened),
                Err(error) => assert!(error.to_string().contains("OUT_OF_MEMORY"), "{error}"),
            }
            Left::nothing();
            failed += 1;
        }
        Left::nothing();
        // Six inputs, logits and workspace for each of two streams, and ten caches.
        assert_eq!(failed, 2 * 8 + 10);
    }
}

#[tokio::test]
#[ignore = "another test starts it"]
async fn a_card_that_is_lost_ends_the_engine_and_nothing_else() {
    let own = tempfile::tempdir().unwrap();
    let source = built(STORIES, own.path(), SMALL, Precision::Fp16);
    for after in [1, 2, 7] {
        let engine = Engine::start(source.clone());
        let lost = Told::new("lost_at", Left::look().waits + after, -1);
        let answer = engine.answer(ask("Once upon a time")).await;
        assert!(
            matches!(answer.failure(), Failure::EngineDied { reason } if reason.contains("ILLEGAL_ADDRESS")),
            "{:?}",
            answer.end
        );
        drop(lost);
        engine.stop().await;
        let Left { live, wrongs, streams, .. } = Left::look();
        assert_eq!((live, wrongs, streams), (0, 0, 0));
    }
    // And while it is opened.
    for after in 1..5 {
        let lost = Told::new("lost_at", Left::look().waits + after, -1);
        assert!(refused(&source).to_string().contains("ILLEGAL_ADDRESS"));
        drop(lost);
        assert_eq!(Left::look().live, 0);
    }
}

#[tokio::test]
#[ignore = "another test starts it"]
async fn what_the_library_refuses_is_told_in_its_words() {
    let own = tempfile::tempdir().unwrap();
    let source = built(STORIES, own.path(), SMALL, Precision::Fp16);
    {
        let _invalid = Told::new("validity", 2, 0);
        assert!(refused(&source).to_string().contains("none for this card and driver"));
        Left::nothing();
    }
    let _refuses = Told::new("refuse_at", 1, -1);
    // Whichever call it is: in this process it is not the first.
    if let Err(error) = starling_inference::open(&source) {
        assert!(error.to_string().contains("it does not want to"), "{error}");
    }
    Left::nothing();
}

#[test]
#[ignore = "another test starts it"]
fn machines_that_cannot_are_told_why() {
    let own = tempfile::tempdir().unwrap();
    let source = built(STORIES, own.path(), SMALL, Precision::Fp16);
    let check = |name, value, usual, why: &str, next: &str| {
        let _told = Told::new(name, value, usual);
        let error = refused(&source);
        assert!(error.to_string().contains(why) && error.hint().contains(next), "{error}; {}", error.hint());
        Left::nothing();
    };
    check("cuda", 12_080, 13_000, "the NVIDIA driver is for CUDA 12.8 and has to be for 13.0 or newer", "580");
    check("devices", 0, 1, "the NVIDIA driver gives no card", "nvidia-smi");
    check("major", 9, 8, "no engines for compute capability 9.9", "llama");
    check("minor", 6, 9, "no engine for this card", "--target 8.6");
    check("version", 1, 0, "it is version", "tensorrt install --again");
    // What there is, what others have taken, and what was found to be too little when the engine was asked.
    check("memory", 50 << 20, 8 << 30, "and may take", "--slots");
    check("free", 100 << 20, 8 << 30, "of which 105 MB are free", "--slots");
}

#[test]
#[ignore = "another test starts it"]
fn an_engine_that_is_too_large_is_refused_before_it_takes_anything() {
    let own = tempfile::tempdir().unwrap();
    let source = built(STORIES, own.path(), SMALL, Precision::Fp16);
    // The driver's 300 MB, 1 for all else, and 3 for each stream that the library wants for one shape, which nobody knows
    // before.
    let _greedy = Told::new("greedy", 1, 0);
    let enough = Told::new("free", 309 << 20, 8 << 30);
    drop(starling_inference::open(&source).unwrap());
    drop(enough);
    let before = Left::look().allocations;
    let _less = Told::new("free", 305 << 20, 8 << 30);
    let error = refused(&source);
    assert!(matches!(error, OpenError::Memory { .. }), "{error}");
    assert!(error.to_string().contains("of workspace for 2 streams"), "{error}");
    assert_eq!(Left::look().allocations, before, "it took something");
    Left::nothing();
}

#[tokio::test]
#[ignore = "another test starts it"]
async fn a_shape_that_needs_more_than_a_larger_one_gets_it() {
    let own = tempfile::tempdir().unwrap();
    let source = built(STORIES, own.path(), (3, 64), Precision::Fp16);
    let plain = Engine::start(source.clone());
    let text = plain.answer(ask("Once upon a time")).await.text();
    plain.stop().await;
    let _greedy = Told::new("greedy", 1, 0);
    let engine = Engine::start(source);
    let answers = futures::future::join_all((0..3).map(|_| engine.answer(ask("Once upon a time")))).await;
    assert!(answers.iter().all(|answer| answer.text() == text));
    engine.stop().await;
    Left::nothing();
}

#[test]
#[ignore = "another test starts it"]
fn kernels_are_kept_and_what_is_wrong_with_them_is_borne() {
    let own = tempfile::tempdir().unwrap();
    let source = built(STORIES, own.path(), SMALL, Precision::Fp16);
    let open = || drop(starling_inference::open(&source).unwrap());
    open();
    let engines = own.path().join("engines");
    let named = |end: &str| {
        let files = std::fs::read_dir(&engines).unwrap().map(|file| file.unwrap().path());
        files.into_iter().find(|path| path.extension().is_some_and(|own| own == end)).expect(end)
    };
    let (kernels, good) = (named("kernels"), std::fs::read(named("kernels")).unwrap());
    for broken in [vec![], vec![7; 10], good[..good.len() - 1].to_vec(), good.iter().map(|byte| byte ^ 1).collect()] {
        std::fs::write(&kernels, &broken).unwrap();
        open();
        assert_ne!(std::fs::read(&kernels).unwrap(), broken, "they were not made anew");
    }
    Left::nothing();
}

fn climbed(own: &Path, precision: Precision) -> (Tested, Vec<Rung>) {
    let order = Climb { model: models().join(DEMO), library: folder(), engines: own.join("ladder"), precision };
    let mut rungs = Vec::new();
    (climb(&order, &mut |rung| rungs.push(rung)), rungs)
}

#[test]
#[ignore = "another test starts it"]
fn the_ladder_is_climbed_to_its_end_in_every_precision() {
    let own = tempfile::tempdir().unwrap();
    for (name, precision) in Precision::ALL {
        let (tested, rungs) = climbed(own.path(), precision);
        let well = |rung: &Rung| matches!(rung.outcome, Outcome::Ok(_));
        assert!(rungs.len() == 8 && rungs.iter().all(well), "{name}: {rungs:?}");
        let Tested::Right { tokens_per_second, llama: Ok(llama) } = tested else { panic!("{tested:?}") };
        assert!(tokens_per_second > 0.0 && llama.tokens_per_second > 0.0);
    }
    let wrong = Told::new("wrong", 50, 0);
    let (tested, rungs) = climbed(own.path(), Precision::Fp16);
    assert!(matches!(&tested, Tested::Wrong(why) if why.contains("off by")), "{rungs:?}");
    assert_eq!(rungs.len(), 8);
    drop(wrong);
    Left::nothing();
}

#[test]
#[ignore = "another test starts it"]
fn a_model_is_tried_once_and_what_was_found_is_kept() {
    let own = tempfile::tempdir().unwrap();
    let trial = |precision| Trial {
        model: models().join(DEMO),
        context_tokens: Some(64),
        slots: Some(2),
        precision,
        options: options(own.path(), Precision::Fp16),
        hashes: None,
        driver: "580.1".into(),
    };
    let look = |precision| try_out(&trial(precision), &mut |_| ()).unwrap();
    let Found::NotBuilt(why) = look(None) else { panic!("there is an engine") };
    assert!(why.contains("models build") && why.contains("--target 8.9 --slots 2 --context 64"), "{why}");
    for precision in [Precision::Int4, Precision::Fp16] {
        build(&order(DEMO, own.path(), SMALL, precision), &mut |_| true).unwrap();
    }
    let Found::Engines(tried) = look(None) else { panic!("there is none") };
    assert_eq!(tried.len(), 2);
    assert!(tried.iter().all(|tried| matches!(tried.tested, Tested::Right { .. })), "{tried:?}");
    // It is held against what would serve otherwise. Who asks by name gets it, however fast it is.
    assert!(judge(false, &tried[0].tested).1.contains(" of llama.cpp on the CPU"), "{tried:?}");
    assert!(judge(true, &tried[0].tested).0);
    let id = starling_inference::model::hash_file(&models().join(DEMO), &mut |_| ()).unwrap();
    let listed = listed(&own.path().join("engines"), &id);
    assert!(listed.len() == 2 && listed.iter().all(|(_, tested)| tested.is_some()), "{listed:?}");
    // Another start has no reason to test again, and would see that it is wrong now.
    let wrong = Told::new("wrong", 50, 0);
    let Found::Engines(again) = look(None) else { panic!("there is none") };
    assert!(again.iter().all(|tried| matches!(tried.tested, Tested::Right { .. })), "{again:?}");
    let newer = Trial { driver: "581.0".into(), ..trial(Some(Precision::Fp16)) };
    let Ok(Found::Engines(tried)) = try_out(&newer, &mut |_| ()) else { panic!("there is none") };
    assert!(tried.len() == 1 && matches!(tried[0].tested, Tested::Wrong(_)), "{tried:?}");
    drop(wrong);
    // What the machine lacks is found in order.
    let lacks = |name, value, usual| {
        let _told = Told::new(name, value, usual);
        look(None)
    };
    assert!(matches!(lacks("version", 1, 0), Found::NoLibrary(why) if why.contains("it is version")));
    assert!(matches!(lacks("devices", 0, 1), Found::NoCard(_)));
    assert!(matches!(lacks("minor", 6, 9), Found::NotBuilt(why) if why.contains("--target 8.6")));
    Left::nothing();
}

#[test]
#[ignore = "another test starts it"]
fn an_engine_of_another_model_under_a_true_description_is_found_out() {
    let own = tempfile::tempdir().unwrap();
    let file = |model: &str| {
        let built = build(&order(model, own.path(), SMALL, Precision::Fp16), &mut |_| true).unwrap();
        let bytes = starling_inference::tensorrt::file::read(&built.path, &built.description).unwrap();
        (built.description, bytes)
    };
    let ((stories, _), (_, other)) = (file(STORIES), file(DEMO));
    let engines = own.path().join("engines");
    let forged = starling_inference::tensorrt::file::Description { bytes: other.len() as u64, ..stories };
    starling_inference::tensorrt::file::write(&engines, &forged, &other).unwrap();
    let source = Source::TensorRt {
        path: models().join(STORIES),
        context_tokens: Some(64),
        slots: Some(2),
        hashes: None,
        options: Box::new(options(own.path(), Precision::Fp16)),
    };
    let error = refused(&source).to_string();
    assert!(error.contains("the engine is not what its description says"), "{error}");
    Left::nothing();
}

impl Subject {
    /// The same file as `stories_model`, in 16 bits, on the card that is none.
    pub(crate) fn card_model() -> Self {
        let source = |slots, context_tokens| built(STORIES, &folder(), (slots, context_tokens), Precision::Fp16);
        Self { source, ..Self::stories_model() }
    }
}
