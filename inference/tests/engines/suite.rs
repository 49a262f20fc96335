//! What every engine promises behind the runner.

use std::time::Duration;

use futures::future::join_all;
use starling_inference::{Finish, Generation, Message, Output, Refused, Request, Role, Sampling};

use crate::subject::{Answer, Subject, within};

pub(crate) async fn streams_and_ends_once(subject: Subject) {
    let engine = subject.start(1);
    let answer = engine.answer(subject.ask()).await;
    assert!(answer.prompt_tokens > 0 && answer.pieces.len() > 5, "{}", answer.pieces.len());
    let (_, usage, timings) = answer.end.clone().unwrap().unwrap();
    assert_eq!(usage.completion_tokens as usize, answer.tokens().len());
    assert_eq!((usage.prompt_tokens, usage.cached_tokens), (answer.prompt_tokens, 0));
    assert!(timings.prefill_ms >= 0.0 && timings.decode_ms > 0.0, "{timings:?}");
}

pub(crate) async fn stops_before_a_stop_string(subject: Subject) {
    let engine = subject.start(1);
    let whole = engine.answer(subject.ask()).await.text();
    let characters: Vec<char> = whole.chars().collect();
    // Stop strings that lie across tokens, wherever the cuts are.
    for start in (10..30).step_by(3) {
        let stop: String = characters[start..start + 6].iter().collect();
        let asked = Request { stop: vec!["never said".into(), stop.clone()], ..subject.ask() };
        let answer = engine.answer(asked).await;
        assert_eq!(answer.finish(), Finish::Stop);
        assert_eq!(answer.text(), whole[..whole.find(&stop).unwrap()], "{stop:?}");
    }
}

pub(crate) async fn ends_at_max_tokens(subject: Subject) {
    let engine = subject.start(1);
    for max_tokens in [1, 7] {
        let answer = engine.answer(Request { max_tokens: Some(max_tokens), ..subject.ask() }).await;
        assert_eq!((answer.finish(), answer.usage().completion_tokens), (Finish::Length, max_tokens));
        assert_eq!(answer.tokens().len(), max_tokens as usize);
    }
}

pub(crate) async fn ends_when_the_context_is_full(subject: Subject) {
    let engine = subject.open((subject.source)(1, 32));
    let answer = engine.answer(subject.ask()).await;
    assert_eq!(answer.finish(), Finish::Length);
    assert_eq!(answer.usage().completion_tokens + answer.prompt_tokens, 32);
}

pub(crate) async fn a_cancel_frees_the_slot(subject: Subject) {
    let engine = subject.start(1);
    let whole = engine.answer(subject.ask()).await.text();
    for _ in 0..3 {
        let mut generation = engine.generate(subject.ask()).await;
        while !matches!(within(generation.next()).await, Some(Output::Piece { .. })) {}
        assert_eq!(engine.handle.load().borrow().slots_free, 0);
        drop(generation);
        engine.wait_for(|load| load.slots_free == 1).await;
        // Nothing of the cancelled answer is left in the slot.
        assert_eq!(engine.answer(subject.ask()).await.text(), whole);
    }
}

pub(crate) async fn a_cancel_while_the_prompt_is_read_frees_the_slot(subject: Subject) {
    let engine = subject.start(1);
    let long = Request { messages: vec![Message::new(Role::User, "one two three ".repeat(60))], ..subject.ask() };
    for _ in 0..3 {
        drop(engine.generate(long.clone()).await);
        engine.wait_for(|load| load.slots_free == 1).await;
    }
    // Who leaves before admission never shows in the load; the seat is free soon.
    let _ = tokio::time::timeout(Duration::ZERO, engine.handle.generate(long)).await;
    let next = within(async {
        loop {
            match engine.handle.generate(subject.ask()).await {
                Err(Refused::Busy) => tokio::time::sleep(Duration::from_millis(1)).await,
                taken => return taken.unwrap(),
            }
        }
    });
    assert!(!Answer::read(next.await).await.text().is_empty());
}

pub(crate) async fn a_slow_reader_holds_up_nobody(subject: Subject) {
    let engine = subject.start(2);
    let whole = engine.answer(subject.ask()).await;
    let slow = engine.generate(subject.ask()).await;
    for _ in 0..3 {
        assert_eq!(engine.answer(subject.ask()).await.tokens().len(), whole.tokens().len());
    }
    if whole.pieces.len() > 100 {
        assert_eq!(engine.handle.load().borrow().running, 1, "the slow one should wait");
    }
    let slow = Answer::read(slow).await;
    assert_eq!(slow.tokens().len(), slow.usage().completion_tokens as usize);
    if subject.exact {
        assert_eq!(slow.text(), whole.text());
    }
}

pub(crate) async fn refuses_when_full_and_takes_the_next_at_once(subject: Subject) {
    let engine = subject.start(2);
    let (first, second) = (engine.generate(subject.ask()).await, engine.generate(subject.ask()).await);
    // Neither can end: nobody reads them, or they have not begun to be long.
    if engine.handle.load().borrow().running == 2 {
        assert_eq!(engine.refused(subject.ask()).await, Refused::Busy);
    }
    Answer::read(first).await;
    for _ in 0..5 {
        engine.answer(Request { max_tokens: Some(3), ..subject.ask() }).await;
    }
    Answer::read(second).await;
    assert_eq!(engine.handle.load().borrow().slots_free, 2);
}

pub(crate) async fn refuses_a_prompt_that_is_too_long(subject: Subject) {
    let engine = subject.start(1);
    let long = Request { messages: vec![Message::new(Role::User, "word ".repeat(3000))], ..subject.ask() };
    match engine.refused(long).await {
        Refused::PromptTooLong { tokens, limit } => assert!(limit == 511 && tokens > 2000, "{tokens} {limit}"),
        refused => panic!("{refused:?}"),
    }
    assert_eq!(engine.handle.load().borrow().slots_free, 1);
}

