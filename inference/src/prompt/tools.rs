//! The tools of a request: functions with a JSON schema for their arguments, in OpenAI's form.

use minijinja::value::{Serde, Value};
use serde_json::Value as Json;

use crate::Invalid;

/// Longest name of a function in bytes; OpenAI's is 64.
const MAX_NAME_BYTES: usize = 256;

/// A function that the model may call.
#[derive(Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// All of it, as it was given.
    pub json: Json,
}

impl Tool {
    /// JSON schema of the arguments; an object of anything where there is none.
    pub fn parameters(&self) -> Json {
        match self.json.pointer("/function/parameters") {
            Some(schema) if !schema.is_null() => schema.clone(),
            _ => serde_json::json!({ "type": "object" }),
        }
    }
}

/// Reads a request's list of tools; none is an empty list.
///
/// # Errors
/// Names `tools` when the text is no JSON list of functions with names.
pub(crate) fn parse(text: Option<&str>) -> Result<Vec<Tool>, Invalid> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let Ok(Json::Array(tools)) = serde_json::from_str(text) else {
        return Err(Invalid::new("tools", "must be a JSON list"));
    };
    tools.into_iter().map(tool).collect()
}

fn tool(json: Json) -> Result<Tool, Invalid> {
    let name = json.pointer("/function/name").and_then(Json::as_str).unwrap_or_default();
    if json["type"] != "function" || name.is_empty() || name.len() > MAX_NAME_BYTES {
        let form = r#"each must be {"type":"function","function":{"name":…}} with a name of at most 256 bytes"#;
        return Err(Invalid::new("tools", form));
    }
    Ok(Tool { name: name.to_owned(), json })
}

/// What a template sees: as in `transformers`, nothing where there are no tools.
pub(super) fn value(tools: &[Tool]) -> Value {
    if tools.is_empty() {
        return Value::from(());
    }
    Value::from(Serde(tools.iter().map(|tool| &tool.json).collect::<Vec<_>>()))
}
