//! The chunks of a streamed answer, in OpenAI's form.

use serde::Serialize;

use crate::api::openai::{
    call,
    facts::Facts,
    head::{Head, Usage},
    logprobs::Logprobs,
};

#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: (),
    choices: Vec<ChunkChoice>,
    /// `Some(None)` is "not yet", for a client that has asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    /// Not of OpenAI's, in the last chunk of a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    starling: Option<Facts>,
}

/// One choice's part of a chunk.
#[derive(Default, Serialize)]
pub(super) struct ChunkChoice {
    pub(super) index: usize,
    pub(super) delta: Delta,
    pub(super) logprobs: Option<Logprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

/// What a chunk adds.
#[derive(Default, Serialize)]
pub(super) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[call::Delta; 1]>,
}

impl Head {
    /// A chunk of a choice; one of no choice has the usage, at the end.
    pub(super) fn chunk(
        &self,
        choice: Option<ChunkChoice>,
        usage: Option<Option<Usage>>,
        starling: Option<Facts>,
    ) -> Chunk<'_> {
        Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            system_fingerprint: (),
            choices: choice.into_iter().collect(),
            usage,
            starling,
        }
    }
}

impl Delta {
    pub(super) fn role() -> Self {
        Self { role: Some("assistant"), content: Some(String::new()), ..Self::default() }
    }

    pub(super) fn text(text: String) -> Self {
        Self { content: Some(text), ..Self::default() }
    }

    pub(super) fn thought(text: String) -> Self {
        Self { reasoning_content: Some(text), ..Self::default() }
    }

    pub(super) fn call(delta: call::Delta) -> Self {
        Self { tool_calls: Some([delta]), ..Self::default() }
    }
}
