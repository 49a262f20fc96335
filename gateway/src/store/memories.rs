//! What is remembered of a person: facts that they wrote, and passages of what was said. Each function takes the user:
//! one who asks for another's finds nothing.
//!
//! What the memory itself does with them behind people's backs lies in `memories/work.rs`, and which of them an answer
//! was given with in `memories/recalled.rs`.

pub mod recalled;
pub mod work;

use sqlx::{QueryBuilder, Row};
use starling_protocol::{ModelId, message::Private};

use super::{
    Db, DbRow, Store, StoreError, Write, repeat,
    rows::{self, Word, words},
    seal::{self, Table, UserKeys},
};
use crate::{
    clock::Timestamp,
    id::{ConversationId, MemoryId, MessageId, UserId},
};

/// Facts that one person may have.
pub const MAX_FACTS: i64 = 1_000;
/// Passages that are deleted in one transaction: nobody else writes meanwhile.
const DELETED_AT_ONCE: i64 = 2_000;

/// A fact or a passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Its id.
    pub id: MemoryId,
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub text: Private,
    /// Of which message it is a passage; of a fact, none.
    pub message: Option<MessageId>,
    /// Where it was said; of a fact, nowhere.
    pub conversation: Option<ConversationId>,
    /// When it was said, or written.
    pub created_at: Timestamp,
    /// When it was last changed by a person.
    pub updated_at: Timestamp,
}

/// What a memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person has written it.
    Fact,
    /// It was said in a conversation.
    Message,
}

words!(Kind { Kind::Fact = "fact", Kind::Message = "message" });

/// How it stands with a person's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is used, and grows.
    pub enabled: bool,
    /// Facts there are.
    pub facts: i64,
    /// Passages there are.
    pub passages: i64,
    /// Of both, those that a model has yet to read; all of them without a model.
    pub waiting: i64,
}

impl Memory {
    fn read(row: &DbRow, keys: &UserKeys) -> Result<Self, sqlx::Error> {
        let id: &str = row.try_get("id")?;
        let message: Option<String> = row.try_get("message_id")?;
        let conversation: Option<String> = row.try_get("conversation_id")?;
        Ok(Self {
            id: rows::parse("id", id)?,
            kind: rows::word("kind", row.try_get("kind")?)?,
            text: Private(seal::utf8(keys.open(Table::Memories, id, row.try_get("sealed")?)?)?),
            message: message.map(|id| rows::parse("message_id", &id)).transpose()?,
            conversation: conversation.map(|id| rows::parse("conversation_id", &id)).transpose()?,
            created_at: Timestamp(row.try_get("created_at")?),
            updated_at: Timestamp(row.try_get("updated_at")?),
        })
    }
}

/// All columns of a [`Memory`].
const SELECT: &str = "SELECT memories.id, kind, memories.sealed, message_id, conversation_id, \
                      memories.created_at, memories.updated_at FROM memories LEFT JOIN messages ON messages.id = message_id \
                      WHERE memories.user_id = ";

impl Store {
    /// A user's memories, of one kind or of all, the newest first, from behind `before`.
    pub async fn memories(
        &self,
        user: UserId,
        kind: Option<Kind>,
        before: Option<MemoryId>,
        limit: i64,
    ) -> Result<Vec<Memory>, StoreError> {
        let mut query = QueryBuilder::new(SELECT);
        query.push_bind(user.to_string());
        if let Some(kind) = kind {
            query.push(" AND kind = ").push_bind(kind.word());
        }
        if let Some(before) = before {
            query.push(" AND memories.id < ").push_bind(before.to_string());
        }
        query.push(" ORDER BY memories.id DESC LIMIT ").push_bind(limit);
        self.read_memories(user, query).await
    }

    /// Those of a user's memories that have these ids, in any order.
    pub async fn memories_of(&self, user: UserId, ids: &[MemoryId]) -> Result<Vec<Memory>, StoreError> {
        if ids.is_empty() {
            return Ok(vec![]);
        }
        let mut query = QueryBuilder::new(SELECT);
        query.push_bind(user.to_string()).push(" AND memories.id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id.to_string());
        }
        query.push(")");
        self.read_memories(user, query).await
    }

