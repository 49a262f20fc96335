//! A whole chat completion in OpenAI's form.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::openai::{
    call::Call,
    choices::Choices,
    collected::Collected,
    head::{Head, Usage},
    logprobs::Logprobs,
};

#[derive(Serialize, ToSchema)]
#[schema(as = ChatCompletion)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    created: i64,
    model: String,
    #[schema(value_type = Option<String>)]
    system_fingerprint: (),
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatChoice)]
struct Choice {
    index: usize,
    message: OutMessage,
    logprobs: Option<Logprobs>,
    finish_reason: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatAnswer)]
struct OutMessage {
    role: &'static str,
    /// Null when there are calls and no text.
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
    #[schema(value_type = Option<String>)]
    refusal: (),
}

impl Completion {
    pub(super) fn new(head: Head, collected: Vec<Collected>, choices: &Choices) -> Self {
        let Head { id, created, model } = head;
        let all = collected.into_iter().enumerate().map(|(index, collected)| Choice::new(index, collected)).collect();
        let usage = choices.usage().into();
        Self { id, object: "chat.completion", created, model, system_fingerprint: (), choices: all, usage }
    }
}

impl Choice {
    fn new(index: usize, collected: Collected) -> Self {
        let Collected { text, thoughts, calls, logprobs, finish, .. } = collected;
        let is_empty = text.is_empty() && !calls.is_empty();
        let message = OutMessage {
            role: "assistant",
            content: (!is_empty).then_some(text),
            reasoning_content: (!thoughts.is_empty()).then_some(thoughts),
            tool_calls: calls,
            refusal: (),
        };
        let logprobs = (!logprobs.is_empty()).then(|| logprobs.into());
        Self { index, message, logprobs, finish_reason: finish.unwrap_or("stop") }
    }
}
