//! Accounts.

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row};

use super::{DbConnection, DbRow, Lock, Store, StoreError, repeat, rows};
use crate::{clock::Timestamp, id::UserId};

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Chats and has keys.
    User,
    /// Owns nodes too.
    Worker,
    /// Runs the gateway too.
    Admin,
}

impl Role {
    /// The columns `role` and `worker`: the release before knows only two roles, and a worker as a user.
    pub(super) fn columns(self) -> (&'static str, bool) {
        match self {
            Self::User => ("user", false),
            Self::Worker => ("user", true),
            Self::Admin => ("admin", false),
        }
    }

    fn from_columns(role: &str, worker: bool) -> Result<Self, sqlx::Error> {
        match (role, worker) {
            ("admin", _) => Ok(Self::Admin),
            ("user", true) => Ok(Self::Worker),
            ("user", false) => Ok(Self::User),
            _ => Err(rows::unreadable("role")),
        }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// What is typed at sign-in, in lower case.
    pub username: String,
    /// What it may do.
    pub role: Role,
}

impl FromRow<'_, DbRow> for User {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("user_id", row.try_get("user_id")?)?,
            username: row.try_get("username")?,
            role: Role::from_columns(row.try_get("role")?, rows::flag(row, "worker")?)?,
        })
    }
}

impl Store {
    /// Whether nobody can sign in yet.
    pub async fn has_no_users(&self) -> Result<bool, StoreError> {
        let any: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users)").fetch_one(&self.readers).await?;
        Ok(any == 0)
    }

    /// The first account, an administrator's; `None` when there is an account already.
    pub async fn create_first_user(&self, username: &str, password_hash: &str) -> Result<Option<User>, StoreError> {
        repeat(|| async {
            let user = User { id: UserId::generate(), username: username.to_owned(), role: Role::Admin };
            let mut write = self.write().await?;
            write.lock(Lock::Users).await?;
            let any: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM users)").fetch_one(&mut *write).await?;
            if any != 0 {
                return Ok(None);
            }
            insert_user(&mut write, &user, password_hash).await?;
            write.commit().await?;
            Ok(Some(user))
        })
        .await
    }

    /// Another account; [`StoreError::Conflict`] when the name is taken.
    pub async fn create_user(&self, username: &str, password_hash: &str, role: Role) -> Result<User, StoreError> {
        let user = User { id: UserId::generate(), username: username.to_owned(), role };
        let mut write = self.write().await?;
        insert_user(&mut write, &user, password_hash).await?;
        write.commit().await?;
        Ok(user)
    }

    /// The account of that name and the hash of its password; none when it is not there or may not come in.
    pub async fn credentials(&self, username: &str) -> Result<Option<(User, String)>, StoreError> {
        let row = sqlx::query(
            "SELECT id AS user_id, username, role, worker, password_hash FROM users WHERE username = ? AND disabled = 0",
        )
        .bind(username)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((User::from_row(&row)?, row.try_get("password_hash")?)))
    }

    /// Another hash, of another password or of the same.
    pub async fn set_password(&self, user: UserId, hash: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET password_hash = ? WHERE id = ?")
            .bind(hash)
            .bind(user.to_string())
            .execute(&self.writer)
            .await?;
        Ok(())
    }
}

pub(super) async fn insert_user(write: &mut DbConnection, user: &User, password_hash: &str) -> Result<(), StoreError> {
    let (role, worker) = user.role.columns();
    sqlx::query("INSERT INTO users (id, username, password_hash, role, worker, created_at) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(user.id.to_string())
        .bind(&user.username)
        .bind(password_hash)
        .bind(role)
        .bind(i64::from(worker))
        .bind(Timestamp::now().0)
        .execute(write)
        .await?;
    Ok(())
}
