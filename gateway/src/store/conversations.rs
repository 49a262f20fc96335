//! Conversations. Each function takes the user: one who asks for another's finds nothing.

use sqlx::{FromRow, Row, sqlite::SqliteRow};
use starling_protocol::message::Private;

use super::{Store, StoreError, rows};
use crate::{
    clock::Timestamp,
    id::{ConversationId, UserId},
};

/// A conversation, without its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// What its owner calls it.
    pub title: Private,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something was last said in it.
    pub updated_at: Timestamp,
}

impl FromRow<'_, SqliteRow> for Conversation {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("id", row.try_get("id")?)?,
            title: Private(row.try_get("title")?),
            created_at: Timestamp(row.try_get("created_at")?),
            updated_at: Timestamp(row.try_get("updated_at")?),
        })
    }
}

impl Store {
    /// A user's conversations, the last used first, from behind `before`.
    pub async fn conversations(
        &self,
        user: UserId,
        before: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let page = sqlx::query_as(
            "SELECT * FROM conversations WHERE user_id = ?1 AND (?2 IS NULL OR (updated_at, id) <
                 (SELECT updated_at, id FROM conversations WHERE id = ?2 AND user_id = ?1))
             ORDER BY updated_at DESC, id DESC LIMIT ?3",
        )
        .bind(user.to_string())
        .bind(before.map(|id| id.to_string()))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(page)
    }

    /// A new, empty conversation.
    pub async fn create_conversation(&self, user: UserId, title: Private) -> Result<Conversation, StoreError> {
        let now = Timestamp::now();
        let conversation = Conversation { id: ConversationId::generate(), title, created_at: now, updated_at: now };
        insert(&self.writer, user, &conversation).await?;
        Ok(conversation)
    }

    /// One of a user's conversations.
    pub async fn conversation(&self, user: UserId, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let found = sqlx::query_as("SELECT * FROM conversations WHERE id = ? AND user_id = ?")
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(&self.readers)
            .await?;
        Ok(found)
    }

    /// Gives it another title; `None` when the user has none of that id.
    pub async fn rename_conversation(
        &self,
        user: UserId,
        id: ConversationId,
        title: &Private,
    ) -> Result<Option<Conversation>, StoreError> {
        let renamed = sqlx::query_as("UPDATE conversations SET title = ? WHERE id = ? AND user_id = ? RETURNING *")
            .bind(&title.0)
            .bind(id.to_string())
            .bind(user.to_string())
            .fetch_optional(&self.writer)
            .await?;
        Ok(renamed)
    }

    /// Deletes it with all its messages; false when the user has none of that id.
    pub async fn delete_conversation(&self, user: UserId, id: ConversationId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM conversations WHERE id = ? AND user_id = ?")
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

pub(super) async fn insert<'e>(
    to: impl sqlx::Executor<'e, Database = sqlx::Sqlite>,
    user: UserId,
    conversation: &Conversation,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO conversations (id, user_id, title, created_at, updated_at) VALUES (?, ?, ?, ?, ?)")
        .bind(conversation.id.to_string())
        .bind(user.to_string())
        .bind(conversation.title.0.clone())
        .bind(conversation.created_at.0)
        .bind(conversation.updated_at.0)
        .execute(to)
        .await
        .map(drop)
}
