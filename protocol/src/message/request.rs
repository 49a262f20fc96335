//! What a gateway asks of a node: the first frame on a job stream.

use minicbor::{Decode, Encode};

use super::{Invalid, Private, PrivateTokens, at_most, invalid, within};
use crate::{
    id::{JobId, ModelId},
    limits,
};

/// Who a message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Instructions from whoever runs the conversation.
    #[n(0)]
    System,
    /// The person.
    #[n(1)]
    User,
    /// The model.
    #[n(2)]
    Assistant,
    /// What a tool gave back.
    #[n(3)]
    Tool,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ChatMessage {
    /// Who it is from.
    #[n(0)]
    pub role: Role,
    /// What it says.
    #[n(1)]
    pub content: Private,
    /// What the model thought before it said that.
    #[n(2)]
    pub reasoning: Option<Private>,
    /// The tools that the model called: a JSON list in OpenAI's form.
    #[n(3)]
    pub tool_calls: Option<Private>,
    /// In a tool's message: which call it answers.
    #[n(4)]
    pub tool_call_id: Option<Private>,
}

impl ChatMessage {
    /// A message of text alone.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        let content = Private(content.into());
        Self { role, content, reasoning: None, tool_calls: None, tool_call_id: None }
    }

    /// Everything that it adds to a prompt, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let more = [&self.reasoning, &self.tool_calls, &self.tool_call_id];
        self.content.0.len() + more.into_iter().flatten().map(|text| text.0.len()).sum::<usize>()
    }
}

/// How the next token is chosen. `None` leaves a value to the node's default.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Sampling {
    /// 0 (greedy) to 2.
    #[n(0)]
    pub temperature: Option<f32>,
    /// Nucleus: the smallest set of tokens with this much probability, above 0 to 1.
    #[n(1)]
    pub top_p: Option<f32>,
    /// The k most likely tokens only; 0 means all.
    #[n(2)]
    pub top_k: Option<u32>,
    /// Tokens at least this likely relative to the likeliest, 0 to 1.
    #[n(3)]
    pub min_p: Option<f32>,
    /// Divides the logits of tokens seen; 1 means off.
    #[n(4)]
    pub repetition_penalty: Option<f32>,
    /// Makes the answer repeatable.
    #[n(5)]
    pub seed: Option<u64>,
    /// Taken from a token's logit for each time the answer has it already, -2 to 2; 0 is off.
    #[n(6)]
    pub frequency_penalty: Option<f32>,
    /// Taken from a token's logit once the answer has it, -2 to 2; 0 is off.
    #[n(7)]
    pub presence_penalty: Option<f32>,
    /// Added to the logits of these tokens.
    #[n(8)]
    #[cbor(default)]
    pub logit_bias: Vec<Bias>,
    /// `Some(n)`: the log-probability of each token is wanted, and those of the n likeliest.
    #[n(9)]
    pub top_logprobs: Option<u32>,
    /// Nobody asked for that seed: the gateway has drawn it, so that every attempt chooses alike. A node that does
    /// not know this field takes it for a seed that was asked for, which comes to the same.
    #[n(10)]
    #[cbor(default)]
    pub drawn: bool,
}

/// What is added to a token's logit.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Bias {
    /// The token, in the model's vocabulary.
    #[n(0)]
    pub token: u32,
    /// -100 to 100.
    #[n(1)]
    pub bias: f32,
}

/// The first frame on a job stream, from the gateway.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct JobRequest {
    /// The same over all attempts at this job.
    #[n(0)]
    pub job: JobId,
    /// Counts from 1; events of an older attempt are void.
    #[n(1)]
    pub attempt: u32,
    /// The model, by content.
    #[n(2)]
    pub model: ModelId,
    /// What is to be computed.
    #[n(3)]
    pub task: Task,
    /// The gateway says at least every [`BEAT`](limits::BEAT) that it is there, with the count of what has come. A
    /// node that hears nothing for longer is alone with the answer, and ends it.
    #[n(4)]
    #[cbor(default)]
    pub beats: bool,
}

/// What is to be computed.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[expect(clippy::large_enum_variant, reason = "there is one a stream, and nearly all are chats")]
pub enum Task {
    /// The answer to a conversation, by a chat model.
    #[n(0)]
    Chat(#[n(0)] Chat),
    /// A vector for each of these texts, by an embedding model.
    #[n(1)]
    Embed(#[n(0)] Vec<Private>),
}

/// A conversation that waits for its answer.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Chat {
    /// The conversation, oldest first.
    #[n(0)]
    pub messages: Vec<ChatMessage>,
    /// How tokens are chosen.
    #[n(1)]
    pub sampling: Sampling,
    /// Most tokens in the answer; `None` is as many as the context holds.
    #[n(2)]
    pub max_tokens: Option<u32>,
    /// The answer ends before any of these.
    #[n(3)]
    pub stop: Vec<Private>,
    /// Token ids of this answer that an earlier attempt has given already.
    #[n(4)]
    pub continue_from: Vec<u32>,
    /// The tools that the model may call: a JSON list in OpenAI's form.
    #[n(5)]
    pub tools: Option<Private>,
    /// Whether it has to call one.
    #[n(6)]
    #[cbor(default)]
    pub tool_choice: ToolChoice,
    /// What form the answer must have.
    #[n(7)]
    pub format: Option<Format>,
    /// Whether the model is to think first; `None` leaves it to the model's template.
    #[n(8)]
    pub thinking: Option<bool>,
    /// One label for each message, which stands for the conversation up to and with it. The gateway makes
    /// them with a key of its own, so that they say nothing to anybody else; a node reports which it holds.
    #[n(9)]
    #[cbor(default)]
    pub prefixes: Vec<u64>,
    /// A text to go on from as it stands, without a chat template, in place of messages, of which there are none then.
    /// A node that does not know this field sees no messages, and refuses that.
    #[n(10)]
    pub raw: Option<RawPrompt>,
}

/// A prompt that no chat template has written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RawPrompt {
    /// A text, in which the model's special tokens may stand.
    #[n(0)]
    Text(#[n(0)] Private),
    /// Token ids of the model's vocabulary.
    #[n(1)]
    Tokens(#[n(0)] PrivateTokens),
}

impl RawPrompt {
    /// About as much as it adds to a prompt, in bytes of text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.0.len(),
            Self::Tokens(tokens) => tokens.0.len().saturating_mul(limits::BYTES_PER_TOKEN),
        }
    }