    async fn read_memories(&self, user: UserId, mut query: QueryBuilder<Db>) -> Result<Vec<Memory>, StoreError> {
        let rows = query.build().fetch_all(&self.readers).await?;
        let keys = self.keys_of(user).await?;
        Ok(rows.iter().map(|row| Memory::read(row, &keys)).collect::<Result<_, _>>()?)
    }

    /// A new fact; `None` when the person has as many as may be.
    pub async fn add_fact(&self, user: UserId, text: &Private) -> Result<Option<Memory>, StoreError> {
        let (id, now) = (MemoryId::generate(), Timestamp::now());
        let sealed = self.sealing_keys(user).await?.seal(Table::Memories, id, text.0.as_bytes())?;
        let added = repeat(|| async {
            let mut write = self.write().await?;
            write.lock_user(user).await?;
            let count = "SELECT COUNT(*) FROM memories WHERE user_id = ? AND kind = 'fact'";
            let count: i64 = sqlx::query_scalar(count).bind(user.to_string()).fetch_one(&mut *write).await?;
            if count < MAX_FACTS {
                insert_fact(&mut write, user, id, &sealed, now).await?;
                write.commit().await?;
            }
            Ok(count < MAX_FACTS)
        });
        if !added.await? {
            return Ok(None);
        }
        let text = text.clone();
        Ok(Some(Memory {
            id,
            kind: Kind::Fact,
            text,
            message: None,
            conversation: None,
            created_at: now,
            updated_at: now,
        }))
    }

    /// Writes one of a user's memories anew, to be read by a model anew; `None` when the user has none of that id.
    pub async fn change_memory(
        &self,
        user: UserId,
        id: MemoryId,
        text: &Private,
    ) -> Result<Option<Memory>, StoreError> {
        let sealed = self.sealing_keys(user).await?.seal(Table::Memories, id, text.0.as_bytes())?;
        sqlx::query(
            "UPDATE memories SET sealed = ?, updated_at = ?, model = NULL, vector = NULL WHERE id = ? AND user_id = ?",
        )
        .bind(sealed)
        .bind(Timestamp::now().0)
        .bind(id.to_string())
        .bind(user.to_string())
        .execute(&self.writer)
        .await?;
        let found = self.memories_of(user, &[id]).await?;
        Ok(found.into_iter().next())
    }

    /// Deletes one of a user's memories; false when the user has none of that id.
    pub async fn delete_memory(&self, user: UserId, id: MemoryId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM memories WHERE id = ? AND user_id = ?")
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deletes all of a user's memories, or all of one kind. What was said before is not remembered again.
    pub async fn delete_memories(&self, user: UserId, kind: Option<Kind>) -> Result<(), StoreError> {
        let kinds = kind.map_or_else(|| vec![Kind::Fact, Kind::Message], |kind| vec![kind]);
        if kinds.contains(&Kind::Message) {
            self.let_pass(user).await?;
        }
        for kind in kinds {
            while self.delete_some(user, kind).await? {}
        }
        Ok(())
    }

    /// Whether there may be more.
    async fn delete_some(&self, user: UserId, kind: Kind) -> Result<bool, StoreError> {
        let last = "SELECT id FROM memories WHERE user_id = ? AND kind = ? ORDER BY id LIMIT 1 OFFSET ?";
        let last: Option<String> = sqlx::query_scalar(last)
            .bind(user.to_string())
            .bind(kind.word())
            .bind(DELETED_AT_ONCE)
            .fetch_optional(&self.readers)
            .await?;
        let mut delete = QueryBuilder::new("DELETE FROM memories WHERE user_id = ");
        delete.push_bind(user.to_string()).push(" AND kind = ").push_bind(kind.word());
        if let Some(last) = &last {
            delete.push(" AND id < ").push_bind(last.clone());
        }
        delete.build().execute(&self.writer).await?;
        Ok(last.is_some())
    }

    /// What was said up to now is not cut into passages any more.
    async fn let_pass(&self, user: UserId) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE messages SET remembered = 1 WHERE remembered = 0 AND status <> 'running'
                 AND conversation_id IN (SELECT id FROM conversations WHERE user_id = ?)",
        )
        .bind(user.to_string())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Whether a person's memory is on.
    pub async fn remembers(&self, user: UserId) -> Result<bool, StoreError> {
        let enabled: Option<i64> = sqlx::query_scalar("SELECT enabled FROM memory_settings WHERE user_id = ?")
            .bind(user.to_string())
            .fetch_optional(&self.readers)
            .await?;
        Ok(enabled != Some(0))
    }

