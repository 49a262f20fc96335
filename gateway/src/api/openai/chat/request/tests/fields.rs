//! The fields that shape an answer: penalties, log-probabilities, tools, form, thoughts.

use serde_json::{Value, json};
use starling_protocol::{
    ModelId, limits,
    message::{Format, Private, Role, Task, ToolChoice},
};

use super::{refused, taken};
use crate::id::UserId;

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn penalties_and_biases() {
    let chat =
        taken(json!({"frequency_penalty": 2, "presence_penalty": -2, "logit_bias": {"7": -100, "4294967295": 1.5}}))
            .chat;
    assert_eq!((chat.sampling.frequency_penalty, chat.sampling.presence_penalty), (Some(2.0), Some(-2.0)));
    let biases: Vec<_> = chat.sampling.logit_bias.iter().map(|entry| (entry.token, entry.bias)).collect();
    assert_eq!(biases, [(u32::MAX, 1.5), (7, -100.0)]);

    refused(json!({"frequency_penalty": 2.1}), "frequency_penalty");
    refused(json!({"presence_penalty": -2.1}), "presence_penalty");
    refused(json!({"logit_bias": {"1": 100.5}}), "logit_bias");
    refused(json!({"logit_bias": {"one": 1}}), "logit_bias");
    refused(json!({"logit_bias": {"-1": 1}}), "logit_bias");
    refused(json!({"logit_bias": {"1": "much"}}), "logit_bias.1");
    let biases = |count: usize| Value::Object((0..count).map(|id| (id.to_string(), json!(1))).collect());
    taken(json!({"logit_bias": biases(limits::MAX_LOGIT_BIAS)}));
    refused(json!({"logit_bias": biases(limits::MAX_LOGIT_BIAS + 1)}), "logit_bias");
}

#[test]
fn log_probabilities() {
    let top = |change| taken(change).chat.sampling.top_logprobs;
    assert_eq!(top(json!({"logprobs": true})), Some(0));
    assert_eq!(top(json!({"logprobs": true, "top_logprobs": 20})), Some(20));
    assert_eq!(top(json!({"logprobs": false, "top_logprobs": 0})), None);
    refused(json!({"top_logprobs": 1}), "top_logprobs");
    refused(json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs");
    refused(json!({"logprobs": 3}), "logprobs");
}

#[test]
fn tools_arrive_as_they_came() {
    let asked = taken(json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "f"}}}));
    let tools = asked.chat.tools.unwrap().0;
    assert_eq!(tools, r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#);
    assert_eq!(asked.chat.tool_choice, ToolChoice::Named(Private("f".into())));
    let choice = |word: &str| taken(json!({"tools": [tool("f")], "tool_choice": word})).chat.tool_choice;
    assert_eq!(choice("auto"), ToolChoice::Auto);
    assert_eq!(choice("none"), ToolChoice::Never);
    assert_eq!(choice("required"), ToolChoice::Required);
    assert_eq!(taken(json!({"tools": []})).chat.tools, None);
}

#[test]
fn wrong_tools_are_named() {
    refused(json!({"tools": 5}), "tools");
    refused(json!({"tools": [{"type": "function"}]}), "tools[0].function.name");
    refused(json!({"tools": [tool("f"), {"type": "retrieval"}]}), "tools[1].type");
    refused(json!({"tools": [tool("")]}), "tools[0].function.name");
    refused(json!({"tools": [tool("a b")]}), "tools[0].function.name");
    taken(json!({"tools": [tool(&"f".repeat(64))]}));
    refused(json!({"tools": [tool(&"f".repeat(65))]}), "tools[0].function.name");
    taken(json!({"tools": vec![tool("f"); 128]}));
    refused(json!({"tools": vec![tool("f"); 129]}), "tools");
    let odd = json!({"type": "function", "function": {"name": "f", "parameters": "none"}});
    refused(json!({"tools": [odd]}), "tools[0].function.parameters");
    let long = json!({"type": "function", "function": {"name": "f", "description": "x".repeat(768 << 10)}});
    refused(json!({"tools": [long]}), "messages");
    refused(json!({"tool_choice": "required"}), "tool_choice");
    refused(json!({"tools": [tool("f")], "tool_choice": "maybe"}), "tool_choice");
    refused(json!({"tools": [tool("f")], "tool_choice": {"type": "function"}}), "tool_choice");
    let other = json!({"type": "function", "function": {"name": "g"}});
    refused(json!({"tools": [tool("f")], "tool_choice": other}), "tool_choice");
}

#[test]
fn only_who_may_call_is_read_for_calls() {
    let form = json!({"type": "json_object"});
    let wants = |change: Value| taken(change).order(ModelId::new([0; 32]), UserId::generate()).tools;
    assert!(wants(json!({"tools": [tool("f")]})));
    assert!(!wants(json!({})));
    assert!(!wants(json!({"tools": [tool("f")], "tool_choice": "none"})));
    assert!(!wants(json!({"tools": [tool("f")], "response_format": form})));
    assert!(wants(json!({"tools": [tool("f")], "response_format": form, "tool_choice": "required"})));
}

