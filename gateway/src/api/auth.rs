//! Who is asking: the session cookie and the API key; signing in and out.

use std::{net::IpAddr, time::Duration};

use axum::{
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use starling_protocol::message::Private;

use super::{
    error::ApiError,
    extract::Json,
    wire::{SignInRequest, UserAnswer},
};
use crate::{
    app::App,
    clock::Timestamp,
    secret::{self, Digest, KEY_PREFIX, Token},
    store::users::{Role, User},
};

const COOKIE: &str = "starling_session";
/// How long one stays signed in.
const SESSION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Lengths of a password, in bytes: short ones are guessed, and the hash reads all of a long one.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
/// Lengths of a user name.
const USERNAME_BYTES: std::ops::RangeInclusive<usize> = 3..=32;

/// The address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// Somebody with a session.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// The session.
    pub session: Session,
}

/// A session, by what is stored of it.
#[derive(Clone, Copy)]
pub struct Session(pub Digest);

/// Somebody with an API key or a session.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub user: User,
}

/// A [`Caller`] who is an administrator.
#[derive(Clone, Copy, Debug)]
pub struct Administrator;

/// Somebody with a session who is an administrator: for what no API key should open.
#[derive(Clone, Debug)]
pub struct SignedInAdministrator(pub User);

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let session = session(&parts.headers).ok_or(ApiError::NotSignedIn)?;
        let user = app.store.session_user(&session.0).await?.ok_or(ApiError::NotSignedIn)?;
        Ok(Self { user, session })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Some(key) = bearer(&parts.headers) else {
            let SignedIn { user, .. } = SignedIn::from_request_parts(parts, app).await?;
            return Ok(Self { user });
        };
        if !key.starts_with(KEY_PREFIX) {
            return Err(ApiError::WrongKey);
        }
        let (user, key) = app.store.key_user(&secret::digest(key)).await?.ok_or(ApiError::WrongKey)?;
        let now = Timestamp::now();
        if key.is_stale(now) {
            let store = app.store.clone();
            // Beside the answer: nobody waits for the note that a key was used.
            app.life.tasks.spawn(async move {
                if let Err(error) = store.touch_key(key.id, now).await {
                    tracing::warn!(%error, "the use of a key was not noted");
                }
            });
        }
        Ok(Self { user })
    }
}

impl FromRequestParts<App> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Caller::from_request_parts(parts, app).await?.user.role {
            Role::Admin => Ok(Self),
            Role::User => Err(ApiError::AdminOnly),
        }
    }
}

impl FromRequestParts<App> for SignedInAdministrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let SignedIn { user, .. } = SignedIn::from_request_parts(parts, app).await?;
        match user.role {
            Role::Admin => Ok(Self(user)),
            Role::User => Err(ApiError::AdminOnly),
        }
    }
}

/// `POST /api/session`
pub async fn sign_in(
    State(app): State<App>,
    address: Address,
    Json(SignInRequest { username, password }): Json<SignInRequest>,
) -> Result<Response, ApiError> {
    let (name, password) = (username.to_ascii_lowercase(), Private(password));
    // What cannot be anybody's is nobody's, and needs no hash to say so.
    if check_username(&name).is_err() || check_password(&password.0).is_err() {
        return Err(ApiError::WrongCredentials);
    }
    app.doors.sign_in(address.0, &name)?;
    let (user, hash) = app.store.credentials(&name).await?.unzip();
    let fits = app.passwords.verify(password, hash).await?;
    let user = user.filter(|_| fits).ok_or(ApiError::WrongCredentials)?;
    app.doors.was_good(address.0, &name);
    begin_session(&app, user, StatusCode::OK).await
}

/// `DELETE /api/session`
pub async fn sign_out(State(app): State<App>, signed_in: SignedIn) -> Result<Response, ApiError> {
    app.store.delete_session(&signed_in.session.0).await?;
    let gone = cookie("", Duration::ZERO, app.is_https());
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// `GET /api/me`
pub async fn me(SignedIn { user, .. }: SignedIn) -> axum::Json<UserAnswer> {
    axum::Json(UserAnswer { user: user.into() })
}

/// Signs somebody in.
pub async fn begin_session(app: &App, user: User, status: StatusCode) -> Result<Response, ApiError> {
    let token = Token::generate("");
    app.store.create_session(&token.digest(), user.id, Timestamp::now().after(SESSION)).await?;
    let cookie = cookie(token.reveal(), SESSION, app.is_https());
    let answer = axum::Json(UserAnswer { user: user.into() });
    Ok((status, [(header::SET_COOKIE, cookie)], answer).into_response())
}

/// Whether this may become a user name; it is folded to lower case already.
pub fn check_username(name: &str) -> Result<(), ApiError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    if USERNAME_BYTES.contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(ApiError::field("username", "must be 3 to 32 of a-z, 0-9, '_', '.' and '-'"))
}

/// Whether this may become a password.
pub fn check_password(password: &str) -> Result<(), ApiError> {
    if PASSWORD_BYTES.contains(&password.len()) {
        return Ok(());
    }
    Err(ApiError::field("password", "must have 8 to 256 bytes"))
}

/// The client's address; without a connection (in tests) it is this machine's.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub IpAddr);

impl FromRequestParts<App> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        let known = parts.extensions.get::<ClientAddress>().map(|address| address.0);
        Ok(Self(known.unwrap_or(IpAddr::from([127, 0, 0, 1]))))
    }
}

/// Whether a request carries a session cookie, a valid one or not.
pub fn has_session(headers: &HeaderMap) -> bool {
    session(headers).is_some()
}

fn session(headers: &HeaderMap) -> Option<Session> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut values = pairs.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    values.find(|(name, _)| *name == COOKIE).map(|(_, token)| Session(secret::digest(token)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

fn cookie(token: &str, life: Duration, https: bool) -> HeaderValue {
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", life.as_secs());
    let mut value = HeaderValue::try_from(text).expect("a token is hexadecimal digits");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_are_plain() {
        for good in ["abc", "a.b-c_9", &"x".repeat(32)] {
            assert!(check_username(good).is_ok(), "{good}");
        }
        for bad in ["ab", "Abc", "a b", "ä-b", "", &"x".repeat(33)] {
            assert!(check_username(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert!(session(&headers).is_none());
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; starling_session=t;c=d"));
        assert_eq!(session(&headers).unwrap().0, secret::digest("t"));
        assert!(!cookie("t", SESSION, false).to_str().unwrap().contains("Secure"));
        assert!(cookie("t", SESSION, true).to_str().unwrap().ends_with("; Secure"));
    }

    #[test]
    fn keys_come_as_bearers() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer  k "));
        assert_eq!(bearer(&headers), Some("k"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic k"));
        assert_eq!(bearer(&headers), None);
    }
}
