//! Who is signed in. A session is a run of refresh tokens, each used once for the next; the tokens themselves are stored
//! nowhere, only their SHA-256.

use std::time::Duration;

use sqlx::{FromRow, Row};

use super::{DbConnection, DbRow, Store, StoreError, Write, repeat, rows, users::User};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    secret::Digest,
};

/// How long one stays signed in without coming back.
pub const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Devices one person may be signed in on; the oldest session makes room.
const MAX_SESSIONS_PER_USER: usize = 64;
/// How long a used token may be shown again: two tabs that refresh at once, or an answer that was lost on its way.
const GRACE: Duration = Duration::from_secs(30);
/// Tokens of one session that are not used yet: one, and those of the grace.
const MAX_UNUSED: i64 = 16;
/// Used tokens of one session that are known again; older ones are simply none.
const MAX_USED: i64 = 100;

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Whose.
    pub user: UserId,
    /// Of its first refresh token.
    pub token: Digest,
    /// Where it is.
    pub device: Device,
}

/// Where a session is, in words that its owner knows it again by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The browser in short.
    pub agent: String,
    /// The network of the address.
    pub network: String,
}

/// A session, for its owner to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub created_at: Timestamp,
    /// When it was last refreshed.
    pub last_used_at: Timestamp,
    pub device: Device,
}

/// What became of a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The new one counts from now on.
    Next(User, SessionId),
    /// It is none, or its session has ended.
    Unknown,
    /// It was used before: two have it, and one of them has stolen it. The session is over for both.
    Stolen(UserId),
    /// Too many have asked with it at once.
    TooOften,
}

impl FromRow<'_, DbRow> for Session {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("id", row.try_get("id")?)?,
            created_at: Timestamp(row.try_get("created_at")?),
            last_used_at: Timestamp(row.try_get("last_used_at")?),
            device: Device { agent: row.try_get("agent")?, network: row.try_get("network")? },
        })
    }
}

impl Store {
    /// Begins a session and forgets those that have ended.
    pub async fn create_session(&self, new: &NewSession, now: Timestamp) -> Result<SessionId, StoreError> {
        repeat(|| async {
            let mut write = self.write().await?;
            sqlx::query("DELETE FROM user_sessions WHERE expires_at <= ?").bind(now.0).execute(&mut *write).await?;
            write.lock_user(new.user).await?;
            make_room(&mut write, new.user).await?;
            let id = insert(&mut write, new, now).await?;
            write.commit().await?;
            Ok(id)
        })
        .await
    }

    /// Whose session it is, if it has not ended and its owner may come in.
    pub async fn session_user(&self, session: SessionId, now: Timestamp) -> Result<Option<User>, StoreError> {
        let user = sqlx::query_as(
            "SELECT users.id AS user_id, username, role, worker FROM user_sessions
             JOIN users ON users.id = user_sessions.user_id
             WHERE user_sessions.id = ? AND expires_at > ? AND disabled = 0",
        )
        .bind(session.to_string())
        .bind(now.0)
        .fetch_optional(&self.readers)
        .await?;
        Ok(user)
    }

    /// Takes a refresh token for the next one.
    pub async fn rotate(
        &self,
        old: &Digest,
        next: &Digest,
        device: &Device,
        now: Timestamp,
    ) -> Result<Rotated, StoreError> {
        repeat(|| async {
            let mut write = self.write().await?;
            let rotated = rotate(&mut write, old, next, now).await?;
            if let Rotated::Next(_, session) = &rotated {
                carry_on(&mut write, *session, device, now).await?;
            }
            write.commit().await?;
            Ok(rotated)
        })
        .await
    }

