//! Accounts.

use sqlx::{FromRow, Row};

use super::{
    DbRow, Lock, Store, StoreError, Write, repeat,
    rows::{self, Word, words},
};
use crate::{clock::Timestamp, id::UserId};

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Chats and has keys.
    User,
    /// Runs the gateway too.
    Admin,
}

words!(Role { Role::User = "user", Role::Admin = "admin" });

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
            role: rows::word("role", row.try_get("role")?)?,
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
            insert(&mut write, &user, password_hash).await?;
            write.commit().await?;
            Ok(Some(user))
        })
        .await
    }

    /// Another account; [`StoreError::Conflict`] when the name is taken.
    pub async fn create_user(&self, username: &str, password_hash: &str, role: Role) -> Result<User, StoreError> {
        let user = User { id: UserId::generate(), username: username.to_owned(), role };
        let mut write = self.write().await?;
        insert(&mut write, &user, password_hash).await?;
        write.commit().await?;
        Ok(user)
    }

    /// The account of that name and the hash of its password.
    pub async fn credentials(&self, username: &str) -> Result<Option<(User, String)>, StoreError> {
        let row = sqlx::query("SELECT id AS user_id, username, role, password_hash FROM users WHERE username = ?")
            .bind(username)
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((User::from_row(&row)?, row.try_get("password_hash")?)))
    }
}

async fn insert(write: &mut Write, user: &User, password_hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO users (id, username, password_hash, role, created_at) VALUES (?, ?, ?, ?, ?)")
        .bind(user.id.to_string())
        .bind(&user.username)
        .bind(password_hash)
        .bind(user.role.word())
        .bind(Timestamp::now().0)
        .execute(&mut **write)
        .await
        .map(drop)
}
