//! A conversation as a whole, to be taken elsewhere and back, and looking for words in all of them.

use std::sync::Arc;

use sqlx::Row;

use super::{
    DbRow, Store, StoreError, Write,
    branches::Tree,
    conversations::{self, Conversation},
    messages::Message,
    rows::Word,
    seal::{Table, UserKeys},
};
use crate::id::{ConversationId, MessageId, UserId};

/// Conversations that a search looks into, the last used ones: it reads every word of them.
const SEARCHED: i64 = 1_000;
/// Messages that it holds at one time.
const SEARCHED_AT_ONCE: i64 = 256;

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
        let keys = self.keys_of(user).await?;
        let messages: Result<Vec<_>, _> = rows.iter().map(|row| Ok(tree.place(Message::read(row, &keys)?))).collect();
        messages.map(|messages| Some(Whole { conversation, messages, leaf })).map_err(StoreError::Broken)
    }

    /// Stores a conversation that was made elsewhere, all of it or nothing. What each message follows is named by the
    /// ids that they have, and comes before it.
    pub async fn import(&self, user: UserId, whole: &Whole) -> Result<(), StoreError> {
        let keys = self.sealing_keys(user).await?;
        let mut write = self.write().await?;
        conversations::insert(&mut write, user, &whole.conversation, &keys).await?;
        for message in &whole.messages {
            insert(&mut write, whole.conversation.id, message, &whole.messages, &keys).await?;
        }
        sqlx::query("UPDATE conversations SET leaf = ? WHERE id = ?")
            .bind(whole.leaf)
            .bind(whole.conversation.id.to_string())
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    /// Those of a user's conversations in whose title or messages these words stand, in capitals or not, the last used
    /// first. It reads in this process, a piece at a time: no database can look into what is sealed.
    pub async fn search(&self, user: UserId, words: &str, limit: u32) -> Result<Vec<Conversation>, StoreError> {
        let sql = "SELECT * FROM conversations WHERE user_id = ? ORDER BY updated_at DESC, id DESC LIMIT ?";
        let recent = sqlx::query(sql).bind(user.to_string()).bind(SEARCHED).fetch_all(&self.readers).await?;
        let (keys, words, mut found) = (self.keys_of(user).await?, Arc::new(words.to_lowercase()), vec![]);
        for row in recent {
            if found.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                break;
            }
            let conversation = Conversation::read(&row, &keys)?;
            if holds(&conversation.title.0, &words) || self.is_said(&keys, conversation.id, &words).await? {
                found.push(conversation);
            }
        }
        Ok(found)
    }

    async fn is_said(&self, keys: &Arc<UserKeys>, id: ConversationId, words: &Arc<String>) -> Result<bool, StoreError> {
        let mut after = 0_i64;
        loop {
            let page = sqlx::query(
                "SELECT id, position, text, sealed FROM messages
                 WHERE conversation_id = ? AND position > ? AND role <> 'system' ORDER BY position LIMIT ?",
            )
            .bind(id.to_string())
            .bind(after)
            .bind(SEARCHED_AT_ONCE)
            .fetch_all(&self.readers)
            .await?;
            let Some(last) = page.last() else { return Ok(false) };
            after = last.try_get("position")?;
            let full = i64::try_from(page.len()).is_ok_and(|rows| rows == SEARCHED_AT_ONCE);
            let (keys, words) = (keys.clone(), words.clone());
            // Opening takes the processor: answers that stream beside it are not to wait.
            let looked = tokio::task::spawn_blocking(move || is_in(&page, &keys, &words)).await;
            if looked.map_err(|_| StoreError::Broken(sqlx::Error::WorkerCrashed))?? {
                return Ok(true);
            }
            if !full {
                return Ok(false);
            }
        }
    }
}

fn is_in(page: &[DbRow], keys: &UserKeys, words: &str) -> Result<bool, sqlx::Error> {
    for row in page {
        if holds(&keys.text(Table::Messages, row, row.try_get("id")?, "text")?, words) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds(text: &str, lower: &str) -> bool {
    text.to_lowercase().contains(lower)
}

async fn insert(
    write: &mut Write,
    conversation: ConversationId,
    message: &Message,
    all: &[Message],
    keys: &UserKeys,
) -> Result<(), sqlx::Error> {
    let answer = message.answer.as_ref();
    let nodes = answer.filter(|answer| answer.nodes.len() > 1).map(|answer| &answer.nodes);
    sqlx::query(
        "INSERT INTO messages (id, conversation_id, position, parent, role, text, sealed, status, created_at, error_code,
             sealed_error, node_name, node_peer, device, model, finish_reason, prompt_tokens, completion_tokens,
             first_token_ms, tokens_per_second, nodes)
         VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(message.id.to_string())
    .bind(conversation.to_string())
    .bind(message.position.number)
    .bind(number_of(message.position.parent, all))
    .bind(message.role.word())
    .bind(keys.seal(Table::Messages, message.id, message.text.0.as_bytes())?)
    .bind(message.status.word())
    .bind(message.created_at.0)
    .bind(message.error.as_ref().map(|error| &error.code))
    .bind(message.error.as_ref().map(|error| error.seal(message.id, keys)).transpose()?)
    .bind(answer.map(|answer| &answer.node_name))
    .bind(answer.map(|answer| &answer.node_peer))
    .bind(answer.map(|answer| &answer.device))
    .bind(answer.map(|answer| &answer.model))
    .bind(answer.map(|answer| answer.finish_reason.word()))
    .bind(answer.map(|answer| i64::from(answer.prompt_tokens)))
    .bind(answer.map(|answer| i64::from(answer.completion_tokens)))
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
