//! Invitations to make an account, for administrators.

use axum::{Json as Answer, extract::State, http::StatusCode};

use super::{
    auth::{Address, SignedInAdministrator},
    error::ApiError,
    extract::{InPath, Json},
    terms::{Asked, Terms},
    wire::{InvitationAnswer, InvitationList, NewInvitation, UserRole},
};
use crate::{
    app::App,
    clock::Timestamp,
    id::InvitationId,
    secret::Token,
    store::{
        audit::Action,
        invitations::{self, MAX_LIFETIME, MAX_USES},
    },
};

/// The beginning of every invitation, so that one is known for what it is.
const PREFIX: &str = "starling-account-";

/// `GET /api/invitations`
#[utoipa::path(
    get,
    path = "/api/invitations",
    summary = "Invitations to make an account",
    responses((status = 200, description = "", body = InvitationList)),
)]
pub(super) async fn list(State(app): State<App>, _: SignedInAdministrator) -> Result<Answer<InvitationList>, ApiError> {
    let invitations = app.store.invitations().await?;
    Ok(Answer(InvitationList { invitations: invitations.into_iter().map(Into::into).collect() }))
}

/// `POST /api/invitations`
#[utoipa::path(
    post,
    path = "/api/invitations",
    summary = "Makes an invitation",
    request_body = NewInvitation,
    responses((status = 201, description = "The only time that its text is shown", body = InvitationAnswer)),
)]
pub(super) async fn create(
    State(app): State<App>,
    SignedInAdministrator(by): SignedInAdministrator,
    from: Address,
    Json(asked): Json<NewInvitation>,
) -> Result<(StatusCode, Answer<InvitationAnswer>), ApiError> {
    let NewInvitation { label, role, max_uses, expires_in_seconds } = asked;
    let Terms { label, max_uses, lifetime } =
        Asked { label, max_uses, expires_in_seconds }.check(MAX_USES, MAX_LIFETIME)?;
    let new = invitations::NewInvitation {
        label,
        role: role.unwrap_or(UserRole::User).into(),
        max_uses,
        lifetime,
        created_by: by.id,
    };
    let secret = Token::generate(PREFIX);
    let made = app.store.create_invitation(&new, &secret.digest(), Timestamp::now()).await?;
    let made = made.ok_or(ApiError::TooManyInvitations)?;
    app.note(&by, Action::InvitationMade, made.id, from).await;
    let answer = InvitationAnswer { invitation: made.into(), text: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// `DELETE /api/invitations/{id}`
#[utoipa::path(
    delete,
    path = "/api/invitations/{id}",
    summary = "Takes an invitation back",
    params(("id" = InvitationId, Path)),
    responses((status = 204, description = "It is gone")),
)]
pub(super) async fn delete(
    State(app): State<App>,
    SignedInAdministrator(by): SignedInAdministrator,
    from: Address,
    InPath(id): InPath<InvitationId>,
) -> Result<StatusCode, ApiError> {
    let was_there = app.store.delete_invitation(id).await?;
    if was_there {
        app.note(&by, Action::InvitationRevoked, id, from).await;
    }
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchInvitation)
}