#[test]
fn one_call_at_a_time_ends_with_it() {
    let stop = |change| taken(change).chat.stop;
    assert_eq!(stop(json!({"tools": [tool("f")], "parallel_tool_calls": false}))[0].0, "</tool_call>");
    assert_eq!(stop(json!({"tools": [tool("f")], "parallel_tool_calls": true})), []);
    assert_eq!(stop(json!({"parallel_tool_calls": false})), []);
    refused(json!({"tools": [tool("f")], "parallel_tool_calls": false, "stop": vec!["x"; 16]}), "stop");
}

#[test]
fn the_form_of_an_answer() {
    let format = |format: Value| taken(json!({"response_format": format})).chat.format;
    assert_eq!(format(json!({"type": "text"})), None);
    assert_eq!(format(json!({"type": "json_object"})), Some(Format::Json));
    let schema = |schema: Value| {
        let named = json!({"name": "n", "strict": true, "schema": schema});
        json!({"type": "json_schema", "json_schema": named})
    };
    let expected = Format::Schema(Private(r#"{"type":"object"}"#.into()));
    assert_eq!(format(schema(json!({"type": "object"}))), Some(expected));

    let refused = |format: Value, field: &str| refused(json!({"response_format": format}), field);
    refused(json!("json"), "response_format.type");
    refused(json!({"type": "xml"}), "response_format.type");
    refused(json!({"type": "json_schema"}), "response_format.json_schema.schema");
    refused(schema(json!(5)), "response_format.json_schema.schema");
    let long = json!({"title": "x".repeat(limits::MAX_SCHEMA_BYTES)});
    refused(schema(long), "response_format.json_schema.schema");
}

#[test]
fn to_think_or_not_to_think() {
    let thinking = |change| taken(change).chat.thinking;
    assert_eq!(thinking(json!({})), None);
    assert_eq!(thinking(json!({"reasoning_effort": "none"})), Some(false));
    assert_eq!(thinking(json!({"reasoning_effort": "minimal"})), Some(false));
    assert_eq!(thinking(json!({"reasoning_effort": "high"})), Some(true));
    assert_eq!(thinking(json!({"chat_template_kwargs": {"enable_thinking": false}})), Some(false));
    assert_eq!(thinking(json!({"chat_template_kwargs": {}})), None);
    refused(json!({"reasoning_effort": "huge"}), "reasoning_effort");
    refused(json!({"chat_template_kwargs": {"enable_thinking": "no"}}), "chat_template_kwargs.enable_thinking");
}

#[test]
fn a_call_and_its_answer_go_back_to_the_model() {
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}});
    let messages = taken(json!({"messages": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": null, "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "5"},
        {"role": "assistant", "content": "a", "reasoning": "so", "tool_calls": []},
    ]}))
    .chat
    .messages;
    assert_eq!(messages[1].content.0, "");
    assert_eq!(messages[1].reasoning.as_ref().unwrap().0, "hm");
    let expected = r#"[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]"#;
    assert_eq!(messages[1].tool_calls.as_ref().unwrap().0, expected);
    assert_eq!((messages[2].role, messages[2].tool_call_id.as_ref().unwrap().0.as_str()), (Role::Tool, "c1"));
    assert_eq!((messages[3].reasoning.as_ref().unwrap().0.as_str(), &messages[3].tool_calls), ("so", &None));
}

#[test]
fn messages_have_what_belongs_to_their_role() {
    let refused =
        |message: Value, field: &str| refused(json!({"messages": [message]}), &format!("messages[0].{field}"));
    refused(json!({"role": "tool", "content": "5"}), "tool_call_id");
    refused(json!({"role": "assistant"}), "content");
    refused(json!({"role": "assistant", "content": null, "tool_calls": []}), "content");
    refused(json!({"role": "user", "content": "a", "reasoning": "b"}), "reasoning_content");
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    refused(json!({"role": "user", "content": "a", "tool_calls": [call]}), "tool_calls");
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}});
    refused(json!({"role": "assistant", "tool_calls": [call]}), "tool_calls[0].function.arguments");
    let call = json!({"id": "c", "type": "retrieval", "function": {"name": "f", "arguments": "{}"}});
    refused(json!({"role": "assistant", "tool_calls": [call]}), "tool_calls[0].type");
}

#[test]
fn everything_that_a_prompt_is_made_of_counts() {
    let half = "x".repeat(limits::MAX_PROMPT_BYTES / 2);
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": half}});
    taken(json!({"messages": [{"role": "user", "content": half}]}));
    refused(json!({"messages": [{"role": "assistant", "content": half, "tool_calls": [call]}]}), "messages");
    refused(json!({"messages": [{"role": "assistant", "content": half, "reasoning": half.clone() + "x"}]}), "messages");
}

#[test]
fn each_of_several_answers_has_a_seed_of_its_own() {
    let asked = taken(json!({"n": 8, "seed": -1}));
    let owner = UserId::generate();
    let jobs = asked.order(ModelId::new([0; 32]), owner).jobs;
    let seed = |choice: usize| match &jobs[choice].task {
        Task::Chat(chat) => chat.sampling.seed,
        Task::Embed(_) => None,
    };
    assert_eq!((jobs.len(), seed(0), seed(7)), (8, Some(u64::MAX), Some(6)));
    refused(json!({"n": 0}), "n");
    refused(json!({"n": 9}), "n");
}
