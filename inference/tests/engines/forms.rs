//! Answers of a given form: JSON, a schema, a call.

use futures::future::join_all;
use serde_json::{Value as Json, json};
use starling_inference::{Constraint, Finish, Refused, Request, Sampling};

use crate::subject::{Answer, Engine, ask, gguf, scripted};

const MODELS: [&str; 2] = ["swarm-demo-3M-q8_0.gguf", "stories260K.gguf"];

fn schema() -> Json {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "kind": {"enum": ["cat", "dog", null]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 3},
            "nested": {"anyOf": [{"type": "boolean"}, {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "additionalProperties": false}]}
        },
        "$defs": {"tag": {"type": "string", "pattern": "^[a-z]{1,5}$"}},
        "required": ["name", "age", "kind", "tags", "nested"],
        "additionalProperties": false
    })
}

/// By hand: what the schema says.
fn check(value: &Json) {
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), 5, "{value}");
    assert!(object["name"].as_str().unwrap().chars().count() <= 12);
    assert!(object["age"].as_u64().unwrap() <= 150);
    assert!([json!("cat"), json!("dog"), Json::Null].contains(&object["kind"]));
    let tags = object["tags"].as_array().unwrap();
    assert!(tags.len() <= 3);
    for tag in tags {
        let tag = tag.as_str().unwrap();
        assert!((1..=5).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_lowercase()), "{tag}");
    }
    assert!(object["nested"].is_boolean() || object["nested"]["x"].is_number(), "{value}");
}

/// Hot enough that a model without a form would write anything.
fn wild(seed: u64) -> Request {
    let temperature = 1.0 + (seed % 6) as f32 / 10.0;
    let sampling = Sampling { temperature, top_k: 0, top_p: 1.0, min_p: 0.0, seed: Some(seed), ..Sampling::default() };
    Request { sampling, ..ask("Give me JSON") }
}

/// Whole where it ended by itself, and else the beginning of one.
fn read(answer: &Answer) -> Option<Json> {
    match (serde_json::from_str(&answer.text()), answer.finish()) {
        (Ok(json), _) => Some(json),
        (Err(error), Finish::Length) if error.is_eof() => None,
        (Err(error), finish) => panic!("{finish:?} {error}: {:?}", answer.text()),
    }
}

/// Answers to thirty wild requests, six at once.
async fn answers(model: &str, constraint: &Constraint, max_tokens: u32) -> Vec<Option<Json>> {
    let engine = Engine::start(gguf(model, 6, 512));
    let mut all = Vec::new();
    for seeds in 0..5 {
        let ask = |seed| Request { constraint: Some(constraint.clone()), max_tokens: Some(max_tokens), ..wild(seed) };
        let six = join_all((0..6).map(|seed| engine.answer(ask(6 * seeds + seed)))).await;
        all.extend(six.iter().map(read));
    }
    all
}

#[tokio::test]
async fn whatever_is_written_is_of_the_schema() {
    for model in MODELS {
        let answers = answers(model, &Constraint::Schema(schema().to_string()), 200).await;
        answers.iter().flatten().for_each(check);
        assert!(answers.iter().flatten().count() > 5, "{model}: {answers:?}");
    }
}

#[tokio::test]
async fn whatever_is_written_is_an_object() {
    for model in MODELS {
        let answers = answers(model, &Constraint::Json, 60).await;
        assert!(answers.iter().flatten().all(Json::is_object), "{model}: {answers:?}");
    }
}

#[tokio::test]
async fn a_form_that_cannot_be_kept_is_refused_with_its_field() {
    let field = async |engine: &Engine, request: Request| match engine.refused(request).await {
        Refused::Invalid(invalid) => invalid.field,
        refused => panic!("{refused:?}"),
    };
    let demo = Engine::start(gguf(MODELS[0], 1, 512));
    let json = Request { constraint: Some(Constraint::Json), ..ask("go") };
    let contradiction = demo.answer(Request { max_tokens: Some(3), ..ask("hi") }).await.tokens();
    assert_eq!(field(&demo, Request { continue_from: contradiction, ..json.clone() }).await, "continue_from");
    let broken = Some(Constraint::Schema("{\"type\": 1}".into()));
    assert_eq!(field(&demo, Request { constraint: broken, ..ask("go") }).await, "response_format");
    let call = Some(Constraint::ToolCall(None));
    assert_eq!(field(&demo, Request { constraint: call, ..ask("go") }).await, "tool_choice");
    let tools = r#"[{"type": "function", "function": {"name": "f"}}]"#;
    assert_eq!(field(&demo, Request { tools: Some(tools.into()), ..ask("go") }).await, "tools");
    let script = Engine::start(scripted("slots=1"));
    assert_eq!(field(&script, json).await, "response_format");
}
