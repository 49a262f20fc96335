//! All that one person has said here, read a page at a time, to be taken elsewhere. Each function takes the user: one who
//! asks for another's finds nothing.

use sqlx::Row;

use super::{Store, StoreError, conversations::Conversation, messages::Message};
use crate::id::{ConversationId, UserId};

/// A message and the number of the one that it follows; 0 at the beginning.
#[derive(Clone, Debug)]
pub struct Said {
    pub message: Message,
    pub follows: i64,
}

impl Store {
    /// A user's conversations in the order in which they were made, from behind `after`. That order does not change
    /// while somebody goes on talking.
    pub async fn conversations_made(
        &self,
        user: UserId,
        after: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>, StoreError> {
        let sql = "SELECT * FROM conversations WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?";
        let page = sqlx::query(sql)
            .bind(user.to_string())
            .bind(after.map(|id| id.to_string()).unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        let keys = self.keys_of(user).await?;
        Ok(page.iter().map(|row| Conversation::read(row, &keys)).collect::<Result<_, _>>()?)
    }

    /// The messages of all branches of one of a user's conversations, in order of their numbers, from behind the number
    /// `after`. An answer that is still being given is not among them.
    pub async fn said(
        &self,
        user: UserId,
        conversation: ConversationId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Said>, StoreError> {
        let page = sqlx::query(
            "SELECT messages.*, COALESCE(messages.parent, messages.position - 1) AS follows
             FROM messages JOIN conversations ON conversations.id = conversation_id
             WHERE conversation_id = ? AND user_id = ? AND position > ? AND status <> 'running'
             ORDER BY position LIMIT ?",
        )
        .bind(conversation.to_string())
        .bind(user.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        let keys = self.keys_of(user).await?;
        let said =
            page.iter().map(|row| Ok(Said { message: Message::read(row, &keys)?, follows: row.try_get("follows")? }));
        said.collect::<Result<_, sqlx::Error>>().map_err(StoreError::from)
    }

    /// The number of the message where the branch ends that is shown of one of a user's conversations.
    pub async fn shown(&self, user: UserId, conversation: ConversationId) -> Result<Option<i64>, StoreError> {
        let leaf: Option<Option<i64>> =
            sqlx::query_scalar("SELECT leaf FROM conversations WHERE id = ? AND user_id = ?")
                .bind(conversation.to_string())
                .bind(user.to_string())
                .fetch_optional(&self.readers)
                .await?;
        Ok(leaf.flatten())
    }
}
