//! Engines that make vectors, behind their runner: a vector for each text, in order, whoever else asks.

use std::path::PathBuf;

use futures::future::join_all;
use starling_inference::{DeviceChoice, Failure, Generation, Kind, MAX_TEXTS, Output, Refused, Source, Usage};
use tempfile::TempDir;

use crate::subject::{Answer, Engine, ask, models, scripted, within};

/// Everything that came for one request.
#[derive(Debug, Default)]
struct Vectors {
    values: Vec<Vec<f32>>,
    end: Option<Result<Usage, Failure>>,
}

impl Vectors {
    async fn read(mut generation: Generation) -> Self {
        let mut vectors = Self::default();
        let mut started = false;
        while let Some(output) = within(generation.next()).await {
            assert!(vectors.end.is_none(), "something comes behind the end");
            match output {
                Output::Started { .. } => assert!(!std::mem::replace(&mut started, true)),
                Output::Piece { .. } => panic!("text among vectors"),
                Output::Vector { index, values } => {
                    assert_eq!(index as usize, vectors.values.len());
                    assert!((length(&values) - 1.0).abs() < 1e-5, "not of length 1");
                    vectors.values.push(values);
                }
                Output::Done { usage, .. } => vectors.end = Some(Ok(usage)),
                Output::Failed(failure) => vectors.end = Some(Err(failure)),
            }
        }
        assert!(started, "no start");
        vectors
    }

    fn usage(&self) -> Usage {
        *self.end.as_ref().unwrap().as_ref().unwrap()
    }
}

async fn start(engine: &Engine, texts: &[&str]) -> Generation {
    within(engine.handle.embed(texts.iter().map(|text| (*text).to_owned()).collect())).await.unwrap()
}

async fn embed(engine: &Engine, texts: &[&str]) -> Vectors {
    Vectors::read(start(engine, texts).await).await
}

async fn refused(engine: &Engine, texts: &[&str]) -> Refused {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    within(engine.handle.embed(texts)).await.err().expect("refused")
}

fn length(values: &[f32]) -> f32 {
    cosine(values, values).sqrt()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn scripted_embedding(options: &str) -> Source {
    scripted(&format!("kind=embedding,{options}"))
}

/// The demo chat model as if it had been trained to embed by its last token, as Qwen3-Embedding is.
struct LastToken {
    dir: TempDir,
}

impl LastToken {
    fn new() -> Self {
        let bytes = std::fs::read(models().join("swarm-demo-3M-q8_0.gguf")).unwrap();
        let mut entries = entry("qwen3.pooling_type", 4, &3_u32.to_le_bytes());
        // A filler, so that the weights stay aligned.
        let filler = [&7_u64.to_le_bytes()[..], b"filler."].concat();
        entries.extend(entry("pad", 8, &filler));
        assert_eq!(entries.len(), 64);
        let count = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) + 2;
        let dir = TempDir::new().unwrap();
        let file = [&bytes[..16], &count.to_le_bytes(), &entries, &bytes[24..]].concat();
        std::fs::write(dir.path().join("last-token.gguf"), file).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("last-token.gguf")
    }

    fn start(&self) -> Engine {
        let path = self.path();
        let (context_tokens, slots, threads, saved_bytes, hashes) = (None, None, None, None, None);
        Engine::start(Source::Gguf {
            path,
            context_tokens,
            slots,
            threads,
            saved_bytes,
            hashes,
            device: DeviceChoice::Auto,
        })
    }
}

fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&(key.len() as u64).to_le_bytes()[..], key.as_bytes(), &kind.to_le_bytes(), value].concat()
}

