//! What a handler takes from a request, checked at the door: a JSON body, an id in the path.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use tokio::time::timeout;

use super::error::ApiError;
use crate::{app::App, id::ConversationId, turn::TurnRefused};

/// The longest body that any request may have, in bytes. A chat of 768 KiB (the protocol's limit on a
/// prompt) fits, with its JSON around it.
pub const MAX_BODY: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body. What is wrong with it is said with the name of the field.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::NotJson);
        }
        parse(&collect(request.into_body(), MAX_BODY).await?).map(Self)
    }
}

/// As [`Json`], and the body as it came.
pub struct JsonAndBody<T>(pub T, pub Bytes);

impl<T: DeserializeOwned> FromRequest<App> for JsonAndBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::NotJson);
        }
        let body = collect(request.into_body(), MAX_BODY).await?;
        Ok(Self(parse(&body)?, body))
    }
}

/// The longest file that can be taken in, in bytes.
const MAX_LARGE_BODY: usize = 8 << 20;

/// As [`Json`], for files.
pub struct LargeJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for LargeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::NotJson);
        }
        parse(&collect(request.into_body(), MAX_LARGE_BODY).await?).map(Self)
    }
}

/// The conversation in the path. What is no id is no conversation.
pub struct InPath<T>(pub T);

impl FromRequestParts<App> for InPath<ConversationId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(TurnRefused::NoSuchConversation.into())
    }
}

impl FromRequestParts<App> for InPath<crate::id::MessageId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(TurnRefused::NoSuchMessage.into())
    }
}

impl FromRequestParts<App> for InPath<crate::id::CharacterId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchCharacter)
    }
}

impl FromRequestParts<App> for InPath<crate::id::MemoryId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchMemory)
    }
}

impl FromRequestParts<App> for InPath<crate::id::KeyId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchKey)
    }
}

impl FromRequestParts<App> for InPath<crate::id::SessionId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchSession)
    }
}

impl FromRequestParts<App> for InPath<crate::id::UserId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchUser)
    }
}

impl FromRequestParts<App> for InPath<crate::id::InvitationId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchInvitation)
    }
}

impl FromRequestParts<App> for InPath<crate::id::InviteId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchInvite)
    }
}

impl FromRequestParts<App> for InPath<starling_protocol::swarm::PeerId> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let id = id_in_path(parts, app).await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or(ApiError::NoSuchMember)
    }
}

/// Whether the body says that it is JSON: a form of another site cannot say so.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Reads JSON, and says where it is not what it must be.
///
/// # Errors
/// [`ApiError::BadJson`] or [`ApiError::BadField`].
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| ApiError::BadJson { reason: error.to_string() })?;
    Ok(value)
}

async fn id_in_path(parts: &mut Parts, app: &App) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, app).await.ok()?;
    params.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned())
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let all = timeout(BODY_TIMEOUT, axum::body::to_bytes(body, limit));
    all.await.map_err(|_| ApiError::BodyBroken)?.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.to_string() == "length limit exceeded" {
                return ApiError::BodyTooLarge { limit };
            }
            cause = error.source();
        }
        ApiError::BodyBroken
    })
}

fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let inner = error.inner();
    if !inner.is_data() {
        return ApiError::BadJson { reason: inner.to_string() };
    }
    // The place in the text says nothing to one who did not write it by hand.
    let reason = inner.to_string();
    let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
    let mut field = String::new();
    for segment in error.path() {
        match segment {
            Segment::Seq { index } => field.push_str(&format!("[{index}]")),
            Segment::Map { key } => join(&mut field, key),
            Segment::Enum { variant } => join(&mut field, variant),
            Segment::Unknown => {}
        }
    }
    if let Some(missing) = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        join(&mut field, missing);
        return ApiError::field(field, "is missing");
    }
    if field.is_empty() { ApiError::BadJson { reason: reason.to_owned() } } else { ApiError::field(field, reason) }
}

fn join(field: &mut String, name: &str) {
    if !field.is_empty() {
        field.push('.');
    }
    field.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::SignInRequest;

    #[track_caller]
    fn check(json: &str, field: Option<&str>, reason: &str) {
        let Err(error) = parse::<SignInRequest>(json.as_bytes()) else { panic!("{json} was taken") };
        let refusal = error.refusal();
        assert_eq!(refusal.field.as_deref(), field, "{json}");
        assert!(refusal.message.contains(reason), "{}", refusal.message);
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said() {
        check("", None, "EOF");
        check("{", None, "EOF");
        check("5", None, "invalid type");
        check("nonsense", None, "expected");
        check(r#"{"username":"a"}"#, Some("password"), "is missing");
        check(r#"{"username":1,"password":"b"}"#, Some("username"), "invalid type: integer `1`, expected a string");
        check(r#"{"username":"a","password":"b"} x"#, None, "trailing");
        assert!(parse::<SignInRequest>(br#"{"username":"a","password":"b","role":"admin"}"#).is_ok());
    }
}
