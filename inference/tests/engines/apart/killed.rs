//! Processes that are killed, where they can be found by name.

use std::time::{Duration, Instant};

use futures::future::join_all;
use starling_inference::{Generation, Output, Refused, Request};

use super::{died, taken};
use crate::subject::{Answer, Engine, ask, gguf, scripted, within};

/// A scripted engine whose answers take a while.
const SLOW: &str = "slots=4,answer_tokens=60000,context_tokens=65535,tokens_per_second=200";

/// Reads until some tokens are there.
async fn begun(generation: &mut Generation) {
    while !matches!(within(generation.next()).await, Some(Output::Piece { .. })) {}
}

/// Kills the process as whoever is out of memory does. It is there, and soon is not.
fn kill(engine: &Engine) {
    let name = engine.process_name();
    let is_it = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next() == Some(name.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let pid = pids.into_iter().find(is_it).expect("the process of the engine");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_hundred_times_in_a_row_with_answers_running() {
    let engine = Engine::apart(scripted(SLOW), &[]);
    for round in 0..100 {
        let mut running = vec![];
        for slot in 0..3 {
            running.push(taken(&engine, ask(&format!("{round} {slot}"))).await);
        }
        begun(&mut running[0]).await;
        kill(&engine);
        for answer in join_all(running.into_iter().map(Answer::read)).await {
            assert!(died(&answer).contains("signal 9 (SIGKILL)"), "{}", died(&answer));
        }
        let since = Instant::now();
        let next = taken(&engine, Request { max_tokens: Some(2), ..ask("next") }).await;
        assert_eq!(Answer::read(next).await.tokens().len(), 2);
        assert!(since.elapsed() < Duration::from_secs(5), "{round}: {:?}", since.elapsed());
    }
    assert_eq!(engine.handle.load().borrow().restarts, 100);
    engine.stop().await;
}

#[tokio::test]
async fn a_model_of_llama_cpp_too_and_others_are_untouched() {
    let (demo, other) = (Engine::apart(gguf("stories260K.gguf", 2, 512), &[]), Engine::apart(scripted(SLOW), &[]));
    let mut untouched = other.generate(ask("go on")).await;
    let once = demo.answer(ask("Once upon a time")).await.text();
    for _ in 0..3 {
        let running = taken(&demo, ask("Once upon a time")).await;
        kill(&demo);
        died(&Answer::read(running).await);
        begun(&mut untouched).await;
        assert_eq!(Answer::read(taken(&demo, ask("Once upon a time")).await).await.text(), once);
    }
    assert_eq!(other.handle.load().borrow().restarts, 0);
    drop(untouched);
    demo.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_again_and_again_is_tried_until_it_does_not() {
    for (mode, said) in [("abort-while", "GGML_ASSERT(file is gone)"), ("out-of-memory-while", "out of memory")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("broken");
        let engine = Engine::apart(scripted("slots=4"), &[mode, file.to_str().unwrap()]);
        std::fs::write(&file, "").unwrap();
        kill(&engine);
        let load = engine.wait_for(|load| load.restarting && load.trouble.contains(said)).await;
        assert!(!load.alive && load.slots_free == 0, "{load:?}");
        assert_eq!(engine.refused(ask("x")).await, Refused::Restarting);
        if mode == "out-of-memory-while" {
            engine.wait_for(|load| load.slots < 4).await;
        }
        std::fs::remove_file(&file).unwrap();
        let next = taken(&engine, Request { max_tokens: Some(2), ..ask("x") }).await;
        assert_eq!(Answer::read(next).await.tokens().len(), 2);
        engine.stop().await;
    }
}
