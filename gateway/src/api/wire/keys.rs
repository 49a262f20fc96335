//! Keys of the OpenAI-compatible API.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::{clock::Timestamp, id::KeyId};

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct ApiKey {
    pub id: KeyId,
    pub label: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
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
}

/// The answer to `POST /api/keys`: the only time that the secret is shown.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct KeyAnswer {
    pub key: ApiKey,
    pub secret: String,
}
