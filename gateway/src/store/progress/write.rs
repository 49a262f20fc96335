//! Writes of progress, each a part of a transaction that also writes something else.

use super::Progress;
use crate::store::Write;
use crate::{
    id::{ConversationId, TurnId},
    store::{
        memories::recalled,
        rows::Word,
        seal::{Table, UserKeys},
    },
};

/// The progress of a question that was just taken.
pub(in crate::store) async fn insert(
    write: &mut Write,
    turn: TurnId,
    progress: &Progress,
    keys: &UserKeys,
    owner: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO progress (message_id, job_id, attempts, model_id, model, seed, max_tokens, reasoning, nodes,
             tokens, text, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '[]', x'', '', ?)",
    )
    .bind(turn.to_string())
    .bind(progress.job.to_string())
    .bind(i64::from(progress.attempts))
    .bind(&progress.model.as_bytes()[..])
    .bind(&progress.model_name)
    .bind(progress.seed.map(u64::cast_signed))
    .bind(progress.max_tokens.map(i64::from))
    .bind(progress.reasoning.word())
    .bind(owner)
    .execute(&mut **write)
    .await?;
    recalled::insert(write, turn, &progress.recalled, keys).await
}

/// Whether it was its `owner`'s to write. Never less than is there, and nothing of an answer that does not run: a write
/// may come late. It is `then`'s afterwards.
pub(in crate::store) async fn update(
    write: &mut Write,
    turn: TurnId,
    progress: &Progress,
    keys: &UserKeys,
    owner: &str,
    then: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let tokens: Vec<u8> = progress.tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    let sealed = keys.seal(Table::Progress, turn, &super::words(&tokens, &progress.text.0))?;
    sqlx::query(
        "UPDATE progress SET attempts = ?, reasoning = ?, nodes = ?, first_token_ms = ?, sealed = ?, tokens = x'', text = '',
             owner = ?
         WHERE message_id = ? AND COALESCE(length(sealed), 0) <= length(?) AND owner = ?
             AND EXISTS (SELECT 1 FROM messages WHERE id = message_id AND status = 'running')",
    )
    .bind(i64::from(progress.attempts))
    .bind(progress.reasoning.word())
    .bind(serde_json::to_string(&progress.nodes).unwrap_or_default())
    .bind(progress.first_token_ms)
    .bind(&sealed)
    .bind(then)
    .bind(turn.to_string())
    .bind(&sealed)
    .bind(owner)
    .execute(&mut **write)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// The progress of an answer that nobody can go on with any more, if it was its `owner`'s.
pub(in crate::store) async fn forget(write: &mut Write, turn: TurnId, owner: &str) -> Result<bool, sqlx::Error> {
    let delete = sqlx::query("DELETE FROM progress WHERE message_id = ? AND owner = ?");
    let done = delete.bind(turn.to_string()).bind(owner).execute(&mut **write).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether another gateway gives an answer in a conversation.
pub(in crate::store) async fn is_taken(
    write: &mut Write,
    conversation: ConversationId,
    owner: &str,
) -> Result<bool, sqlx::Error> {
    let taken: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM progress JOIN messages ON messages.id = message_id
         WHERE conversation_id = ? AND status = 'running' AND (owner IS NULL OR owner <> ?)",
    )
    .bind(conversation.to_string())
    .bind(owner)
    .fetch_one(&mut **write)
    .await?;
    Ok(taken > 0)
}

/// Nothing more is said in answers that something else follows.
pub(in crate::store) async fn close_earlier(
    write: &mut Write,
    conversation: ConversationId,
) -> Result<(), sqlx::Error> {
    let id = conversation.to_string();
    let delete = "DELETE FROM progress WHERE message_id IN (SELECT id FROM messages WHERE conversation_id = ?)";
    sqlx::query(delete).bind(&id).execute(&mut **write).await?;
    let update = "UPDATE messages SET resumable = 0 WHERE conversation_id = ? AND resumable = 1";
    sqlx::query(update).bind(&id).execute(&mut **write).await.map(drop)
}
