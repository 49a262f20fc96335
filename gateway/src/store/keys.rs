//! API keys. The secret itself is stored nowhere, only its SHA-256.

use std::time::Duration;

use sqlx::{FromRow, Row};

use super::{
    DbRow, Store, StoreError, repeat,
    rows::{self, Word, words},
    users::User,
};
use crate::{
    clock::Timestamp,
    id::{KeyId, UserId},
    secret::Digest,
};

/// Keys one person may have.
pub const MAX_KEYS_PER_USER: i64 = 32;
/// "Last used" is written at most this often: a key in use is not a write for each request.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Answers: chat completions, completions and responses.
    Chat,
    /// Vectors.
    Embeddings,
    /// The list of models.
    Models,
    /// The gateway's figures, where its owner is an administrator.
    Metrics,
}

words!(Scope {
    Scope::Chat = "chat",
    Scope::Embeddings = "embeddings",
    Scope::Models = "models",
    Scope::Metrics = "metrics",
});

impl Scope {
    /// Every one there is.
    pub const ALL: [Self; 4] = [Self::Chat, Self::Embeddings, Self::Models, Self::Metrics];

    /// Its word, in the database and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.word()
    }
}

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What its owner calls it.
    pub label: String,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// Its budget; 0 for none.
    pub tokens_per_month: u64,
}

impl NewKey {
    /// One that opens everything.
    #[must_use]
    pub fn open(label: &str) -> Self {
        Self { label: label.to_owned(), scopes: Scope::ALL.to_vec(), tokens_per_month: 0 }
    }
}

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
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// Its budget; 0 for none.
    pub tokens_per_month: u64,
}

/// A key and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its owner.
    pub user: User,
    /// The key.
    pub key: Key,
    /// The owner's own budget, if an administrator has given one.
    pub users_tokens: Option<u64>,
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
            // What a newer release has added opens nothing here.
            scopes: row.try_get::<&str, _>("scopes")?.split(',').filter_map(Scope::from_word).collect(),
            tokens_per_month: rows::number(row, "tokens_per_month")?,
        })
    }
}

impl Store {
    /// A new key; `None` when the user has as many as may be.
    pub async fn create_key(&self, user: UserId, new: &NewKey, secret: &Digest) -> Result<Option<Key>, StoreError> {
        let NewKey { label, scopes, tokens_per_month } = new.clone();
        let (id, created_at) = (KeyId::generate(), Timestamp::now());
        let key = Key { id, label, created_at, last_used_at: None, scopes, tokens_per_month };
        let scopes = key.scopes.iter().map(Scope::word).collect::<Vec<_>>().join(",");
        repeat(|| async {
            let mut write = self.write().await?;
            write.lock_user(user).await?;
            let count = "SELECT COUNT(*) FROM api_keys WHERE user_id = ?";
            let count: i64 = sqlx::query_scalar(count).bind(user.to_string()).fetch_one(&mut *write).await?;
            if count >= MAX_KEYS_PER_USER {
                return Ok(None);
            }
            sqlx::query(
                "INSERT INTO api_keys (id, user_id, label, secret_hash, created_at, scopes, tokens_per_month)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(key.id.to_string())
            .bind(user.to_string())
            .bind(&key.label)
            .bind(secret.as_slice())
            .bind(key.created_at.0)
            .bind(&scopes)
            .bind(i64::try_from(key.tokens_per_month).unwrap_or(i64::MAX))
            .execute(&mut *write)
            .await?;
            write.commit().await?;
            Ok(Some(key.clone()))
        })
        .await
    }

    /// A user's keys, oldest first, with the tokens that each has used this month.
    pub async fn keys(&self, user: UserId) -> Result<Vec<(Key, u64)>, StoreError> {
        let keys = sqlx::query(
            "SELECT api_keys.*,
                 (SELECT CAST(COALESCE(SUM(tokens), 0) AS SIGNED INTEGER) FROM token_usage
                  WHERE token_usage.user_id = api_keys.user_id AND key_id = api_keys.id AND day >= ?) AS used
             FROM api_keys WHERE user_id = ? ORDER BY created_at, id",
        )
        .bind(Timestamp::now().month().0)
        .bind(user.to_string())
        .fetch_all(&self.readers)
        .await?;
        let key = |row| -> Result<_, sqlx::Error> { Ok((Key::from_row(row)?, rows::number(row, "used")?)) };
        Ok(keys.iter().map(key).collect::<Result<_, _>>()?)
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
    pub async fn key_user(&self, secret: &Digest) -> Result<Option<Held>, StoreError> {
        let row = sqlx::query(
            "SELECT api_keys.*, username, role, worker, users.tokens_per_month AS users_tokens FROM api_keys
             JOIN users ON users.id = api_keys.user_id WHERE secret_hash = ? AND disabled = 0",
        )
        .bind(secret.as_slice())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let users_tokens = rows::maybe_number(&row, "users_tokens")?;
        Ok(Some(Held { user: User::from_row(&row)?, key: Key::from_row(&row)?, users_tokens }))
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
