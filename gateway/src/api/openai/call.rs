//! Calls of tools in an answer, in OpenAI's form.

use serde::Serialize;
use utoipa::ToSchema;

use super::head::fresh_id;

/// A whole call.
#[derive(Serialize, ToSchema)]
#[schema(as = ToolCall)]
pub(super) struct Call {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CalledFunction)]
struct Function {
    name: String,
    /// JSON as text.
    arguments: String,
}

impl Call {
    pub(super) fn new(name: String, arguments: String) -> Self {
        Self { id: fresh_id("call_"), kind: "function", function: Function { name, arguments } }
    }
}

/// More of a call while it comes: its name, then its arguments in pieces.
#[derive(Serialize)]
pub(super) struct Delta {
    /// Which of the answer's calls.
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta,
}

#[derive(Serialize)]
struct FunctionDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: String,
}

impl Delta {
    pub(super) fn begin(index: u32, name: String) -> Self {
        let function = FunctionDelta { name: Some(name), arguments: String::new() };
        Self { index, id: Some(fresh_id("call_")), kind: Some("function"), function }
    }

    pub(super) fn more(index: u32, arguments: String) -> Self {
        Self { index, id: None, kind: None, function: FunctionDelta { name: None, arguments } }
    }
}
