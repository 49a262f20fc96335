//! Which memories an answer was given with: shown with it, and read again when it goes on. When a memory is deleted,
//! nothing of it is kept here either.

use std::collections::HashMap;

use sqlx::Row;
use starling_protocol::message::Private;

use crate::{
    id::{ConversationId, MemoryId, MessageId, TurnId},
    store::{Db, DbRow, Store, StoreError, Write, rows},
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
    /// What the answers of a conversation were given with. Whose it is, its caller has asked.
    pub(in crate::store) async fn recalled_in(&self, conversation: ConversationId) -> Result<ByAnswer, StoreError> {
        let rows = sqlx::query(
            "SELECT recalled.message_id, memory_id, recalled.text, similarity FROM recalled
                 JOIN messages ON messages.id = recalled.message_id
             WHERE conversation_id = ? ORDER BY recalled.message_id, number",
        )
        .bind(conversation.to_string())
        .fetch_all(&self.readers)
        .await?;
        let mut all = ByAnswer::new();
        for row in &rows {
            all.entry(rows::parse("message_id", row.try_get("message_id")?)?).or_default().push(recalled(row)?);
        }
        Ok(all)
    }
}

/// What one answer was given with.
pub(in crate::store) async fn of(
    from: impl sqlx::Executor<'_, Database = Db>,
    answer: MessageId,
) -> Result<Vec<Recalled>, sqlx::Error> {
    let sql = "SELECT memory_id, text, similarity FROM recalled WHERE message_id = ? ORDER BY number";
    let rows = sqlx::query(sql).bind(answer.to_string()).fetch_all(from).await?;
    rows.iter().map(recalled).collect()
}

/// What an answer is given with. A memory that was deleted just now is left out.
pub(in crate::store) async fn insert(write: &mut Write, answer: TurnId, all: &[Recalled]) -> Result<(), sqlx::Error> {
    for (recalled, number) in all.iter().zip(0_i64..) {
        let there = sqlx::query_scalar("SELECT COUNT(*) FROM memories WHERE id = ?").bind(recalled.memory.to_string());
        let there: i64 = there.fetch_one(&mut **write).await?;
        if there == 0 {
            continue;
        }
        let sql = "INSERT INTO recalled (message_id, number, memory_id, text, similarity) VALUES (?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(answer.to_string())
            .bind(number)
            .bind(recalled.memory.to_string())
            .bind(&recalled.text.0)
            .bind(recalled.similarity)
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

fn recalled(row: &DbRow) -> Result<Recalled, sqlx::Error> {
    Ok(Recalled {
        memory: rows::parse("memory_id", row.try_get("memory_id")?)?,
        text: Private(row.try_get("text")?),
        similarity: row.try_get("similarity")?,
    })
}
