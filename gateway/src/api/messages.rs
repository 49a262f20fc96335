//! Single answers of a person's conversations.

use axum::{Json as Answer, extract::State, http::StatusCode};

use super::{auth::SignedIn, error::ApiError, extract::InPath, wire::GoOnAnswer};
use crate::{app::App, id::MessageId};

/// `POST /api/messages/{id}/go-on`: more of an answer that was cut short, in its place. The chat socket shows it.
pub(super) async fn go_on(
    State(app): State<App>,
    by: SignedIn,
    InPath(id): InPath<MessageId>,
) -> Result<(StatusCode, Answer<GoOnAnswer>), ApiError> {
    let begun = app.turns.go_on(by.user.id, id).await?;
    let conversation = begun.accepted.conversation.clone().into();
    Ok((StatusCode::ACCEPTED, Answer(GoOnAnswer { conversation, turn: begun.turn })))
}
