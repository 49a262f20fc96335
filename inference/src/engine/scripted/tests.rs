//! The script itself: what it says, and when.

use super::*;
use crate::{Message, Role, Sampling};

const FREE: &dyn Fn() -> bool = &|| false;

fn engine(options: &str) -> Scripted {
    Scripted::new(options.parse().unwrap())
}

fn sequence(seed: Option<u64>, answered: usize) -> Sequence {
    let tokens = encode(&Request { messages: vec![Message::new(Role::User, "hello there")], ..Request::default() });
    let tokens = [tokens, vec![0; answered]].concat();
    Sequence { tokens, answered, sampling: Sampling { seed, ..Sampling::default() }, matcher: None, prefixes: vec![] }
}

fn step(engine: &mut Scripted, slots: &[SlotId]) -> (Vec<Event>, Pace) {
    let mut progress = Vec::new();
    let plan = Plan { slots, prompt_tokens: 1, abandoned: FREE };
    let Stepped { pace, .. } = engine.step(&plan, &mut progress).unwrap();
    (progress.into_iter().map(|progress| progress.event).collect(), pace)
}

#[test]
fn the_text_is_what_it_was() {
    let options: Options = "seed=1,answer_tokens=4".parse().unwrap();
    let request = Request { messages: vec![Message::new(Role::User, "hi")], ..Request::default() };
    let seeded = Request { sampling: Sampling { seed: Some(9), ..Sampling::default() }, ..request.clone() };
    assert_eq!(options.expected_text(&request), "0-431a 1-f895 2-5837 3-1a1b ");
    assert_eq!(options.expected_text(&seeded), "0-3fee 1-4455 2-998c 3-c887 ");
}

#[test]
fn any_two_tokens_differ_and_so_do_seeds() {
    let of = |seed| (0..2000).map(|index| text(token(seed, index))).collect::<Vec<_>>();
    let distinct: std::collections::BTreeSet<_> = of(1).into_iter().collect();
    assert_eq!(distinct.len(), 2000);
    let same = of(1).iter().zip(of(2)).filter(|(a, b)| **a == *b).count();
    assert!(same < 5, "{same}");
}

#[test]
fn the_id_follows_what_changes_the_text() {
    let id = |options: &str| engine(options).info().id;
    assert_eq!(id("seed=1"), id("seed=1,slots=9,tokens_per_second=3,fault=die@1"));
    assert_ne!(id("seed=1"), id("seed=2"));
    assert_ne!(id("answer_tokens=1"), id("answer_tokens=2"));
    assert_ne!(id("say=a"), id("say=b"));
}

#[test]
fn a_continuation_goes_on_at_its_length() {
    let mut engine = engine("tokens_per_second=0,slots=2");
    engine.admit(sequence(Some(5), 0)).unwrap();
    engine.admit(sequence(Some(5), 3)).unwrap();
    let alone: Vec<Event> = (0..5).flat_map(|_| step(&mut engine, &[0]).0).collect();
    let continued: Vec<Event> = (0..2).flat_map(|_| step(&mut engine, &[1]).0).collect();
    assert_eq!(alone[3..], continued);
}

#[test]
fn speed_is_kept_by_deadlines() {
    let mut engine = engine("tokens_per_second=20,prefill_tokens_per_second=100");
    let before = Instant::now();
    engine.admit(sequence(None, 0)).unwrap();
    let (events, Pace::Until(first)) = step(&mut engine, &[0]) else { panic!("nothing is due") };
    assert!(events.is_empty());
    // Four tokens of prompt at 100 a second.
    assert!(first >= before + Duration::from_millis(40), "{:?}", first - before);
    std::thread::sleep(first - Instant::now());
    let (events, Pace::Until(second)) = step(&mut engine, &[0]) else { panic!("one token is due") };
    assert_eq!(events.len(), 1);
    assert_eq!(second - first, Duration::from_millis(50));
}

#[test]
fn an_answer_ends_and_its_slot_is_free_again() {
    let mut engine = engine("tokens_per_second=0,answer_tokens=1,slots=1");
    engine.admit(sequence(None, 0)).unwrap();
    assert!(engine.admit(sequence(None, 0)).is_err());
    assert!(matches!(step(&mut engine, &[0]).0[..], [Event::Token(_)]));
    assert_eq!(step(&mut engine, &[0]).0, [Event::End]);
    engine.release(0);
    // The same prompt again: only its last token has to be read.
    assert_eq!(engine.admit(sequence(None, 0)), Ok(Admitted { slot: 0, cached_tokens: 3 }));
}

#[test]
fn an_answer_begins_with_what_it_is_to_say() {
    let options: Options = "seed=1,answer_tokens=1,say=<think>%0aß</think>".parse().unwrap();
    let request = Request { messages: vec![Message::new(Role::User, "hi")], ..Request::default() };
    let text = options.expected_text(&request);
    assert!(text.starts_with("<think>\nß</think>6-"), "{text}");
    assert_eq!(text.len(), 18 + "6-0000 ".len());
    let engine = Scripted::new(options);
    let said: Vec<u8> = (0..6).fold(vec![], |mut bytes, index| {
        engine.token_bytes(token(5, index), &mut bytes);
        bytes
    });
    assert_eq!(said, &text.as_bytes()[..18], "whatever the seed");
}

#[test]
fn the_style_is_that_of_the_request_too() {
    let engine = engine("style=open+tools");
    let style = |thinking, tools: Option<&str>| {
        let messages = vec![Message::new(Role::User, "hi")];
        let request = Request { messages, thinking, tools: tools.map(str::to_owned), ..Request::default() };
        engine.encode(&request).unwrap().style
    };
    assert_eq!(style(None, Some("[]")), Style { reasoning: Reasoning::Open, tool_calls: true });
    assert_eq!(style(Some(false), None), Style { reasoning: Reasoning::Never, tool_calls: false });
}
