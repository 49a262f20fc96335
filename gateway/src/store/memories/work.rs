//! What the memory's worker reads and writes. The database is its queue: what has no vector of the present model waits
//! for one, and what was said and is not cut yet waits for that. Nothing here is lost by a restart.

use std::collections::HashMap;

use sqlx::Row;
use starling_index::Vector;
use starling_protocol::{
    ModelId,
    message::{Private, Role},
};

use super::settings;
use crate::{
    clock::Timestamp,
    id::{MemoryId, MessageId, UserId},
    store::{
        DbRow, Store, StoreError, Write, repeat, rows,
        seal::{self, Table, UserKeys},
    },
};

/// What was said and is not cut into passages yet.
#[derive(Clone, Debug)]
pub struct Said {
    /// Which message.
    pub id: MessageId,
    /// Whose.
    pub user: UserId,
    /// Whether it may be remembered: it is a question or an answer, and its user's memory is on.
    pub counts: bool,
    /// What it says.
    pub text: Private,
    /// When.
    pub created_at: Timestamp,
}

/// A memory that a model has yet to read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Its id.
    pub id: MemoryId,
    /// Whose.
    pub user: UserId,
    /// What it says,
    pub text: Private,
    /// since this time.
    pub updated_at: Timestamp,
}

/// A vector, and the place behind which one reads on.
pub struct Placed {
    /// Of which memory.
    pub id: MemoryId,
    /// Where it stands among its user's.
    pub place: i64,
    /// What a model made of it.
    pub vector: Vector,
}

impl Said {
    fn read(row: &DbRow, keys: &UserKeys) -> Result<Self, sqlx::Error> {
        let id: &str = row.try_get("id")?;
        let role: Role = rows::word("role", row.try_get("role")?)?;
        let status: String = row.try_get("status")?;
        let enabled: Option<i64> = row.try_get("enabled")?;
        Ok(Self {
            id: rows::parse("id", id)?,
            user: rows::parse("user_id", row.try_get("user_id")?)?,
            counts: enabled != Some(0) && status != "failed" && matches!(role, Role::User | Role::Assistant),
            text: Private(keys.text(Table::Messages, row, id, "text")?),
            created_at: Timestamp(row.try_get("created_at")?),
        })
    }
}

impl Unread {
    fn read(row: &DbRow, keys: &UserKeys) -> Result<Self, sqlx::Error> {
        let id: &str = row.try_get("id")?;
        Ok(Self {
            id: rows::parse("id", id)?,
            user: rows::parse("user_id", row.try_get("user_id")?)?,
            text: Private(seal::utf8(keys.open(Table::Memories, id, row.try_get("sealed")?)?)?),
            updated_at: Timestamp(row.try_get("updated_at")?),
        })
    }
}

impl Store {
    /// What was said, of all people, and is not cut yet, the oldest first.
    pub async fn said_and_uncut(&self, limit: i64) -> Result<Vec<Said>, StoreError> {
        let rows = sqlx::query(
            "SELECT messages.id, conversations.user_id, role, status, text, messages.sealed, messages.created_at, enabled
             FROM messages
                 JOIN conversations ON conversations.id = conversation_id
                 LEFT JOIN memory_settings ON memory_settings.user_id = conversations.user_id
             WHERE remembered = 0 AND status <> 'running' ORDER BY messages.id LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        self.read_of_all(&rows, Said::read).await
    }

    /// Rows of several people, each read with its owner's keys.
    async fn read_of_all<T>(
        &self,
        rows: &[DbRow],
        read: fn(&DbRow, &UserKeys) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let keys = self.keys_of(rows::parse("user_id", row.try_get("user_id")?)?).await?;
            all.push(read(row, &keys)?);
        }
        Ok(all)
    }

    /// Keeps what a message was cut into, in place of what it was cut into before. A user's passages are at most
    /// `most`: the oldest make room.
    pub async fn keep_passages(&self, said: &Said, passages: &[String], most: i64) -> Result<(), StoreError> {
        let keys = self.sealing_keys(said.user).await?;
        repeat(|| self.keep_passages_now(said, passages, most, &keys)).await
    }

    async fn keep_passages_now(
        &self,
        said: &Said,
        passages: &[String],
        most: i64,
        keys: &UserKeys,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        write.lock_user(said.user).await?;
        let done =
            sqlx::query("UPDATE messages SET remembered = 1 WHERE id = ? AND remembered = 0 AND status <> 'running'")
                .bind(said.id.to_string())
                .execute(&mut *write)
                .await?;
        if done.rows_affected() == 0 {
            return Ok(());
        }
        let delete = sqlx::query("DELETE FROM memories WHERE message_id = ?").bind(said.id.to_string());
        delete.execute(&mut *write).await?;
        for passage in passages {
            let id = MemoryId::generate();
            sqlx::query(
                "INSERT INTO memories (id, user_id, kind, message_id, sealed, created_at, updated_at)
                 VALUES (?, ?, 'message', ?, ?, ?, ?)",
            )
            .bind(id.to_string())
            .bind(said.user.to_string())
            .bind(said.id.to_string())
            .bind(keys.seal(Table::Memories, id, passage.as_bytes())?)
            .bind(said.created_at.0)
            .bind(said.created_at.0)
            .execute(&mut *write)
            .await?;
        }
        if !passages.is_empty() {
            make_room(&mut write, said.user, most).await?;
        }
        Ok(write.commit().await?)
    }

