//! What is remembered of a person, and how they want it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::{
    clock::Timestamp,
    id::{ConversationId, MemoryId},
};

/// What a memory is: written by its person, or said in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemoryKind {
    Fact,
    Message,
}

#[derive(Clone, Serialize, TS, ToSchema)]
pub struct Memory {
    pub id: MemoryId,
    pub kind: MemoryKind,
    pub text: String,
    /// Where it was said; null of a fact.
    pub conversation: Option<ConversationId>,
    /// When it was said, or written.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// In a search, how near it is to what was looked for: 1 is the same.
    pub similarity: Option<f32>,
}

/// A memory that an answer was given with, in the words of that time.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct UsedMemory {
    pub id: MemoryId,
    pub text: String,
    pub similarity: f32,
}

/// `GET /api/memories`.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct MemoryList {
    pub memories: Vec<Memory>,
}

/// `POST /api/memories` and `PATCH /api/memories/{id}`.
#[derive(Deserialize, TS, ToSchema)]
pub struct MemoryText {
    pub text: String,
}

/// The answer to both.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct MemoryAnswer {
    pub memory: Memory,
}

/// `GET /api/memory`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct MemoryStanding {
    pub enabled: bool,
    pub facts: i64,
    pub max_facts: i64,
    pub passages: i64,
    /// Facts and passages that no model has read yet, and that are not found so far.
    pub waiting: i64,
    /// The model that reads them; null while no node serves one.
    pub model: Option<String>,
}

/// `PUT /api/memory`.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
pub struct MemorySwitch {
    pub enabled: bool,
}
