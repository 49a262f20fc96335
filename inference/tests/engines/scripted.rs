//! The scripted engine: every byte is known beforehand.

use std::time::{Duration, Instant};

use futures::future::join_all;
use starling_inference::{Finish, Message, Request, Role, Sampling, Source, scripted};

use crate::subject::{Engine, ask};

fn options(text: &str) -> scripted::Options {
    text.parse().unwrap()
}

fn start(options: &scripted::Options) -> Engine {
    Engine::start(Source::Scripted(options.clone()))
}

/// Without a seed of its own, so that the prompt makes the difference.
fn unseeded(prompt: &str) -> Request {
    Request { sampling: Sampling::greedy(), ..ask(prompt) }
}

#[tokio::test]
async fn the_text_is_the_expected_one() {
    let options = options("seed=3,tokens_per_second=0,answer_tokens=64");
    let engine = start(&options);
    for request in [unseeded("a"), unseeded("b"), ask("a")] {
        let answer = engine.answer(request.clone()).await;
        assert_eq!((answer.text(), answer.finish()), (options.expected_text(&request), Finish::Stop));
        let short = Request { max_tokens: Some(9), ..request };
        assert_eq!(engine.answer(short.clone()).await.text(), options.expected_text(&short));
    }
    assert_ne!(options.expected_text(&unseeded("a")), options.expected_text(&unseeded("b")));
}

#[tokio::test]
async fn every_split_continues_to_the_same_text() {
    let options = options("tokens_per_second=0,answer_tokens=40");
    let engine = start(&options);
    let request = Request { stop: vec!["30-".into()], ..unseeded("a long way") };
    let whole = engine.answer(request.clone()).await;
    for split in 0..=whole.tokens().len() {
        let continue_from = whole.tokens()[..split].to_vec();
        let rest = engine.answer(Request { continue_from, ..request.clone() }).await;
        assert_eq!(rest.finish(), Finish::Stop);
        assert_eq!(rest.tokens(), whole.tokens()[split..]);
        assert!(whole.text().ends_with(&rest.text()), "split at {split}");
    }
}

#[tokio::test]
async fn many_answers_at_once_lose_double_and_swap_nothing() {
    let options = options("tokens_per_second=0,answer_tokens=100,slots=256");
    let engine = start(&options);
    let requests: Vec<Request> = (0..256).map(|number| unseeded(&format!("prompt {number}"))).collect();
    let answers = join_all(requests.iter().map(|request| engine.answer(request.clone()))).await;
    for (request, answer) in requests.iter().zip(&answers) {
        assert_eq!(answer.text(), options.expected_text(request));
        assert_eq!(answer.tokens().len(), 100);
    }
    assert_eq!(engine.handle.load().borrow().slots_free, 256);
}

#[tokio::test]
async fn a_cancel_does_not_wait_for_the_next_token() {
    // The first token is due in minutes, the second in many more.
    for slow in ["prefill_tokens_per_second=0.01", "tokens_per_second=0.001"] {
        let engine = start(&options(&format!("{slow},slots=1")));
        for _ in 0..3 {
            drop(engine.generate(unseeded("a long way")).await);
            engine.wait_for(|load| load.slots_free == 1).await;
        }
    }
}

#[tokio::test]
async fn speeds_are_kept_and_measured() {
    let engine = start(&options("tokens_per_second=200,prefill_tokens_per_second=100,answer_tokens=41,slots=8"));
    let before = Instant::now();
    // Twenty tokens of text and one of role: 0.21 s; forty intervals of 5 ms: 0.2 s.
    let answers = join_all((0..8).map(|_| engine.answer(unseeded(&"x".repeat(80))))).await;
    let took = before.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    for answer in answers {
        let (_, _, timings) = answer.end.unwrap().unwrap();
        // A first token that comes late does not delay the last.
        assert!(timings.prefill_ms >= 209.0, "{timings:?}");
        assert!(timings.prefill_ms + timings.decode_ms >= 409.0, "{timings:?}");
    }
    let load = engine.handle.load().borrow().clone();
    assert!((50.0..=101.0).contains(&load.prefill_tokens_per_second), "{load:?}");
    assert!((100.0..=210.0).contains(&load.decode_tokens_per_second), "{load:?}");
}

#[tokio::test]
async fn what_a_slot_holds_is_not_read_again() {
    let engine = start(&options("tokens_per_second=0,prefill_tokens_per_second=200,answer_tokens=3,slots=1"));
    let first = Request { prefixes: vec![7], ..unseeded(&"x".repeat(120)) };
    let answer = engine.answer(first.clone()).await;
    assert_eq!((answer.prompt_tokens, answer.usage().cached_tokens), (31, 0));
    assert_eq!(engine.handle.load().borrow().prefixes.to_vec(), [7]);
    let next = Message::new(Role::User, "and now?");
    let messages = [first.messages, vec![next]].concat();
    let answer = engine.answer(Request { messages, ..unseeded("") }).await;
    assert_eq!((answer.prompt_tokens, answer.usage().cached_tokens), (34, 31));
    let (_, _, timings) = answer.end.unwrap().unwrap();
    assert!((14.0..150.0).contains(&timings.prefill_ms), "{timings:?}");
}
