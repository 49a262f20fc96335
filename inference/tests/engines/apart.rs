//! Engines in a process of their own: whatever happens to it is failed answers with a type, and another process soon.

#[cfg(target_os = "linux")]
mod killed;

use std::time::{Duration, Instant};

use futures::future::join_all;
use starling_inference::host::Patience;
use starling_inference::{Failure, Generation, Output, Refused, Request, Source};

use crate::subject::{Answer, Engine, ask, scripted, within};

/// Asks until it is taken: while the engine is started again it takes nobody.
async fn taken(engine: &Engine, request: Request) -> Generation {
    within(async {
        loop {
            match engine.handle.generate(request.clone()).await {
                Ok(generation) => return generation,
                Err(Refused::Restarting) => drop(engine.handle.load().wait_for(|load| load.alive).await),
                Err(refused) => panic!("{refused}"),
            }
        }
    })
    .await
}

fn died(answer: &Answer) -> &str {
    match answer.failure() {
        Failure::EngineDied { reason } => reason,
        failure => panic!("{failure:?}"),
    }
}

#[tokio::test]
async fn a_fault_is_the_same_from_outside() {
    for (fault, failure) in [("oom", "out of memory"), ("garbage", "garbage")] {
        let engine = Engine::apart(scripted(&format!("slots=2,fault={fault}@10")), &[]);
        let answer = engine.answer(ask("hello")).await;
        assert_eq!(answer.tokens().len(), 10, "{fault}");
        assert!(answer.failure().to_string().contains(failure), "{fault}: {:?}", answer.failure());
        engine.wait_for(|load| load.alive && load.slots_free > 0 && load.restarts == 0).await;
        engine.stop().await;
    }
}

#[tokio::test]
async fn a_crash_fails_what_ran_and_the_next_is_served() {
    let signals = if cfg!(unix) { ["aborted", "SIGSEGV"] } else { ["exit code", "exit code"] };
    for (fault, said) in [("die", "it panicked"), ("abort", signals[0]), ("segfault", signals[1])] {
        let engine = Engine::apart(scripted(&format!("slots=2,tokens_per_second=100,fault={fault}@10")), &[]);
        let (first, second) = (engine.generate(ask("a")).await, engine.generate(ask("b")).await);
        for answer in [Answer::read(first).await, Answer::read(second).await] {
            assert!(died(&answer).contains(said), "{fault}: {}", died(&answer));
            assert!(answer.tokens().len() <= 10);
        }
        let since = Instant::now();
        let next = taken(&engine, Request { max_tokens: Some(5), ..ask("c") }).await;
        assert_eq!(Answer::read(next).await.tokens().len(), 5);
        assert!(since.elapsed() < Duration::from_secs(5), "{fault}: {:?}", since.elapsed());
        let load = engine.handle.load().borrow().clone();
        assert!(load.alive && load.restarts == 1 && load.trouble.contains(said), "{fault}: {load:?}");
        engine.stop().await;
    }
}

#[tokio::test]
async fn two_crashes_blame_the_request_that_was_alone() {
    let engine = Engine::apart(scripted("slots=2,fault=abort@3"), &[]);
    for _ in 0..2 {
        died(&Answer::read(taken(&engine, ask("bad")).await).await);
        engine.wait_for(|load| load.restarting).await;
        engine.wait_for(|load| load.alive).await;
    }
    match engine.refused(ask("bad")).await {
        Refused::Invalid(invalid) => assert_eq!(invalid.field, "messages"),
        refused => panic!("{refused:?}"),
    }
    let good = taken(&engine, Request { max_tokens: Some(2), ..ask("good") }).await;
    assert_eq!(Answer::read(good).await.tokens().len(), 2);
    engine.stop().await;
}

#[tokio::test]
async fn a_step_that_hangs_is_ended() {
    let two = Duration::from_secs(2);
    let patience = Patience { first_step: two, step: two, ..Patience::default() };
    let engine = Engine::try_apart(scripted("slots=2,fault=hang@10"), &[], patience).unwrap();
    let hanging = engine.generate(ask("a")).await;
    // Before it is given up, nobody is sent there any more.
    let load = engine.wait_for(|load| load.running == 1 && load.slots_free == 0).await;
    assert!(load.alive && load.trouble.contains("does not come back"), "{load:?}");
    let answer = Answer::read(hanging).await;
    assert_eq!((answer.tokens().len(), answer.failure()), (10, &Failure::Hung));
    let next = taken(&engine, Request { max_tokens: Some(5), ..ask("b") }).await;
    assert_eq!(Answer::read(next).await.tokens().len(), 5);
    engine.stop().await;
}

