//! The tools that a model may call, and whether it has to.
//!
//! A tool goes on its way as it came, since a model's template shows it to the model whole; only what
//! says that it is one, and its name, is looked at.

use serde_json::Value;
use starling_protocol::message::{Private, ToolChoice};

use crate::api::error::ApiError;

/// As many as OpenAI takes.
const MAX_TOOLS: usize = 128;
/// As long as OpenAI takes, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The list as JSON text, and the choice; no tools are no list.
pub(in crate::api::openai) fn check(
    tools: Option<Vec<Value>>,
    choice: Option<&Value>,
) -> Result<(Option<Private>, ToolChoice), ApiError> {
    let tools = tools.unwrap_or_default();
    if tools.len() > MAX_TOOLS {
        return Err(ApiError::field("tools", format!("must be at most {MAX_TOOLS}")));
    }
    let mut names = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let at = |(field, reason): (&str, String)| ApiError::field(format!("tools[{index}]{field}"), reason);
        names.push(name(tool).map_err(at)?);
    }
    let choice = choose(choice, &names)?;
    let text = (!tools.is_empty()).then(|| Private(Value::Array(tools).to_string()));
    Ok((text, choice))
}

/// A tool's name, when it is one.
fn name(tool: &Value) -> Result<String, (&'static str, String)> {
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return Err((".type", "must be function".to_owned()));
    }
    let Some(name) = tool.pointer("/function/name").and_then(Value::as_str) else {
        return Err((".function.name", "must be a string".to_owned()));
    };
    let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.chars().all(known) {
        return Err((".function.name", format!("must be 1 to {MAX_NAME_BYTES} letters, digits, _, - or .")));
    }
    match tool.pointer("/function/parameters") {
        None | Some(Value::Null | Value::Object(_)) => Ok(name.to_owned()),
        Some(_) => Err((".function.parameters", "must be a JSON schema: an object".to_owned())),
    }
}

fn choose(choice: Option<&Value>, names: &[String]) -> Result<ToolChoice, ApiError> {
    let wrong = |reason: &str| ApiError::field("tool_choice", reason);
    let choice = match choice {
        None | Some(Value::Null) => return Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => return Ok(ToolChoice::Auto),
            "none" => return Ok(ToolChoice::Never),
            "required" => ToolChoice::Required,
            _ => return Err(wrong("must be none, auto, required or a function")),
        },
        Some(value) => match value.pointer("/function/name").and_then(Value::as_str) {
            Some(name) if value.get("type").and_then(Value::as_str) == Some("function") => {
                ToolChoice::Named(Private(name.to_owned()))
            }
            _ => return Err(wrong(r#"must be a word, or {"type": "function", "function": {"name": …}}"#)),
        },
    };
    match &choice {
        _ if names.is_empty() => Err(wrong("needs tools")),
        ToolChoice::Named(name) if !names.contains(&name.0) => {
            Err(wrong("names a function that is not among the tools"))
        }
        _ => Ok(choice),
    }
}
