//! The description of Qwen3 and Llama against llama.cpp, on the same files.

use futures::future::join_all;
use starling_inference::{Request, Sampling, TokenLogprob};

use crate::golden::recorded;
use crate::subject::{Engine, ask, described, gguf, models};

/// Most that the log-probability of a token may differ; llama.cpp sums in other orders, and keys and values in 16 bits.
const OFF: f32 = 0.02;

#[tokio::test]
async fn the_description_of_qwen3_answers_as_llama_cpp() {
    let engine = Engine::start(described("swarm-demo-3M-f16.gguf", 1, 512));
    for (request, answer) in recorded() {
        assert_eq!(engine.answer(request).await.text(), answer);
    }
}

#[tokio::test]
async fn the_description_of_llama_tells_the_published_story() {
    let published = std::fs::read_to_string(models().join("stories260K.greedy.txt")).unwrap();
    let engine = Engine::start(described("stories260K.gguf", 1, 512));
    let answer = engine.answer(Request { max_tokens: Some(200), ..ask("") }).await;
    assert_eq!(answer.text().strip_prefix(' ').unwrap(), published);
}

#[tokio::test]
async fn answers_of_different_lengths_at_once_are_as_in_llama_cpp() {
    let recorded = &recorded()[..4];
    let engine = Engine::start(described("swarm-demo-3M-q8_0.gguf", recorded.len() as u32, 512));
    let answers = join_all(recorded.iter().map(|(request, _)| engine.answer(request.clone()))).await;
    for (answer, (_, expected)) in answers.iter().zip(recorded) {
        assert_eq!(answer.text(), *expected);
    }
}

/// Not only the likeliest token is the same: how likely each of the first ones is, too.
#[tokio::test]
async fn likelihoods_are_those_of_llama_cpp() {
    for file in ["swarm-demo-3M-f16.gguf", "stories260K.gguf"] {
        let sampling = Sampling { top_logprobs: Some(5), ..ask("").sampling };
        let request = Request { sampling, max_tokens: Some(40), ..ask("Once upon a time") };
        let theirs = Engine::start(gguf(file, 1, 256)).answer(request.clone()).await;
        let ours = Engine::start(described(file, 1, 256)).answer(request).await;
        assert_eq!(ours.tokens(), theirs.tokens(), "{file}");
        assert_eq!((ours.logprobs.len(), theirs.logprobs.len()), (ours.tokens().len(), ours.tokens().len()));
        for (ours, theirs) in ours.logprobs.iter().zip(&theirs.logprobs) {
            same(ours, theirs);
        }
    }
}

fn same(ours: &TokenLogprob, theirs: &TokenLogprob) {
    for theirs in theirs.top.iter().chain([&theirs.taken]) {
        // The last of the five may be another one where two are alike.
        let Some(ours) = ours.top.iter().chain([&ours.taken]).find(|ours| ours.token == theirs.token) else { continue };
        let off = (ours.logprob - theirs.logprob).abs();
        assert!(
            off < OFF.max(theirs.logprob.abs() * OFF),
            "token {}: {} and {}",
            theirs.token,
            ours.logprob,
            theirs.logprob
        );
    }
}