    fn validate(&self) -> Result<(), Invalid> {
        let (found, limit) = match self {
            Self::Text(text) => (text.0.len(), limits::MAX_PROMPT_BYTES),
            Self::Tokens(tokens) => (tokens.0.len(), limits::MAX_PROMPT_TOKENS),
        };
        if found == 0 {
            return Err(invalid("prompt", "must not be empty"));
        }
        at_most("prompt", found, limit)
    }
}

/// Whether the model has to call a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    #[n(0)]
    Auto,
    /// It must not: its template does not hear of the tools.
    #[n(1)]
    Never,
    /// It must call one.
    #[n(2)]
    Required,
    /// It must call this one.
    #[n(3)]
    Named(#[n(0)] Private),
}

/// What form an answer must have.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Format {
    /// A JSON object.
    #[n(0)]
    Json,
    /// JSON that this JSON schema (as JSON text) describes.
    #[n(1)]
    Schema(#[n(0)] Private),
}

impl JobRequest {
    /// Checks what the frame's length does not bound.
    ///
    /// # Errors
    /// Names the first field beyond its limit.
    pub fn validate(&self) -> Result<(), Invalid> {
        match &self.task {
            Task::Chat(chat) => chat.validate(),
            Task::Embed(texts) => validate_texts(texts),
        }
    }
}

impl Chat {
    /// Checks what the frame's length does not bound.
    ///
    /// # Errors
    /// Names the first field beyond its limit.
    pub fn validate(&self) -> Result<(), Invalid> {
        at_most("messages", self.messages.len(), limits::MAX_MESSAGES)?;
        match &self.raw {
            Some(_) if !self.messages.is_empty() || self.tools.is_some() => {
                return Err(invalid("prompt", "stands in place of messages and tools"));
            }
            Some(raw) => raw.validate()?,
            None if self.messages.is_empty() => return Err(invalid("messages", "must not be empty")),
            None => {}
        }
        let tools = self.tools.as_ref().map_or(0, |tools| tools.0.len());
        let bytes = self.messages.iter().map(ChatMessage::bytes).sum::<usize>() + tools;
        at_most("messages", bytes, limits::MAX_PROMPT_BYTES)?;
        at_most("continue_from", self.continue_from.len(), limits::MAX_CONTINUE_TOKENS)?;
        at_most("prefixes", self.prefixes.len(), limits::MAX_MESSAGES)?;
        at_most("stop", self.stop.len(), limits::MAX_STOPS)?;
        for stop in &self.stop {
            at_most("stop", stop.0.len(), limits::MAX_STOP_BYTES)?;
        }
        if let Some(Format::Schema(schema)) = &self.format {
            at_most("response_format", schema.0.len(), limits::MAX_SCHEMA_BYTES)?;
        }
        let most = limits::MAX_ANSWER_TOKENS;
        match self.max_tokens {
            Some(tokens) if !(1..=most).contains(&tokens) => Err(invalid("max_tokens", format!("must be 1 to {most}"))),
            _ => self.sampling.validate(),
        }
    }
}

impl Sampling {
    /// Checks each value against its range.
    ///
    /// # Errors
    /// Names the first field out of its range.
    pub fn validate(&self) -> Result<(), Invalid> {
        within("temperature", self.temperature, 0.0, 2.0)?;
        within("top_p", self.top_p, f32::MIN_POSITIVE, 1.0)?;
        within("min_p", self.min_p, 0.0, 1.0)?;
        within("repetition_penalty", self.repetition_penalty, 0.1, 10.0)?;
        within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?;
        within("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        at_most("logit_bias", self.logit_bias.len(), limits::MAX_LOGIT_BIAS)?;
        for entry in &self.logit_bias {
            within("logit_bias", Some(entry.bias), -100.0, 100.0)?;
        }
        at_most("top_logprobs", self.top_logprobs.unwrap_or(0) as usize, limits::MAX_TOP_LOGPROBS)
    }
}

fn validate_texts(texts: &[Private]) -> Result<(), Invalid> {
    at_most("input", texts.len(), limits::MAX_TEXTS)?;
    if texts.is_empty() {
        return Err(invalid("input", "must not be empty"));
    }
    at_most("input", texts.iter().map(|text| text.0.len()).sum(), limits::MAX_PROMPT_BYTES)
}
