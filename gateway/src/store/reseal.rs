//! Seals anew what is not sealed with its owner's newest key: words that an earlier release has left as they are, and
//! those of a user whose key was replaced. A few rows at a time, beside everything else; killed, it begins again where
//! something is left.

use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::{
    DbRow, Store, StoreError, characters, progress, rows,
    seal::{Table, UserKeys},
};
use crate::{id::UserId, vault};

/// Rows that are read at one time.
const BATCH: i64 = 64;
const TABLES: [Table; 9] = [
    Table::Conversations,
    Table::Messages,
    Table::Errors,
    Table::Progress,
    Table::Characters,
    Table::Pictures,
    Table::Memories,
    Table::Vectors,
    Table::Recalled,
];

impl Table {
    /// A user's rows behind an id, in order of their ids.
    fn page(self) -> &'static str {
        match self {
            Self::Conversations => {
                "SELECT id, title, sealed FROM conversations WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?"
            }
            Self::Messages => {
                "SELECT messages.id AS id, text, messages.sealed AS sealed
                 FROM messages JOIN conversations ON conversations.id = conversation_id
                 WHERE user_id = ? AND messages.id > ? ORDER BY messages.id LIMIT ?"
            }
            Self::Errors => {
                "SELECT messages.id AS id, error_message, sealed_error AS sealed
                 FROM messages JOIN conversations ON conversations.id = conversation_id
                 WHERE user_id = ? AND messages.id > ? AND error_code IS NOT NULL ORDER BY messages.id LIMIT ?"
            }
            Self::Progress => {
                "SELECT message_id AS id, tokens, progress.text AS text, progress.sealed AS sealed
                 FROM progress JOIN messages ON messages.id = message_id
                     JOIN conversations ON conversations.id = conversation_id
                 WHERE user_id = ? AND message_id > ? ORDER BY message_id LIMIT ?"
            }
            Self::Characters => {
                "SELECT id, name, system_prompt, greeting, sealed FROM characters
                 WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?"
            }
            Self::Pictures => {
                "SELECT character_id AS id, bytes, character_pictures.sealed AS sealed
                 FROM character_pictures JOIN characters ON characters.id = character_id
                 WHERE user_id = ? AND character_id > ? ORDER BY character_id LIMIT ?"
            }
            Self::Memories => "SELECT id, sealed FROM memories WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?",
            Self::Vectors => {
                "SELECT id, vector AS sealed FROM memories
                 WHERE user_id = ? AND id > ? AND vector IS NOT NULL ORDER BY id LIMIT ?"
            }
            Self::Recalled => {
                "SELECT recalled.id AS id, recalled.sealed AS sealed
                 FROM recalled JOIN memories ON memories.id = memory_id
                 WHERE user_id = ? AND recalled.id > ? ORDER BY recalled.id LIMIT ?"
            }
        }
    }

    /// Nothing of it changes a row that somebody else has sealed meanwhile.
    fn first(self) -> &'static str {
        match self {
            Self::Conversations => "UPDATE conversations SET sealed = ?, title = '' WHERE id = ? AND sealed IS NULL",
            Self::Messages => "UPDATE messages SET sealed = ?, text = '' WHERE id = ? AND sealed IS NULL",
            Self::Errors => {
                "UPDATE messages SET sealed_error = ?, error_message = NULL
                 WHERE id = ? AND sealed_error IS NULL AND error_code IS NOT NULL"
            }
            Self::Progress => {
                "UPDATE progress SET sealed = ?, tokens = x'', text = '' WHERE message_id = ? AND sealed IS NULL"
            }
            Self::Characters => {
                "UPDATE characters SET sealed = ?, name = '', system_prompt = '', greeting = ''
                 WHERE id = ? AND sealed IS NULL"
            }
            Self::Pictures => {
                "UPDATE character_pictures SET sealed = ?, bytes = x'' WHERE character_id = ? AND sealed IS NULL"
            }
            // Sealed from the beginning.
            Self::Memories => "UPDATE memories SET sealed = ? WHERE id = ? AND sealed IS NULL",
            Self::Vectors => "UPDATE memories SET vector = ? WHERE id = ? AND vector IS NULL",
            Self::Recalled => "UPDATE recalled SET sealed = ? WHERE id = ? AND sealed IS NULL",
        }
    }

    fn again(self) -> &'static str {
        match self {
            Self::Conversations => "UPDATE conversations SET sealed = ? WHERE id = ? AND sealed = ?",
            Self::Messages => "UPDATE messages SET sealed = ? WHERE id = ? AND sealed = ?",
            Self::Errors => "UPDATE messages SET sealed_error = ? WHERE id = ? AND sealed_error = ?",
            Self::Progress => "UPDATE progress SET sealed = ? WHERE message_id = ? AND sealed = ?",
            Self::Characters => "UPDATE characters SET sealed = ? WHERE id = ? AND sealed = ?",
            Self::Pictures => "UPDATE character_pictures SET sealed = ? WHERE character_id = ? AND sealed = ?",
            Self::Memories => "UPDATE memories SET sealed = ? WHERE id = ? AND sealed = ?",
            Self::Vectors => "UPDATE memories SET vector = ? WHERE id = ? AND vector = ?",
            Self::Recalled => "UPDATE recalled SET sealed = ? WHERE id = ? AND sealed = ?",
        }
    }

    /// What an earlier release has left of words in a row.
    fn plain(self, row: &DbRow) -> Result<Vec<u8>, sqlx::Error> {
        let text = |column| row.try_get::<String, _>(column);
        Ok(match self {
            Self::Conversations => text("title")?.into_bytes(),
            Self::Messages => text("text")?.into_bytes(),
            Self::Errors => row.try_get::<Option<String>, _>("error_message")?.unwrap_or_default().into_bytes(),
            Self::Progress => progress::words(row.try_get("tokens")?, &text("text")?),
            Self::Characters => characters::words(&text("name")?, &text("system_prompt")?, &text("greeting")?),
            Self::Pictures => row.try_get("bytes")?,
            Self::Memories | Self::Vectors | Self::Recalled => vec![],
        })
    }
}

