//! How the gateway has done lately, for administrators.

use axum::{
    Json as Answer,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;

use super::{
    auth::SignedInAdministrator,
    error::ApiError,
    wire::{FigureList, FigureSample, FigureSpan},
};
use crate::{
    app::App,
    figures::{Sample, Span},
};

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    span: FigureSpan,
}

/// `GET /api/figures?span=hour|day`
#[utoipa::path(
    get,
    path = "/api/figures",
    summary = "How this gateway has done lately",
    params(("span" = Option<FigureSpan>, Query, description = "hour when missing")),
    responses((status = 200, description = "", body = FigureList)),
)]
pub(super) async fn list(
    State(app): State<App>,
    _: SignedInAdministrator,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Answer<FigureList>, ApiError> {
    let Query(Wanted { span }) = wanted.map_err(|_| ApiError::field("span", "must be hour or day"))?;
    let of = match span {
        FigureSpan::Hour => Span::Hour,
        FigureSpan::Day => Span::Day,
    };
    Ok(Answer(FigureList {
        span,
        step_seconds: u32::try_from(of.step().as_secs()).unwrap_or(u32::MAX),
        since: app.began,
        samples: app.figures.samples(of).into_iter().map(Into::into).collect(),
    }))
}

impl From<Sample> for FigureSample {
    fn from(sample: Sample) -> Self {
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        Self {
            at: sample.at,
            tokens_per_second: sample.tokens_per_second,
            running: sample.running,
            waiting: sample.waiting,
            ended: sample.ended,
            errors: sample.errors,
            begun: sample.begun,
            relayed: sample.relayed,
            first_token_p50_ms: sample.first_token_p50.map(ms),
            first_token_p95_ms: sample.first_token_p95.map(ms),
        }
    }
}
