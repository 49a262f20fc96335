//! Answers that llama.cpp's own tools gave for the models here.

use serde::Deserialize;
use starling_inference::{Message, Request, Role, Source};

use crate::subject::{Engine, ask, gguf, models};

/// Stands behind the last recorded answer and was left there by the recording: the model ends before it with a logit
/// of 20.8 against 8.1 for any other token, in Q8_0 and in F16.
const SEPARATOR: &str = "\n--";

#[derive(Deserialize)]
struct Golden {
    conversations: Vec<Vec<Turn>>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

#[tokio::test]
async fn the_demo_model_answers_as_in_llama_cpp() {
    let golden = std::fs::read(models().join("swarm-demo-3M.greedy.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&golden).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let (context_tokens, slots, threads) = (None, Some(1), None);
    let cache_dir = cache.path().to_owned();
    let engine = Engine::start(Source::Demo { cache_dir, context_tokens, slots, threads, saved_bytes: None });
    let info = engine.handle.info().clone();
    assert_eq!((info.name.as_str(), info.demo, info.context_tokens, info.slots), ("swarm-demo-3m", true, 1024, 1));
    let mut answers = 0;
    for conversation in golden.conversations {
        let mut messages = Vec::new();
        for turn in conversation {
            let role = match turn.role.as_str() {
                "assistant" => Role::Assistant,
                "system" => Role::System,
                _ => Role::User,
            };
            if role == Role::Assistant {
                let asked = Request { messages: messages.clone(), ..ask("") };
                let expected = turn.content.strip_suffix(SEPARATOR).unwrap_or(&turn.content);
                assert_eq!(engine.answer(asked).await.text(), expected);
                answers += 1;
            }
            messages.push(Message::new(role, turn.content));
        }
    }
    assert!(answers > 5, "{answers}");
}

#[tokio::test]
async fn the_stories_model_tells_its_published_story() {
    let published = std::fs::read_to_string(models().join("stories260K.greedy.txt")).unwrap();
    let engine = Engine::start(gguf("stories260K.gguf", 1, 512));
    assert_eq!(engine.handle.info().name, "stories260K");
    // Nothing but the token at the beginning; its tokenizer writes a space before the first word.
    let answer = engine.answer(Request { max_tokens: Some(200), ..ask("") }).await;
    assert_eq!(answer.prompt_tokens, 1);
    assert_eq!(answer.text().strip_prefix(' ').unwrap(), published);
}
