//! What form an answer must have, and whether the model is to think before it.

use serde::Deserialize;
use serde_json::Value;
use starling_protocol::{
    limits,
    message::{Format, Private},
};
use utoipa::ToSchema;

use crate::api::error::ApiError;

/// `reasoning_effort`: models that think here think or do not; there is nothing between.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api::openai) enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

impl Effort {
    pub(in crate::api::openai) fn thinks(self) -> bool {
        !matches!(self, Self::None | Self::Minimal)
    }
}

/// `chat_template_kwargs`, of which one argument is known. Another would change the prompt, so it is refused.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateArguments {
    pub(super) enable_thinking: Option<bool>,
}

/// `response_format`; `None` is plain text.
pub(super) fn format(format: Option<&Value>) -> Result<Option<Format>, ApiError> {
    let Some(format) = format.filter(|format| !format.is_null()) else { return Ok(None) };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            schema(format.pointer("/json_schema/schema"), "response_format.json_schema.schema").map(Some)
        }
        _ => Err(ApiError::field("response_format.type", "must be text, json_object or json_schema")),
    }
}

/// A JSON schema, which stands in this field.
pub(in crate::api::openai) fn schema(schema: Option<&Value>, field: &str) -> Result<Format, ApiError> {
    let Some(schema @ Value::Object(_)) = schema else {
        return Err(ApiError::field(field, "must be a JSON schema: an object"));
    };
    let schema = schema.to_string();
    if schema.len() > limits::MAX_SCHEMA_BYTES {
        return Err(ApiError::field(field, format!("is over the limit of {} bytes", limits::MAX_SCHEMA_BYTES)));
    }
    Ok(Format::Schema(Private(schema)))
}
