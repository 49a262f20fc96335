//! What is asked of an engine: messages, how to choose tokens, and where to end.
//!
//! Everything here is plain data with its limits. It does not know which engine will answer, nor how the request came.
//! What people said never shows in a `Debug` output.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use check::{validate_messages, validate_raw, validate_stops, within};

pub(crate) use check::validate_texts;

mod check;

/// Most messages in one request; more than any conversation that fits a context window.
pub const MAX_MESSAGES: usize = 4096;
/// Most bytes of text in one request. A bound on the work of the tokenizer, which runs between two steps.
pub const MAX_PROMPT_BYTES: usize = 4 << 20;
/// Most stop strings in one request.
pub const MAX_STOPS: usize = 16;
/// Longest stop string in bytes: text of that length may have to be held back.
pub const MAX_STOP_BYTES: usize = 256;
/// Most texts to embed in one request.
pub const MAX_TEXTS: usize = 256;
/// Most tokens with a bias in one request; OpenAI takes as many.
pub const MAX_LOGIT_BIAS: usize = 1024;
/// Most log-probabilities beside that of the token taken; OpenAI gives as many.
pub const MAX_TOP_LOGPROBS: u32 = 20;
/// Longest JSON schema in bytes. A bound on the work of compiling it.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// One request for an answer.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Request {
    /// The conversation, oldest message first; at least one, unless there is a raw prompt.
    pub messages: Vec<Message>,
    /// What the model goes on from as it stands, without its chat template, in place of messages and tools.
    pub raw: Option<RawPrompt>,
    /// How each token is chosen.
    pub sampling: Sampling,
    /// Longest answer in tokens, `continue_from` included. `None`: until the context is full.
    pub max_tokens: Option<u32>,
    /// The answer ends before the first of these that it would contain.
    pub stop: Vec<String>,
    /// Tokens of this answer that were given before, perhaps by another node. The answer goes on behind them;
    /// they are not given again.
    pub continue_from: Vec<u32>,
    /// Tools that the model may call: a JSON list in OpenAI's form, as text.
    pub tools: Option<String>,
    /// What form the answer must have.
    pub constraint: Option<Constraint>,
    /// Whether the model is to think first. `None` leaves it to the model's template.
    pub thinking: Option<bool>,
    /// Labels for the conversation up to each of its messages, whatever they mean to who asks; the load shows which
    /// of them the engine still holds.
    pub prefixes: Vec<u64>,
}

/// A prompt that no chat template has written.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RawPrompt {
    /// A text, in which the model's special tokens may stand.
    Text(String),
    /// Token ids.
    Tokens(Vec<u32>),
}

/// What form an answer must have. Thoughts before it are free.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Constraint {
    /// A JSON object.
    Json,
    /// JSON that this JSON schema, as JSON text, describes.
    Schema(String),
    /// A call of one of the request's tools: of this one, or of any.
    ToolCall(Option<String>),
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who wrote it.
    pub role: Role,
    /// Its text; may be empty.
    pub content: String,
    /// What the model thought before it.
    pub reasoning: Option<String>,
    /// The tools that the model called: a JSON list in OpenAI's form, as text.
    pub tool_calls: Option<String>,
    /// In a tool's message: which call it answers.
    pub tool_call_id: Option<String>,
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// What a tool gave back.
    Tool,
}

/// How a token is chosen from the engine's logits. Applied in this order, which is llama.cpp's: biases, penalties,
/// the answer's form, `top_k`, `top_p`, `min_p`, temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 always takes the likeliest token; up to 2.
    pub temperature: f32,
    /// Smallest set of tokens whose probabilities reach this; 0 to 1, 1 is off.
    pub top_p: f32,
    /// Only this many of the likeliest tokens; 0 is off.
    pub top_k: u32,
    /// Only tokens at least this likely relative to the likeliest; 0 to 1, 0 is off.
    pub min_p: f32,
    /// Divides the logits of tokens seen lately; above 0 and up to 2, 1 is off.
    pub repetition_penalty: f32,
    /// The random number of a position depends on this and the position only. `None`: the engine picks one.
    pub seed: Option<u64>,
    /// Nobody asked for that seed: it was drawn, so that an answer can go on elsewhere as it began here.
    pub drawn: bool,
    /// Taken from a token's logit for each time the answer has it already; -2 to 2, 0 is off.
    pub frequency_penalty: f32,
    /// Taken from a token's logit once the answer has it; -2 to 2, 0 is off.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens; each from -100 to 100.
    pub logit_bias: Vec<(u32, f32)>,
    /// `Some(n)`: the log-probability of each token is wanted, and those of the n likeliest; up to 20.
    pub top_logprobs: Option<u32>,
}

