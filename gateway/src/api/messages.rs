//! Single answers of a person's conversations.

use axum::{Json as Answer, extract::State, http::StatusCode};

use super::{
    auth::SignedIn,
    conversations,
    error::ApiError,
    extract::InPath,
    wire::{ConversationDetail, GoOnAnswer},
};
use crate::{app::App, events::Event, id::MessageId, turn::TurnRefused};

/// `POST /api/messages/{id}/go-on`: more of an answer that was cut short, in its place. The chat socket shows it.
#[utoipa::path(
    post,
    path = "/api/messages/{id}/go-on",
    summary = "More of an answer that was cut short",
    params(("id" = MessageId, Path)),
    responses((status = 202, description = "It goes on; the chat socket shows it", body = GoOnAnswer)),
)]
pub(super) async fn go_on(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<MessageId>,
) -> Result<(StatusCode, Answer<GoOnAnswer>), ApiError> {
    let begun = app.turns.go_on(by.user.id, id).await?;
    let conversation = begun.accepted.conversation.clone().into();
    Ok((StatusCode::ACCEPTED, Answer(GoOnAnswer { conversation, turn: begun.turn })))
}

/// `POST /api/messages/{id}/show`: the branch through this message is the one that is shown, and goes on.
#[utoipa::path(
    post,
    path = "/api/messages/{id}/show",
    summary = "Shows the branch through this message",
    params(("id" = MessageId, Path)),
    responses((status = 200, description = "", body = ConversationDetail)),
)]
pub(super) async fn show(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<MessageId>,
) -> Result<Answer<ConversationDetail>, ApiError> {
    let conversation = app.store.conversation_of(by.user.id, id).await?.ok_or(TurnRefused::NoSuchMessage)?;
    if app.turns.is_busy(conversation) {
        return Err(TurnRefused::TurnRunning.into());
    }
    app.store.show_branch(conversation, id).await?;
    app.events.tell(by.user.id, Event::Reread(conversation));
    conversations::detail(&app, by.user.id, conversation).await.map(Answer)
}
