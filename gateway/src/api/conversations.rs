//! A person's conversations. Another's are not there.

use std::sync::Arc;

use axum::{
    Json as Answer,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use starling_protocol::message::Private;

use super::{
    auth::SignedIn,
    characters::{MAX_SYSTEM_BYTES, check_sampling, check_text},
    error::ApiError,
    extract::{InPath, Json},
    wire::{ChangeConversation, ConversationAnswer, ConversationDetail, ConversationList, NewConversation},
};
use crate::{
    app::App,
    events::Event,
    id::{ConversationId, UserId},
    store::{
        branches::UpTo,
        conversations::{Change, Conversation},
    },
    turn::TurnRefused,
};

/// Longest title, in bytes.
const MAX_TITLE_BYTES: usize = 256;
/// Conversations in one answer.
const MAX_PAGE: u32 = 100;
/// Longest words to look for, in bytes.
const MAX_SEARCH_BYTES: usize = 200;

#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<ConversationId>,
    limit: Option<u32>,
    search: Option<String>,
}

/// `GET /api/conversations`; with `search` those in which these words stand.
#[utoipa::path(
    get,
    path = "/api/conversations",
    summary = "Conversations, those of late first",
    params(("before" = Option<ConversationId>, Query, description = "Those behind this one"), ("limit" = Option<u32>, Query, description = "1 to 100; 50 when missing"), ("search" = Option<String>, Query, description = "Those in which these words stand")),
    responses((status = 200, description = "", body = ConversationList)),
)]
pub(super) async fn list(
    State(app): State<App>,
    by: SignedIn,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Answer<ConversationList>, ApiError> {
    let Query(Page { before, limit, search }) = page.map_err(|error| ApiError::field("query", error.body_text()))?;
    let limit = limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {MAX_PAGE}")));
    }
    let page = match search {
        Some(words) => app.store.search(by.user.id, check_search(&words, before)?, limit).await?,
        None => app.store.conversations(by.user.id, before, limit).await?,
    };
    Ok(Answer(ConversationList { conversations: page.into_iter().map(Into::into).collect() }))
}

/// `POST /api/conversations`
#[utoipa::path(
    post,
    path = "/api/conversations",
    summary = "Begins a conversation",
    request_body(content = NewConversation, example = json!({"title": "Birds"})),
    responses((status = 201, description = "", body = ConversationAnswer)),
)]
pub(super) async fn create(
    State(app): State<App>,
    by: SignedIn,
    Json(new): Json<NewConversation>,
) -> Result<(StatusCode, Answer<ConversationAnswer>), ApiError> {
    let title = new.title.map(check_title).transpose()?;
    let character = match new.character {
        Some(id) => Some(app.store.character(by.user.id, id).await?.ok_or(ApiError::NoSuchCharacter)?),
        None => None,
    };
    let mut persona = character.as_ref().map(|character| character.persona.clone()).unwrap_or_default();
    if let Some(text) = new.system_prompt {
        persona.system_prompt = check_text("system_prompt", text, MAX_SYSTEM_BYTES)?;
    }
    if let Some(sampling) = new.sampling {
        persona.sampling = check_sampling(sampling)?;
    }
    let character = character.map(|character| character.id);
    let made = app.store.open_conversation(by.user.id, title, character, &persona).await?;
    Ok((StatusCode::CREATED, tell(&app, by.user.id, made)))
}

/// `GET /api/conversations/{id}`
#[utoipa::path(
    get,
    path = "/api/conversations/{id}",
    summary = "A conversation and the branch of it that is shown",
    params(("id" = ConversationId, Path)),
    responses((status = 200, description = "", body = ConversationDetail)),
)]
pub(super) async fn show(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<ConversationId>,
) -> Result<Answer<ConversationDetail>, ApiError> {
    detail(&app, by.user.id, id).await.map(Answer)
}

/// The branch that is shown.
pub(super) async fn detail(app: &App, user: UserId, id: ConversationId) -> Result<ConversationDetail, ApiError> {
    let conversation = app.store.conversation(user, id).await?.ok_or(TurnRefused::NoSuchConversation)?;
    let branch = app.store.branch(user, id, UpTo::End).await?.ok_or(TurnRefused::NoSuchConversation)?;
    let messages = branch.messages.into_iter().map(Into::into).collect();
    Ok(ConversationDetail { conversation: conversation.into(), messages })
}

/// `PATCH /api/conversations/{id}`
#[utoipa::path(
    patch,
    path = "/api/conversations/{id}",
    summary = "Renames or pins a conversation, or says how it is answered",
    params(("id" = ConversationId, Path)),
    request_body = ChangeConversation,
    responses((status = 200, description = "", body = ConversationAnswer)),
)]
pub(super) async fn change(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<ConversationId>,
    Json(wanted): Json<ChangeConversation>,
) -> Result<Answer<ConversationAnswer>, ApiError> {
    let told = wanted.system_prompt.map(|text| check_text("system_prompt", text, MAX_SYSTEM_BYTES));
    let change = Change {
        title: wanted.title.map(check_title).transpose()?,
        pinned: wanted.pinned,
        sampling: wanted.sampling.map(check_sampling).transpose()?,
        system_prompt: told.transpose()?,
    };
    let changed = app.store.change_conversation(by.user.id, id, &change).await?;
    Ok(tell(&app, by.user.id, changed.ok_or(TurnRefused::NoSuchConversation)?))
}

/// Tells a person's other windows too.
pub(super) fn tell(app: &App, user: UserId, changed: Conversation) -> Answer<ConversationAnswer> {
    app.events.tell(user, Event::Changed(Arc::new(changed.clone())));
    Answer(ConversationAnswer { conversation: changed.into() })
}

/// `DELETE /api/conversations/{id}`. What is being answered in it is stopped.
#[utoipa::path(
    delete,
    path = "/api/conversations/{id}",
    summary = "Deletes a conversation, and stops what is being answered in it",
    params(("id" = ConversationId, Path)),
    responses((status = 204, description = "It is gone")),
)]
pub(super) async fn delete(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<ConversationId>,
) -> Result<StatusCode, ApiError> {
    if !app.store.delete_conversation(by.user.id, id).await? {
        return Err(TurnRefused::NoSuchConversation.into());
    }
    app.turns.stop_in(by.user.id, id);
    app.events.tell(by.user.id, Event::Deleted(id));
    Ok(StatusCode::NO_CONTENT)
}

fn check_search(words: &str, before: Option<ConversationId>) -> Result<&str, ApiError> {
    if before.is_some() {
        return Err(ApiError::field("before", "does not go with search, which has one page"));
    }
    let words = words.trim();
    if (1..=MAX_SEARCH_BYTES).contains(&words.len()) {
        return Ok(words);
    }
    Err(ApiError::field("search", format!("must be 1 to {MAX_SEARCH_BYTES} bytes")))
}

pub(super) fn check_title(title: String) -> Result<Private, ApiError> {
    let title = title.trim();
    if (1..=MAX_TITLE_BYTES).contains(&title.len()) && !title.chars().any(char::is_control) {
        return Ok(Private(title.to_owned()));
    }
    Err(ApiError::field("title", format!("must be 1 to {MAX_TITLE_BYTES} bytes on one line")))
}
