//! all-MiniLM-L6-v2, as the set-up converts it, against the vectors of the original.
//!
//! `reference.json` holds 20 sentences, how many tokens the original tokenizer makes of each, and the vectors of the
//! original weights, computed in 64-bit floats. The model is not in the repository: `cargo xtask test --only
//! embeddings` gets it and runs these tests, and names the file in `STARLING_MINILM`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use starling_inference::{Handle, Kind, Output, Refused, Source};

/// The least that the issue of a model's conversion may cost.
const LEAST_COSINE: f32 = 0.999;
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Sentence {
    text: String,
    tokens: u32,
    /// 32-bit floats, little end first.
    vector: String,
}

impl Sentence {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("reference.json")).unwrap()
    }

    fn vector(&self) -> Vec<f32> {
        let bytes = BASE64_STANDARD.decode(&self.vector).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

fn start() -> Handle {
    let path = std::env::var_os("STARLING_MINILM").map(PathBuf::from);
    let path = path.expect("STARLING_MINILM names no file: `cargo xtask test --only embeddings` runs these tests");
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let (context_tokens, slots, threads, saved_bytes, hashes) = (None, None, Some(1), None, None);
        let source = Source::Gguf {
            path,
            context_tokens,
            slots,
            threads,
            saved_bytes,
            hashes,
            device: starling_inference::DeviceChoice::Auto,
        };
        let (handle, runner) = starling_inference::open(&source).unwrap();
        sender.send(handle).unwrap();
        runner.run();
    });
    receiver.recv().unwrap()
}

async fn embed(engine: &Handle, texts: &[String]) -> (Vec<Vec<f32>>, u32) {
    let mut generation = engine.embed(texts.to_vec()).await.unwrap();
    let mut vectors = Vec::new();
    loop {
        match tokio::time::timeout(LIMIT, generation.next()).await.unwrap().unwrap() {
            Output::Vector { values, .. } => vectors.push(values),
            Output::Done { usage, .. } => return (vectors, usage.prompt_tokens),
            Output::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
#[ignore = "run by cargo xtask test --only embeddings"]
async fn twenty_sentences_lie_where_the_original_has_them() {
    let engine = start();
    assert_eq!(engine.info().kind, Kind::Embedding { dimensions: 384 });
    assert_eq!((engine.info().name.as_str(), engine.info().context_tokens), ("all-MiniLM-L6-v2", 512));
    let sentences = Sentence::all();
    assert_eq!(sentences.len(), 20);
    let texts: Vec<String> = sentences.iter().map(|sentence| sentence.text.clone()).collect();
    let (together, tokens) = embed(&engine, &texts).await;
    assert_eq!(tokens, sentences.iter().map(|sentence| sentence.tokens).sum::<u32>());
    let mut cosines = Vec::new();
    for (sentence, vector) in sentences.iter().zip(&together) {
        let (alone, tokens) = embed(&engine, std::slice::from_ref(&sentence.text)).await;
        assert_eq!(tokens, sentence.tokens, "{}", sentence.text);
        let apart = alone[0].iter().zip(vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-3, "alone and together differ by {apart}: {}", sentence.text);
        cosines.push(cosine(vector, &sentence.vector()));
    }
    let (least, mean) = (cosines.iter().copied().fold(1.0, f32::min), cosines.iter().sum::<f32>() / 20.0);
    println!("cosine to the original: least {least:.6}, mean {mean:.6}");
    assert!(least >= LEAST_COSINE, "{cosines:?}");
    // The first four are two pairs that mean the same.
    for (one, same, other) in [(0, 1, 2), (2, 3, 0)] {
        let near = cosine(&together[one], &together[same]);
        assert!(near > 0.5 && cosine(&together[one], &together[other]) < 0.2, "{near}");
    }
}

#[tokio::test]
#[ignore = "run by cargo xtask test --only embeddings"]
async fn a_text_beyond_the_positions_is_refused_and_one_within_is_not() {
    let engine = start();
    let (_, tokens) = embed(&engine, &["word ".repeat(510)]).await;
    assert_eq!(tokens, 512);
    let refused = engine.embed(vec!["short".into(), "word ".repeat(511)]).await.err();
    assert_eq!(refused, Some(Refused::PromptTooLong { tokens: 513, limit: 512 }));
}

#[tokio::test]
#[ignore = "run by cargo xtask test --only embeddings"]
async fn as_many_texts_as_there_may_be() {
    let engine = start();
    let sentences = Sentence::all();
    let texts: Vec<String> = sentences.iter().map(|sentence| sentence.text.clone()).cycle().take(256).collect();
    let began = Instant::now();
    let (vectors, tokens) = embed(&engine, &texts).await;
    let seconds = began.elapsed().as_secs_f64();
    println!("{:.0} sentences/s, {:.0} tokens/s, one thread", 256.0 / seconds, f64::from(tokens) / seconds);
    assert_eq!(vectors.len(), 256);
    for (vector, sentence) in vectors.iter().zip(sentences.iter().cycle()) {
        assert!(cosine(vector, &sentence.vector()) > LEAST_COSINE);
    }
}
