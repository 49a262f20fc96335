//! Signing in and out, and a person's sessions.

mod device;

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use starling_protocol::message::Private;

use super::{
    auth::{Address, SignedIn, check_password, check_username},
    cookie,
    error::ApiError,
    extract::{InPath, Json},
    wire::{Empty, SessionAnswer, SessionList, SessionView, SignInRequest, TokenBudget, UserAnswer},
};
use crate::{
    app::App,
    clock::Timestamp,
    id::SessionId,
    limits::Bucket,
    password::Verdict,
    secret::Token,
    store::{
        audit::Action,
        sessions::{Device, NewSession, Rotated},
        tokens,
        users::User,
    },
};
pub(super) use device::device;

/// `POST /api/session`
#[utoipa::path(
    post,
    path = "/api/session",
    summary = "Signs in",
    request_body(content = SignInRequest, example = json!({"username": "ada", "password": "a long enough password"})),
    responses((status = 200, description = "Signed in; the refresh token is in a cookie", body = SessionAnswer)),
    security(()),
)]
pub(super) async fn sign_in(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    Json(SignInRequest { username, password }): Json<SignInRequest>,
) -> Result<Response, ApiError> {
    let (name, password) = (username.to_ascii_lowercase(), Private(password));
    // What cannot be anybody's is nobody's, and needs no hash to say so.
    if check_username(&name).is_err() || check_password(&password.0).is_err() {
        return Err(ApiError::WrongCredentials);
    }
    knock(&app, Bucket::SignIn(address.0)).await?;
    app.doors.sign_in(address.0, &name).await?;
    let (user, hash) = app.store.credentials(&name).await?.unzip();
    let verdict = app.passwords.verify(password, hash).await?;
    let user = user.filter(|_| verdict != Verdict::Wrong).ok_or(ApiError::WrongCredentials)?;
    if let Verdict::RightButOld(hash) = verdict {
        app.store.set_password(user.id, &hash).await?;
    }
    app.doors.was_good(address.0, &name).await;
    begin(&app, user, device(&headers, address), StatusCode::OK).await
}

/// A stricter limit than on other requests.
pub(super) async fn knock(app: &App, bucket: Bucket) -> Result<(), ApiError> {
    let taken = app.limits.take(bucket, 1).await;
    if taken.allowed { Ok(()) } else { Err(ApiError::RateLimited(taken)) }
}

/// Signs somebody in: an access token for the page's memory, and a refresh token in a cookie that no script can read.
pub(super) async fn begin(app: &App, user: User, device: Device, status: StatusCode) -> Result<Response, ApiError> {
    let (refresh, now) = (Token::generate(""), Timestamp::now());
    let new = NewSession { user: user.id, token: refresh.digest(), device };
    let session = app.store.create_session(&new, now).await?;
    Ok(answer(app, user, session, &refresh, status))
}

/// `POST /api/session/refresh`: with the cookie, which is replaced.
#[utoipa::path(
    post,
    path = "/api/session/refresh",
    summary = "A new access token for the refresh token, which is replaced",
    request_body = Empty,
    responses((status = 200, description = "", body = SessionAnswer)),
    security(("refresh" = [])),
)]
pub(super) async fn refresh(
    State(app): State<App>,
    address: Address,
    headers: HeaderMap,
    Json(Empty {}): Json<Empty>,
) -> Result<Response, ApiError> {
    let old = cookie::refresh_token(&headers, app.is_https()).ok_or(ApiError::NotSignedIn)?;
    let next = Token::generate("");
    let device = device(&headers, address);
    match app.store.rotate(&old, &next.digest(), &device, Timestamp::now()).await? {
        Rotated::Next(user, session) => Ok(answer(&app, user, session, &next, StatusCode::OK)),
        Rotated::Unknown => Ok(refused(&app)),
        Rotated::Stolen(user) => {
            tracing::warn!(?user, "a refresh token was used twice: its session is over");
            app.sessions.forget(user);
            Ok(refused(&app))
        }
        Rotated::TooOften => Err(ApiError::TooManyTries(std::time::Duration::from_secs(30))),
    }
}

