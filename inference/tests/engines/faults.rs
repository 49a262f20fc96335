//! Faults on demand: a typed end for every answer, and what was given before it is good.

use futures::future::join;
use starling_inference::{Failure, Refused};

use crate::subject::{Answer, Engine, ask, scripted, within};

/// The answer of an engine that goes wrong at token 10.
async fn broken(fault: &str) -> (Engine, Answer) {
    let engine = Engine::start(scripted(&format!("slots=2,fault={fault}@10")));
    let answer = engine.answer(ask("hello")).await;
    assert_eq!(answer.tokens().len(), 10);
    (engine, answer)
}

#[tokio::test]
async fn garbage_is_never_text() {
    let (engine, answer) = broken("garbage").await;
    assert!(matches!(answer.failure(), Failure::Garbage { .. }));
    engine.wait_for(|load| load.slots_free == 2 && load.alive).await;
    assert!(matches!(engine.answer(ask("again")).await.failure(), Failure::Garbage { .. }));
}

#[tokio::test]
async fn out_of_memory_leaves_the_engine_alive() {
    let (engine, answer) = broken("oom").await;
    assert_eq!(*answer.failure(), Failure::OutOfMemory);
    engine.wait_for(|load| load.slots_free == 2 && load.alive).await;
    let (first, second) = join(engine.answer(ask("a")), engine.answer(ask("b"))).await;
    assert!(first.end.unwrap().is_err() && second.end.unwrap().is_err());
}

#[tokio::test]
async fn a_dead_engine_fails_everything_and_refuses_what_comes() {
    let engine = Engine::start(scripted("tokens_per_second=50,slots=2,fault=die@10"));
    let (first, second) = (engine.generate(ask("a")).await, engine.generate(ask("b")).await);
    for answer in [Answer::read(first).await, Answer::read(second).await] {
        assert!(matches!(answer.failure(), Failure::EngineDied { .. }), "{:?}", answer.end);
        assert!(answer.tokens().len() <= 10);
    }
    engine.wait_for(|load| !load.alive).await;
    assert_eq!(engine.refused(ask("more")).await, Refused::Stopped);
    engine.stop().await;
}

#[tokio::test]
async fn a_hung_engine_says_nothing_and_its_thread_ends_with_the_last_handle() {
    let engine = Engine::start(scripted("slots=2,fault=hang@10"));
    let mut generation = engine.generate(ask("hello")).await;
    let silence = std::time::Duration::from_millis(300);
    let mut outputs = 0;
    while let Ok(Some(output)) = tokio::time::timeout(silence, generation.next()).await {
        assert!(!output.is_end(), "{output:?}");
        outputs += 1;
    }
    assert_eq!(outputs, 11);
    // A hung step admits nobody.
    let other = tokio::time::timeout(silence, engine.handle.generate(ask("other"))).await;
    assert!(other.is_err());
    engine.stop().await;
    let end = within(generation.next()).await;
    assert!(matches!(end, Some(starling_inference::Output::Failed(Failure::EngineDied { .. }))), "{end:?}");
}
