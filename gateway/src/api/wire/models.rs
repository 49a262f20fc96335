//! The models that the swarm serves.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// Whether a model is there, or comes once somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelState {
    Loaded,
    Loading,
    Loadable,
    /// Those who have it are paused.
    Away,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct ModelView {
    pub id: String,
    pub hash: String,
    pub context_tokens: u32,
    pub demo: bool,
    pub nodes: u32,
    pub slots_free: u32,
    pub slots_total: u32,
    pub state: ModelState,
    /// While it is being loaded, how much of a thousand has come.
    pub loading_permille: Option<u32>,
}

/// `GET /api/models`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct ModelList {
    pub models: Vec<ModelView>,
}
