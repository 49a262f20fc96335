//! Whom a conversation is held with.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::{clock::Timestamp, id::CharacterId};

/// Whom a conversation is held with.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct Character {
    pub id: CharacterId,
    pub name: String,
    /// What the model is told first; may be empty.
    pub system_prompt: String,
    /// Its first words; may be empty.
    pub greeting: String,
    pub sampling: SamplingDefaults,
    /// Everybody here may talk to it.
    pub shared: bool,
    pub mine: bool,
    pub has_picture: bool,
    pub updated_at: Timestamp,
}

/// How tokens are chosen; null leaves it to the node.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct SamplingDefaults {
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub max_tokens: Option<u32>,
}

/// `GET /api/characters`.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct CharacterList {
    pub characters: Vec<Character>,
}

/// `POST /api/characters` and `PUT /api/characters/{id}`.
#[derive(Deserialize, TS, ToSchema)]
pub struct NewCharacter {
    pub name: String,
    #[serde(default)]
    pub system_prompt: String,
    #[serde(default)]
    pub greeting: String,
    #[serde(default)]
    pub sampling: SamplingDefaults,
    #[serde(default)]
    pub shared: bool,
}

/// The answer to both.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct CharacterAnswer {
    pub character: Character,
}

/// `PUT /api/characters/{id}/picture`: PNG, JPEG or WebP; null is none.
#[derive(Deserialize, TS, ToSchema)]
pub struct NewPicture {
    pub base64: Option<String>,
}
