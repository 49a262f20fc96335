//! For those who watch over the process.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::app::App;

/// Longer than this, and the database counts as not answering.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of the process; `reasons` say why it is not ready.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// `GET /healthz`
#[utoipa::path(
    get,
    path = "/healthz",
    summary = "Whether the process lives",
    responses((status = 200, description = "It does", body = Health)),
    security(()),
)]
pub(super) async fn alive() -> Json<Health> {
    Json(Health { status: "ok", reasons: vec![] })
}

/// `GET /readyz`. Nodes are not needed: without one the gateway still shows what there is.
#[utoipa::path(
    get,
    path = "/readyz",
    summary = "Whether the gateway can serve",
    responses((status = 200, description = "It can", body = Health), (status = 503, description = "It cannot, and why", body = Health)),
    security(()),
)]
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let mut reasons = Vec::new();
    match timeout(PATIENCE, app.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            reasons.push("database: it cannot be read or written".to_owned());
        }
        Err(_) => reasons.push("database: it does not answer".to_owned()),
    }
    if app.network.swarm.addresses().borrow().is_empty() {
        reasons.push("swarm: it does not listen on any address".to_owned());
    }
    if app.life.drain.is_cancelled() {
        reasons.push("the gateway is stopping".to_owned());
    }
    if reasons.is_empty() {
        return (StatusCode::OK, Json(Health { status: "ready", reasons }));
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "not_ready", reasons }))
}
