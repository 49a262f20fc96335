//! Which models the swarm serves now for people to talk to.

use axum::{Json, extract::State};

use starling_protocol::message::Kind;

use super::{auth::SignedIn, wire::ModelList};
use crate::app::App;

/// `GET /api/models`
#[utoipa::path(
    get,
    path = "/api/models",
    summary = "Models that answer",
    responses((status = 200, description = "", body = ModelList)),
)]
pub(super) async fn list(State(app): State<App>, _: SignedIn) -> Json<ModelList> {
    let view = app.dispatch.view().borrow().clone();
    let away = view.away.iter().filter(|model| model.kind == Kind::Chat);
    Json(ModelList { models: view.chat_models().chain(away).map(Into::into).collect() })
}