#[tokio::test]
async fn no_memory_in_a_step_costs_slots() {
    let engine = Engine::apart(scripted("slots=4,fault=oom@10"), &[]);
    assert_eq!(*engine.answer(ask("a")).await.failure(), Failure::OutOfMemory);
    let load = engine.wait_for(|load| load.slots == 2 && load.slots_free == 2).await;
    assert!(load.trouble.contains("2 slots instead of 4"), "{}", load.trouble);
    engine.stop().await;
}

#[tokio::test]
async fn a_process_that_cannot_open_is_an_error_at_once() {
    for (args, said) in [(["abort-while", "/"], "GGML_ASSERT"), (["garbage", ""], "rules of its pipe")] {
        let args = if args[1].is_empty() { &args[..1] } else { &args[..] };
        let opened = Engine::try_apart(scripted(""), args, Patience::default());
        let error = opened.err().unwrap();
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.hint().is_empty());
    }
    let patience = Patience { load: Duration::from_millis(300), ..Patience::default() };
    let silent = Engine::try_apart(scripted(""), &["silent"], patience).err().unwrap();
    assert!(silent.to_string().contains("did not load"), "{silent}");
    let missing = Source::Gguf {
        path: "/nowhere/model.gguf".into(),
        context_tokens: None,
        slots: None,
        threads: None,
        saved_bytes: None,
        hashes: None,
        device: starling_inference::DeviceChoice::Auto,
    };
    let here = starling_inference::open(&missing).err().unwrap();
    let there = Engine::try_apart(missing, &[], Patience::default()).err().unwrap();
    assert_eq!((there.to_string(), there.hint()), (here.to_string(), here.hint()));
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_nothing_breaks() {
    let engine = Engine::apart(scripted("slots=1"), &[]);
    // What is no text of a message is not counted before.
    let large = Request { tools: Some("x".repeat(40 << 20)), ..ask("x") };
    assert!(matches!(engine.refused(large).await, Refused::Invalid(_)));
    assert_eq!(engine.answer(ask("x")).await.tokens().len(), 400);
    engine.stop().await;
}

#[tokio::test]
async fn vectors_come_over_the_pipe() {
    let engine = Engine::apart(scripted("kind=embedding,dimensions=8"), &[]);
    let mut generation = within(engine.handle.embed(vec!["a".into(); 200])).await.unwrap();
    let mut vectors = 0;
    while let Some(output) = within(generation.next()).await {
        vectors += u32::from(matches!(output, Output::Vector { index, .. } if index == vectors));
    }
    assert_eq!(vectors, 200);
    engine.stop().await;
}

/// Prints what the pipe costs: run it alone, with `--release`, on a quiet machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a promise"]
async fn the_cost_of_the_pipe() {
    const ANSWERS: u32 = 50;
    let options = "slots=8,answer_tokens=1000";
    let (here, apart) = (Engine::start(scripted(options)), Engine::apart(scripted(options), &[]));
    for together in [1, 8] {
        let mut micros = [f64::MAX; 2];
        // In turns, the best of five: the machine is never quite quiet.
        for _ in 0..5 {
            for (engine, best) in [&here, &apart].into_iter().zip(&mut micros) {
                let since = Instant::now();
                for _ in 0..ANSWERS {
                    join_all((0..together).map(|_| engine.answer(ask("x")))).await;
                }
                *best = best.min(since.elapsed().as_secs_f64() * 1e6 / f64::from(ANSWERS * together * 1000));
            }
        }
        println!("{together} at once: {:.2} µs a token here, {:.2} apart", micros[0], micros[1]);
    }
    for (engine, place) in [(&here, "here"), (&apart, "apart")] {
        let mut micros: Vec<u128> = vec![];
        for _ in 0..2000 {
            let since = Instant::now();
            engine.answer(Request { max_tokens: Some(1), ..ask("x") }).await;
            micros.push(since.elapsed().as_micros());
        }
        micros.sort_unstable();
        println!("there and back for one token {place}: median {} µs, 95 % below {} µs", micros[1000], micros[1900]);
    }
    here.stop().await;
    apart.stop().await;
}
