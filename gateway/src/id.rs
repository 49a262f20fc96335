//! The gateway's own identifiers: UUIDv7, one type for each thing, so that none is taken for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
        #[ts(as = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id; ids made later sort later.
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// An account.
    UserId;
    /// A conversation of one user.
    ConversationId;
    /// A question or an answer.
    MessageId;
    /// Whom a conversation is held with.
    CharacterId;
    /// An API key, not its secret.
    KeyId;
    /// An invite, not its secret.
    InviteId;
    /// A line of the audit log.
    AuditId;
    /// Somebody signed in on one device.
    SessionId;
    /// An invitation to make an account, not its secret.
    InvitationId;
    /// A fact or a passage that is remembered.
    MemoryId;
    /// What an answer may come to, held against a budget while it runs.
    HoldId;
}

impl MemoryId {
    /// As the index knows it.
    #[must_use]
    pub fn key(self) -> starling_index::Key {
        self.0.as_u128()
    }

    /// What [`key`](Self::key) gave.
    #[must_use]
    pub fn of_key(key: starling_index::Key) -> Self {
        Self(Uuid::from_u128(key))
    }
}

/// A turn is known by the message that its answer becomes.
pub type TurnId = MessageId;
