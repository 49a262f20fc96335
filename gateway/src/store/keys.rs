//! API keys. The secret itself is stored nowhere, only its SHA-256.

use std::time::Duration;

use sqlx::{FromRow, Row};

use super::{DbRow, Store, StoreError, repeat, rows, users::User};
use crate::{
    clock::Timestamp,
    id::{KeyId, UserId},
    secret::Digest,
};

/// Keys one person may have.
pub const MAX_KEYS_PER_USER: i64 = 32;
/// "Last used" is written at most this often: a key in use is not a write for each request.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// What its owner calls it.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl Key {
    /// Whether its use now is worth a write.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| last <= now.before(TOUCH_EVERY))
    }
}

impl FromRow<'_, DbRow> for Key {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("id", row.try_get("id")?)?,
            label: row.try_get("label")?,
            created_at: Timestamp(row.try_get("created_at")?),
            last_used_at: row.try_get::<Option<i64>, _>("last_used_at")?.map(Timestamp),
        })
    }
}

impl Store {
    /// A new key; `None` when the user has as many as may be.
    pub async fn create_key(&self, user: UserId, label: &str, secret: &Digest) -> Result<Option<Key>, StoreError> {
        let key =
            Key { id: KeyId::generate(), label: label.to_owned(), created_at: Timestamp::now(), last_used_at: None };
        repeat(|| async {
            let mut write = self.write().await?;
            write.lock_user(user).await?;
            let count = "SELECT COUNT(*) FROM api_keys WHERE user_id = ?";
            let count: i64 = sqlx::query_scalar(count).bind(user.to_string()).fetch_one(&mut *write).await?;
            if count >= MAX_KEYS_PER_USER {
                return Ok(None);
            }
            sqlx::query("INSERT INTO api_keys (id, user_id, label, secret_hash, created_at) VALUES (?, ?, ?, ?, ?)")
                .bind(key.id.to_string())
                .bind(user.to_string())
                .bind(label)
                .bind(secret.as_slice())
                .bind(key.created_at.0)
                .execute(&mut *write)
                .await?;
            write.commit().await?;
            Ok(Some(key.clone()))
        })
        .await
    }

    /// A user's keys, oldest first.
    pub async fn keys(&self, user: UserId) -> Result<Vec<Key>, StoreError> {
        let keys = sqlx::query_as("SELECT * FROM api_keys WHERE user_id = ? ORDER BY created_at, id")
            .bind(user.to_string())
            .fetch_all(&self.readers)
            .await?;
        Ok(keys)
    }

    /// Ends a key; false when the user has none of that id.
    pub async fn delete_key(&self, user: UserId, key: KeyId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM api_keys WHERE id = ? AND user_id = ?")
            .bind(key.to_string())
            .bind(user.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whose key it is.
    pub async fn key_user(&self, secret: &Digest) -> Result<Option<(User, Key)>, StoreError> {
        let row = sqlx::query(
            "SELECT api_keys.*, username, role, worker FROM api_keys
             JOIN users ON users.id = api_keys.user_id WHERE secret_hash = ? AND disabled = 0",
        )
        .bind(secret.as_slice())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((User::from_row(&row)?, Key::from_row(&row)?)))
    }

    /// Notes that a key is in use.
    pub async fn touch_key(&self, key: KeyId, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE api_keys SET last_used_at = ? WHERE id = ?")
            .bind(now.0)
            .bind(key.to_string())
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}
