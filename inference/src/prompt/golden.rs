//! Prompts of well-known templates, byte for byte as an independent renderer writes them (`golden/README.md`).

use serde_json::Value as Json;

use super::*;
use crate::{Message, Role};

const CASES: &str = include_str!("golden/cases.json");
const QWEN3: &str = include_str!("golden/qwen3.jinja");
const QWEN25: &str = include_str!("golden/qwen2.5.jinja");

fn message(json: &Json) -> Message {
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let role = match json["role"].as_str().unwrap() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        role => panic!("{role}"),
    };
    Message {
        reasoning: text("reasoning_content"),
        tool_calls: json.get("tool_calls").map(Json::to_string),
        tool_call_id: text("tool_call_id"),
        ..Message::new(role, text("content").unwrap())
    }
}

fn request(case: &Json) -> Request {
    Request {
        messages: case["messages"].as_array().unwrap().iter().map(message).collect(),
        tools: case.get("tools").map(Json::to_string),
        thinking: case["enable_thinking"].as_bool(),
        ..Request::default()
    }
}

fn check(template: &str, name: &str, expected: &str) {
    let cases: Vec<Json> = serde_json::from_str(CASES).unwrap();
    let case = cases.iter().find(|case| case["name"] == name).unwrap();
    let prompt = Prompt::new(template, Specials::default()).unwrap();
    let rendered = prompt.render(&request(case)).unwrap();
    assert_eq!(rendered.text, expected, "{name}");
    let reasoning = match case["reasoning"].as_str().unwrap() {
        "never" => Reasoning::Never,
        "marked" => Reasoning::Marked,
        reasoning => panic!("{reasoning}"),
    };
    assert_eq!(rendered.style, Style { reasoning, tool_calls: case["tool_calls"] == true }, "{name}");
}

#[test]
fn qwen3() {
    check(QWEN3, "qwen3-plain", include_str!("golden/qwen3-plain.txt"));
    check(QWEN3, "qwen3-no-thinking", include_str!("golden/qwen3-no-thinking.txt"));
    check(QWEN3, "qwen3-tools", include_str!("golden/qwen3-tools.txt"));
    check(QWEN3, "qwen3-after-tools", include_str!("golden/qwen3-after-tools.txt"));
}

#[test]
fn hermes_form() {
    check(QWEN25, "qwen2.5-plain", include_str!("golden/qwen2.5-plain.txt"));
    check(QWEN25, "qwen2.5-tools", include_str!("golden/qwen2.5-tools.txt"));
}

#[test]
fn an_answer_of_a_given_form_is_not_thought_about() {
    let prompt = Prompt::new(QWEN3, Specials::default()).unwrap();
    let messages = vec![Message::new(Role::User, "Hi")];
    for thinking in [None, Some(true), Some(false)] {
        let constraint = Some(crate::Constraint::Json);
        let request = Request { messages: messages.clone(), constraint, thinking, ..Request::default() };
        let rendered = prompt.render(&request).unwrap();
        assert!(rendered.text.ends_with("<think>\n\n</think>\n\n"), "{}", rendered.text);
        assert_eq!(rendered.style.reasoning, Reasoning::Never);
    }
    // A template that always opens the thoughts.
    let open = Prompt::new(&format!("{QWEN3}{{{{- '<think>\\n' }}}}"), Specials::default()).unwrap();
    for constraint in [None, Some(crate::Constraint::Json)] {
        let request = Request { messages: messages.clone(), constraint, ..Request::default() };
        let rendered = open.render(&request).unwrap();
        assert!(rendered.text.ends_with("assistant\n<think>\n"), "{}", rendered.text);
        assert_eq!(rendered.style.reasoning, Reasoning::Open);
    }
}
