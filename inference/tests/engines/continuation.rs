//! An answer that goes on elsewhere: behind any of its tokens, with whatever shapes it, among other answers.

use futures::StreamExt;
use futures::stream;
use starling_inference::{Constraint, Request, Sampling};

use crate::subject::{Answer, Engine, Subject, gguf};

/// Long enough for every way to be cut, short enough to try each cut.
const TOKENS: u32 = 40;
/// Continuations at once: each has others beside it.
const SLOTS: u32 = 4;
/// Nats by which quantised kernels may differ between one row and many.
const TOLERANCE: f32 = 0.3;

fn sampled(subject: &Subject) -> Request {
    let sampling = Sampling { temperature: 0.8, seed: Some(11), ..Sampling::default() };
    Request { sampling, max_tokens: Some(TOKENS), ..subject.ask() }
}

/// A request for everything that can change which token comes next.
async fn shaped(subject: &Subject, engine: &Engine) -> Vec<(&'static str, Request)> {
    let plain = sampled(subject);
    let sampling = plain.sampling.clone();
    let with = |sampling| Request { sampling, ..plain.clone() };
    let text = engine.answer(plain.clone()).await.text();
    let stop: String = text.chars().skip(text.chars().count() / 2).take(6).collect();
    let penalised = Sampling { frequency_penalty: 0.9, presence_penalty: 0.6, ..sampling.clone() };
    let biased = Sampling { logit_bias: vec![(300, 4.0), (40, -100.0), (310, 3.5)], ..sampling.clone() };
    let nucleus = Sampling { top_k: 0, top_p: 0.9, min_p: 0.0, temperature: 1.2, ..sampling.clone() };
    let whole = Sampling { top_k: 0, top_p: 1.0, min_p: 0.0, ..sampling.clone() };
    vec![
        ("plain", plain.clone()),
        ("greedy", with(Sampling::greedy())),
        ("penalties", with(penalised)),
        ("bias", with(biased)),
        ("repetition", with(Sampling { repetition_penalty: 1.3, ..sampling })),
        ("top_p", with(nucleus)),
        ("all tokens", with(whole)),
        ("stop", Request { stop: vec!["never said".into(), stop], ..plain.clone() }),
        ("json", Request { constraint: Some(Constraint::Json), ..plain }),
    ]
}

/// What is left of `whole` behind its first `given` tokens, whose whole characters were given.
fn rest(whole: &Answer, given: usize) -> (Vec<u32>, String) {
    let bytes: Vec<u8> = whole.logprobs[..given].iter().flat_map(|logprob| logprob.taken.bytes.clone()).collect();
    let characters = match std::str::from_utf8(&bytes) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    // A stop string cut the text, so that the tokens have more of it.
    (whole.tokens()[given..].to_vec(), whole.text().get(characters..).unwrap_or_default().to_owned())
}

async fn check_every_split(subject: Subject, forms: bool) {
    let (first, second) = (subject.start(1), subject.start(SLOTS));
    for (name, request) in shaped(&subject, &first).await {
        if name == "json" && !forms {
            continue;
        }
        let spelt = Sampling { top_logprobs: Some(0), ..request.sampling.clone() };
        let whole = first.answer(Request { sampling: spelt, ..request.clone() }).await;
        let tokens = whole.tokens();
        assert!(tokens.len() > 8, "{name}: {}", tokens.len());
        let continuations = (0..=tokens.len()).map(|given| {
            let request = Request { continue_from: tokens[..given].to_vec(), ..request.clone() };
            let second = &second;
            async move { (given, second.answer(request).await) }
        });
        let mut continuations = stream::iter(continuations).buffer_unordered(SLOTS as usize);
        while let Some((given, continued)) = continuations.next().await {
            assert_eq!((continued.tokens(), continued.text()), rest(&whole, given), "{name}, behind {given} tokens");
            assert_eq!(continued.finish(), whole.finish(), "{name}, behind {given} tokens");
            assert_eq!(continued.usage().completion_tokens, whole.usage().completion_tokens);
        }
    }
}