#[tokio::test]
async fn a_vector_is_a_function_of_its_text() {
    let engine = Engine::start(scripted_embedding("dimensions=16,seed=3"));
    assert_eq!(engine.handle.info().kind, Kind::Embedding { dimensions: 16 });
    let texts = ["one text", "another", "one text", "one text that goes on"];
    let together = embed(&engine, &texts).await;
    assert_eq!(together.values.iter().map(Vec::len).collect::<Vec<_>>(), [16; 4]);
    assert_eq!(together.values[0], together.values[2]);
    assert!(together.usage().prompt_tokens > 8 && together.usage().completion_tokens == 0);
    for (text, vector) in texts.iter().zip(&together.values) {
        assert_eq!(&embed(&engine, &[text]).await.values[0], vector);
    }
    let near = cosine(&together.values[0], &together.values[3]);
    assert!(near > cosine(&together.values[0], &together.values[1]), "{near}");
    let other = Engine::start(scripted_embedding("dimensions=16,seed=4"));
    assert_ne!(embed(&other, &texts[..1]).await.values, together.values[..1]);
    assert_ne!(other.handle.info().id, engine.handle.info().id);
}

#[tokio::test]
async fn as_many_texts_as_there_may_be() {
    let engine = Engine::start(scripted_embedding("slots=1"));
    let texts: Vec<String> = (0..MAX_TEXTS).map(|number| format!("text number {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embed(&engine, &texts).await;
    assert_eq!(vectors.values.len(), MAX_TEXTS);
    assert_eq!(vectors.values[200], embed(&engine, &texts[200..201]).await.values[0]);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_and_never_cut() {
    let engine = Engine::start(scripted_embedding("context_tokens=10"));
    let long = "x".repeat(44);
    assert_eq!(refused(&engine, &["short", &long]).await, Refused::PromptTooLong { tokens: 11, limit: 10 });
    assert_eq!(embed(&engine, &[&long[..40]]).await.usage().prompt_tokens, 10);
}

#[tokio::test]
async fn an_embedding_model_answers_no_conversation() {
    let engine = Engine::start(scripted_embedding("slots=1"));
    match engine.refused(ask("hello")).await {
        Refused::Invalid(invalid) => assert_eq!(invalid.field, "model"),
        refused => panic!("{refused:?}"),
    }
    assert_eq!(embed(&engine, &["still there"]).await.values.len(), 1);
}

#[tokio::test]
async fn one_text_does_not_wait_for_hundreds() {
    let engine = Engine::start(scripted_embedding("prefill_tokens_per_second=4000"));
    let many = vec!["some words that take four tokens or more"; MAX_TEXTS];
    let large = start(&engine, &many).await;
    let large = tokio::spawn(Vectors::read(large));
    assert_eq!(embed(&engine, &["one"]).await.values.len(), 1);
    assert!(!large.is_finished(), "the one should overtake the many");
    assert_eq!(within(large).await.unwrap().values.len(), MAX_TEXTS);
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody() {
    let engine = Engine::start(scripted_embedding("slots=2"));
    let slow = start(&engine, &["text"; 200]).await;
    for _ in 0..5 {
        assert_eq!(embed(&engine, &["text"; 100]).await.values.len(), 100);
    }
    assert_eq!(engine.handle.load().borrow().running, 1, "the slow one should wait");
    assert_eq!(refused_when_full(&engine).await, Refused::Busy);
    assert_eq!(Vectors::read(slow).await.values.len(), 200);
}

async fn refused_when_full(engine: &Engine) -> Refused {
    let _other = start(engine, &["text"; 200]).await;
    refused(engine, &["one more"]).await
}

#[tokio::test]
async fn a_cancel_frees_the_seat() {
    let engine = Engine::start(scripted_embedding("slots=1,prefill_tokens_per_second=2000"));
    for _ in 0..3 {
        drop(start(&engine, &["some words"; 250]).await);
        engine.wait_for(|load| load.slots_free == 1).await;
        assert_eq!(embed(&engine, &["some words"]).await.values.len(), 1);
    }
    assert!(engine.handle.load().borrow().prefill_tokens_per_second > 0.0);
}

#[tokio::test]
async fn faults_are_failures_with_a_type() {
    let oom = Engine::start(scripted_embedding("fault=oom@1"));
    assert_eq!(embed(&oom, &["a", "b"]).await.end, Some(Err(Failure::OutOfMemory)));
    assert_eq!(embed(&oom, &["a", "b"]).await.values.len(), 2);
    let garbage = Engine::start(scripted_embedding("fault=garbage@0"));
    assert!(matches!(embed(&garbage, &["a"]).await.end, Some(Err(Failure::Garbage { .. }))));
    assert_eq!(embed(&garbage, &["a"]).await.values.len(), 1);
    let dies = Engine::start(scripted_embedding("fault=die@1"));
    let vectors = embed(&dies, &["a", "b"]).await;
    assert!(matches!(vectors.end, Some(Err(Failure::EngineDied { .. }))) && vectors.values.is_empty());
    dies.wait_for(|load| !load.alive).await;
    assert_eq!(refused(&dies, &["a"]).await, Refused::Stopped);
}

#[tokio::test]
async fn it_ends_with_its_last_handle() {
    let engine = Engine::start(scripted_embedding(""));
    let vectors = start(&engine, &["text"; 100]).await;
    let stopped = tokio::spawn(engine.stop());
    assert_eq!(Vectors::read(vectors).await.values.len(), 100);
    within(stopped).await.unwrap();
}

#[tokio::test]
async fn a_decoder_embeds_by_its_last_token() {
    let file = LastToken::new();
    let engine = file.start();
    assert_eq!(engine.handle.info().kind, Kind::Embedding { dimensions: 224 });
    let texts = ["Tell me a story about a fox", "Tell us a story about a fox", "What is the weather?", "fox"];
    let together = embed(&engine, &texts).await;
    assert_eq!(together.values, embed(&engine, &texts).await.values, "not repeatable");
    for (text, vector) in texts.iter().zip(&together.values) {
        // Quantised rows differ in their low bits from one alone.
        let alone = &embed(&engine, &[text]).await.values[0];
        assert!(cosine(alone, vector) > 0.9999, "{}", cosine(alone, vector));
    }
    // The last token sees the first words, and the more alike two texts are, the nearer they lie.
    let (near, far) =
        (cosine(&together.values[0], &together.values[1]), cosine(&together.values[0], &together.values[2]));
    assert!(near < 0.99999 && near > far, "{near} {far}");
}

#[tokio::test]
async fn a_decoder_reads_a_long_text_in_parts() {
    let file = LastToken::new();
    let engine = file.start();
    let limit = engine.handle.info().context_tokens;
    assert_eq!(limit, 1024);
    // Two that differ in the first part only, which the last token still knows of.
    let (one, other) = (format!("cat {}", "dog and ".repeat(400)), format!("fox {}", "dog and ".repeat(400)));
    let vectors = embed(&engine, &[&one, &other, "short"]).await;
    assert!(vectors.usage().prompt_tokens > 1024, "{:?}", vectors.usage());
    assert_ne!(vectors.values[0], vectors.values[1]);
    assert_eq!(vectors.values[0], embed(&engine, &[&one]).await.values[0]);
    match refused(&engine, &["short", &"dog and ".repeat(2000)]).await {
        Refused::PromptTooLong { tokens, limit: told } => assert!(tokens > limit && told == limit, "{tokens}"),
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn chat_and_vectors_side_by_side() {
    let file = LastToken::new();
    let (vectors, chat) = (file.start(), crate::Subject::demo_model().start(2));
    let asked = join_all((0..4).map(|number| {
        let text = format!("text number {number}");
        let vectors = &vectors;
        async move { embed(vectors, &[&text, &text]).await.values }
    }));
    let answered = join_all((0..2).map(|_| chat.generate(ask("Tell me a story"))));
    let (asked, answered) = tokio::join!(asked, answered);
    for generation in answered {
        assert!(!Answer::read(generation).await.text().is_empty());
    }
    assert!(asked.iter().all(|values| cosine(&values[0], &values[1]) > 0.9999));
    assert_ne!(vectors.handle.info().id, chat.handle.info().id);
}
