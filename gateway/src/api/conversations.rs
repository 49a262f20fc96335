//! A person's conversations. Another's are not there.

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
    wire::{ConversationAnswer, ConversationDetail, ConversationList, NewConversation, RenameConversation},
};
use crate::{
    app::App,
    id::{ConversationId, UserId},
    store::branches::UpTo,
    turn::TurnRefused,
};

/// Longest title, in bytes.
const MAX_TITLE_BYTES: usize = 256;
/// Conversations in one answer.
const MAX_PAGE: u32 = 100;
/// What a conversation is called until something is asked in it.
const UNTITLED: &str = "New conversation";

#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<ConversationId>,
    limit: Option<u32>,
}

/// `GET /api/conversations`
pub(super) async fn list(
    State(app): State<App>,
    by: SignedIn,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Answer<ConversationList>, ApiError> {
    let Query(Page { before, limit }) = page.map_err(|error| ApiError::field("query", error.body_text()))?;
    let limit = limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {MAX_PAGE}")));
    }
    let page = app.store.conversations(by.user.id, before, limit).await?;
    Ok(Answer(ConversationList { conversations: page.into_iter().map(Into::into).collect() }))
}

/// `POST /api/conversations`
pub(super) async fn create(
    State(app): State<App>,
    by: SignedIn,
    Json(NewConversation { title }): Json<NewConversation>,
) -> Result<(StatusCode, Answer<ConversationAnswer>), ApiError> {
    let title = check_title(title.unwrap_or_else(|| UNTITLED.to_owned()))?;
    let conversation = app.store.create_conversation(by.user.id, title).await?.into();
    Ok((StatusCode::CREATED, Answer(ConversationAnswer { conversation })))
}

/// `GET /api/conversations/{id}`
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
pub(super) async fn rename(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<ConversationId>,
    Json(RenameConversation { title }): Json<RenameConversation>,
) -> Result<Answer<ConversationAnswer>, ApiError> {
    let title = check_title(title)?;
    let renamed = app.store.rename_conversation(by.user.id, id, &title).await?;
    let conversation = renamed.ok_or(TurnRefused::NoSuchConversation)?.into();
    Ok(Answer(ConversationAnswer { conversation }))
}

/// `DELETE /api/conversations/{id}`. What is being answered in it is stopped.
pub(super) async fn delete(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<ConversationId>,
) -> Result<StatusCode, ApiError> {
    if !app.store.delete_conversation(by.user.id, id).await? {
        return Err(TurnRefused::NoSuchConversation.into());
    }
    if let Some((turn, _)) = app.turns.running_in(by.user.id, id) {
        app.turns.stop(by.user.id, turn);
    }
    Ok(StatusCode::NO_CONTENT)
}

fn check_title(title: String) -> Result<Private, ApiError> {
    let title = title.trim();
    if (1..=MAX_TITLE_BYTES).contains(&title.len()) && !title.chars().any(char::is_control) {
        return Ok(Private(title.to_owned()));
    }
    Err(ApiError::field("title", format!("must be 1 to {MAX_TITLE_BYTES} bytes on one line")))
}
