//! What was computed once is not computed again, and nobody sees it in the text.

use starling_inference::{Generation, Message, Request, Role, Source};

use crate::subject::{Answer, Engine, ask, gguf, within};

const STORY: &str = "Once upon a time there was a little girl who lived in a house near a big forest. She had a cat, \
                     a dog and a red ball. Every day she went out to play with her friends in the sun.";

fn stories(slots: u32) -> Source {
    gguf("stories260K.gguf", slots, 512)
}

/// A conversation about `topic` behind a long text that all share, `turns` of it already over.
fn talk(topic: &str, answers: &[String]) -> Request {
    let mut messages = vec![Message::new(Role::System, STORY), Message::new(Role::User, topic.to_owned())];
    for answer in answers {
        messages.push(Message::new(Role::Assistant, answer.clone()));
        messages.push(Message::new(Role::User, "And then? What happened on the next day?"));
    }
    let prefixes = (0..messages.len() as u64).map(|message| message + label(topic)).collect();
    Request { messages, prefixes, max_tokens: Some(24), ..ask("") }
}

fn label(topic: &str) -> u64 {
    topic.bytes().map(u64::from).sum::<u64>() * 1000
}

/// The answer of an engine that has computed nothing before.
async fn fresh(request: Request) -> Answer {
    Engine::start(stories(1)).answer(request).await
}

/// Leads two conversations by turns; every second turn has to compute no more than what is new in it.
async fn check_turns(source: Source, exact: bool) {
    let engine = Engine::start(source);
    let topics = ["The girl found a key under a stone. ", "A bird sang on a tree in the rain. "];
    let mut answers = [Vec::new(), Vec::new()];
    let mut before = [0, 0];
    for turn in 0..3 {
        for (number, topic) in topics.into_iter().enumerate() {
            let request = talk(topic, &answers[number]);
            let answer = engine.answer(request.clone()).await;
            if exact {
                assert_eq!(answer.text(), fresh(request).await.text(), "turn {turn} of {topic}");
            }
            let cached = answer.usage().cached_tokens;
            // A text written by tokens may be read as others, near its end.
            assert!(cached + 12 >= before[number], "turn {turn} of {topic}: {cached} of {}", before[number]);
            assert!(turn > 0 || number == 0 || cached > 60, "the shared text was computed again: {cached}");
            before[number] = answer.prompt_tokens;
            answers[number].push(answer.text());
        }
    }
}

#[tokio::test]
async fn two_conversations_in_one_slot_compute_only_what_is_new() {
    check_turns(stories(1), true).await;
}

#[tokio::test]
async fn two_conversations_in_two_slots_compute_only_what_is_new() {
    check_turns(stories(2), true).await;
    check_turns(gguf("swarm-demo-3M-q8_0.gguf", 1, 1024), false).await;
}

#[tokio::test]
async fn a_shared_text_is_computed_once_also_while_the_first_answer_runs() {
    let engine = Engine::start(stories(2));
    let mut first = engine.generate(Request { max_tokens: None, ..talk("One. ", &[]) }).await;
    for _ in 0..3 {
        within(first.next()).await.expect("a piece");
    }
    let request = talk("Another one. ", &[]);
    let second = engine.answer(request.clone()).await;
    assert!(second.usage().cached_tokens > 60, "{:?}", second.usage());
    assert_eq!(second.text(), fresh(request).await.text());
    let rest = Answer::read(first).await;
    assert!(fresh(Request { max_tokens: None, ..talk("One. ", &[]) }).await.text().ends_with(&rest.text()));
}

#[tokio::test]
async fn what_is_held_is_told_until_it_is_thrown_away() {
    let mut source = stories(1);
    let Source::Gguf { saved_bytes, .. } = &mut source else { panic!("a file") };
    *saved_bytes = Some(0);
    let engine = Engine::start(source);
    let held = |engine: &Engine| engine.handle.load().borrow().prefixes.to_vec();
    assert!(held(&engine).is_empty());
    engine.answer(talk("One. ", &[])).await;
    assert_eq!(held(&engine), [label("One. ") + 1, label("One. ")]);
    engine.answer(talk("Two. ", &[])).await;
    assert_eq!(held(&engine), [label("Two. ") + 1, label("Two. ")]);
    // Nothing but the shared text is left of the first.
    let answer = engine.answer(talk("One. ", &[])).await;
    assert!((60..120).contains(&answer.usage().cached_tokens), "{:?}", answer.usage());
}

#[tokio::test]
async fn a_prompt_given_up_is_worth_what_was_read_of_it() {
    let engine = Engine::start(stories(1));
    let request = talk("One. ", &[]);
    drop(engine.generate(request.clone()).await);
    engine.wait_for(|load| load.slots_free == 1).await;
    let answer = engine.answer(request.clone()).await;
    assert_eq!(answer.text(), fresh(request).await.text());
}

/// A number below `below`, another one each time.
fn random(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % below
}

/// One of a few conversations that begin alike. Greedy: a prompt computed in other pieces may differ in its last bits,
/// which a drawn number at the very border between two tokens would show.
fn any_request(state: &mut u64) -> Request {
    let topics = ["The girl found a key. ", "The girl found a cat. ", "A bird sang. ", ""];
    let answers = vec!["She was very happy and went home. ".to_owned(); random(state, 3)];
    let max_tokens = Some(1 + random(state, 60) as u32);
    Request { max_tokens, ..talk(topics[random(state, 4)], &answers) }
}

#[tokio::test]
async fn joining_leaving_and_cancelling_change_no_answer() {
    let state = &mut 7;
    for slots in [1, 3] {
        let engine = Engine::start(stories(slots));
        let mut running: Vec<(Request, Generation)> = Vec::new();
        for _ in 0..40 {
            if running.len() == slots as usize || (random(state, 3) == 0 && !running.is_empty()) {
                let (request, generation) = running.swap_remove(random(state, running.len()));
                if random(state, 3) == 0 {
                    drop(generation);
                    let left = running.len() as u32;
                    engine.wait_for(|load| load.running <= left).await;
                } else {
                    let answer = Answer::read(generation).await;
                    assert_eq!(answer.text(), fresh(request).await.text());
                }
            }
            let request = any_request(state);
            running.push((request.clone(), engine.generate(request).await));
        }
    }
}