/// `DELETE /api/session`: by access token, or by the cookie when that has run out.
#[utoipa::path(
    delete,
    path = "/api/session",
    summary = "Signs out",
    responses((status = 204, description = "Signed out")),
    security(("session" = []), ("refresh" = [])),
)]
pub(super) async fn sign_out(
    State(app): State<App>,
    signed_in: Result<SignedIn, ApiError>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let user = match signed_in {
        Ok(SignedIn { user, session }) => {
            app.store.delete_session(user.id, session).await?;
            Some(user.id)
        }
        Err(ApiError::NotSignedIn) => {
            let token = cookie::refresh_token(&headers, app.is_https()).ok_or(ApiError::NotSignedIn)?;
            app.store.end_session_of(&token, Timestamp::now()).await?
        }
        Err(error) => return Err(error),
    };
    user.into_iter().for_each(|user| app.sessions.forget(user));
    Ok(gone(&app))
}

/// `DELETE /api/sessions`: signs out everywhere.
#[utoipa::path(
    delete,
    path = "/api/sessions",
    summary = "Signs out everywhere",
    responses((status = 204, description = "Signed out")),
)]
pub(super) async fn sign_out_everywhere(
    State(app): State<App>,
    by: SignedIn,
    from: Address,
) -> Result<Response, ApiError> {
    app.store.delete_sessions(by.user.id, None).await?;
    app.sessions.forget(by.user.id);
    app.note(&by.user, Action::SessionsRevoked, &by.user.username, from).await;
    Ok(gone(&app))
}

/// `GET /api/sessions`
#[utoipa::path(
    get,
    path = "/api/sessions",
    summary = "Where one is signed in",
    responses((status = 200, description = "", body = SessionList)),
)]
pub(super) async fn list(State(app): State<App>, by: SignedIn) -> Result<Answer<SessionList>, ApiError> {
    let sessions = app.store.sessions(by.user.id, Timestamp::now()).await?;
    let view = |session| SessionView::new(session, by.session);
    Ok(Answer(SessionList { sessions: sessions.into_iter().map(view).collect() }))
}

/// `DELETE /api/sessions/{id}`
#[utoipa::path(
    delete,
    path = "/api/sessions/{id}",
    summary = "Ends a session",
    params(("id" = SessionId, Path)),
    responses((status = 204, description = "It has ended")),
)]
pub(super) async fn revoke(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<SessionId>,
) -> Result<StatusCode, ApiError> {
    let was_there = app.store.delete_session(by.user.id, id).await?;
    app.sessions.forget(by.user.id);
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchSession)
}

/// `GET /api/me`
#[utoipa::path(
    get,
    path = "/api/me",
    summary = "Who is signed in",
    responses((status = 200, description = "", body = UserAnswer)),
)]
pub(super) async fn me(State(app): State<App>, by: SignedIn) -> Result<Answer<UserAnswer>, ApiError> {
    let (used, own) = app.store.tokens_of(by.user.id).await?;
    let tokens = TokenBudget { used, per_month: tokens::budget(own, app.accounts.tokens_per_month) };
    Ok(Answer(UserAnswer { user: by.user.into(), tokens }))
}

fn answer(app: &App, user: User, session: SessionId, refresh: &Token, status: StatusCode) -> Response {
    let access = app.access.issue(&user, session, Timestamp::now());
    let answer = SessionAnswer { user: user.into(), access_token: access.text, expires_in: access.life.as_secs() };
    (status, [(header::SET_COOKIE, cookie::set(refresh, app.is_https()))], Answer(answer)).into_response()
}

/// A token that is none goes, so that the page asks once and not at each start.
fn refused(app: &App) -> Response {
    ([(header::SET_COOKIE, cookie::remove(app.is_https()))], ApiError::NotSignedIn).into_response()
}

fn gone(app: &App) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie::remove(app.is_https()))]).into_response()
}