pub(crate) async fn names_the_field_that_is_wrong(subject: Subject) {
    let engine = subject.start(1);
    type Change = fn(&mut Request);
    let wrong: [(&str, Change); 8] = [
        ("messages", |request| request.messages.clear()),
        ("max_tokens", |request| request.max_tokens = Some(0)),
        ("temperature", |request| request.sampling.temperature = f32::NAN),
        ("top_p", |request| request.sampling.top_p = -0.5),
        ("min_p", |request| request.sampling.min_p = 2.0),
        ("repetition_penalty", |request| request.sampling.repetition_penalty = -1.0),
        ("stop", |request| request.stop = vec![String::new()]),
        ("continue_from", |request| request.continue_from = vec![u32::MAX]),
    ];
    for (field, change) in wrong {
        let mut request = subject.ask();
        change(&mut request);
        match engine.refused(request).await {
            Refused::Invalid(invalid) => assert_eq!(invalid.field, field),
            refused => panic!("{field}: {refused:?}"),
        }
    }
}

pub(crate) async fn makes_no_vectors(subject: Subject) {
    let engine = subject.start(1);
    for (texts, field) in [(vec!["a text"], "model"), (vec![], "input"), (vec![""], "input")] {
        let texts = texts.into_iter().map(str::to_owned).collect();
        match within(engine.handle.embed(texts)).await.err() {
            Some(Refused::Invalid(invalid)) => assert_eq!(invalid.field, field),
            refused => panic!("{field}: {refused:?}"),
        }
    }
    // The seat of what was refused is free again.
    assert!(!engine.answer(subject.ask()).await.text().is_empty());
}

pub(crate) async fn answers_at_once_as_alone(subject: Subject) {
    let engine = subject.start(6);
    let requests: Vec<Request> = (0..6)
        .map(|number| {
            let prompt = format!("{}{}", subject.prompt, " and".repeat(number));
            let messages = vec![Message::new(Role::User, prompt)];
            Request { messages, max_tokens: Some(40), ..subject.ask() }
        })
        .collect();
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(engine.answer(request.clone()).await);
    }
    let together = join_all(requests.into_iter().map(|request| engine.answer(request))).await;
    for (alone, together) in alone.iter().zip(&together) {
        assert_eq!(alone.prompt_tokens, together.prompt_tokens);
        if subject.exact {
            assert_eq!(alone.text(), together.text());
        } else {
            assert!(!together.text().is_empty());
        }
    }
}

pub(crate) async fn the_same_seed_gives_the_same_text(subject: Subject) {
    let engine = subject.start(1);
    let sampled =
        |seed| Sampling { seed: Some(seed), temperature: 1.5, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() };
    let ask = |seed| Request { sampling: sampled(seed), max_tokens: Some(30), ..subject.ask() };
    let first = engine.answer(ask(5)).await;
    assert_eq!(engine.answer(ask(5)).await.text(), first.text());
    assert_ne!(engine.answer(ask(6)).await.text(), first.text());
    let unseeded = Request { sampling: Sampling { seed: None, ..sampled(0) }, ..ask(0) };
    assert!(!engine.answer(unseeded).await.tokens().is_empty());
}

pub(crate) async fn continues_behind_given_tokens(subject: Subject) {
    let engine = subject.start(1);
    let ask = Request { max_tokens: Some(24), ..subject.ask() };
    let whole = engine.answer(ask.clone()).await;
    for split in [0, 1, 5, 11, whole.pieces.len()] {
        let given: Vec<u32> = whole.pieces[..split].iter().flat_map(|(tokens, _)| tokens.clone()).collect();
        let count = given.len();
        let rest = engine.answer(Request { continue_from: given, ..ask.clone() }).await;
        assert_eq!(rest.finish(), whole.finish());
        assert_eq!(rest.prompt_tokens, whole.prompt_tokens);
        assert_eq!(rest.usage().completion_tokens as usize, count + rest.tokens().len());
        if subject.exact {
            let before: String = whole.pieces[..split].iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(before + &rest.text(), whole.text(), "split at {split}");
        }
    }
}

pub(crate) async fn shows_its_load(subject: Subject) {
    let engine = subject.start(3);
    let load = engine.handle.load().borrow().clone();
    assert_eq!((load.running, load.slots_free, load.alive), (0, 3, true));
    assert_eq!((load.prefill_tokens_per_second, load.decode_tokens_per_second), (0.0, 0.0));
    let long = format!("{} {}", subject.prompt, "and then ".repeat(10));
    let messages = vec![Message::new(Role::User, long)];
    let mut generation = engine.generate(Request { messages, ..subject.ask() }).await;
    while read_one(&mut generation).await {}
    let load = engine.handle.load().borrow().clone();
    assert_eq!((load.running, load.slots_free, load.alive), (0, 3, true));
    assert!(load.prefill_tokens_per_second > 0.0 && load.decode_tokens_per_second > 0.0, "{load:?}");
}

pub(crate) async fn ends_with_its_last_handle(subject: Subject) {
    let engine = subject.start(1);
    let mut load = engine.handle.load();
    let generation = engine.generate(subject.ask()).await;
    let second = engine.handle.clone();
    drop(second);
    let stopped = tokio::spawn(engine.stop());
    // What runs may end.
    assert!(Answer::read(generation).await.end.unwrap().is_ok());
    within(stopped).await.unwrap();
    assert!(!within(load.wait_for(|load| !load.alive)).await.unwrap().alive);
}

async fn read_one(generation: &mut Generation) -> bool {
    within(generation.next()).await.is_some()
}