    /// A person's sessions, the one that was used last first.
    pub async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let sessions = sqlx::query_as(
            "SELECT * FROM user_sessions WHERE user_id = ? AND expires_at > ? ORDER BY last_used_at DESC, id DESC",
        )
        .bind(user.to_string())
        .bind(now.0)
        .fetch_all(&self.readers)
        .await?;
        Ok(sessions)
    }

    /// Ends one of a person's sessions; false when there is none of that id.
    pub async fn delete_session(&self, user: UserId, session: SessionId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM user_sessions WHERE id = ? AND user_id = ?")
            .bind(session.to_string())
            .bind(user.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends all of a person's sessions but this one.
    pub async fn delete_sessions(&self, user: UserId, but: Option<SessionId>) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM user_sessions WHERE user_id = ? AND id <> ?")
            .bind(user.to_string())
            .bind(but.map(|session| session.to_string()).unwrap_or_default())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Ends the session of a refresh token, used or not; whose it was.
    pub async fn end_session_of(&self, token: &Digest, now: Timestamp) -> Result<Option<UserId>, StoreError> {
        let mut write = self.write().await?;
        let Some(shown) = shown(&mut write, token, now).await? else { return Ok(None) };
        delete(&mut write, shown.session).await?;
        write.commit().await?;
        Ok(Some(shown.user.id))
    }
}

/// A refresh token that somebody has shown.
struct Shown {
    session: SessionId,
    user: User,
    used_at: Option<Timestamp>,
}

async fn rotate(write: &mut Write, old: &Digest, next: &Digest, now: Timestamp) -> Result<Rotated, StoreError> {
    let Some(first) = shown(write, old, now).await? else { return Ok(Rotated::Unknown) };
    // Of two that come at once the second sees what the first has done.
    write.lock_user(first.user.id).await?;
    let Some(Shown { session, user, used_at }) = shown(write, old, now).await? else { return Ok(Rotated::Unknown) };
    match used_at {
        None => use_up(write, session, now).await?,
        Some(at) if at <= now.before(GRACE) => {
            delete(write, session).await?;
            return Ok(Rotated::Stolen(user.id));
        }
        // The token that was given for it stays good: nobody knows which of the two the browser has kept.
        Some(_) if count_unused(write, session).await? >= MAX_UNUSED => return Ok(Rotated::TooOften),
        Some(_) => {}
    }
    insert_token(write, next, session).await?;
    Ok(Rotated::Next(user, session))
}

async fn carry_on(
    write: &mut DbConnection,
    session: SessionId,
    device: &Device,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE user_sessions SET last_used_at = ?, expires_at = ?, agent = ?, network = ? WHERE id = ?")
        .bind(now.0)
        .bind(now.after(LIFE).0)
        .bind(&device.agent)
        .bind(&device.network)
        .bind(session.to_string())
        .execute(write)
        .await?;
    Ok(())
}

async fn insert(write: &mut DbConnection, new: &NewSession, now: Timestamp) -> Result<SessionId, StoreError> {
    let id = SessionId::generate();
    sqlx::query(
        "INSERT INTO user_sessions (id, user_id, created_at, last_used_at, expires_at, agent, network)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.to_string())
    .bind(new.user.to_string())
    .bind(now.0)
    .bind(now.0)
    .bind(now.after(LIFE).0)
    .bind(&new.device.agent)
    .bind(&new.device.network)
    .execute(&mut *write)
    .await?;
    insert_token(write, &new.token, id).await?;
    Ok(id)
}

async fn shown(write: &mut DbConnection, token: &Digest, now: Timestamp) -> Result<Option<Shown>, StoreError> {
    let row = sqlx::query(
        "SELECT session_id, used_at, users.id AS user_id, username, role, worker FROM refresh_tokens
         JOIN user_sessions ON user_sessions.id = refresh_tokens.session_id
         JOIN users ON users.id = user_sessions.user_id
         WHERE token_hash = ? AND expires_at > ? AND disabled = 0",
    )
    .bind(token.as_slice())
    .bind(now.0)
    .fetch_optional(write)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let used_at = row.try_get::<Option<i64>, _>("used_at")?.map(Timestamp);
    let session = rows::parse("session_id", row.try_get("session_id")?)?;
    Ok(Some(Shown { session, user: User::from_row(&row)?, used_at }))
}

/// With the token that was shown go those that were given in the grace and never used: one of them was the browser's.
async fn use_up(write: &mut DbConnection, session: SessionId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE refresh_tokens SET used_at = ? WHERE session_id = ? AND used_at IS NULL")
        .bind(now.0)
        .bind(session.to_string())
        .execute(&mut *write)
        .await?;
    let oldest: Option<(i64,)> = sqlx::query_as(
        "SELECT used_at FROM refresh_tokens WHERE session_id = ? AND used_at IS NOT NULL
         ORDER BY used_at DESC LIMIT 1 OFFSET ?",
    )
    .bind(session.to_string())
    .bind(MAX_USED)
    .fetch_optional(&mut *write)
    .await?;
    let Some((oldest,)) = oldest else { return Ok(()) };
    sqlx::query("DELETE FROM refresh_tokens WHERE session_id = ? AND used_at <= ?")
        .bind(session.to_string())
        .bind(oldest)
        .execute(write)
        .await?;
    Ok(())
}

async fn count_unused(write: &mut DbConnection, session: SessionId) -> Result<i64, StoreError> {
    let (unused,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM refresh_tokens WHERE session_id = ? AND used_at IS NULL")
            .bind(session.to_string())
            .fetch_one(write)
            .await?;
    Ok(unused)
}

async fn insert_token(write: &mut DbConnection, token: &Digest, session: SessionId) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO refresh_tokens (token_hash, session_id, used_at) VALUES (?, ?, NULL)")
        .bind(token.as_slice())
        .bind(session.to_string())
        .execute(write)
        .await?;
    Ok(())
}

async fn delete(write: &mut DbConnection, session: SessionId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM user_sessions WHERE id = ?").bind(session.to_string()).execute(write).await?;
    Ok(())
}

async fn make_room(write: &mut DbConnection, user: UserId) -> Result<(), StoreError> {
    let sessions: Vec<(String,)> =
        sqlx::query_as("SELECT id FROM user_sessions WHERE user_id = ? ORDER BY created_at DESC, id DESC")
            .bind(user.to_string())
            .fetch_all(&mut *write)
            .await?;
    for (session,) in sessions.iter().skip(MAX_SESSIONS_PER_USER - 1) {
        sqlx::query("DELETE FROM user_sessions WHERE id = ?").bind(session).execute(&mut *write).await?;
    }
    Ok(())
}
