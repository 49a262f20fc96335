//! What administrators do with nodes, and what their owners see of them. Who they are is in `swarm`; turning one out is
//! in `members`.

use axum::{Json as Answer, extract::State, http::StatusCode};
use starling_protocol::{membership::MemberRole, swarm::PeerId};

use super::{
    auth::{Address, SignedIn, SignedInAdministrator},
    error::ApiError,
    extract::{InPath, Json},
    wire::{ChangeNode, MyNode, MyNodes},
};
use crate::{app::App, drained, store::audit::Action};

/// `PATCH /api/nodes/{id}`
#[utoipa::path(
    patch,
    path = "/api/nodes/{id}",
    summary = "Drains a node, or lets it serve again",
    params(("id" = String, Path)),
    request_body = ChangeNode,
    responses((status = 204, description = "Done")),
)]
pub(super) async fn change(
    State(app): State<App>,
    SignedInAdministrator(by): SignedInAdministrator,
    from: Address,
    InPath(peer): InPath<PeerId>,
    Json(ChangeNode { drained }): Json<ChangeNode>,
) -> Result<StatusCode, ApiError> {
    if !is_known(&app, peer).await? {
        return Err(ApiError::NoSuchMember);
    }
    if app.store.drain_node(peer, drained).await? {
        drained::read(&app.store, &app.dispatch).await?;
        let action = if drained { Action::NodeDrained } else { Action::NodeResumed };
        app.note(&by, action, peer, from).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/my/nodes`: those that came in with an invite of whoever asks, and how they do.
#[utoipa::path(
    get,
    path = "/api/my/nodes",
    summary = "The nodes that came in with an invite of mine",
    responses((status = 200, description = "", body = MyNodes)),
)]
pub(super) async fn mine(State(app): State<App>, by: SignedIn) -> Result<Answer<MyNodes>, ApiError> {
    let members = app.store.members_of(by.user.id).await?;
    let view = app.dispatch.view().borrow().clone();
    let nodes = members.into_iter().map(|member| MyNode {
        peer: member.peer.to_string(),
        now: view.nodes.iter().find(|node| node.peer == member.peer).map(Into::into),
        name: member.name,
        joined_at: member.joined_at,
        revoked_at: member.revoked_at,
        invite: member.invite,
    });
    Ok(Answer(MyNodes { nodes: nodes.collect() }))
}

/// One that is there now, or joined here, or is drained.
async fn is_known(app: &App, peer: PeerId) -> Result<bool, ApiError> {
    let here = app.network.members.roster().borrow().get(&peer).is_some_and(|claims| claims.role == MemberRole::Node);
    if here || app.store.drained_nodes().await?.contains(&peer) {
        return Ok(true);
    }
    Ok(app.store.members().await?.iter().any(|member| member.peer == peer && member.role == MemberRole::Node))
}