/// A parameter that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// The field as people write it, such as `top_p`.
    pub field: Cow<'static, str>,
    /// What is wrong with it, with the limit.
    pub reason: String,
}

impl Invalid {
    /// Says what is wrong with `field`.
    pub fn new(field: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl Request {
    /// Checks everything that can be checked without an engine.
    ///
    /// # Errors
    /// The first field out of its limits.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.sampling.validate()?;
        match &self.raw {
            Some(_) if !self.messages.is_empty() || self.tools.is_some() => {
                return Err(Invalid::new("prompt", "stands in place of messages and tools"));
            }
            Some(raw) => validate_raw(raw)?,
            None => validate_messages(&self.messages, self.tools.as_deref())?,
        }
        validate_stops(&self.stop)?;
        if let Some(Constraint::Schema(schema)) = &self.constraint
            && schema.len() > MAX_SCHEMA_BYTES
        {
            let reason = format!("a schema has at most {MAX_SCHEMA_BYTES} bytes, this one has {}", schema.len());
            return Err(Invalid::new("response_format", reason));
        }
        if self.max_tokens == Some(0) {
            return Err(Invalid::new("max_tokens", "must be at least 1"));
        }
        Ok(())
    }

    /// What people call the text that is to be gone on from.
    pub(crate) fn text_field(&self) -> &'static str {
        if self.raw.is_some() { "prompt" } else { "messages" }
    }
}

impl Message {
    /// A message by `role`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), reasoning: None, tool_calls: None, tool_call_id: None }
    }

    /// All text of it.
    fn bytes(&self) -> usize {
        let others = [&self.reasoning, &self.tool_calls, &self.tool_call_id];
        self.content.len() + others.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

impl Role {
    /// The name that chat templates and APIs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 0.95,
            top_k: 40,
            min_p: 0.05,
            repetition_penalty: 1.0,
            seed: None,
            drawn: false,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            top_logprobs: None,
        }
    }
}

impl Sampling {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks each parameter against its range.
    ///
    /// # Errors
    /// The first parameter that is outside, or not a number.
    pub fn validate(&self) -> Result<(), Invalid> {
        within("temperature", self.temperature, 0.0, 2.0)?;
        within("top_p", self.top_p, 0.0, 1.0)?;
        within("min_p", self.min_p, 0.0, 1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.01, 2.0)?;
        within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?;
        within("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        if self.logit_bias.len() > MAX_LOGIT_BIAS {
            let reason = format!("at most {MAX_LOGIT_BIAS} tokens, there are {}", self.logit_bias.len());
            return Err(Invalid::new("logit_bias", reason));
        }
        for &(_, bias) in &self.logit_bias {
            within("logit_bias", bias, -100.0, 100.0)?;
        }
        match self.top_logprobs {
            Some(count) if count > MAX_TOP_LOGPROBS => {
                Err(Invalid::new("top_logprobs", format!("at most {MAX_TOP_LOGPROBS}, not {count}")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("messages", &self.messages.len())
            .field("raw", &self.raw.is_some())
            .field("sampling", &self.sampling)
            .field("max_tokens", &self.max_tokens)
            .field("stop", &self.stop.len())
            .field("continue_from", &self.continue_from.len())
            .finish()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {} bytes)", self.role.as_str(), self.content.len())
    }
}

#[cfg(test)]
mod tests;
