//! Who is signed in. The token itself is stored nowhere, only its SHA-256.

use super::{Store, StoreError, users::User};
use crate::{clock::Timestamp, id::UserId, secret::Digest};

/// Devices one person may be signed in on; the oldest session makes room.
const MAX_SESSIONS_PER_USER: usize = 64;

impl Store {
    /// Begins a session and forgets those that have ended.
    pub async fn create_session(&self, token: &Digest, user: UserId, expires: Timestamp) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM sessions WHERE expires_at <= ?").bind(now.0).execute(&mut *write).await?;
        write.lock_user(user).await?;
        let newest = "SELECT token_hash FROM sessions WHERE user_id = ? ORDER BY created_at DESC";
        let newest: Vec<Vec<u8>> = sqlx::query_scalar(newest).bind(user.to_string()).fetch_all(&mut *write).await?;
        for old in newest.iter().skip(MAX_SESSIONS_PER_USER - 1) {
            sqlx::query("DELETE FROM sessions WHERE token_hash = ?").bind(old).execute(&mut *write).await?;
        }
        sqlx::query("INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)")
            .bind(token.as_slice())
            .bind(user.to_string())
            .bind(now.0)
            .bind(expires.0)
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    /// Whose session it is, if it is one and has not ended.
    pub async fn session_user(&self, token: &Digest) -> Result<Option<User>, StoreError> {
        let user = sqlx::query_as(
            "SELECT users.id AS user_id, username, role FROM sessions
             JOIN users ON users.id = sessions.user_id WHERE token_hash = ? AND expires_at > ?",
        )
        .bind(token.as_slice())
        .bind(Timestamp::now().0)
        .fetch_optional(&self.readers)
        .await?;
        Ok(user)
    }

    /// Ends a session.
    pub async fn delete_session(&self, token: &Digest) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = ?").bind(token.as_slice()).execute(&self.writer).await?;
        Ok(())
    }
}
