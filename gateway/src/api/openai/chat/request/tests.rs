//! What is taken, what is refused, and with which field's name.

use serde_json::{Value, json};
use starling_protocol::message::Role;

use super::{Asked, ChatRequest};
use crate::api::{error::ApiError, extract};

fn read(change: Value) -> Result<Asked, ApiError> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    extract::parse::<ChatRequest>(body.to_string().as_bytes())?.check()
}

#[track_caller]
fn taken(change: Value) -> Asked {
    match read(change) {
        Ok(asked) => asked,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn refused(change: Value, field: &str) {
    let Err(error) = read(change.clone()) else { panic!("{change} was taken") };
    let refusal = error.refusal();
    assert_eq!(refusal.field.as_deref(), Some(field), "{change}: {}", refusal.message);
    assert_eq!(refusal.status, 400, "{change}");
}

#[test]
fn messages_come_in_both_shapes() {
    let asked = taken(json!({"messages": [
        {"role": "developer", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}], "name": "x"},
        {"role": "assistant", "content": ""},
    ]}));
    let said: Vec<_> = asked.chat.messages.iter().map(|m| (m.role, m.content.0.as_str())).collect();
    assert_eq!(said, [(Role::System, "a"), (Role::User, "bc"), (Role::Assistant, "")]);
}

#[test]
fn what_changes_nothing_is_taken() {
    taken(json!({"user": "x", "metadata": {}, "store": true, "a_new_field": [1]}));
    taken(json!({"tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "logprobs": false}));
    taken(json!({"logit_bias": {}, "presence_penalty": 0.0, "frequency_penalty": 0, "modalities": ["text"], "n": 1}));
    taken(json!({"tools": null, "stop": null, "temperature": null, "stream": null, "n": null}));
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    refused(json!({"functions": [{}]}), "functions");
    refused(json!({"function_call": {"name": "f"}}), "function_call");
    refused(json!({"modalities": ["text", "audio"]}), "modalities");
    refused(json!({"chat_template_kwargs": {"other": 1}}), "chat_template_kwargs.other");
    let old = json!({"role": "assistant", "content": "a", "function_call": {"name": "f", "arguments": ""}});
    refused(json!({"messages": [old]}), "messages[0].function_call");
}

#[test]
fn wrong_fields_are_named() {
    refused(
        json!({"messages": [{"role": "user", "content": "a"}, {"role": "robot", "content": "b"}]}),
        "messages[1].role",
    );
    refused(json!({"messages": [{"role": "function", "content": "a"}]}), "messages[0].role");
    refused(json!({"messages": [{"role": "user", "content": 5}]}), "messages[0].content");
    refused(json!({"messages": [{"role": "user"}]}), "messages[0].content");
    refused(json!({"messages": [{"content": "a"}]}), "messages[0].role");
    refused(json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}), "messages[0].content[0].type");
    refused(json!({"messages": []}), "messages");
    refused(json!({"messages": "hi"}), "messages");
    refused(json!({"model": 5}), "model");
    refused(json!({"temperature": 2.5}), "temperature");
    refused(json!({"temperature": "warm"}), "temperature");
    refused(json!({"top_p": 0}), "top_p");
    refused(json!({"top_k": -1}), "top_k");
    refused(json!({"max_tokens": 0}), "max_tokens");
    refused(json!({"max_tokens": -1}), "max_tokens");
    refused(json!({"max_completion_tokens": 131_073}), "max_completion_tokens");
    refused(json!({"stop": 5}), "stop");
    refused(json!({"stop": [5]}), "stop[0]");
    refused(json!({"stop": [""]}), "stop");
    refused(json!({"stop": vec!["x"; 17]}), "stop");
    refused(json!({"stream": "yes"}), "stream");
    refused(json!({"stream_options": {"include_usage": 1}}), "stream_options.include_usage");
    refused(json!({"messages": [{"role": "user", "content": "x".repeat(768 * 1024 + 1)}]}), "messages");
}

#[test]
fn values_arrive() {
    let asked = taken(json!({
        "max_tokens": 5, "max_completion_tokens": 6, "temperature": 0, "top_p": 1, "top_k": 40, "min_p": 0.05,
        "repetition_penalty": 1.1, "seed": -1, "stop": "x", "stream": true, "stream_options": {"include_usage": true},
    }));
    assert_eq!((asked.chat.max_tokens, asked.chat.sampling.seed), (Some(6), Some(u64::MAX)));
    assert_eq!((asked.chat.sampling.temperature, asked.chat.sampling.top_k), (Some(0.0), Some(40)));
    assert_eq!((asked.chat.stop.len(), asked.chat.stop[0].0.as_str()), (1, "x"));
    assert!(asked.stream && asked.include_usage);
    assert_eq!(taken(json!({"stop": ["a", "b"]})).chat.stop.len(), 2);
}

mod fields;
