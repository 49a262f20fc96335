//! What a client may ask of `/v1/chat/completions`.
//!
//! Fields that are unknown are ignored, as OpenAI's own servers do. Those that are known, change what
//! the answer means and are not there are refused by name: never another answer than asked for.

mod content;
mod message;
mod missing;
mod shape;
mod tools;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use starling_protocol::{
    ModelId, limits,
    message::{Bias, Chat, ChatMessage, Private, Sampling, Task, ToolChoice},
};

use crate::{
    api::error::ApiError,
    dispatch::{Job, Priority},
    id::UserId,
    turn::TurnRefused,
};
use content::Stop;

/// Most answers to one request.
const MAX_CHOICES: u32 = 8;
/// Where a model ends a call, and so where an answer of one call ends.
const END_OF_CALL: &str = "</tool_call>";

/// The body, as it comes.
#[derive(Deserialize)]
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
    missing: missing::NotSupported,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// A request that makes sense.
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// How many answers, at least one.
    pub(super) choices: u32,
    priority: Priority,
    chat: Chat,
}

impl ChatRequest {
    /// Checks every field against its limit, and names the first that is beyond it.
    pub(super) fn check(self) -> Result<Asked, ApiError> {
        self.missing.check()?;
        let sampling = self.sampling()?;
        let choices = self.n.unwrap_or(1);
        if !(1..=MAX_CHOICES).contains(&choices) {
            return Err(ApiError::field("n", format!("must be 1 to {MAX_CHOICES}")));
        }
        let max_tokens = check_max(self.max_completion_tokens, "max_completion_tokens")?
            .or(check_max(self.max_tokens, "max_tokens")?);
        let explicit = self.chat_template_kwargs.and_then(|arguments| arguments.enable_thinking);
        let messages = message::check(self.messages)?;
        let (tools, tool_choice) = tools::check(self.tools, self.tool_choice.as_ref())?;
        check_bytes(&messages, tools.as_ref())?;
        let mut stop = check_stop(self.stop.map(|stop| stop.0).unwrap_or_default())?;
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
            include_usage: self.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            choices,
            priority,
            chat,
        })
    }

    fn sampling(&self) -> Result<Sampling, ApiError> {
        let sampling = Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            // Any number is a seed; a negative one is just another.
            seed: self.seed.map(i64::cast_unsigned),
            drawn: false,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            logit_bias: self.logit_bias.iter().flatten().map(bias).collect::<Result<_, _>>()?,
            top_logprobs: self.top_logprobs()?,
        };
        sampling.validate().map_err(|invalid| ApiError::field(invalid.field, invalid.reason))?;
        Ok(sampling)
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
    /// Whether calls of tools can be in the answer.
    pub(super) fn wants_tools(&self) -> bool {
        let may_call = match self.chat.tool_choice {
            // An answer of another form has no calls in it.
            ToolChoice::Auto => self.chat.format.is_none(),
            ToolChoice::Never => false,
            ToolChoice::Required | ToolChoice::Named(_) => true,
        };
        self.chat.tools.is_some() && may_call
    }

    pub(super) fn wants_logprobs(&self) -> bool {
        self.chat.sampling.top_logprobs.is_some()
    }

    /// The job of one of the answers: each has a seed of its own, or all would be the same.
    pub(super) fn job(&self, model: ModelId, owner: UserId, choice: u32) -> Job {
        let mut chat = self.chat.clone();
        chat.sampling.seed = chat.sampling.seed.map(|seed| seed.wrapping_add(u64::from(choice)));
        Job::new(model, Task::Chat(chat), self.priority, owner)
    }
}

fn bias((token, bias): (&String, &f32)) -> Result<Bias, ApiError> {
    let token = token.parse().map_err(|_| ApiError::field("logit_bias", "must have token ids as its keys"))?;
    Ok(Bias { token, bias: *bias })
}

fn check_max(tokens: Option<u32>, field: &str) -> Result<Option<u32>, ApiError> {
    let most = limits::MAX_ANSWER_TOKENS;
    if tokens.is_some_and(|tokens| !(1..=most).contains(&tokens)) {
        return Err(ApiError::field(field, format!("must be 1 to {most}")));
    }
    Ok(tokens)
}

fn check_bytes(messages: &[ChatMessage], tools: Option<&Private>) -> Result<(), ApiError> {
    let said: usize = messages.iter().map(ChatMessage::bytes).sum();
    let bytes = said + tools.map_or(0, |tools| tools.0.len());
    if bytes > limits::MAX_PROMPT_BYTES { Err(TurnRefused::PromptTooLong { bytes }.into()) } else { Ok(()) }
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

/// One call and no more: the node ends the answer where the first one ends.
fn with_end_of_call(mut stop: Vec<Private>) -> Result<Vec<Private>, ApiError> {
    if stop.len() == limits::MAX_STOPS {
        let reason = format!("must be at most {} strings with parallel_tool_calls: false", limits::MAX_STOPS - 1);
        return Err(ApiError::field("stop", reason));
    }
    stop.push(Private(END_OF_CALL.to_owned()));
    Ok(stop)
}

#[cfg(test)]
mod tests;
