//! The first administrator.

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use starling_protocol::message::Private;

use super::{
    auth::{self, Address},
    error::ApiError,
    extract::Json,
    session,
    wire::{SetupRequest, SetupState},
};
use crate::{app::App, store::audit::Action};

/// `GET /api/setup`
#[utoipa::path(
    get,
    path = "/api/setup",
    summary = "Whether there is an administrator yet",
    responses((status = 200, description = "", body = SetupState)),
    security(()),
)]
pub(super) async fn state(State(app): State<App>) -> Answer<SetupState> {
    Answer(SetupState { needed: app.setup.is_open(), sign_up: app.accounts.sign_up.into() })
}

/// `POST /api/setup`
#[utoipa::path(
    post,
    path = "/api/setup",
    summary = "Makes the first administrator",
    request_body = SetupRequest,
    responses((status = 201, description = "Signed in; the refresh token is in a cookie", body = super::wire::SessionAnswer)),
    security(()),
)]
pub(super) async fn set_up(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    Json(SetupRequest { code, username, password }): Json<SetupRequest>,
) -> Result<Response, ApiError> {
    if !app.setup.is_open() {
        return Err(ApiError::AlreadySetUp);
    }
    let (name, password) = (username.to_ascii_lowercase(), Private(password));
    auth::check_username(&name)?;
    auth::check_password(&password.0)?;
    app.doors.setup(address.0).await?;
    if !app.setup.fits(&code) {
        return Err(ApiError::WrongCode);
    }
    let hash = app.passwords.hash(password).await?;
    // Two who have the code may come at once: the database says who was first.
    let user = app.store.create_first_user(&name, &hash).await?.ok_or(ApiError::AlreadySetUp)?;
    app.setup.close();
    app.note(&user, Action::SetUp, &user.username, address).await;
    session::begin(&app, user, session::device(&headers, address), StatusCode::CREATED).await
}
