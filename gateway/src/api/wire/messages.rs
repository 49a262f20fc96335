//! What is said in a conversation, and how each answer came to be.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{Conversation, ErrorBody, UsedMemory};
use crate::{clock::Timestamp, id::MessageId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    System,
    User,
    Assistant,
}

/// How a message ended: whole, cut short with some text, or with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    Complete,
    Partial,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    Stop,
    Length,
    Cancelled,
    Error,
}

#[derive(Clone, Serialize, TS, ToSchema)]
pub struct Message {
    pub id: MessageId,
    pub role: MessageRole,
    pub text: String,
    pub created_at: Timestamp,
    pub status: MessageStatus,
    pub error: Option<ErrorBody>,
    pub answer: Option<Answer>,
    /// It is cut short, and can go on.
    pub resumable: bool,
    /// What it follows; null at the beginning.
    pub parent: Option<MessageId>,
    /// All that stand in its place, itself among them: edited questions, other answers.
    pub versions: Vec<MessageId>,
}

/// Who gave an answer, and how fast.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct Answer {
    /// The node that gave the last of it.
    pub node_name: String,
    pub node_peer: String,
    /// The names of all that gave a part of it, in order.
    pub nodes: Vec<String>,
    pub device: String,
    pub model: String,
    pub finish_reason: FinishReason,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub first_token_ms: Option<f64>,
    pub tokens_per_second: Option<f64>,
    /// What it was given with, from its reader's memory.
    #[serde(default)]
    pub memories: Vec<UsedMemory>,
}

/// The answer to `POST /api/messages/{id}/go-on`.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct GoOnAnswer {
    pub conversation: Conversation,
    pub turn: MessageId,
}
