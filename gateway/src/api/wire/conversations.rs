//! Conversations as a person sees and changes them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{Message, SamplingDefaults};
use crate::{
    clock::Timestamp,
    id::{CharacterId, ConversationId},
};

#[derive(Clone, Serialize, TS, ToSchema)]
pub struct Conversation {
    pub id: ConversationId,
    pub title: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// It stands before the others.
    pub pinned: bool,
    /// With whom it is held.
    pub character: Option<CharacterId>,
    /// How tokens are chosen in it.
    pub sampling: SamplingDefaults,
}

/// `GET /api/conversations`.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct ConversationList {
    pub conversations: Vec<Conversation>,
}

/// `POST /api/conversations`.
#[derive(Deserialize, TS, ToSchema)]
pub struct NewConversation {
    #[serde(default)]
    #[ts(optional)]
    pub title: Option<String>,
    /// With whom: it begins with what that one says.
    #[serde(default)]
    #[ts(optional)]
    pub character: Option<CharacterId>,
    /// What the model is told first, in place of what the character has for that.
    #[serde(default)]
    #[ts(optional)]
    pub system_prompt: Option<String>,
    /// How tokens are chosen, in place of what the character has for that.
    #[serde(default)]
    #[ts(optional)]
    pub sampling: Option<SamplingDefaults>,
}

/// `PATCH /api/conversations/{id}`.
#[derive(Deserialize, TS, ToSchema)]
pub struct ChangeConversation {
    #[serde(default)]
    #[ts(optional)]
    pub title: Option<String>,
    /// It stands before the others.
    #[serde(default)]
    #[ts(optional)]
    pub pinned: Option<bool>,
    /// What the model is told first from now on.
    #[serde(default)]
    #[ts(optional)]
    pub system_prompt: Option<String>,
    /// How tokens are chosen from now on.
    #[serde(default)]
    #[ts(optional)]
    pub sampling: Option<SamplingDefaults>,
}

/// `POST /api/conversations` and `PATCH /api/conversations/{id}`.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct ConversationAnswer {
    pub conversation: Conversation,
}

/// `GET /api/conversations/{id}`.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct ConversationDetail {
    pub conversation: Conversation,
    pub messages: Vec<Message>,
}
