//! A person's API keys.

use axum::{Json as Answer, extract::State, http::StatusCode};

use super::{
    auth::{Address, SignedIn},
    error::ApiError,
    extract::{InPath, Json},
    terms::{self, MAX_LABEL_BYTES},
    wire::{KeyAnswer, KeyList, NewKey},
};
use crate::{
    app::App,
    id::KeyId,
    secret::{KEY_PREFIX, Token},
    store::{
        audit::Action,
        keys::{self, Scope},
        tokens::MAX_BUDGET,
    },
};

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
    from: Address,
    Json(asked): Json<NewKey>,
) -> Result<(StatusCode, Answer<KeyAnswer>), ApiError> {
    let new = check(asked)?;
    let secret = Token::generate(KEY_PREFIX);
    let key = app.store.create_key(by.user.id, &new, &secret.digest()).await?.ok_or(ApiError::TooManyKeys)?;
    app.note(&by.user, Action::KeyMade, key.id, from).await;
    let answer = KeyAnswer { key: (key, 0).into(), secret: secret.reveal().to_owned() };
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
    from: Address,
    InPath(id): InPath<KeyId>,
) -> Result<StatusCode, ApiError> {
    let was_there = app.store.delete_key(by.user.id, id).await?;
    if was_there {
        app.note(&by.user, Action::KeyRevoked, id, from).await;
    }
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchKey)
}

fn check(NewKey { label, scopes, tokens_per_month }: NewKey) -> Result<keys::NewKey, ApiError> {
    let label = terms::label(&label, 1..=MAX_LABEL_BYTES)?;
    let mut scopes = scopes.map_or_else(|| Scope::ALL.to_vec(), |scopes| scopes.into_iter().map(Into::into).collect());
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(ApiError::field("scopes", "must name at least one"));
    }
    let tokens_per_month = check_budget(tokens_per_month.unwrap_or_default())?;
    Ok(keys::NewKey { label, scopes, tokens_per_month })
}

/// Whether this may become a budget.
pub(super) fn check_budget(tokens: u64) -> Result<u64, ApiError> {
    if tokens <= MAX_BUDGET {
        return Ok(tokens);
    }
    Err(ApiError::field("tokens_per_month", format!("must be at most {MAX_BUDGET}, or 0 for no limit")))
}
