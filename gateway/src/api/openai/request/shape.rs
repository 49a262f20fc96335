//! What form an answer must have, and whether the model is to think before it.

use serde::Deserialize;
use serde_json::Value;
use starling_protocol::{
    limits,
    message::{Format, Private},
};

use crate::api::error::ApiError;

/// `reasoning_effort`: models that think here think or do not; there is nothing between.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

impl Effort {
    pub(super) fn thinks(self) -> bool {
        !matches!(self, Self::None | Self::Minimal)
    }
}

/// `chat_template_kwargs`, of which one argument is known. Another would change the prompt, so it is refused.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateArguments {
    pub(super) enable_thinking: Option<bool>,
}

/// `response_format`; `None` is plain text.
pub(super) fn format(format: Option<&Value>) -> Result<Option<Format>, ApiError> {
    let Some(format) = format.filter(|format| !format.is_null()) else { return Ok(None) };
    let wrong = |field: &str, reason: String| Err(ApiError::field(format!("response_format.{field}"), reason));
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let field = "json_schema.schema";
            let Some(schema @ Value::Object(_)) = format.pointer("/json_schema/schema") else {
                return wrong(field, "must be a JSON schema: an object".to_owned());
            };
            let schema = schema.to_string();
            if schema.len() > limits::MAX_SCHEMA_BYTES {
                return wrong(field, format!("is over the limit of {} bytes", limits::MAX_SCHEMA_BYTES));
            }
            Ok(Some(Format::Schema(Private(schema))))
        }
        _ => wrong("type", "must be text, json_object or json_schema".to_owned()),
    }
}
