//! Which nodes are there now.

use axum::{Json, extract::State};

use super::{auth::SignedIn, wire::SwarmView};
use crate::app::App;

/// `GET /api/swarm`
#[utoipa::path(
    get,
    path = "/api/swarm",
    summary = "The nodes, and how they do",
    responses((status = 200, description = "", body = SwarmView)),
)]
pub(super) async fn view(State(app): State<App>, _: SignedIn) -> Json<SwarmView> {
    let view = app.dispatch.view().borrow().clone();
    let peers = u32::try_from(app.network.swarm.peers().borrow().len()).unwrap_or(u32::MAX);
    Json(SwarmView { nodes: view.nodes.iter().map(Into::into).collect(), peers })
}