#[tokio::test]
async fn a_script_goes_on_the_same_behind_every_token() {
    check_every_split(Subject::scripted_engine(), false).await;
}

#[tokio::test]
async fn sixteen_bit_weights_go_on_the_same_behind_every_token() {
    check_every_split(Subject::demo_f16_model(), true).await;
}

#[tokio::test]
async fn thirty_two_bit_weights_go_on_the_same_behind_every_token() {
    check_every_split(Subject::stories_model(), true).await;
}

/// Quantised kernels give other low bits for one row and for many, so another token may come where two were nearly
/// alike. Whatever comes has to be what the model finds likely there.
#[tokio::test]
async fn quantised_weights_keep_what_was_given_and_go_on_legitimately() {
    let subject = Subject::demo_model();
    let (first, second) = (subject.start(1), subject.start(SLOTS));
    let mut request = sampled(&subject);
    request.sampling.top_logprobs = Some(0);
    let whole = first.answer(request.clone()).await.tokens();
    let continuations = [1, 7, 20, 33].map(|given| {
        let request = Request { continue_from: whole[..given].to_vec(), ..request.clone() };
        let second = &second;
        async move { (given, second.answer(request).await) }
    });
    for (given, continued) in futures::future::join_all(continuations).await {
        assert_eq!(continued.usage().completion_tokens as usize, given + continued.tokens().len());
        assert_eq!(continued.logprobs.len(), continued.tokens().len());
        let mut before = whole[..given].to_vec();
        for said in &continued.logprobs {
            let again = score(&first, &request, &before, said.taken.token).await;
            assert!((again - said.taken.logprob).abs() < TOLERANCE, "{again} {} behind {given}", said.taken.logprob);
            before.push(said.taken.token);
        }
        assert_eq!(before[given..], continued.tokens());
    }
}

/// The log-probability of `token` behind `before`, all of which is read as a prompt.
async fn score(engine: &Engine, request: &Request, before: &[u32], token: u32) -> f32 {
    let forced = Sampling { logit_bias: vec![(token, 100.0)], top_logprobs: Some(0), ..Sampling::greedy() };
    let max_tokens = Some(before.len() as u32 + 1);
    let request = Request { sampling: forced, continue_from: before.to_vec(), max_tokens, ..request.clone() };
    let answer = engine.answer(request).await;
    assert_eq!(answer.tokens(), [token]);
    answer.logprobs[0].taken.logprob
}

#[tokio::test]
async fn logprobs_stand_beside_their_tokens_also_where_text_is_held_back() {
    let engine = Engine::start(gguf("swarm-demo-3M-f16.gguf", 1, 512));
    let mut request = sampled(&Subject::demo_f16_model());
    request.sampling.top_logprobs = Some(5);
    let plain = engine.answer(request.clone()).await;
    // Held back again and again, and never met.
    let stop = vec![format!("{}\u{1}", plain.text().chars().skip(4).take(30).collect::<String>()), " a\u{1}".into()];
    let held = engine.answer(Request { stop, ..request }).await;
    assert!(held.pieces.len() < plain.pieces.len(), "nothing was held back");
    for answer in [&plain, &held] {
        let taken: Vec<u32> = answer.logprobs.iter().map(|logprob| logprob.taken.token).collect();
        assert_eq!(taken, plain.tokens());
        let bytes: Vec<u8> = answer.logprobs.iter().flat_map(|logprob| logprob.taken.bytes.clone()).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), plain.text());
        for logprob in &answer.logprobs {
            assert_eq!(logprob.top.len(), 5);
            assert!(logprob.top.is_sorted_by(|a, b| a.logprob >= b.logprob) && logprob.top[0].logprob <= 0.0);
            assert!(logprob.top.iter().map(|likely| likely.logprob.exp()).sum::<f32>() <= 1.001);
            assert!(logprob.taken.logprob <= logprob.top[0].logprob);
        }
    }
}
