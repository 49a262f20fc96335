//! What a client may ask of `/v1/responses`.
//!
//! As in `/v1/chat/completions`, fields that are unknown are ignored, and those that are known, change what the answer
//! means and are not there are refused by name.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use starling_protocol::{
    ModelId,
    message::{Chat, Format, Sampling},
};
use utoipa::ToSchema;

use super::{
    input::{Input, Item},
    object::Shown,
};
use crate::{
    api::{
        error::ApiError,
        openai::{
            chat::request::{check_bytes, shape, tools, with_end_of_call},
            fields::{check_max, check_sampling},
            order::{Order, Terms},
        },
        openapi::text_or_list,
    },
    dispatch::Priority,
    id::UserId,
};

/// What `include` may name that is here.
const LOGPROBS: &str = "message.output_text.logprobs";
/// What it may name that is never there to be included.
const NEVER_THERE: [&str; 6] = [
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "code_interpreter_call.outputs",
];
/// Most entries of `metadata`, as OpenAI has it.
const MAX_METADATA: usize = 16;

/// The body, as it comes.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct ResponsesRequest {
    model: String,
    #[schema(schema_with = text_or_list::<Item>)]
    input: Input,
    instructions: Option<String>,
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_logprobs: Option<u32>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    text: Option<Text>,
    reasoning: Option<Reasoning>,
    include: Option<Vec<String>>,
    stream: Option<bool>,
    service_tier: Option<String>,
    metadata: Option<Map<String, Value>>,
    store: Option<bool>,
    background: Option<bool>,
    previous_response_id: Option<String>,
    conversation: Option<Value>,
    prompt: Option<Value>,
    truncation: Option<String>,
}

/// `text`
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseText)]
struct Text {
    format: Option<Value>,
}

/// `reasoning`
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseReasoning)]
struct Reasoning {
    effort: Option<shape::Effort>,
}

/// A request that makes sense.
pub(in crate::api::openai) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    priority: Priority,
    chat: Chat,
    /// What the answer repeats of the request.
    pub(super) shown: Shown,
}

impl Asked {
    /// The job of its answer.
    pub(in crate::api::openai) fn order(&self, model: ModelId, owner: UserId) -> Order {
        Order::new(std::slice::from_ref(&self.chat), 1, Terms { model, owner, priority: self.priority })
    }
}

impl ResponsesRequest {
    /// Checks every field against its limit, and names the first that is beyond it.
    pub(in crate::api::openai) fn check(self) -> Result<Asked, ApiError> {
        self.check_missing()?;
        let shown = self.shown()?;
        let max_tokens = check_max(self.max_output_tokens, "max_output_tokens")?;
        let sampling = check_sampling(Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_logprobs: self.top_logprobs()?,
            ..Sampling::default()
        })?;
        let wanted = self.tools.unwrap_or_default().into_iter().map(nested).collect();
        let choice = self.tool_choice.map(nested);
        let (tools, tool_choice) = tools::check(Some(wanted), choice.as_ref()).map_err(flat)?;
        let messages = self.input.messages(self.instructions)?;
        check_bytes(&messages, tools.as_ref())?;
        let one_call = tools.is_some() && self.parallel_tool_calls == Some(false);
        let priority = match self.service_tier.as_deref() {
            Some("flex") => Priority::Background,
            _ => Priority::Normal,
        };
        let chat = Chat {
            messages,
            sampling,
            max_tokens,
            stop: if one_call { with_end_of_call(vec![])? } else { vec![] },
            tools,
            tool_choice,
            format: self.text.and_then(|text| text.format).map_or(Ok(None), |format| form(&format))?,
            thinking: self.reasoning.and_then(|reasoning| reasoning.effort).map(shape::Effort::thinks),
            ..Chat::default()
        };
        Ok(Asked { model: self.model, stream: self.stream.unwrap_or(false), priority, chat, shown })
    }

    /// What is known and not there.
    fn check_missing(&self) -> Result<(), ApiError> {
        let is = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
        let wrong = [
            ("store", self.store == Some(true), "responses are not stored: leave it out, or say false"),
            ("background", self.background == Some(true), "is not supported: stream the answer, or wait for it"),
            (
                "previous_response_id",
                self.previous_response_id.is_some(),
                "responses are not stored: send the items of the conversation as input",
            ),
            ("conversation", is(&self.conversation), "is not supported: send its items as input"),
            ("prompt", is(&self.prompt), "is not supported: send instructions and input"),
            (
                "truncation",
                self.truncation.as_deref().is_some_and(|how| how != "disabled"),
                "must be disabled: nothing is left out of a conversation here",
            ),
        ];
        match wrong.into_iter().find(|(_, is_there, _)| *is_there) {
            Some((field, _, reason)) => Err(ApiError::field(field, reason)),
            None => Ok(()),
        }
    }

    fn top_logprobs(&self) -> Result<Option<u32>, ApiError> {
        let mut wanted = self.top_logprobs.filter(|top| *top > 0);
        for name in self.include.iter().flatten() {
            match name.as_str() {
                LOGPROBS => wanted = wanted.or(Some(0)),
                name if NEVER_THERE.contains(&name) => {}
                _ => return Err(ApiError::field("include", "names something that is not known here")),
            }
        }
        Ok(wanted)
    }

    fn shown(&self) -> Result<Shown, ApiError> {
        let metadata = self.metadata.clone().unwrap_or_default();
        if metadata.len() > MAX_METADATA {
            return Err(ApiError::field("metadata", format!("must be at most {MAX_METADATA} entries")));
        }
        let format = self.text.as_ref().and_then(|text| text.format.clone()).filter(|format| !format.is_null());
        Ok(Shown {
            instructions: self.instructions.clone(),
            max_output_tokens: self.max_output_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            tools: self.tools.clone().unwrap_or_default(),
            tool_choice: self.tool_choice.clone().filter(|choice| !choice.is_null()).unwrap_or(json!("auto")),
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            format: format.unwrap_or(json!({"type": "text"})),
            metadata,
        })
    }
}

/// `text.format`; `None` is plain text.
fn form(format: &Value) -> Result<Option<Format>, ApiError> {
    match format.get("type").and_then(Value::as_str) {
        _ if format.is_null() => Ok(None),
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => shape::schema(format.get("schema"), "text.format.schema").map(Some),
        _ => Err(ApiError::field("text.format.type", "must be text, json_object or json_schema")),
    }
}

/// A tool, or the choice of one, as `/v1/chat/completions` writes it: what it is in an object of its own.
fn nested(flat: Value) -> Value {
    match flat {
        Value::Object(mut fields) if fields.get("type").is_some_and(|kind| kind == "function") => {
            fields.remove("type");
            json!({"type": "function", "function": fields})
        }
        other => other,
    }
}

/// The field as it is called here.
fn flat(error: ApiError) -> ApiError {
    match error {
        ApiError::BadField { field, reason } => ApiError::field(field.replace(".function", ""), reason),
        other => other,
    }
}

#[cfg(test)]
mod tests;