    /// Memories of people whose memory is on, without a vector of this model, facts first.
    pub async fn to_embed(&self, model: ModelId, limit: i64) -> Result<Vec<Unread>, StoreError> {
        // Each in a form that an index serves: first what no model has read, then what another one has.
        let which = ["model IS NULL", "model < ?", "model > ?"];
        for (at, which) in which.into_iter().enumerate() {
            let sql = format!(
                "SELECT memories.id, memories.user_id, sealed, updated_at FROM memories
                     LEFT JOIN memory_settings ON memory_settings.user_id = memories.user_id
                 WHERE {which} AND COALESCE(enabled, 1) = 1 ORDER BY model, kind, memories.id LIMIT ?"
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            if at > 0 {
                query = query.bind(&model.as_bytes()[..]);
            }
            let found = query.bind(limit).fetch_all(&self.readers).await?;
            if !found.is_empty() {
                return self.read_of_all(&found, Unread::read).await;
            }
        }
        Ok(vec![])
    }

    /// Keeps what a model made of some memories; `None` where it can make nothing of it. What was changed meanwhile, or
    /// is gone, is left as it is.
    pub async fn keep_vectors(&self, model: ModelId, made: &[(Unread, Option<Vector>)]) -> Result<(), StoreError> {
        let mut keys = HashMap::new();
        for (unread, _) in made {
            keys.insert(unread.user, self.sealing_keys(unread.user).await?);
        }
        // In one order everywhere, so that no two of these wait for each other.
        let mut sealed = made
            .iter()
            .map(|(unread, vector)| {
                let seal = |vector: &Vector| keys[&unread.user].seal(Table::Vectors, unread.id, &vector.to_bytes());
                Ok((unread, vector.as_ref().map(seal).transpose()?))
            })
            .collect::<Result<Vec<_>, sqlx::Error>>()?;
        sealed.sort_by_key(|(unread, _)| unread.user);
        repeat(|| self.keep_vectors_now(model, &sealed)).await
    }

    async fn keep_vectors_now(&self, model: ModelId, made: &[(&Unread, Option<Vec<u8>>)]) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        for (unread, vector) in made {
            settings(&mut write, unread.user).await?;
            let user = unread.user.to_string();
            let next = sqlx::query("UPDATE memory_settings SET place = place + 1 WHERE user_id = ?").bind(&user);
            next.execute(&mut *write).await?;
            let place = sqlx::query_scalar("SELECT place FROM memory_settings WHERE user_id = ?").bind(&user);
            let place: i64 = place.fetch_one(&mut *write).await?;
            sqlx::query("UPDATE memories SET model = ?, vector = ?, place = ? WHERE id = ? AND updated_at = ?")
                .bind(&model.as_bytes()[..])
                .bind(vector.as_deref())
                .bind(place)
                .bind(unread.id.to_string())
                .bind(unread.updated_at.0)
                .execute(&mut *write)
                .await?;
        }
        Ok(write.commit().await?)
    }

    /// A user's vectors of a model behind a place, in their order.
    pub async fn vectors_behind(
        &self,
        user: UserId,
        model: ModelId,
        place: i64,
        limit: i64,
    ) -> Result<Vec<Placed>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, place, vector FROM memories WHERE user_id = ? AND model = ? AND place > ? AND vector IS NOT NULL
             ORDER BY place LIMIT ?",
        )
        .bind(user.to_string())
        .bind(&model.as_bytes()[..])
        .bind(place)
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        let keys = self.keys_of(user).await?;
        let placed = |row: &DbRow| {
            let id: &str = row.try_get("id")?;
            let bytes = keys.open(Table::Vectors, id, row.try_get("vector")?)?;
            Ok(Placed {
                id: rows::parse("id", id)?,
                place: row.try_get("place")?,
                vector: Vector::from_bytes(&bytes).ok_or_else(|| rows::unreadable("vector"))?,
            })
        };
        rows.iter().map(placed).collect::<Result<_, _>>().map_err(StoreError::Broken)
    }

    /// The model that most vectors were made with.
    pub async fn model_of_most_vectors(&self) -> Result<Option<ModelId>, StoreError> {
        let most = "SELECT model FROM memories WHERE model IS NOT NULL GROUP BY model ORDER BY COUNT(*) DESC LIMIT 1";
        let model: Option<Vec<u8>> = sqlx::query_scalar(most).fetch_optional(&self.readers).await?;
        let id = |bytes: Vec<u8>| bytes.try_into().map(ModelId::new).map_err(|_| rows::unreadable("model"));
        Ok(model.map(id).transpose()?)
    }
}

/// Ids are in order of time: the first are the oldest.
async fn make_room(write: &mut Write, user: UserId, most: i64) -> Result<(), sqlx::Error> {
    let user = user.to_string();
    let keep = "SELECT id FROM memories WHERE user_id = ? AND kind = 'message' ORDER BY id DESC LIMIT 1 OFFSET ?";
    let keep: Option<String> = sqlx::query_scalar(keep).bind(&user).bind(most - 1).fetch_optional(&mut **write).await?;
    if let Some(keep) = keep {
        let delete = sqlx::query("DELETE FROM memories WHERE user_id = ? AND kind = 'message' AND id < ?");
        delete.bind(&user).bind(keep).execute(&mut **write).await?;
    }
    Ok(())
}
