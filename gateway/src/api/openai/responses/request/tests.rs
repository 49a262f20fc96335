//! What is taken, what is refused, and with which field's name.

use serde_json::{Value, json};
use starling_protocol::message::{Format, Role, ToolChoice};

use super::{Asked, ResponsesRequest};
use crate::api::{error::ApiError, extract};

fn read(change: Value) -> Result<Asked, ApiError> {
    let mut body = json!({"model": "m", "input": "hi"});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    extract::parse::<ResponsesRequest>(body.to_string().as_bytes())?.check()
}

#[track_caller]
fn taken(change: Value) -> Asked {
    read(change).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(change: Value, field: &str) {
    let Err(error) = read(change.clone()) else { panic!("{change} was taken") };
    let refusal = error.refusal();
    assert_eq!((refusal.status.as_u16(), refusal.field.as_deref()), (400, Some(field)), "{}", refusal.message);
}

#[test]
fn a_text_is_a_question_and_instructions_stand_before_it() {
    let messages = taken(json!({"instructions": "be brief"})).chat.messages;
    let said: Vec<_> = messages.iter().map(|message| (message.role, message.content.0.as_str())).collect();
    assert_eq!(said, [(Role::System, "be brief"), (Role::User, "hi")]);
}

#[test]
fn items_become_the_messages_of_one_conversation() {
    let call = |id: &str| json!({"type": "function_call", "id": "fc", "call_id": id, "name": "f", "arguments": "{}"});
    let input = json!([
        {"role": "developer", "content": "a"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
        {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "id": "msg", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "wait", "annotations": []}]},
        call("1"),
        call("2"),
        {"type": "function_call_output", "call_id": "1", "output": "5"},
        {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "6"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        call("3"),
    ]);
    let messages = taken(json!({"input": input})).chat.messages;
    let said: Vec<_> = messages.iter().map(|message| (message.role, message.content.0.as_str())).collect();
    let expected = [
        (Role::System, "a"),
        (Role::User, "bc"),
        (Role::Assistant, "wait"),
        (Role::Tool, "5"),
        (Role::Tool, "6"),
        (Role::Assistant, "no"),
    ];
    assert_eq!(said, expected);
    assert_eq!(messages[2].reasoning.as_ref().unwrap().0, "hm");
    let calls: Value = serde_json::from_str(&messages[2].tool_calls.as_ref().unwrap().0).unwrap();
    let function = json!({"name": "f", "arguments": "{}"});
    let expected = ["1", "2"].map(|id| json!({"id": id, "type": "function", "function": function}));
    assert_eq!(calls, json!(expected));
    assert_eq!(messages[4].tool_call_id.as_ref().unwrap().0, "2");
    assert!(messages[5].tool_calls.is_some());
}

#[test]
fn a_call_without_words_is_a_message_of_its_own() {
    let call = json!({"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"});
    let messages = taken(json!({"input": [{"role": "user", "content": "q"}, call]})).chat.messages;
    assert_eq!((messages.len(), messages[1].role, messages[1].content.0.as_str()), (2, Role::Assistant, ""));
}

#[test]
fn wrong_items_are_named() {
    let item = |item: Value, field: &str| refused(json!({"input": [item]}), field);
    refused(json!({"input": []}), "input");
    refused(json!({"input": 5}), "input");
    refused(json!({"input": vec![json!({"role": "user", "content": ""}); 4_097]}), "input");
    item(json!({"role": "user"}), "input[0].content");
    item(json!({"content": "a"}), "input[0].role");
    item(json!({"role": "robot", "content": "a"}), "input[0].role");
    item(json!({"role": "user", "content": [{"type": "input_image"}]}), "input[0].content[0].type");
    item(json!({"type": "item_reference", "id": "x"}), "input[0].type");
    item(json!({"type": "computer_call"}), "input[0].type");
    item(json!({"type": "function_call", "name": "f", "arguments": "{}"}), "input[0].call_id");
    item(json!({"type": "function_call", "call_id": "1", "arguments": "{}"}), "input[0].name");
    item(json!({"type": "function_call_output", "call_id": "1"}), "input[0].output");
    // The layer that gives errors their form says `input` instead.
    refused(json!({"input": "x".repeat((768 << 10) + 1)}), "messages");
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    refused(json!({"store": true}), "store");
    refused(json!({"background": true}), "background");
    refused(json!({"previous_response_id": "resp_1"}), "previous_response_id");
    refused(json!({"conversation": "conv_1"}), "conversation");
    refused(json!({"prompt": {"id": "p"}}), "prompt");
    refused(json!({"truncation": "auto"}), "truncation");
    refused(json!({"include": ["everything"]}), "include");
    refused(json!({"temperature": 3}), "temperature");
    refused(json!({"max_output_tokens": 0}), "max_output_tokens");
    refused(json!({"reasoning": {"effort": "huge"}}), "reasoning.effort");
    let many: serde_json::Map<_, _> = (0..17).map(|key| (key.to_string(), json!("v"))).collect();
    refused(json!({"metadata": many}), "metadata");
}

#[test]
fn what_changes_nothing_is_taken() {
    taken(
        json!({"store": false, "background": false, "truncation": "disabled", "user": "u", "safety_identifier": "s"}),
    );
    taken(json!({"include": ["reasoning.encrypted_content"], "conversation": null, "text": {"format": null}}));
    taken(json!({"include": null, "tools": null, "tool_choice": null, "reasoning": null, "metadata": {"a": "b"}}));
}

#[test]
fn tools_are_flat_here() {
    let tool = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object"}, "strict": true});
    let choice = json!({"type": "function", "name": "f"});
    let chat = taken(json!({"tools": [tool("f")], "tool_choice": choice, "parallel_tool_calls": false})).chat;
    let tools: Value = serde_json::from_str(&chat.tools.unwrap().0).unwrap();
    let function = json!({"name": "f", "parameters": {"type": "object"}, "strict": true});
    assert_eq!(tools, json!([{"type": "function", "function": function}]));
    assert_eq!((chat.tool_choice, chat.stop.len()), (ToolChoice::Named("f".to_owned().into()), 1));
    refused(json!({"tools": [tool("f"), {"type": "web_search"}]}), "tools[1].type");
    refused(json!({"tools": [tool("a b")]}), "tools[0].name");
    refused(json!({"tools": [tool("f")], "tool_choice": {"type": "function", "name": "g"}}), "tool_choice");
    refused(json!({"tool_choice": "required"}), "tool_choice");
}

#[test]
fn the_form_of_an_answer() {
    let format = |format: Value| taken(json!({"text": {"format": format}})).chat.format;
    assert_eq!(format(json!({"type": "text"})), None);
    assert_eq!(format(json!({"type": "json_object"})), Some(Format::Json));
    let schema = json!({"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object"}});
    assert_eq!(format(schema), Some(Format::Schema(r#"{"type":"object"}"#.to_owned().into())));
    refused(json!({"text": {"format": {"type": "json_schema"}}}), "text.format.schema");
    refused(json!({"text": {"format": {"type": "xml"}}}), "text.format.type");
}

#[test]
fn log_probabilities_are_asked_for_in_two_ways() {
    let top = |change| taken(change).chat.sampling.top_logprobs;
    assert_eq!(top(json!({})), None);
    assert_eq!(top(json!({"top_logprobs": 3})), Some(3));
    assert_eq!(top(json!({"include": ["message.output_text.logprobs"]})), Some(0));
    refused(json!({"top_logprobs": 21}), "top_logprobs");
}
