//! Which memories an answer was given with: shown with it, and read again when it goes on. When a memory is deleted,
//! nothing of it is kept here either.

use std::collections::HashMap;

use sqlx::Row;
use starling_protocol::message::Private;

use crate::{
    id::{ConversationId, MemoryId, MessageId, TurnId, UserId},
    store::{
        Db, DbRow, Store, StoreError, Write, rows,
        seal::{self, Table, UserKeys},
    },
};

/// A memory as a model has read it before an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    /// Which memory.
    pub memory: MemoryId,
    /// What it said then.
    pub text: Private,
    /// How near it was to the question: the cosine of the angle between them.
    pub similarity: f64,
}

/// What all answers of a conversation were given with.
pub type ByAnswer = HashMap<MessageId, Vec<Recalled>>;

impl Store {
    /// What the answers of a user's conversation were given with. Whose it is, its caller has asked.
    pub(in crate::store) async fn recalled_in(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<ByAnswer, StoreError> {
        let rows = sqlx::query(
            "SELECT recalled.id AS id, recalled.message_id, memory_id, recalled.sealed AS sealed, similarity FROM recalled
                 JOIN messages ON messages.id = recalled.message_id
             WHERE conversation_id = ? ORDER BY recalled.message_id, number",
        )
        .bind(conversation.to_string())
        .fetch_all(&self.readers)
        .await?;
        if rows.is_empty() {
            return Ok(ByAnswer::new());
        }
        let (keys, mut all) = (self.keys_of(user).await?, ByAnswer::new());
        for row in &rows {
            all.entry(rows::parse("message_id", row.try_get("message_id")?)?).or_default().push(recalled(row, &keys)?);
        }
        Ok(all)
    }
}

/// What one answer was given with.
pub(in crate::store) async fn of(
    from: impl sqlx::Executor<'_, Database = Db>,
    answer: MessageId,
    keys: &UserKeys,
) -> Result<Vec<Recalled>, sqlx::Error> {
    let sql = "SELECT id, memory_id, sealed, similarity FROM recalled WHERE message_id = ? ORDER BY number";
    let rows = sqlx::query(sql).bind(answer.to_string()).fetch_all(from).await?;
    rows.iter().map(|row| recalled(row, keys)).collect()
}

/// What an answer is given with. A memory that was deleted just now is left out.
pub(in crate::store) async fn insert(
    write: &mut Write,
    answer: TurnId,
    all: &[Recalled],
    keys: &UserKeys,
) -> Result<(), sqlx::Error> {
    for (recalled, number) in all.iter().zip(0_i64..) {
        let there = sqlx::query_scalar("SELECT COUNT(*) FROM memories WHERE id = ?").bind(recalled.memory.to_string());
        let there: i64 = there.fetch_one(&mut **write).await?;
        if there == 0 {
            continue;
        }
        // An id as memories have them: nobody asks for it, it binds the words to their row.
        let id = MemoryId::generate();
        let sql =
            "INSERT INTO recalled (id, message_id, number, memory_id, sealed, similarity) VALUES (?, ?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(id.to_string())
            .bind(answer.to_string())
            .bind(number)
            .bind(recalled.memory.to_string())
            .bind(keys.seal(Table::Recalled, id, recalled.text.0.as_bytes())?)
            .bind(recalled.similarity)
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

fn recalled(row: &DbRow, keys: &UserKeys) -> Result<Recalled, sqlx::Error> {
    let id: &str = row.try_get("id")?;
    Ok(Recalled {
        memory: rows::parse("memory_id", row.try_get("memory_id")?)?,
        text: Private(seal::utf8(keys.open(Table::Recalled, id, row.try_get("sealed")?)?)?),
        similarity: row.try_get("similarity")?,
    })
}
