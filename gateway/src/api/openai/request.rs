//! What a client may ask of `/v1/chat/completions`, and what of it is not there yet.
//!
//! Fields that are unknown are ignored, as OpenAI's own servers do. Those that are known, change what
//! the answer means and are not there yet are refused by name: never another answer than asked for.

mod content;

use serde::Deserialize;
use serde_json::Value;
use starling_protocol::{
    ModelId, limits,
    message::{Chat, ChatMessage, Private, Role, Sampling, Task},
};

use crate::{api::error::ApiError, dispatch::Job, turn::TurnRefused};
use content::{Content, Stop};

/// The body, as it comes.
#[derive(Deserialize)]
pub(in crate::api) struct ChatRequest {
    model: String,
    messages: Vec<InMessage>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    seed: Option<i64>,
    stop: Option<Stop>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
    #[serde(flatten)]
    missing: NotSupported,
}

#[derive(Deserialize)]
struct InMessage {
    role: InRole,
    content: Content,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InRole {
    System,
    Developer,
    User,
    Assistant,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// What changes the answer and is not there yet.
#[derive(Deserialize)]
struct NotSupported {
    tools: Option<Value>,
    tool_choice: Option<Value>,
    functions: Option<Value>,
    function_call: Option<Value>,
    response_format: Option<Value>,
    logprobs: Option<Value>,
    top_logprobs: Option<Value>,
    logit_bias: Option<Value>,
    presence_penalty: Option<Value>,
    frequency_penalty: Option<Value>,
    modalities: Option<Value>,
    audio: Option<Value>,
    web_search_options: Option<Value>,
}

/// A field's name, its value, and whether a value changes nothing.
type Field<'a> = (&'static str, &'a Option<Value>, &'a dyn Fn(&Value) -> bool);

/// A request that makes sense.
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    messages: Vec<ChatMessage>,
    sampling: Sampling,
    max_tokens: Option<u32>,
    stop: Vec<Private>,
}

impl ChatRequest {
    /// Checks every field against its limit, and names the first that is beyond it.
    pub(super) fn check(self) -> Result<Asked, ApiError> {
        self.missing.check()?;
        if self.n.is_some_and(|n| n != 1) {
            return Err(ApiError::field("n", "must be 1: more answers at once are not supported yet"));
        }
        let max_tokens = check_max(self.max_completion_tokens, "max_completion_tokens")?
            .or(check_max(self.max_tokens, "max_tokens")?);
        let sampling = Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            // Any number is a seed; a negative one is just another.
            seed: self.seed.map(i64::cast_unsigned),
            ..Sampling::default()
        };
        sampling.validate().map_err(|invalid| ApiError::field(invalid.field, invalid.reason))?;
        Ok(Asked {
            model: self.model,
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            messages: check_messages(self.messages)?,
            sampling,
            max_tokens,
            stop: check_stop(self.stop.map(|stop| stop.0).unwrap_or_default())?,
        })
    }
}

impl Asked {
    pub(super) fn job(self, model: ModelId) -> Job {
        let Self { messages, sampling, max_tokens, stop, .. } = self;
        Job { model, task: Task::Chat(Chat { messages, sampling, max_tokens, stop, ..Chat::default() }) }
    }
}

impl NotSupported {
    fn check(&self) -> Result<(), ApiError> {
        let text = |value: &Value| value.get("type").and_then(Value::as_str) == Some("text");
        let only_text = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(|kind| kind == "text"));
        let no_tool = |value: &Value| matches!(value.as_str(), Some("none" | "auto"));
        let never = |_: &Value| false;
        let fields: [Field<'_>; 13] = [
            ("tools", &self.tools, &is_empty),
            ("tool_choice", &self.tool_choice, &no_tool),
            ("functions", &self.functions, &is_empty),
            ("function_call", &self.function_call, &no_tool),
            ("response_format", &self.response_format, &text),
            ("logprobs", &self.logprobs, &is_off),
            ("top_logprobs", &self.top_logprobs, &is_off),
            ("logit_bias", &self.logit_bias, &is_empty),
            ("presence_penalty", &self.presence_penalty, &is_off),
            ("frequency_penalty", &self.frequency_penalty, &is_off),
            ("modalities", &self.modalities, &only_text),
            ("audio", &self.audio, &never),
            ("web_search_options", &self.web_search_options, &never),
        ];
        for (name, value, changes_nothing) in fields {
            if value.as_ref().is_some_and(|value| !value.is_null() && !changes_nothing(value)) {
                return Err(ApiError::field(name, "is not supported yet"));
            }
        }
        Ok(())
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn is_off(value: &Value) -> bool {
    value == &Value::Bool(false) || value.as_f64() == Some(0.0)
}

fn check_max(tokens: Option<u32>, field: &str) -> Result<Option<u32>, ApiError> {
    let most = limits::MAX_ANSWER_TOKENS;
    if tokens.is_some_and(|tokens| !(1..=most).contains(&tokens)) {
        return Err(ApiError::field(field, format!("must be 1 to {most}")));
    }
    Ok(tokens)
}

fn check_messages(messages: Vec<InMessage>) -> Result<Vec<ChatMessage>, ApiError> {
    if messages.is_empty() || messages.len() > limits::MAX_MESSAGES {
        return Err(ApiError::field("messages", format!("must be 1 to {} messages", limits::MAX_MESSAGES)));
    }
    let bytes = messages.iter().map(|message| message.content.0.len()).sum();
    if bytes > limits::MAX_PROMPT_BYTES {
        return Err(TurnRefused::PromptTooLong { bytes }.into());
    }
    let convert = |InMessage { role, content }| ChatMessage::new(role.into(), content.0);
    Ok(messages.into_iter().map(convert).collect())
}

fn check_stop(stop: Vec<String>) -> Result<Vec<Private>, ApiError> {
    if stop.len() > limits::MAX_STOPS {
        return Err(ApiError::field("stop", format!("must be at most {} strings", limits::MAX_STOPS)));
    }
    if stop.iter().any(|stop| !(1..=limits::MAX_STOP_BYTES).contains(&stop.len())) {
        return Err(ApiError::field("stop", format!("must have 1 to {} bytes", limits::MAX_STOP_BYTES)));
    }
    Ok(stop.into_iter().map(Private).collect())
}

impl From<InRole> for Role {
    fn from(role: InRole) -> Self {
        match role {
            // "developer" is what newer clients call it.
            InRole::System | InRole::Developer => Self::System,
            InRole::User => Self::User,
            InRole::Assistant => Self::Assistant,
        }
    }
}

#[cfg(test)]
mod tests;
