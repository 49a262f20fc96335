//! What is remembered of a person. Another's is not there.

use std::time::Duration;

use axum::{
    Json as Answer,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use starling_protocol::message::Private;

use super::{
    auth::SignedIn,
    error::ApiError,
    extract::{InPath, Json},
    wire::{MemoryAnswer, MemoryKind, MemoryList, MemoryStanding, MemorySwitch, MemoryText},
};
use crate::{
    app::App,
    id::{MemoryId, UserId},
    memory::Memory,
    store::{
        Store, StoreError,
        memories::{Kind, MAX_FACTS},
    },
};

/// Longest memory, in bytes.
const MAX_TEXT_BYTES: usize = 2_000;
/// Memories in one answer.
const MAX_PAGE: u32 = 100;
/// Longest words to look for, in bytes.
const MAX_SEARCH_BYTES: usize = 1_000;
/// How long a search may take: a node may have to load the model.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How people begin what is to be remembered; what follows is what they mean.
const REQUESTS: [&str; 4] = ["please remember that ", "remember that ", "please remember: ", "remember: "];

#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<MemoryId>,
    limit: Option<u32>,
    kind: Option<MemoryKind>,
    q: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct OfKind {
    kind: Option<MemoryKind>,
}

/// `GET /api/memories`: the newest first; with `q` those that mean most nearly that.
#[utoipa::path(
    get,
    path = "/api/memories",
    summary = "What is remembered, the newest first; or what means most nearly this",
    params(
        ("before" = Option<MemoryId>, Query, description = "Those behind this one; not with a search"),
        ("limit" = Option<u32>, Query, description = "1 to 100; 50 when missing"),
        ("kind" = Option<MemoryKind>, Query, description = "Only these"),
        ("q" = Option<String>, Query, description = "What to search for, by meaning")
    ),
    responses((status = 200, description = "", body = MemoryList)),
)]
pub(super) async fn list(
    State(app): State<App>,
    by: SignedIn,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Answer<MemoryList>, ApiError> {
    let Query(page) = page.map_err(|error| ApiError::field("query", error.body_text()))?;
    let limit = page.limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {MAX_PAGE}")));
    }
    let kind = page.kind.map(Into::into);
    let memories = match page.q {
        Some(words) if page.before.is_none() => {
            let words = check("q", &words, MAX_SEARCH_BYTES)?;
            let found = app.memory.search(by.user.id, &words, limit as usize, SEARCH_TIMEOUT).await?;
            found
                .into_iter()
                .filter(|found| kind.is_none_or(|kind| found.memory.kind == kind))
                .map(Into::into)
                .collect()
        }
        Some(_) => return Err(ApiError::field("before", "does not go with q: a search has one page")),
        None => {
            let page = app.store.memories(by.user.id, kind, page.before, i64::from(limit)).await?;
            page.into_iter().map(Into::into).collect()
        }
    };
    Ok(Answer(MemoryList { memories }))
}

/// `GET /api/memories/{id}`
#[utoipa::path(
    get,
    path = "/api/memories/{id}",
    summary = "One memory",
    params(("id" = MemoryId, Path)),
    responses((status = 200, description = "", body = MemoryAnswer)),
)]
pub(super) async fn show(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<MemoryId>,
) -> Result<Answer<MemoryAnswer>, ApiError> {
    let found = app.store.memories_of(by.user.id, &[id]).await?.pop().ok_or(ApiError::NoSuchMemory)?;
    Ok(Answer(MemoryAnswer { memory: found.into() }))
}

/// `POST /api/memories`: a fact. "Remember that" at its beginning is understood.
#[utoipa::path(
    post,
    path = "/api/memories",
    summary = "Remembers a fact",
    request_body(content = MemoryText, example = json!({"text": "I live in Lisbon"})),
    responses((status = 201, description = "", body = MemoryAnswer)),
)]
pub(super) async fn create(
    State(app): State<App>,
    by: SignedIn,
    Json(MemoryText { text }): Json<MemoryText>,
) -> Result<(StatusCode, Answer<MemoryAnswer>), ApiError> {
    let text = check("text", without_request(&text), MAX_TEXT_BYTES)?;
    let made = app.store.add_fact(by.user.id, &text).await?.ok_or(ApiError::TooManyFacts)?;
    app.memory.wake();
    Ok((StatusCode::CREATED, Answer(MemoryAnswer { memory: made.into() })))
}

