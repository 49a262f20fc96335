//! Accounts.

use sqlx::{FromRow, Row};

use super::{
    DbRow, Store, StoreError,
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
        let (any,): (bool,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM users)").fetch_one(&self.readers).await?;
        Ok(!any)
    }

    /// The first account, an administrator's; `None` when there is an account already.
    pub async fn create_first_user(&self, username: &str, password_hash: &str) -> Result<Option<User>, StoreError> {
        let user = User { id: UserId::generate(), username: username.to_owned(), role: Role::Admin };
        let sql = "INSERT INTO users (id, username, password_hash, role, created_at)
                   SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM users)";
        let made = self.insert_user(sql, &user, password_hash).await?;
        Ok((made == 1).then_some(user))
    }

    /// Another account; [`StoreError::Conflict`] when the name is taken.
    pub async fn create_user(&self, username: &str, password_hash: &str, role: Role) -> Result<User, StoreError> {
        let user = User { id: UserId::generate(), username: username.to_owned(), role };
        let sql = "INSERT INTO users (id, username, password_hash, role, created_at) VALUES (?, ?, ?, ?, ?)";
        self.insert_user(sql, &user, password_hash).await?;
        Ok(user)
    }

    async fn insert_user(&self, sql: &'static str, user: &User, password_hash: &str) -> Result<u64, StoreError> {
        let done = sqlx::query(sql)
            .bind(user.id.to_string())
            .bind(&user.username)
            .bind(password_hash)
            .bind(user.role.word())
            .bind(Timestamp::now().0)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected())
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
