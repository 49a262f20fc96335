//! What all parts of one answer have in common, and what it cost, in OpenAI's form.

use serde::{Deserialize, Serialize};
use starling_protocol::message::Usage as Counted;
use utoipa::ToSchema;

use crate::{clock::Timestamp, id::MessageId};

/// What all parts of one answer have in common.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) model: String,
}

impl Head {
    /// A fresh one; `prefix` says of which endpoint it is.
    pub(super) fn new(prefix: &str, model: String) -> Self {
        Self { id: fresh_id(prefix), created: Timestamp::now().seconds(), model }
    }
}

/// Something that nothing else is called.
pub(super) fn fresh_id(prefix: &str) -> String {
    format!("{prefix}{}", MessageId::generate().to_string().replace('-', ""))
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = ChatUsage)]
pub(super) struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    prompt_tokens_details: PromptDetails,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
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