/// `PATCH /api/memories/{id}`: other words.
#[utoipa::path(
    patch,
    path = "/api/memories/{id}",
    summary = "Gives a memory other words",
    params(("id" = MemoryId, Path)),
    request_body(content = MemoryText, example = json!({"text": "I live in Lisbon"})),
    responses((status = 200, description = "", body = MemoryAnswer)),
)]
pub(super) async fn change(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<MemoryId>,
    Json(MemoryText { text }): Json<MemoryText>,
) -> Result<Answer<MemoryAnswer>, ApiError> {
    let text = check("text", &text, MAX_TEXT_BYTES)?;
    let changed = app.store.change_memory(by.user.id, id, &text).await?.ok_or(ApiError::NoSuchMemory)?;
    app.memory.forget(by.user.id, &[id]);
    app.memory.wake();
    Ok(Answer(MemoryAnswer { memory: changed.into() }))
}

/// `DELETE /api/memories/{id}`. Answers that were given with it do not show it any more.
#[utoipa::path(
    delete,
    path = "/api/memories/{id}",
    summary = "Forgets one memory",
    params(("id" = MemoryId, Path)),
    responses((status = 204, description = "")),
)]
pub(super) async fn delete(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<MemoryId>,
) -> Result<StatusCode, ApiError> {
    let was_there = app.store.delete_memory(by.user.id, id).await?;
    app.memory.forget(by.user.id, &[id]);
    was_there.then_some(StatusCode::NO_CONTENT).ok_or(ApiError::NoSuchMemory)
}

/// `DELETE /api/memories`: all, or all of one `kind`. Runs to its end even when its caller leaves.
#[utoipa::path(
    delete,
    path = "/api/memories",
    summary = "Forgets everything, or all of one kind",
    params(("kind" = Option<MemoryKind>, Query, description = "Only these")),
    responses((status = 204, description = "")),
)]
pub(super) async fn delete_all(
    State(app): State<App>,
    by: SignedIn,
    query: Result<Query<OfKind>, QueryRejection>,
) -> Result<StatusCode, ApiError> {
    let Query(OfKind { kind }) = query.map_err(|error| ApiError::field("kind", error.body_text()))?;
    let (store, memory) = (app.store.clone(), app.memory.clone());
    let work = app.life.tasks.spawn(forget(store, memory, by.user.id, kind.map(Into::into)));
    work.await.map_err(|_| ApiError::Panic)??;
    Ok(StatusCode::NO_CONTENT)
}

async fn forget(store: Store, memory: Memory, user: UserId, kind: Option<Kind>) -> Result<(), StoreError> {
    let deleted = store.delete_memories(user, kind).await;
    memory.forget_all(user);
    deleted
}

/// `GET /api/memory`
#[utoipa::path(
    get,
    path = "/api/memory",
    summary = "Whether memory is on, and how much there is",
    responses((status = 200, description = "", body = MemoryStanding)),
)]
pub(super) async fn standing(State(app): State<App>, by: SignedIn) -> Result<Answer<MemoryStanding>, ApiError> {
    let model = app.memory.model();
    let standing = app.store.memory_standing(by.user.id, model.as_ref().map(|model| model.id)).await?;
    Ok(Answer(MemoryStanding {
        enabled: standing.enabled,
        facts: standing.facts,
        max_facts: MAX_FACTS,
        passages: standing.passages,
        waiting: standing.waiting,
        model: model.map(|model| model.name),
    }))
}

/// `PUT /api/memory`: on or off.
#[utoipa::path(
    put,
    path = "/api/memory",
    summary = "Switches memory on or off",
    request_body(content = MemorySwitch, example = json!({"enabled": true})),
    responses((status = 204, description = "")),
)]
pub(super) async fn switch(
    State(app): State<App>,
    by: SignedIn,
    Json(MemorySwitch { enabled }): Json<MemorySwitch>,
) -> Result<StatusCode, ApiError> {
    app.store.set_remembers(by.user.id, enabled).await?;
    app.memory.wake();
    Ok(StatusCode::NO_CONTENT)
}

fn check(field: &str, text: &str, limit: usize) -> Result<Private, ApiError> {
    let text = text.trim();
    if !(1..=limit).contains(&text.len()) {
        return Err(ApiError::field(field, format!("must be 1 to {limit} bytes")));
    }
    Ok(Private(text.to_owned()))
}

/// What is meant by "Remember that I live in Lisbon".
fn without_request(text: &str) -> &str {
    let text = text.trim_start();
    let begins = |request: &&&str| text.get(..request.len()).is_some_and(|head| head.eq_ignore_ascii_case(request));
    REQUESTS.iter().find(begins).map_or(text, |request| &text[request.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remember_that_is_no_part_of_what_is_remembered() {
        for (said, meant) in [
            ("Remember that I live in Lisbon", "I live in Lisbon"),
            (" please REMEMBER: tea, no coffee", "tea, no coffee"),
            ("Remember the milk", "Remember the milk"),
            ("erinnere dich: ü", "erinnere dich: ü"),
            ("", ""),
        ] {
            assert_eq!(without_request(said), meant);
        }
    }
}
