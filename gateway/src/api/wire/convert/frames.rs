//! What happens, as the sockets are told.

use super::{
    super::{ErrorBody, Message, frames::ServerFrame},
    path,
};
use crate::{
    dispatch::Estimate,
    events::Event,
    id::{ConversationId, TurnId},
    store::conversations,
    turn::{Ended, News},
};

/// What happened to a person's conversations, as their windows are told.
#[must_use]
pub fn event(event: Event) -> Option<ServerFrame> {
    let copy = |conversation: std::sync::Arc<conversations::Conversation>| (*conversation).clone().into();
    Some(match event {
        Event::Changed(conversation) => ServerFrame::Changed { conversation: copy(conversation) },
        Event::Titled(conversation) => ServerFrame::Titled { conversation: copy(conversation) },
        Event::Deleted(conversation) => ServerFrame::Deleted { conversation },
        Event::Reread(conversation) => ServerFrame::Reread { conversation },
        Event::Began(conversation, turn) => ServerFrame::Began { conversation, turn },
        Event::Ended(conversation, turn) => ServerFrame::Ended { conversation, turn },
        Event::Missed => ServerFrame::Missed,
        Event::Out => return None,
    })
}

/// What happened in a turn, as its readers are told.
#[must_use]
pub fn frame(turn: TurnId, conversation: ConversationId, news: News) -> ServerFrame {
    match news {
        News::Waiting(Estimate { position, seconds }) => ServerFrame::Waiting { turn, position, seconds },
        News::Loading(load) => ServerFrame::LoadingModel {
            turn,
            node_name: load.node_name.clone(),
            model: load.model.clone(),
            permille: load.permille,
        },
        News::Started(who) => ServerFrame::Started {
            turn,
            conversation,
            node_name: who.node_name.clone(),
            node_peer: who.node_peer.clone(),
            path: path(who.relayed),
            model: who.model.clone(),
            nodes: who.nodes.clone(),
        },
        News::Thinking => ServerFrame::Thinking { turn },
        News::Piece { from, seq, text } => ServerFrame::Piece { turn, from, seq, text },
        News::Ended(ended) => end(turn, conversation, &ended),
    }
}

/// A turn's last frame.
pub fn end(turn: TurnId, conversation: ConversationId, ended: &Ended) -> ServerFrame {
    let message = ended.message.clone().map(Message::from);
    match (message, &ended.error) {
        (Some(message), None) => ServerFrame::Done { turn, conversation, message },
        (message, error) => ServerFrame::Failed {
            turn: Some(turn),
            request: None,
            conversation: Some(conversation),
            error: error.clone().map_or_else(deleted, Into::into),
            message,
        },
    }
}

fn deleted() -> ErrorBody {
    let message = "The conversation was deleted while this answer was being given.".to_owned();
    ErrorBody { code: "no_such_conversation".to_owned(), message, field: None }
}
