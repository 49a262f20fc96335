//! The response in OpenAI's form, at its beginning and at its end.

use serde::Serialize;
use serde_json::{Map, Value, json};

use starling_protocol::message::Usage as Counted;
use utoipa::ToSchema;

use super::output::{Item, Output};
use crate::api::openai::{facts::Facts, head::Head};

/// What an answer repeats of its request.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ResponseShown)]
pub(super) struct Shown {
    pub(super) instructions: Option<String>,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) tools: Vec<Value>,
    pub(super) tool_choice: Value,
    pub(super) parallel_tool_calls: bool,
    #[serde(skip)]
    pub(super) format: Value,
    pub(super) metadata: Map<String, Value>,
}

/// What all forms of one response have in common.
pub(super) struct Frame {
    head: Head,
    shown: Shown,
}

/// A response. What stands in it is borrowed: it is written out several times.
#[derive(Serialize, ToSchema)]
#[schema(as = Response)]
pub(super) struct ResponseObject<'a> {
    id: &'a str,
    object: &'static str,
    created_at: i64,
    status: &'static str,
    background: bool,
    error: Option<Failure>,
    incomplete_details: Option<Value>,
    model: &'a str,
    output: &'a [Item],
    #[schema(value_type = Option<String>)]
    previous_response_id: (),
    reasoning: Value,
    service_tier: &'static str,
    store: bool,
    text: Value,
    truncation: &'static str,
    usage: Option<Usage>,
    #[schema(value_type = Option<String>)]
    user: (),
    #[serde(flatten)]
    shown: &'a Shown,
    /// Not of OpenAI's, in the last event of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    starling: Option<Facts>,
}

/// Why there is no whole answer.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ResponseFailure)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ResponseUsage)]
pub(super) struct Usage {
    input_tokens: u32,
    input_tokens_details: InputDetails,
    output_tokens: u32,
    output_tokens_details: OutputDetails,
    total_tokens: u32,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
struct InputDetails {
    cached_tokens: u32,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
struct OutputDetails {
    /// Tokens of pieces that began with a thought.
    reasoning_tokens: u32,
}

impl Usage {
    pub(super) fn new(counted: Counted, reasoning_tokens: u32) -> Self {
        Self {
            input_tokens: counted.prompt_tokens,
            input_tokens_details: InputDetails { cached_tokens: counted.cached_tokens },
            output_tokens: counted.completion_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens },
            total_tokens: counted.prompt_tokens.saturating_add(counted.completion_tokens),
        }
    }
}

impl Frame {
    pub(super) fn new(head: Head, shown: Shown) -> Self {
        Self { head, shown }
    }

    pub(super) fn id(&self) -> &str {
        &self.head.id
    }

    /// Nothing of it yet.
    pub(super) fn begun(&self) -> ResponseObject<'_> {
        self.object("in_progress", &[])
    }

    /// It is whole, or as long as it may be.
    pub(super) fn ended<'a>(&'a self, output: &'a Output, usage: Usage) -> ResponseObject<'a> {
        let status = output.status();
        let cut = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        ResponseObject { usage: Some(usage), incomplete_details: cut, ..self.object(status, output.items()) }
    }

    /// It broke off.
    pub(super) fn failed<'a>(&'a self, output: &'a Output, failure: Failure) -> ResponseObject<'a> {
        ResponseObject { error: Some(failure), ..self.object("failed", output.items()) }
    }

    fn object<'a>(&'a self, status: &'static str, output: &'a [Item]) -> ResponseObject<'a> {
        ResponseObject {
            id: &self.head.id,
            object: "response",
            created_at: self.head.created,
            status,
            background: false,
            error: None,
            incomplete_details: None,
            model: &self.head.model,
            output,
            previous_response_id: (),
            reasoning: json!({"effort": null, "summary": null}),
            service_tier: "default",
            store: false,
            text: json!({"format": self.shown.format}),
            truncation: "disabled",
            usage: None,
            user: (),
            shown: &self.shown,
            starling: None,
        }
    }
}

impl ResponseObject<'_> {
    /// With what is known of who gave it.
    pub(super) fn by(self, facts: Option<Facts>) -> Self {
        Self { starling: facts, ..self }
    }
}