impl Store {
    /// Seals what an earlier release has left, user by user, until it is done or told to stop. A database that does not
    /// answer is left alone until the next start.
    pub async fn seal_old(self, stop: CancellationToken) {
        match stop.run_until_cancelled(self.seal_all()).await {
            Some(Ok(0)) | None => {}
            Some(Ok(rows)) => tracing::info!(rows, "what an earlier release had stored in the clear is sealed"),
            Some(Err(error)) => tracing::warn!(%error, "not everything is sealed yet: the next start goes on with it"),
        }
        stop.cancelled().await;
    }

    pub(super) async fn seal_all(&self) -> Result<u64, StoreError> {
        let (mut sealed, mut after) = (0, String::new());
        loop {
            let sql = "SELECT users.id FROM users LEFT JOIN data_keys ON user_id = users.id AND all_sealed = 1
                       WHERE user_id IS NULL AND users.id > ? ORDER BY users.id LIMIT ?";
            let users: Vec<String> = sqlx::query_scalar(sql).bind(&after).bind(BATCH).fetch_all(&self.readers).await?;
            for user in &users {
                let more = self.reseal(rows::parse("id", user)?).await?;
                sealed += more;
                if more > 0 {
                    tracing::info!(%user, rows = more, "sealed");
                }
            }
            match users.last() {
                Some(last) => after.clone_from(last),
                None => break,
            }
        }
        self.retire_masters().await?;
        if sealed > 0 {
            // What was in the clear is not to stay in the log until somebody writes over it.
            self.writer.checkpoint().await?;
        }
        Ok(sealed)
    }

    /// Seals all that a user's newest key has not sealed; how many rows.
    pub(super) async fn reseal(&self, user: UserId) -> Result<u64, StoreError> {
        let (keys, mut sealed) = (self.sealing_keys(user).await?, 0);
        for table in TABLES {
            let mut after = String::new();
            while let Some(last) = self.reseal_page(table, user, &keys, &after, &mut sealed).await? {
                after = last;
            }
        }
        let done = sqlx::query("UPDATE data_keys SET all_sealed = 1 WHERE user_id = ?").bind(user.to_string());
        done.execute(&self.writer).await?;
        Ok(sealed)
    }

    /// The id of the last row; `None` behind the last page.
    async fn reseal_page(
        &self,
        table: Table,
        user: UserId,
        keys: &UserKeys,
        after: &str,
        sealed: &mut u64,
    ) -> Result<Option<String>, StoreError> {
        let page = sqlx::query(table.page()).bind(user.to_string()).bind(after).bind(BATCH);
        let page = page.fetch_all(&self.readers).await?;
        for row in &page {
            *sealed += self.reseal_row(table, keys, row).await?;
        }
        Ok(page.last().map(|row| row.try_get("id")).transpose()?)
    }

    async fn reseal_row(&self, table: Table, keys: &UserKeys, row: &DbRow) -> Result<u64, StoreError> {
        let id: &str = row.try_get("id")?;
        let old: Option<&[u8]> = row.try_get("sealed")?;
        if old.and_then(vault::generation) == Some(keys.generation()) {
            return Ok(0);
        }
        let words = match old {
            Some(old) => keys.open(table, id, old)?,
            None => table.plain(row)?,
        };
        if words.is_empty() && old.is_none() {
            return Ok(0);
        }
        let new = keys.seal(table, id, &words)?;
        let change = match old {
            Some(old) => sqlx::query(table.again()).bind(new).bind(id).bind(old),
            None => sqlx::query(table.first()).bind(new).bind(id),
        };
        Ok(change.execute(&self.writer).await?.rows_affected())
    }
}
