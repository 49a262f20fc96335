//! Accounts as an administrator sees and changes them. There is always an administrator left who can come in.

use sqlx::{FromRow, Row};

use super::{
    DbConnection, DbRow, Lock, Store, StoreError, repeat, rows,
    users::{Role, User},
};
use crate::{clock::Timestamp, id::UserId};

/// Accounts listed at one time.
pub const MAX_LISTED: u32 = 200;

/// An account in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub user: User,
    pub created_at: Timestamp,
    /// It cannot come in.
    pub disabled: bool,
    /// Its own budget: none is what the gateway says for all, 0 no bound.
    pub tokens_per_month: Option<u64>,
}

/// What is to be changed of an account; what is none stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct PersonChange {
    pub role: Option<Role>,
    pub disabled: Option<bool>,
    /// Its own budget, or none of its own.
    pub tokens_per_month: Option<Option<u64>>,
}

/// What came of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    Now(Person),
    /// There is no such account.
    Unknown,
    /// Nobody would be left to run the gateway.
    LastAdministrator,
}

impl FromRow<'_, DbRow> for Person {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user: User::from_row(row)?,
            created_at: Timestamp(row.try_get("created_at")?),
            disabled: rows::flag(row, "disabled")?,
            tokens_per_month: rows::maybe_number(row, "tokens_per_month")?,
        })
    }
}

impl Store {
    /// Accounts by name, behind the one of that name, with the tokens that each has used this month.
    pub async fn people(&self, behind: &str, limit: u32) -> Result<Vec<(Person, u64)>, StoreError> {
        let people = sqlx::query(
            "SELECT id AS user_id, username, role, worker, created_at, disabled, tokens_per_month,
                 (SELECT CAST(COALESCE(SUM(tokens), 0) AS SIGNED INTEGER) FROM token_usage
                  WHERE token_usage.user_id = users.id AND day >= ?) AS used
             FROM users WHERE username > ? ORDER BY username LIMIT ?",
        )
        .bind(Timestamp::now().month().0)
        .bind(behind)
        .bind(i64::from(limit.min(MAX_LISTED)))
        .fetch_all(&self.readers)
        .await?;
        let person = |row| -> Result<_, sqlx::Error> { Ok((Person::from_row(row)?, rows::number(row, "used")?)) };
        Ok(people.iter().map(person).collect::<Result<_, _>>()?)
    }

    /// The account of that name, one that cannot come in too.
    pub async fn person_named(&self, username: &str) -> Result<Option<Person>, StoreError> {
        let person = sqlx::query_as(
            "SELECT id AS user_id, username, role, worker, created_at, disabled, tokens_per_month FROM users
             WHERE username = ?",
        )
        .bind(username)
        .fetch_optional(&self.readers)
        .await?;
        Ok(person)
    }

    /// Changes an account. One that can come in no more has no sessions any more.
    pub async fn change_person(&self, user: UserId, change: PersonChange) -> Result<Changed, StoreError> {
        repeat(|| async {
            let mut write = self.write().await?;
            write.lock(Lock::Users).await?;
            let Some(mut person) = person(&mut write, user).await? else { return Ok(Changed::Unknown) };
            let was = is_administrator(&person);
            person.user.role = change.role.unwrap_or(person.user.role);
            person.disabled = change.disabled.unwrap_or(person.disabled);
            person.tokens_per_month = change.tokens_per_month.unwrap_or(person.tokens_per_month);
            if was && !is_administrator(&person) && !has_another(&mut write, user).await? {
                return Ok(Changed::LastAdministrator);
            }
            update(&mut write, &person).await?;
            write.commit().await?;
            Ok(Changed::Now(person))
        })
        .await
    }

    /// Deletes an account and all that is its own, the key of its words among it.
    pub async fn delete_person(&self, user: UserId) -> Result<Changed, StoreError> {
        let changed = self.delete_account(user).await?;
        self.keyring.forget(user);
        Ok(changed)
    }

    /// Another gateway has deleted an account: nothing here opens its words any more.
    pub fn forget_keys(&self, user: UserId) {
        self.keyring.forget(user);
    }

    async fn delete_account(&self, user: UserId) -> Result<Changed, StoreError> {
        repeat(|| async {
            let mut write = self.write().await?;
            write.lock(Lock::Users).await?;
            let Some(person) = person(&mut write, user).await? else { return Ok(Changed::Unknown) };
            if is_administrator(&person) && !has_another(&mut write, user).await? {
                return Ok(Changed::LastAdministrator);
            }
            sqlx::query("DELETE FROM users WHERE id = ?").bind(user.to_string()).execute(&mut *write).await?;
            write.commit().await?;
            Ok(Changed::Now(person))
        })
        .await
    }
}

/// One that can come in no more has no sessions any more.
async fn update(write: &mut DbConnection, person: &Person) -> Result<(), StoreError> {
    let (role, worker) = person.user.role.columns();
    let tokens = person.tokens_per_month.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX));
    sqlx::query("UPDATE users SET role = ?, worker = ?, disabled = ?, tokens_per_month = ? WHERE id = ?")
        .bind(role)
        .bind(i64::from(worker))
        .bind(i64::from(person.disabled))
        .bind(tokens)
        .bind(person.user.id.to_string())
        .execute(&mut *write)
        .await?;
    if person.disabled {
        sqlx::query("DELETE FROM user_sessions WHERE user_id = ?")
            .bind(person.user.id.to_string())
            .execute(write)
            .await?;
    }
    Ok(())
}

fn is_administrator(person: &Person) -> bool {
    person.user.role == Role::Admin && !person.disabled
}

async fn person(write: &mut DbConnection, user: UserId) -> Result<Option<Person>, StoreError> {
    let sql =
        "SELECT id AS user_id, username, role, worker, created_at, disabled, tokens_per_month FROM users WHERE id = ?";
    Ok(sqlx::query_as(sql).bind(user.to_string()).fetch_optional(write).await?)
}

async fn has_another(write: &mut DbConnection, user: UserId) -> Result<bool, StoreError> {
    let (others,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM users WHERE role = 'admin' AND disabled = 0 AND id <> ?")
            .bind(user.to_string())
            .fetch_one(write)
            .await?;
    Ok(others > 0)
}
