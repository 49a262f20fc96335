//! Answers in OpenAI's form: whole ones, and the chunks of streamed ones.

use serde::Serialize;
use starling_protocol::message::{Done, Finish, JobFailure, Usage as Counted};

use super::{Begun, First};
use crate::{
    api::error::ApiError,
    clock::Timestamp,
    dispatch::{AnswerEvent, DispatchError},
    id::MessageId,
    turn::MAX_ANSWER_BYTES,
};

/// What all parts of one answer have in common.
#[derive(Clone)]
pub(super) struct Head {
    id: String,
    created: i64,
    model: String,
}

impl Head {
    pub(super) fn new(model: String) -> Self {
        let id = MessageId::generate().to_string().replace('-', "");
        Self { id: format!("chatcmpl-{id}"), created: Timestamp::now().seconds(), model }
    }

    /// A chunk with its choice; with `usage` (`Some(None)` for "not yet") when the client asked for it.
    pub(super) fn chunk(&self, delta: Delta, finish: Option<Finish>, usage: Option<Option<Usage>>) -> Chunk<'_> {
        let choice = ChunkChoice { index: 0, delta, logprobs: (), finish_reason: finish.map(reason) };
        self.with(vec![choice], usage)
    }

    /// The chunk at the end that has the usage and no choice.
    pub(super) fn usage(&self, usage: Usage) -> Chunk<'_> {
        self.with(vec![], Some(Some(usage)))
    }

    fn with(&self, choices: Vec<ChunkChoice>, usage: Option<Option<Usage>>) -> Chunk<'_> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            system_fingerprint: (),
            choices,
            usage,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: (),
    choices: Vec<ChunkChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct ChunkChoice {
    index: u32,
    delta: Delta,
    logprobs: (),
    finish_reason: Option<&'static str>,
}

/// What a chunk adds.
#[derive(Default, Serialize)]
pub(super) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl Delta {
    pub(super) fn role() -> Self {
        Self { role: Some("assistant"), content: Some(String::new()) }
    }

    pub(super) fn text(text: String) -> Self {
        Self { role: None, content: Some(text) }
    }
}

#[derive(Serialize)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    created: i64,
    model: String,
    system_fingerprint: (),
    choices: [Choice; 1],
    usage: Usage,
}

#[derive(Serialize)]
struct Choice {
    index: u32,
    message: OutMessage,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct OutMessage {
    role: &'static str,
    content: String,
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

/// Collects an answer to its end. One that breaks off is an error and never a short answer.
pub(super) async fn whole(head: &Head, begun: Begun) -> Result<Completion, ApiError> {
    let Begun { mut answer, first, .. } = begun;
    let mut text = match first {
        First::Piece(text) => text,
        First::Done(done) => return Ok(completion(head, String::new(), &done)),
    };
    loop {
        match answer.next().await? {
            AnswerEvent::Piece { text: more, .. } if text.len() + more.0.len() > MAX_ANSWER_BYTES => {
                return Err(DispatchError::NodeFailed(JobFailure::Garbage).into());
            }
            AnswerEvent::Piece { text: more, .. } => text.push_str(&more.0),
            AnswerEvent::Done(done) => return Ok(completion(head, text, &done)),
            AnswerEvent::Waiting | AnswerEvent::Started { .. } | AnswerEvent::Vector(_) => {}
        }
    }
}

fn completion(head: &Head, content: String, done: &Done) -> Completion {
    let Head { id, created, model } = head.clone();
    let message = OutMessage { role: "assistant", content, refusal: () };
    let choice = Choice { index: 0, message, logprobs: (), finish_reason: reason(done.finish) };
    let (object, usage) = ("chat.completion", done.usage.into());
    Completion { id, object, created, model, system_fingerprint: (), choices: [choice], usage }
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}
