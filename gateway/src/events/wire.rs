//! Events as gateways say them to each other. What a gateway does not know of, it passes over.

use serde::{Deserialize, Serialize};

use super::{Event, Order};
use crate::id::{ConversationId, TurnId, UserId};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    Changed { user: UserId, conversation: ConversationId, titled: bool },
    Deleted { user: UserId, conversation: ConversationId },
    Reread { user: UserId, conversation: ConversationId },
    Began { user: UserId, conversation: ConversationId, turn: TurnId },
    Ended { user: UserId, conversation: ConversationId, turn: TurnId },
    Stop { user: UserId, turn: TurnId },
    TakeUp,
    Missed,
    Out { user: UserId },
}

impl Said {
    /// `None` for what others need not know.
    pub(super) fn of(user: UserId, event: &Event) -> Option<Self> {
        Some(match *event {
            Event::Changed(ref conversation) => Self::Changed { user, conversation: conversation.id, titled: false },
            Event::Titled(ref conversation) => Self::Changed { user, conversation: conversation.id, titled: true },
            Event::Deleted(conversation) => Self::Deleted { user, conversation },
            Event::Reread(conversation) => Self::Reread { user, conversation },
            Event::Began(conversation, turn) => Self::Began { user, conversation, turn },
            Event::Ended(conversation, turn) => Self::Ended { user, conversation, turn },
            Event::Out => Self::Out { user },
            Event::Missed => return None,
        })
    }

    pub(super) fn order(order: &Order) -> Self {
        match *order {
            Order::Stop(user, turn) => Self::Stop { user, turn },
            Order::StopIn(user, conversation) => Self::Deleted { user, conversation },
            Order::TakeUp => Self::TakeUp,
            Order::Out(user) => Self::Out { user },
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it is plain data")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
