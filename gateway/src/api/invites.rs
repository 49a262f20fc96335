//! Invites to the swarm, for administrators, and for workers those of their own.

use axum::{Json as Answer, extract::State, http::StatusCode};
use starling_protocol::membership::MemberRole;

use super::{
    auth::{Address, Host},
    error::ApiError,
    extract::{InPath, Json},
    terms::{Asked, Terms},
    wire::{self, InviteAnswer, InviteList, NewInvite},
};
use crate::{
    app::App,
    clock::Timestamp,
    id::{InviteId, UserId},
    membership::make_invite,
    releases::Installs,
    store::{
        audit::Action,
        invites::{self, MAX_LIFETIME, MAX_USES},
        users::{Role, User},
    },
};

/// Of a worker's invites, how often each may be used.
const WORKERS_USES: u32 = 16;
/// Invites that a worker may have open. Two requests at once may make one more.
const WORKERS_INVITES: usize = 8;

/// `GET /api/invites`
#[utoipa::path(
    get,
    path = "/api/invites",
    summary = "Invites to the swarm",
    responses((status = 200, description = "", body = InviteList)),
)]
pub(super) async fn list(State(app): State<App>, Host(by): Host) -> Result<Answer<InviteList>, ApiError> {
    let invites = app.store.invites(own(&by)).await?;
    let authority = app.network.members.is_authority();
    Ok(Answer(InviteList { invites: invites.into_iter().map(Into::into).collect(), authority }))
}

/// `POST /api/invites`
#[utoipa::path(
    post,
    path = "/api/invites",
    summary = "Makes an invite",
    request_body = NewInvite,
    responses((status = 201, description = "The only time that its text is shown", body = InviteAnswer)),
)]
pub(super) async fn create(
    State(app): State<App>,
    Host(by): Host,
    from: Address,
    Json(asked): Json<NewInvite>,
) -> Result<(StatusCode, Answer<InviteAnswer>), ApiError> {
    if !app.network.members.is_authority() {
        return Err(ApiError::NotAuthority);
    }
    let new = invites::NewInvite { created_by: Some(by.id), ..check(asked)? };
    if by.role == Role::Worker {
        check_workers(&app, &by, &new).await?;
    }
    let at = app.network.whereabouts();
    if at.addresses.is_empty() {
        return Err(ApiError::NoAddress);
    }
    let (made, invite) = make_invite(&app.store, at, &new).await?.ok_or(ApiError::TooManyInvites)?;
    app.note(&by, Action::InviteMade, made.id, from).await;
    let installs =
        app.releases.installs().map(|Installs { origin, linux, windows }| wire::Installs { origin, linux, windows });
    let answer = InviteAnswer { invite: made.into(), text: invite.to_string(), installs };
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// `DELETE /api/invites/{id}`
#[utoipa::path(
    delete,
    path = "/api/invites/{id}",
    summary = "Revokes an invite",
    params(("id" = InviteId, Path)),
    responses((status = 204, description = "It is revoked")),
)]
pub(super) async fn revoke(
    State(app): State<App>,
    Host(by): Host,
    from: Address,
    InPath(id): InPath<InviteId>,
) -> Result<StatusCode, ApiError> {
    let was_there = app.store.revoke_invite(id, own(&by), Timestamp::now()).await?;
    if was_there {
        app.note(&by, Action::InviteRevoked, id, from).await;
    }
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchInvite)
}

/// Whose invites one may see and take back: all of them, or one's own.
fn own(by: &User) -> Option<UserId> {
    (by.role != Role::Admin).then_some(by.id)
}

/// A worker brings in machines of its own, and not a swarm.
async fn check_workers(app: &App, by: &User, new: &invites::NewInvite) -> Result<(), ApiError> {
    if new.role != MemberRole::Node {
        return Err(ApiError::AdminOnly);
    }
    if new.max_uses > WORKERS_USES {
        return Err(ApiError::field("max_uses", format!("must be 1 to {WORKERS_USES}")));
    }
    let now = Timestamp::now();
    let live = app.store.invites(Some(by.id)).await?.iter().filter(|invite| invite.is_live(now)).count();
    if live >= WORKERS_INVITES {
        return Err(ApiError::TooManyInvites);
    }
    Ok(())
}

fn check(asked: NewInvite) -> Result<invites::NewInvite, ApiError> {
    let NewInvite { label, role, max_uses, expires_in_seconds } = asked;
    let Terms { label, max_uses, lifetime } =
        Asked { label, max_uses, expires_in_seconds }.check(MAX_USES, MAX_LIFETIME)?;
    Ok(invites::NewInvite {
        label,
        role: role.map_or(MemberRole::Node, Into::into),
        max_uses,
        lifetime,
        created_by: None,
        printed: false,
    })
}
