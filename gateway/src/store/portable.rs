//! A conversation as a whole, to be taken elsewhere and back, and looking for words in all of them.

use sqlx::FromRow;

use super::{
    Store, StoreError, Write,
    branches::Tree,
    conversations::{self, Conversation},
    messages::Message,
    rows::Word,
};
use crate::id::{ConversationId, MessageId, UserId};

/// Conversations that a search looks into, the last used ones: it reads every word of them.
const SEARCHED: u32 = 1_000;

/// All there is of a conversation.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The conversation.
    pub conversation: Conversation,
    /// The messages of all its branches, in order of their numbers.
    pub messages: Vec<Message>,
    /// The number of the message where the branch ends that is shown.
    pub leaf: Option<i64>,
}

impl Store {
    /// One of a user's conversations with all its branches, without an answer that is still being given.
    pub async fn whole(&self, user: UserId, id: ConversationId) -> Result<Option<Whole>, StoreError> {
        let Some(conversation) = self.conversation(user, id).await? else { return Ok(None) };
        let (leaf,): (Option<i64>,) = sqlx::query_as("SELECT leaf FROM conversations WHERE id = ?")
            .bind(id.to_string())
            .fetch_one(&self.readers)
            .await?;
        let tree = Tree::read(&self.readers, &id.to_string()).await?;
        let sql = "SELECT * FROM messages WHERE conversation_id = ? AND status <> 'running' ORDER BY position";
        let rows = sqlx::query(sql).bind(id.to_string()).fetch_all(&self.readers).await?;
        let messages: Result<Vec<_>, _> = rows.iter().map(|row| Ok(tree.place(Message::from_row(row)?))).collect();
        messages.map(|messages| Some(Whole { conversation, messages, leaf })).map_err(StoreError::Broken)
    }

    /// Stores a conversation that was made elsewhere, all of it or nothing. What each message follows is named by the
    /// ids that they have, and comes before it.
    pub async fn import(&self, user: UserId, whole: &Whole) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        conversations::insert(&mut *write, user, &whole.conversation).await?;
        for message in &whole.messages {
            insert(&mut write, whole.conversation.id, message, &whole.messages).await?;
        }
        sqlx::query("UPDATE conversations SET leaf = ? WHERE id = ?")
            .bind(whole.leaf)
            .bind(whole.conversation.id.to_string())
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    /// Those of a user's conversations in whose title or messages these words stand, the last used first. Letters
    /// beyond ASCII are found only as they were written. What is encrypted at rest cannot be searched in this way.
    pub async fn search(&self, user: UserId, words: &str, limit: u32) -> Result<Vec<Conversation>, StoreError> {
        let found = sqlx::query_as(
            "SELECT * FROM (SELECT * FROM conversations WHERE user_id = ? ORDER BY updated_at DESC, id DESC LIMIT ?)
                 AS recent
             WHERE title LIKE ? ESCAPE '!' OR EXISTS (SELECT 1 FROM messages WHERE conversation_id = recent.id
                 AND role <> 'system' AND text LIKE ? ESCAPE '!')
             ORDER BY updated_at DESC, id DESC LIMIT ?",
        )
        .bind(user.to_string())
        .bind(SEARCHED)
        .bind(pattern(words))
        .bind(pattern(words))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        Ok(found)
    }
}

/// For LIKE, with its own signs taken as letters.
fn pattern(words: &str) -> String {
    let mut pattern = "%".to_owned();
    for letter in words.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

async fn insert(
    write: &mut Write,
    conversation: ConversationId,
    message: &Message,
    all: &[Message],
) -> Result<(), sqlx::Error> {
    let answer = message.answer.as_ref();
    let nodes = answer.filter(|answer| answer.nodes.len() > 1).map(|answer| &answer.nodes);
    sqlx::query(
        "INSERT INTO messages (id, conversation_id, position, parent, role, text, status, created_at, error_code,
             error_message, node_name, node_peer, device, model, finish_reason, prompt_tokens, completion_tokens,
             first_token_ms, tokens_per_second, nodes)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(message.id.to_string())
    .bind(conversation.to_string())
    .bind(message.position.number)
    .bind(number_of(message.position.parent, all))
    .bind(message.role.word())
    .bind(&message.text.0)
    .bind(message.status.word())
    .bind(message.created_at.0)
    .bind(message.error.as_ref().map(|error| &error.code))
    .bind(message.error.as_ref().map(|error| &error.message))
    .bind(answer.map(|answer| &answer.node_name))
    .bind(answer.map(|answer| &answer.node_peer))
    .bind(answer.map(|answer| &answer.device))
    .bind(answer.map(|answer| &answer.model))
    .bind(answer.map(|answer| answer.finish_reason.word()))
    .bind(answer.map(|answer| answer.prompt_tokens))
    .bind(answer.map(|answer| answer.completion_tokens))
    .bind(answer.and_then(|answer| answer.first_token_ms))
    .bind(answer.and_then(|answer| answer.tokens_per_second))
    .bind(nodes.map(|nodes| serde_json::to_string(nodes).unwrap_or_default()))
    .execute(&mut **write)
    .await
    .map(drop)
}

fn number_of(id: Option<MessageId>, all: &[Message]) -> i64 {
    id.and_then(|id| all.iter().find(|message| message.id == id)).map_or(0, |message| message.position.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_like_are_letters() {
        assert_eq!(pattern("50%_a!"), "%50!%!_a!!%");
        assert_eq!(pattern("Grüße"), "%Grüße%");
    }
}
