//! Who is asking: the access token of a session, or an API key. Both come as `Authorization: Bearer`.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::{error::ApiError, rate};
use crate::{
    access::Claims,
    app::App,
    clock::Timestamp,
    id::{KeyId, SessionId},
    ledger::Tab,
    limits::Bucket,
    secret::{self, KEY_PREFIX},
    store::{
        keys::{Held, Scope},
        tokens::{self, Expected, Payer},
        users::{Role, User},
    },
};

/// Lengths of a password, in bytes: short ones are guessed, and the hash reads all of a long one.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
/// Lengths of a user name.
const USERNAME_BYTES: std::ops::RangeInclusive<usize> = 3..=32;

/// Where a request comes from: the address at the other end of the connection, or what a trusted proxy says.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// Of requests without a connection, which only tests make.
pub(super) const NOBODYS_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Somebody with a session.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// The session.
    pub session: SessionId,
}

/// Somebody with an API key or a session.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub user: User,
    /// What the key opens; none for a session, which opens everything.
    key: Option<(KeyId, Vec<Scope>)>,
    /// Whether budgets may bound what is used.
    bounded: bool,
}

impl Caller {
    /// Whether the key opens this.
    pub fn may(&self, scope: Scope) -> Result<(), ApiError> {
        match &self.key {
            Some((_, scopes)) if !scopes.contains(&scope) => Err(ApiError::MissingScope { scope: scope.name() }),
            _ => Ok(()),
        }
    }

    /// Opens the tab of a request for answers that may come to so much.
    pub async fn open_tab(&self, app: &App, expected: Expected) -> Result<Tab, ApiError> {
        let payer = Payer { user: self.user.id, key: self.key.as_ref().map(|(key, _)| *key) };
        Ok(app.ledger.open(payer, self.bounded, expected).await?)
    }
}

/// A [`Caller`] who is an administrator, and may see the gateway's figures.
#[derive(Clone, Copy, Debug)]
pub struct Administrator;

/// Somebody with a session who is an administrator: for what no API key should open.
#[derive(Clone, Debug)]
pub struct SignedInAdministrator(pub User);

/// Somebody with a session who may bring nodes in: an administrator or a worker.
#[derive(Clone, Debug)]
pub struct Host(pub User);

impl FromRequestParts<App> for Host {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let SignedIn { user, .. } = SignedIn::from_request_parts(parts, app).await?;
        if user.role == Role::User { Err(ApiError::AdminOnly) } else { Ok(Self(user)) }
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or(ApiError::NotSignedIn)?;
        let (by, _) = signed_in(app, token).await?.ok_or(ApiError::NotSignedIn)?;
        rate::charge(parts, app, Bucket::User(by.user.id)).await?;
        Ok(by)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let secret = bearer(&parts.headers).ok_or(ApiError::NotSignedIn)?;
        if !secret.starts_with(KEY_PREFIX) {
            let (SignedIn { user, .. }, _) = signed_in(app, secret).await?.ok_or(ApiError::WrongKey)?;
            rate::charge(parts, app, Bucket::User(user.id)).await?;
            return Ok(Self { user, key: None, bounded: true });
        }
        let held = app.store.key_user(&secret::digest(secret)).await?.ok_or(ApiError::WrongKey)?;
        let Held { user, key, users_tokens } = held;
        rate::charge(parts, app, Bucket::User(user.id)).await?;
        rate::charge(parts, app, Bucket::Key(key.id)).await?;
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
        let default = app.accounts.tokens_per_month;
        let bounded = key.tokens_per_month > 0 || tokens::budget(users_tokens, default).is_some();
        Ok(Self { user, key: Some((key.id, key.scopes)), bounded })
    }
}

impl FromRequestParts<App> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        only_admin(&caller.user)?;
        caller.may(Scope::Metrics).map(|()| Self)
    }
}

impl FromRequestParts<App> for SignedInAdministrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let SignedIn { user, .. } = SignedIn::from_request_parts(parts, app).await?;
        only_admin(&user).map(|()| Self(user))
    }
}

/// Whose access token it is, and what it says; none when it does not count, or its session has ended.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn signed_in(app: &App, token: &str) -> Result<Option<(SignedIn, Claims)>, ApiError> {
    let Some(claims) = app.access.check(token, Timestamp::now()) else { return Ok(None) };
    // What the user may do is what the database says, and not what the token said when it was made.
    let user = app.sessions.user(claims.sid).await?.filter(|user| user.id == claims.sub);
    Ok(user.map(|user| (SignedIn { user, session: claims.sid }, claims)))
}

fn only_admin(user: &User) -> Result<(), ApiError> {
    match user.role {
        Role::Admin => Ok(()),
        Role::User | Role::Worker => Err(ApiError::AdminOnly),
    }
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
        Ok(Self(known.unwrap_or(NOBODYS_ADDRESS)))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

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
    fn tokens_and_keys_come_as_bearers() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer  k "));
        assert_eq!(bearer(&headers), Some("k"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic k"));
        assert_eq!(bearer(&headers), None);
    }
}
