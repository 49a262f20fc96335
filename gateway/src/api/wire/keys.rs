//! Keys of the OpenAI-compatible API.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::{clock::Timestamp, id::KeyId};

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyScope {
    /// Answers: chat completions, completions and responses.
    Chat,
    Embeddings,
    Models,
    /// The gateway's figures, for a key of an administrator's.
    Metrics,
}

/// Tokens, asked and answered, in this calendar month (UTC).
#[derive(Clone, Copy, Debug, Serialize, TS, ToSchema)]
pub struct TokenBudget {
    pub used: u64,
    /// Null where nothing bounds them.
    pub per_month: Option<u64>,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct ApiKey {
    pub id: KeyId,
    pub label: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub scopes: Vec<KeyScope>,
    pub tokens: TokenBudget,
}

/// `GET /api/keys`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct KeyList {
    pub keys: Vec<ApiKey>,
}

/// `POST /api/keys`.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
pub struct NewKey {
    pub label: String,
    /// All of them when missing.
    #[serde(default)]
    #[ts(optional)]
    #[schema(min_items = 1)]
    pub scopes: Option<Vec<KeyScope>>,
    /// Tokens that may be used with it in a calendar month; without a limit when missing or 0.
    #[serde(default)]
    #[ts(optional)]
    #[schema(maximum = 1_000_000_000_000_000_u64)]
    pub tokens_per_month: Option<u64>,
}

/// The answer to `POST /api/keys`: the only time that the secret is shown.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct KeyAnswer {
    pub key: ApiKey,
    pub secret: String,
}
