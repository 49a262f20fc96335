//! How the gateway has done lately, and what it holds people to.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::SignUpMode;
use crate::clock::Timestamp;

/// How far back one looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FigureSpan {
    /// In steps of ten seconds.
    #[default]
    Hour,
    /// In steps of five minutes.
    Day,
}

/// What happened within one step.
#[derive(Clone, Copy, Debug, Serialize, TS, ToSchema)]
pub struct FigureSample {
    /// When the step ended.
    pub at: Timestamp,
    /// All answers together.
    pub tokens_per_second: f64,
    /// Answers at one time, at most; those that wait are among them.
    pub running: u32,
    /// Of these, those in the queue.
    pub waiting: u32,
    /// Answers that ended.
    pub ended: u64,
    /// Of these, those that broke.
    pub errors: u64,
    /// Answers that a node began.
    pub begun: u64,
    /// Of these, those that came through a relay.
    pub relayed: u64,
    /// From the question to the first token; null where there was none.
    pub first_token_p50_ms: Option<f64>,
    pub first_token_p95_ms: Option<f64>,
}

/// `GET /api/figures`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct FigureList {
    pub span: FigureSpan,
    /// What one sample stands for.
    pub step_seconds: u32,
    /// Since when this process counts.
    pub since: Timestamp,
    /// Oldest first.
    pub samples: Vec<FigureSample>,
}

/// In what a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitUnit {
    RequestsPerMinute,
    Minutes,
    Each,
}

/// One limit, as the gateway holds to it now.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct LimitView {
    /// A stable word, such as `user`.
    pub name: String,
    pub unit: LimitUnit,
    /// Null is no limit.
    pub most: Option<u64>,
    /// Of requests, so many at once.
    pub burst: Option<u32>,
    /// The option of the program that changes it, without its dashes; null where none does.
    pub option: Option<String>,
}

/// `GET /api/limits`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct LimitList {
    pub sign_up: SignUpMode,
    pub limits: Vec<LimitView>,
}
