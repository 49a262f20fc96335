//! Figures for a monitoring system.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
};

use super::auth::Administrator;
use crate::app::App;

const OPEN_METRICS: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"));

/// `GET /metrics`
#[utoipa::path(
    get,
    path = "/metrics",
    summary = "Figures for a monitoring system",
    responses((status = 200, description = "In OpenMetrics text", body = String, content_type = "application/openmetrics-text")),
    security(("session" = []), ("key" = [])),
)]
pub(super) async fn text(State(app): State<App>, _: Administrator) -> impl IntoResponse {
    ([OPEN_METRICS], app.metrics.text())
}