    /// Switches a person's memory on or off. What is there stays; what was said while it was off is not remembered.
    pub async fn set_remembers(&self, user: UserId, enabled: bool) -> Result<(), StoreError> {
        // What was said until now belongs to how it was until now; the worker has cut the most of it.
        self.let_pass(user).await?;
        repeat(|| async {
            let mut write = self.write().await?;
            settings(&mut write, user).await?;
            sqlx::query("UPDATE memory_settings SET enabled = ? WHERE user_id = ?")
                .bind(i64::from(enabled))
                .bind(user.to_string())
                .execute(&mut *write)
                .await?;
            Ok(write.commit().await?)
        })
        .await
    }

    /// Whether there is anything to search for in a user's memory with this model.
    pub async fn has_vectors(&self, user: UserId, model: ModelId) -> Result<bool, StoreError> {
        let any = "SELECT place FROM memories WHERE user_id = ? AND model = ? LIMIT 1";
        let any: Option<i64> = sqlx::query_scalar(any)
            .bind(user.to_string())
            .bind(&model.as_bytes()[..])
            .fetch_optional(&self.readers)
            .await?;
        Ok(any.is_some())
    }

    /// How it stands with a person's memory, where this model reads it.
    pub async fn memory_standing(&self, user: UserId, model: Option<ModelId>) -> Result<Standing, StoreError> {
        let id = user.to_string();
        let count = "SELECT COUNT(*) FROM memories WHERE user_id = ? AND kind = ?";
        let facts: i64 = sqlx::query_scalar(count).bind(&id).bind("fact").fetch_one(&self.readers).await?;
        let passages: i64 = sqlx::query_scalar(count).bind(&id).bind("message").fetch_one(&self.readers).await?;
        let read: i64 = match model {
            Some(model) => {
                let count = "SELECT COUNT(*) FROM memories WHERE user_id = ? AND model = ?";
                sqlx::query_scalar(count).bind(&id).bind(&model.as_bytes()[..]).fetch_one(&self.readers).await?
            }
            None => 0,
        };
        let waiting = (facts + passages - read).max(0);
        Ok(Standing { enabled: self.remembers(user).await?, facts, passages, waiting })
    }
}

async fn insert_fact(
    write: &mut Write,
    user: UserId,
    id: MemoryId,
    sealed: &[u8],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO memories (id, user_id, kind, sealed, created_at, updated_at) VALUES (?, ?, 'fact', ?, ?, ?)",
    )
    .bind(id.to_string())
    .bind(user.to_string())
    .bind(sealed)
    .bind(now.0)
    .bind(now.0)
    .execute(&mut **write)
    .await
    .map(drop)
}

/// Makes the row of a person's settings where there is none.
async fn settings(write: &mut Write, user: UserId) -> Result<(), sqlx::Error> {
    write.lock_user(user).await?;
    let there = "SELECT COUNT(*) FROM memory_settings WHERE user_id = ?";
    let there: i64 = sqlx::query_scalar(there).bind(user.to_string()).fetch_one(&mut **write).await?;
    if there == 0 {
        let insert = "INSERT INTO memory_settings (user_id, enabled) VALUES (?, 1)";
        sqlx::query(insert).bind(user.to_string()).execute(&mut **write).await?;
    }
    Ok(())
}
