//! What a client may ask of `/v1/chat/completions`.
//!
//! Fields that are unknown are ignored, as OpenAI's own servers do. Those that are known, change what
//! the answer means and are not there are refused by name: never another answer than asked for.

mod content;
mod message;
mod missing;
pub(in crate::api::openai) mod shape;
pub(in crate::api::openai) mod tools;

pub(in crate::api) use content::Part as TextPart;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use starling_protocol::{
    ModelId, limits,
    message::{Chat, ChatMessage, Private, Sampling},
};
use utoipa::ToSchema;

use crate::{
    api::{
        error::ApiError,
        openai::{
            fields::{Stop, StreamOptions, check_choices, check_max, sampling},
            order::{Order, Terms},
        },
        openapi::text_or_texts,
    },
    dispatch::Priority,
    id::UserId,
    turn::TurnRefused,
};

/// Where a model ends a call, and so where an answer of one call ends.
const END_OF_CALL: &str = "</tool_call>";

/// The body, as it comes.
#[derive(Deserialize, ToSchema)]
pub(in crate::api) struct ChatRequest {
    model: String,
    messages: Vec<message::InMessage>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    logit_bias: Option<BTreeMap<String, f32>>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    seed: Option<i64>,
    #[schema(schema_with = text_or_texts)]
    stop: Option<Stop>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u32>,
    service_tier: Option<String>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    response_format: Option<Value>,
    reasoning_effort: Option<shape::Effort>,
    chat_template_kwargs: Option<shape::TemplateArguments>,
    #[serde(flatten)]
    #[schema(ignore)]
    missing: missing::NotSupported,
}

/// A request that makes sense.
pub(in crate::api::openai) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// How many answers, at least one.
    choices: u32,
    priority: Priority,
    chat: Chat,
}

impl ChatRequest {
    /// Checks every field against its limit, and names the first that is beyond it.
    pub(in crate::api::openai) fn check(self) -> Result<Asked, ApiError> {
        self.missing.check()?;
        let sampling = self.sampling()?;
        let choices = check_choices(self.n)?;
        let max_tokens = check_max(self.max_completion_tokens, "max_completion_tokens")?
            .or(check_max(self.max_tokens, "max_tokens")?);
        let explicit = self.chat_template_kwargs.and_then(|arguments| arguments.enable_thinking);
        let messages = message::check(self.messages)?;
        let (tools, tool_choice) = tools::check(self.tools, self.tool_choice.as_ref())?;
        check_bytes(&messages, tools.as_ref())?;
        let mut stop = Stop::check(self.stop)?;
        if tools.is_some() && self.parallel_tool_calls == Some(false) {
            stop = with_end_of_call(stop)?;
        }
        // OpenAI's word for what is cheaper and comes when there is room.
        let priority = match self.service_tier.as_deref() {
            Some("flex") => Priority::Background,
            _ => Priority::Normal,
        };
        let chat = Chat {
            messages,
            sampling,
            max_tokens,
            stop,
            tools,
            tool_choice,
            format: shape::format(self.response_format.as_ref())?,
            thinking: explicit.or(self.reasoning_effort.map(shape::Effort::thinks)),
            ..Chat::default()
        };
        Ok(Asked {
            model: self.model,
            stream: self.stream.unwrap_or(false),
            include_usage: StreamOptions::wants_usage(self.stream_options),
            choices,
            priority,
            chat,
        })
    }

    fn sampling(&self) -> Result<Sampling, ApiError> {
        sampling!(self, self.top_logprobs()?)
    }

    fn top_logprobs(&self) -> Result<Option<u32>, ApiError> {
        match (self.logprobs.unwrap_or(false), self.top_logprobs) {
            (true, top) => Ok(Some(top.unwrap_or(0))),
            (false, None | Some(0)) => Ok(None),
            (false, Some(_)) => Err(ApiError::field("top_logprobs", "needs logprobs: true")),
        }
    }
}

impl Asked {
    /// The jobs of all answers.
    pub(in crate::api::openai) fn order(self, model: ModelId, owner: UserId) -> Order {
        Order::new(&[self.chat], self.choices, Terms { model, owner, priority: self.priority })
    }
}

/// What a prompt is made of, in bytes, is bounded.
pub(in crate::api::openai) fn check_bytes(messages: &[ChatMessage], tools: Option<&Private>) -> Result<(), ApiError> {
    let said: usize = messages.iter().map(ChatMessage::bytes).sum();
    let bytes = said + tools.map_or(0, |tools| tools.0.len());
    if bytes > limits::MAX_PROMPT_BYTES { Err(TurnRefused::PromptTooLong { bytes }.into()) } else { Ok(()) }
}

/// One call and no more: the node ends the answer where the first one ends.
pub(in crate::api::openai) fn with_end_of_call(mut stop: Vec<Private>) -> Result<Vec<Private>, ApiError> {
    if stop.len() == limits::MAX_STOPS {
        let reason = format!("must be at most {} strings with parallel_tool_calls: false", limits::MAX_STOPS - 1);
        return Err(ApiError::field("stop", reason));
    }
    stop.push(Private(END_OF_CALL.to_owned()));
    Ok(stop)
}

#[cfg(test)]
mod tests;
