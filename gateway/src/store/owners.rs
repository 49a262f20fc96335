//! Which gateway gives which running answer, where several share the database.
//!
//! An answer has one owner, named in its row, and every write of a running answer asks for that name in the same
//! statement. So of two gateways that both take an answer for theirs only one can keep it or end it; clocks, pauses and
//! lost connections may only make a takeover late or needless, never double.

use std::sync::Arc;

use sqlx::Row;

use super::{
    Store, StoreError,
    progress::{Progress, Unfinished, write},
    rows,
};
use crate::id::{ConversationId, TurnId, UserId};

/// A gateway that owns running answers, and its last beat; without a name those that nobody owns.
pub type Owner = (Option<String>, i64);

impl Store {
    /// The same database, as the gateway of this name uses it.
    #[must_use]
    pub fn of_gateway(mut self, name: &str) -> Self {
        self.owner = Arc::from(name);
        self
    }

    /// One beat more of this gateway.
    pub async fn beat(&self) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let update = sqlx::query("UPDATE gateways SET beats = beats + 1 WHERE id = ?").bind(&*self.owner);
        if update.execute(&mut *write).await?.rows_affected() == 0 {
            let insert = sqlx::query("INSERT INTO gateways (id, beats) VALUES (?, 1)").bind(&*self.owner);
            insert.execute(&mut *write).await?;
        }
        Ok(write.commit().await?)
    }

    /// Who else owns running answers.
    pub async fn other_owners(&self) -> Result<Vec<Owner>, StoreError> {
        let rows = sqlx::query(
            "SELECT progress.owner AS owner, MAX(COALESCE(gateways.beats, 0)) AS beats
             FROM progress JOIN messages ON messages.id = message_id LEFT JOIN gateways ON gateways.id = progress.owner
             WHERE status = 'running' AND (progress.owner IS NULL OR progress.owner <> ?) GROUP BY progress.owner",
        )
        .bind(&*self.owner)
        .fetch_all(&self.readers)
        .await?;
        let owner =
            |row| -> Result<Owner, sqlx::Error> { Ok((Row::try_get(row, "owner")?, Row::try_get(row, "beats")?)) };
        Ok(rows.iter().map(owner).collect::<Result<_, _>>()?)
    }

    /// Takes over the running answers of a gateway that is gone, or those of nobody. Those that another one has taken
    /// meanwhile are not among them.
    pub async fn claim(&self, from: Option<&str>, limit: usize) -> Result<Vec<TurnId>, StoreError> {
        let mut write = self.write().await?;
        let turns: Vec<String> = sqlx::query_scalar(
            "SELECT message_id FROM progress JOIN messages ON id = message_id
             WHERE status = 'running' AND COALESCE(owner, '') = ? ORDER BY id LIMIT ?",
        )
        .bind(from.unwrap_or_default())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *write)
        .await?;
        if turns.is_empty() {
            return Ok(vec![]);
        }
        let mut ours = vec![];
        for turn in turns {
            let claim = "UPDATE progress SET owner = ? WHERE message_id = ? AND COALESCE(owner, '') = ?";
            let claim = sqlx::query(claim).bind(&*self.owner).bind(&turn).bind(from.unwrap_or_default());
            if claim.execute(&mut *write).await?.rows_affected() == 1 {
                ours.push(rows::parse("message_id", &turn)?);
            }
        }
        sqlx::query("DELETE FROM gateways WHERE id = ?").bind(from.unwrap_or_default()).execute(&mut *write).await?;
        write.commit().await?;
        Ok(ours)
    }

    /// Keeps what there is of a running answer, which is nobody's then.
    pub async fn let_go(&self, turn: TurnId, progress: &Progress) -> Result<(), StoreError> {
        // Of nobody: it was deleted.
        let Some(person) = self.people_of(&[turn]).await?.remove(&turn) else { return Ok(()) };
        let keys = self.sealing_keys(person).await?;
        let mut transaction = self.write().await?;
        write::update(&mut transaction, turn, progress, &keys, &self.owner, None).await?;
        Ok(transaction.commit().await?)
    }

    /// The answer that is being given in a user's conversation, by whichever gateway.
    pub async fn running_in(&self, user: UserId, id: ConversationId) -> Result<Option<Unfinished>, StoreError> {
        let running: Option<String> = sqlx::query_scalar(
            "SELECT message_id FROM progress JOIN messages ON messages.id = message_id
                 JOIN conversations ON conversations.id = conversation_id
             WHERE conversation_id = ? AND user_id = ? AND status = 'running' ORDER BY position DESC LIMIT 1",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.readers)
        .await?;
        let running = running.map(|turn| rows::parse("message_id", &turn)).transpose()?;
        Ok(self.answers(&Vec::from_iter(running)).await?.pop())
    }

    /// Whether another gateway gives this answer now, or any may.
    pub async fn is_given_elsewhere(&self, turn: TurnId) -> Result<bool, StoreError> {
        let found = sqlx::query(
            "SELECT owner FROM progress JOIN messages ON id = message_id WHERE message_id = ? AND status = 'running'",
        )
        .bind(turn.to_string())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = found else { return Ok(false) };
        Ok(row.try_get::<Option<String>, _>("owner")?.as_deref() != Some(&*self.owner))
    }

    /// These answers, with what it takes to go on. Those that cannot be read are not among them.
    pub async fn answers(&self, turns: &[TurnId]) -> Result<Vec<Unfinished>, StoreError> {
        let mut unfinished = Vec::with_capacity(turns.len());
        for turn in turns {
            let found = sqlx::query("SELECT * FROM progress WHERE message_id = ?").bind(turn.to_string());
            let Some(row) = found.fetch_optional(&self.readers).await? else { continue };
            match self.unfinished_of(&row).await {
                Ok(found) => unfinished.push(found),
                Err(StoreError::Broken(error)) => tracing::error!(%error, "an answer cannot be taken up again"),
                Err(error) => return Err(error),
            }
        }
        Ok(unfinished)
    }
}
