//! Whole answers in OpenAI's form.

use serde::Serialize;
use starling_protocol::message::{JobFailure, Usage as Counted};

use super::{
    Begun,
    call::Call,
    choices::{Choices, News},
    logprobs::{self, Logprobs},
};
use crate::{
    api::error::ApiError, clock::Timestamp, dispatch::DispatchError, id::MessageId, style::Part, turn::MAX_ANSWER_BYTES,
};

/// Most memory for the log-probabilities of one choice, in bytes: of an answer of 4,096 tokens, 20
/// alternatives each, they take 6 MB.
const MAX_LOGPROB_BYTES: usize = 32 << 20;

/// What all parts of one answer have in common.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
}

impl Head {
    pub(super) fn new(model: String) -> Self {
        let id = MessageId::generate().to_string().replace('-', "");
        Self { id: format!("chatcmpl-{id}"), created: Timestamp::now().seconds(), model }
    }
}

#[derive(Serialize)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    created: i64,
    model: String,
    system_fingerprint: (),
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Serialize)]
struct Choice {
    index: usize,
    message: OutMessage,
    logprobs: Option<Logprobs>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct OutMessage {
    role: &'static str,
    /// Null when there are calls and no text.
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
    refusal: (),
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    prompt_tokens_details: PromptDetails,
}

#[derive(Clone, Copy, Serialize)]
struct PromptDetails {
    cached_tokens: u32,
}

impl From<Counted> for Usage {
    fn from(counted: Counted) -> Self {
        Self {
            prompt_tokens: counted.prompt_tokens,
            completion_tokens: counted.completion_tokens,
            total_tokens: counted.prompt_tokens.saturating_add(counted.completion_tokens),
            prompt_tokens_details: PromptDetails { cached_tokens: counted.cached_tokens },
        }
    }
}

/// One choice so far.
#[derive(Default)]
struct Collected {
    text: String,
    thoughts: String,
    calls: Vec<Call>,
    open: Option<Open>,
    logprobs: Option<Logprobs>,
    bytes: usize,
    logprob_bytes: usize,
    finish: Option<&'static str>,
}

/// A call that is not whole yet.
struct Open {
    name: String,
    raw: String,
    arguments: String,
}

/// Collects all choices to their ends. One that breaks off is an error and never a short answer.
pub(super) async fn whole(head: &Head, begun: Begun) -> Result<Completion, ApiError> {
    let Begun { mut choices, first } = begun;
    let mut collected: Vec<Collected> = (0..choices.count()).map(|_| Collected::default()).collect();
    let mut next = Some(first);
    while let Some(news) = next {
        collected[news.choice].add(news)?;
        next = choices.next().await?;
    }
    Ok(completion(head, collected, &choices))
}

impl Collected {
    fn add(&mut self, news: News) -> Result<(), ApiError> {
        for part in news.parts {
            self.add_part(part);
        }
        if self.bytes > MAX_ANSWER_BYTES {
            return Err(DispatchError::NodeFailed(JobFailure::Garbage).into());
        }
        self.logprob_bytes += logprobs::bytes(&news.logprobs);
        if self.logprob_bytes > MAX_LOGPROB_BYTES {
            return Err(ApiError::field("logprobs", "are too many for one answer: set stream, or a lower max_tokens"));
        }
        if !news.logprobs.is_empty() {
            self.logprobs.get_or_insert_default().add(news.logprobs);
        }
        self.finish = news.finish;
        Ok(())
    }

    fn add_part(&mut self, part: Part) {
        match part {
            Part::Thought(more) => {
                self.bytes += more.len();
                self.thoughts.push_str(&more);
            }
            Part::Text(more) => {
                self.bytes += more.len();
                self.text.push_str(&more);
            }
            Part::Call { name, raw } => {
                self.bytes += raw.len();
                self.open = Some(Open { name, raw, arguments: String::new() });
            }
            Part::Arguments(more) => {
                self.bytes += more.len();
                if let Some(open) = &mut self.open {
                    open.arguments.push_str(&more);
                }
            }
            Part::CallEnd => self.calls.extend(self.open.take().map(|open| Call::new(open.name, open.arguments))),
            // Nothing of it was sent: it is the text that it was.
            Part::CallBroken => self.text.extend(self.open.take().map(|open| open.raw + &open.arguments)),
        }
    }

    fn choice(self, index: usize) -> Choice {
        let is_empty = self.text.is_empty() && !self.calls.is_empty();
        let message = OutMessage {
            role: "assistant",
            content: (!is_empty).then_some(self.text),
            reasoning_content: (!self.thoughts.is_empty()).then_some(self.thoughts),
            tool_calls: self.calls,
            refusal: (),
        };
        Choice { index, message, logprobs: self.logprobs, finish_reason: self.finish.unwrap_or("stop") }
    }
}

fn completion(head: &Head, collected: Vec<Collected>, choices: &Choices) -> Completion {
    let Head { id, created, model } = head.clone();
    let all = collected.into_iter().enumerate().map(|(index, choice)| choice.choice(index)).collect();
    let usage = choices.usage().into();
    Completion { id, object: "chat.completion", created, model, system_fingerprint: (), choices: all, usage }
}
