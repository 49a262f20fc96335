//! What every error under `/api` looks like.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// `code` is stable; `message` says what happened and what to do; `field` names what was wrong in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
pub struct ErrorBody {
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub field: Option<String>,
}

/// Every error under `/api`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct ErrorAnswer {
    pub error: ErrorBody,
}
