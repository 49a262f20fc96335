//! What was said in a conversation.

use sqlx::Row;
use starling_protocol::message::{Private, Role};

use super::{
    DbRow, Store, StoreError,
    branches::{Position, Tree},
    memories::recalled::{self, Recalled},
    rows::{self, words},
    seal::{self, Table, UserKeys},
};
use crate::{
    clock::Timestamp,
    id::{ConversationId, MessageId, UserId},
};

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// An answer that is being given.
    Running,
    /// Whole.
    Complete,
    /// Cut short, with some text.
    Partial,
    /// Cut short before any text.
    Failed,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// It reached the most tokens it may have.
    Length,
    /// Its reader ended it.
    Cancelled,
    /// Something broke.
    Error,
}

words!(Role { Role::System = "system", Role::User = "user", Role::Assistant = "assistant", Role::Tool = "tool" });
words!(Status {
    Status::Running = "running",
    Status::Complete = "complete",
    Status::Partial = "partial",
    Status::Failed = "failed",
});
words!(FinishReason {
    FinishReason::Stop = "stop",
    FinishReason::Length = "length",
    FinishReason::Cancelled = "cancelled",
    FinishReason::Error = "error",
});

/// A question or an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Who it is from.
    pub role: Role,
    /// What it says.
    pub text: Private,
    /// How far it has come.
    pub status: Status,
    /// When it was begun.
    pub created_at: Timestamp,
    /// What broke, if anything did.
    pub error: Option<TurnError>,
    /// Who gave it, if a node did.
    pub answer: Option<Answer>,
    /// It is cut short, and can go on.
    pub resumable: bool,
    /// Where it stands.
    pub position: Position,
    /// What it was given with, from its reader's memory.
    pub recalled: Vec<Recalled>,
}

/// What broke, in the words that the reader was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnError {
    /// Stable.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Who gave an answer, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The name at that time of the node that gave the last of it.
    pub node_name: String,
    /// That node.
    pub node_peer: String,
    /// The names of all nodes that gave a part of it, in order.
    pub nodes: Vec<String>,
    /// What computed there, in words; empty when it was not said.
    pub device: String,
    /// The model's name at that time.
    pub model: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens of the prompt; 0 when the node was lost before it could say.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub completion_tokens: u32,
    /// From question to first token, in milliseconds, at the gateway.
    pub first_token_ms: Option<f64>,
    /// After the first token.
    pub tokens_per_second: Option<f64>,
}

impl Message {
    pub(super) fn read(row: &DbRow, keys: &UserKeys) -> Result<Self, sqlx::Error> {
        let id: &str = row.try_get("id")?;
        Ok(Self {
            id: rows::parse("id", id)?,
            role: rows::word("role", row.try_get("role")?)?,
            text: Private(keys.text(Table::Messages, row, id, "text")?),
            status: rows::word("status", row.try_get("status")?)?,
            created_at: Timestamp(row.try_get("created_at")?),
            error: error(row, id, keys)?,
            answer: answer(row)?,
            resumable: rows::flag(row, "resumable")?,
            // Where else there are versions of it is in other rows.
            position: Position { number: row.try_get("position")?, ..Position::default() },
            recalled: vec![],
        })
    }
}

impl Store {
    /// One message of a user's conversation.
    pub async fn message(
        &self,
        user: UserId,
        conversation: ConversationId,
        id: MessageId,
    ) -> Result<Option<Message>, StoreError> {
        let row = sqlx::query(
            "SELECT messages.* FROM messages JOIN conversations ON conversations.id = conversation_id
             WHERE messages.id = ? AND conversation_id = ? AND user_id = ?",
        )
        .bind(id.to_string())
        .bind(conversation.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let keys = self.keys_of(user).await?;
        let message = Message::read(&row, &keys)?;
        let tree = Tree::read(&self.readers, &conversation.to_string()).await?;
        let recalled = recalled::of(&self.readers, id, &keys).await?;
        Ok(Some(tree.place(Message { recalled, ..message })))
    }
}

impl TurnError {
    /// For the column `sealed_error` of that message.
    pub(super) fn seal(&self, message: MessageId, keys: &UserKeys) -> Result<Vec<u8>, sqlx::Error> {
        keys.seal(Table::Errors, message, self.message.as_bytes())
    }
}

fn error(row: &DbRow, id: &str, keys: &UserKeys) -> Result<Option<TurnError>, sqlx::Error> {
    let Some(code) = row.try_get("error_code")? else { return Ok(None) };
    let message = match row.try_get::<Option<&[u8]>, _>("sealed_error")? {
        Some(sealed) => seal::utf8(keys.open(Table::Errors, id, sealed)?)?,
        None => row.try_get::<Option<String>, _>("error_message")?.unwrap_or_default(),
    };
    Ok(Some(TurnError { code, message }))
}

fn answer(row: &DbRow) -> Result<Option<Answer>, sqlx::Error> {
    let Some(node_peer) = row.try_get("node_peer")? else { return Ok(None) };
    let node_name: String = row.try_get("node_name")?;
    let nodes = match row.try_get::<Option<&str>, _>("nodes")? {
        Some(nodes) => serde_json::from_str(nodes).map_err(|_| rows::unreadable("nodes"))?,
        None => vec![node_name.clone()],
    };
    Ok(Some(Answer {
        node_peer,
        node_name,
        nodes,
        device: row.try_get::<Option<_>, _>("device")?.unwrap_or_default(),
        model: row.try_get("model")?,
        finish_reason: rows::word("finish_reason", row.try_get("finish_reason")?)?,
        prompt_tokens: rows::number(row, "prompt_tokens")?,
        completion_tokens: rows::number(row, "completion_tokens")?,
        first_token_ms: row.try_get("first_token_ms")?,
        tokens_per_second: row.try_get("tokens_per_second")?,
    }))
}
