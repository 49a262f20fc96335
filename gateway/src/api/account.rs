//! A person's own account: making it, its password, its end.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use starling_protocol::message::Private;

use super::{
    auth::{Address, SignedIn, check_password, check_username},
    error::ApiError,
    extract::Json,
    session::{self, device, knock},
    wire::{DeleteAccount, NewPassword, SessionAnswer, SignUpRequest},
};
use crate::{
    accounts::SignUp,
    app::App,
    clock::Timestamp,
    limits::Bucket,
    password::Verdict,
    secret,
    store::{audit::Action, invitations::SignedUp, people::Changed, users::User},
};

/// `POST /api/account`: who makes one is signed in with it.
#[utoipa::path(
    post,
    path = "/api/account",
    summary = "Makes an account and signs in with it",
    request_body = SignUpRequest,
    responses((status = 201, description = "Signed in; the refresh token is in a cookie", body = SessionAnswer)),
    security(()),
)]
pub(super) async fn sign_up(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    Json(SignUpRequest { username, password, invitation }): Json<SignUpRequest>,
) -> Result<Response, ApiError> {
    let (name, password) = (username.to_ascii_lowercase(), Private(password));
    // While there is no administrator the first account is made with the code on the console.
    if app.accounts.sign_up == SignUp::Closed || app.setup.is_open() {
        return Err(ApiError::SignUpClosed);
    }
    let invitation = invitation.map(|text| secret::digest(text.trim()));
    if invitation.is_none() && app.accounts.sign_up == SignUp::Invitation {
        return Err(ApiError::NotInvited);
    }
    check_username(&name)?;
    check_password(&password.0)?;
    knock(&app, Bucket::SignUp(address.0)).await?;
    let now = Timestamp::now();
    if let Some(secret) = &invitation
        && !app.store.is_invited(secret, now).await?
    {
        return Err(ApiError::NotInvited);
    }
    let hash = app.passwords.hash(password).await?;
    match app.store.sign_up(&name, &hash, invitation.as_ref(), now).await? {
        SignedUp::Made(user) => {
            app.note(&user, Action::SignedUp, &user.username, address).await;
            session::begin(&app, user, device(&headers, address), StatusCode::CREATED).await
        }
        SignedUp::NameTaken => Err(ApiError::NameTaken),
        SignedUp::NotInvited => Err(ApiError::NotInvited),
    }
}

/// `PUT /api/account/password`: all other sessions end with the old one.
#[utoipa::path(
    put,
    path = "/api/account/password",
    summary = "Another password; all other sessions end",
    request_body = NewPassword,
    responses((status = 204, description = "It is changed")),
)]
pub(super) async fn change_password(
    State(app): State<App>,
    address: Address,
    by: SignedIn,
    Json(NewPassword { old, new }): Json<NewPassword>,
) -> Result<StatusCode, ApiError> {
    let new = Private(new);
    check_password(&new.0).map_err(|_| ApiError::field("new", "must have 8 to 256 bytes"))?;
    prove(&app, address, &by.user, Private(old), "old").await?;
    let hash = app.passwords.hash(new).await?;
    app.store.set_password(by.user.id, &hash).await?;
    app.store.delete_sessions(by.user.id, Some(by.session)).await?;
    app.sessions.forget(by.user.id);
    app.note(&by.user, Action::PasswordChanged, &by.user.username, address).await;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/account`: and all that is its own with it.
#[utoipa::path(
    delete,
    path = "/api/account",
    summary = "Deletes the account and all that is its own",
    request_body = DeleteAccount,
    responses((status = 204, description = "It is gone")),
)]
pub(super) async fn delete(
    State(app): State<App>,
    address: Address,
    by: SignedIn,
    Json(DeleteAccount { password }): Json<DeleteAccount>,
) -> Result<StatusCode, ApiError> {
    prove(&app, address, &by.user, Private(password), "password").await?;
    if app.store.delete_person(by.user.id).await? == Changed::LastAdministrator {
        return Err(ApiError::LastAdministrator);
    }
    app.turn_out(by.user.id);
    app.note(&by.user, Action::UserDeleted, &by.user.username, address).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A session that was left open is not enough to take an account over. Guessing is slowed down as at the door.
async fn prove(
    app: &App,
    address: Address,
    user: &User,
    password: Private,
    field: &'static str,
) -> Result<(), ApiError> {
    app.doors.sign_in(address.0, &user.username).await?;
    let hash = app.store.credentials(&user.username).await?.map(|(_, hash)| hash);
    match app.passwords.verify(password, hash).await? {
        Verdict::Wrong => Err(ApiError::WrongPassword { field }),
        Verdict::Right | Verdict::RightButOld(_) => {
            app.doors.was_good(address.0, &user.username).await;
            Ok(())
        }
    }
}
