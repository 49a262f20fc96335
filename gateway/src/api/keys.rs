//! A person's API keys.

use axum::{Json as Answer, extract::State, http::StatusCode};

use super::{
    auth::SignedIn,
    error::ApiError,
    extract::{InPath, Json},
    wire::{KeyAnswer, KeyList, NewKey},
};
use crate::{
    app::App,
    id::KeyId,
    secret::{KEY_PREFIX, Token},
};

/// Longest label, in bytes.
const MAX_LABEL_BYTES: usize = 64;

/// `GET /api/keys`
#[utoipa::path(
    get,
    path = "/api/keys",
    summary = "Keys of the OpenAI-compatible API, without their secrets",
    responses((status = 200, description = "", body = KeyList)),
)]
pub(super) async fn list(State(app): State<App>, by: SignedIn) -> Result<Answer<KeyList>, ApiError> {
    let keys = app.store.keys(by.user.id).await?;
    Ok(Answer(KeyList { keys: keys.into_iter().map(Into::into).collect() }))
}

/// `POST /api/keys`
#[utoipa::path(
    post,
    path = "/api/keys",
    summary = "Makes a key",
    request_body(content = NewKey, example = json!({"label": "my laptop"})),
    responses((status = 201, description = "The only time that the secret is shown", body = KeyAnswer)),
)]
pub(super) async fn create(
    State(app): State<App>,
    by: SignedIn,
    Json(NewKey { label }): Json<NewKey>,
) -> Result<(StatusCode, Answer<KeyAnswer>), ApiError> {
    let label = label.trim();
    if !(1..=MAX_LABEL_BYTES).contains(&label.len()) || label.chars().any(char::is_control) {
        return Err(ApiError::field("label", format!("must be 1 to {MAX_LABEL_BYTES} bytes on one line")));
    }
    let secret = Token::generate(KEY_PREFIX);
    let key = app.store.create_key(by.user.id, label, &secret.digest()).await?.ok_or(ApiError::TooManyKeys)?;
    let answer = KeyAnswer { key: key.into(), secret: secret.reveal().to_owned() };
    Ok((StatusCode::CREATED, Answer(answer)))
}

/// `DELETE /api/keys/{id}`
#[utoipa::path(
    delete,
    path = "/api/keys/{id}",
    summary = "Revokes a key",
    params(("id" = KeyId, Path)),
    responses((status = 204, description = "It is gone")),
)]
pub(super) async fn delete(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<KeyId>,
) -> Result<StatusCode, ApiError> {
    let was_there = app.store.delete_key(by.user.id, id).await?;
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchKey)
}
