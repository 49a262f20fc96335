//! What people may have computed for them in a calendar month (UTC), and what they have had: tokens of models, asked and
//! answered, by person and by key.
//!
//! An answer that runs is held against the budgets with what it may come to, so that many at once do not get past them;
//! a budget is overrun at most by what runs when it ends. What an answer came to is counted in the transaction that takes
//! its hold away, so it counts once, whichever gateway ends it.

use std::time::Duration;

use sqlx::{Row, query_scalar};
use thiserror::Error;

use super::{DbConnection, Store, StoreError, Write, repeat, rows};
use crate::{
    clock::Timestamp,
    id::{HoldId, KeyId, TurnId, UserId},
};

/// The largest budget: what JavaScript still counts exactly, and more than anybody uses.
pub const MAX_BUDGET: u64 = 1_000_000_000_000_000;
/// Tokens held for an answer that may be as long as it likes.
const OPEN_ANSWER: u32 = 1_024;
/// A hold that is older counts no more: its gateway has died. No answer takes so long.
const HOLD_LIFE: Duration = Duration::from_secs(3_600);

/// Who pays for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payer {
    pub user: UserId,
    /// None in the chat.
    pub key: Option<KeyId>,
}

/// What an answer may come to, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// More or less: only a node knows it exactly.
    pub prompt: u32,
    /// The most, or what is usual where there is no most.
    pub answer: u32,
}

/// What an answer has come to, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Unknown when no node came to say it.
    pub prompt: Option<u32>,
    /// All there is of the answer, thoughts too.
    pub answer: u32,
}

/// A month's tokens are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the {budget} tokens of {} for this month are used up, or held for answers that run; more come on {}", .whose.words(), date(*.until))]
pub struct Exhausted {
    pub whose: Whose,
    /// Tokens a month.
    pub budget: u64,
    /// When the next month begins.
    pub until: Timestamp,
}

/// Whose budget it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Person,
    Key,
}

/// What was used, by whom, on which day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    pub payer: Payer,
    /// Of those since 1970.
    pub day: i64,
}

impl Payer {
    fn key(&self) -> String {
        self.key.map(|key| key.to_string()).unwrap_or_default()
    }
}

impl Expected {
    /// For a prompt of so many bytes, and an answer of at most so many tokens.
    #[must_use]
    pub fn new(bytes: usize, most: Option<u32>) -> Self {
        // English has about four bytes a token, other languages fewer; the prompt's frame makes up for some of it.
        Self { prompt: u32::try_from(bytes / 4).unwrap_or(u32::MAX), answer: most.unwrap_or(OPEN_ANSWER) }
    }

    /// Both.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        u64::from(self.prompt) + u64::from(self.answer)
    }
}

impl Whose {
    fn words(self) -> &'static str {
        match self {
            Self::Person => "your account",
            Self::Key => "this API key",
        }
    }
}

fn date(at: Timestamp) -> String {
    at.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// What counts: no bound where it is 0.
#[must_use]
pub fn budget(own: Option<u64>, default: u64) -> Option<u64> {
    Some(own.unwrap_or(default)).filter(|budget| *budget > 0)
}

impl Store {
    /// The same database, where people have so many tokens a month (0: as many as they like) unless an administrator has said otherwise.
    #[must_use]
    pub fn with_budget(mut self, tokens_per_month: u64) -> Self {
        self.tokens_per_month = tokens_per_month;
        self
    }

    /// Holds what an answer may come to; `None` when nothing bounds who asks.
    ///
    /// # Errors
    /// [`StoreError::Exhausted`], among others.
    pub async fn hold(&self, payer: Payer, expected: Expected) -> Result<Option<HoldId>, StoreError> {
        let id = HoldId::generate();
        repeat(|| async {
            let mut write = self.write().await?;
            write.lock_user(payer.user).await?;
            if !self.check_budgets(&mut write, payer).await? {
                return Ok(None);
            }
            insert(&mut write, &id.to_string(), payer, expected, 0, &self.owner).await?;
            write.commit().await?;
            Ok(Some(id))
        })
        .await
    }

    /// Holds what an answer in the chat may come to, behind `counted` tokens of it that were counted before.
    pub(super) async fn hold_turn(
        &self,
        write: &mut Write,
        (user, turn): (UserId, TurnId),
        expected: Expected,
        counted: u32,
    ) -> Result<(), StoreError> {
        let payer = Payer { user, key: None };
        write.lock_user(user).await?;
        self.check_budgets(write, payer).await?;
        if counted > 0 {
            // What an earlier run of it may have left behind.
            sqlx::query("DELETE FROM token_holds WHERE id = ?").bind(turn.to_string()).execute(&mut **write).await?;
        }
        insert(write, &turn.to_string(), payer, expected, counted, &self.owner).await
    }

    /// Counts what was used without a hold, or with one that goes now.
    pub async fn count(&self, used: &[(Account, u64)], holds: &[HoldId]) -> Result<(), StoreError> {
        repeat(|| async {
            let mut write = self.write().await?;
            for hold in holds {
                let delete = sqlx::query("DELETE FROM token_holds WHERE id = ?").bind(hold.to_string());
                delete.execute(&mut *write).await?;
            }
            for (account, tokens) in used {
                add(&mut write, &account.payer.user.to_string(), &account.payer.key(), account.day, *tokens).await?;
            }
            Ok(write.commit().await?)
        })
        .await
    }

    /// What an answer in a conversation that is gone has come to.
    pub(super) async fn settle_alone(&self, turn: TurnId, given: Given) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        settle(&mut write, turn, given).await?;
        Ok(write.commit().await?)
    }

    /// At the start: what this gateway held for answers that do not run any more, and what nobody has let go.
    pub async fn release_holds(&self) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM token_holds WHERE (owner = ? OR made_at < ?) AND NOT EXISTS
                 (SELECT 1 FROM messages WHERE messages.id = token_holds.id AND status = 'running')",
        )
        .bind(&*self.owner)
        .bind(Timestamp::now().before(HOLD_LIFE).0)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// What a person has used this month, and the person's own budget.
    pub async fn tokens_of(&self, user: UserId) -> Result<(u64, Option<u64>), StoreError> {
        let row = sqlx::query(
            "SELECT tokens_per_month,
                 (SELECT CAST(COALESCE(SUM(tokens), 0) AS SIGNED INTEGER) FROM token_usage
                  WHERE user_id = users.id AND day >= ?) AS used
             FROM users WHERE id = ?",
        )
        .bind(Timestamp::now().month().0)
        .bind(user.to_string())
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok((0, None)) };
        Ok((rows::number(&row, "used")?, rows::maybe_number(&row, "tokens_per_month")?))
    }

    /// Whether anything bounds who asks.
    async fn check_budgets(&self, write: &mut DbConnection, payer: Payer) -> Result<bool, StoreError> {
        let (now, mut bounded) = (Timestamp::now(), false);
        for whose in [Whose::Person, Whose::Key] {
            let default = if whose == Whose::Person { self.tokens_per_month } else { 0 };
            let Some(budget) = budget(own(write, payer, whose).await?, default) else { continue };
            bounded = true;
            if taken(write, payer, whose, now).await? >= budget {
                return Err(Exhausted { whose, budget, until: now.month().1 }.into());
            }
        }
        Ok(bounded)
    }
}

/// The budget that stands in a row, if one does.
async fn own(write: &mut DbConnection, payer: Payer, whose: Whose) -> Result<Option<u64>, StoreError> {
    let (sql, id) = match (whose, payer.key) {
        (Whose::Person, _) => ("SELECT tokens_per_month FROM users WHERE id = ?", payer.user.to_string()),
        (Whose::Key, Some(key)) => ("SELECT tokens_per_month FROM api_keys WHERE id = ?", key.to_string()),
        (Whose::Key, None) => return Ok(None),
    };
    let Some(row) = sqlx::query(sql).bind(id).fetch_optional(write).await? else { return Ok(None) };
    Ok(rows::maybe_number(&row, "tokens_per_month")?)
}

const TAKEN_BY_USER: &str = "SELECT CAST(
        COALESCE((SELECT SUM(tokens) FROM token_usage WHERE user_id = ? AND day >= ?), 0)
        + COALESCE((SELECT SUM(prompt + answer) FROM token_holds WHERE user_id = ? AND made_at > ?), 0)
    AS SIGNED INTEGER)";
const TAKEN_BY_KEY: &str = "SELECT CAST(
        COALESCE((SELECT SUM(tokens) FROM token_usage WHERE user_id = ? AND key_id = ? AND day >= ?), 0)
        + COALESCE((SELECT SUM(prompt + answer) FROM token_holds WHERE user_id = ? AND key_id = ? AND made_at > ?), 0)
    AS SIGNED INTEGER)";

/// Used this month, and held now.
async fn taken(write: &mut DbConnection, payer: Payer, whose: Whose, now: Timestamp) -> Result<u64, StoreError> {
    let (user, key) = (payer.user.to_string(), payer.key());
    let (first, oldest) = (now.month().0, now.before(HOLD_LIFE).0);
    let query = match whose {
        Whose::Person => query_scalar(TAKEN_BY_USER).bind(&user).bind(first).bind(&user).bind(oldest),
        Whose::Key => query_scalar(TAKEN_BY_KEY).bind(&user).bind(&key).bind(first).bind(&user).bind(&key).bind(oldest),
    };
    let taken: i64 = query.fetch_one(write).await?;
    Ok(u64::try_from(taken).unwrap_or_default())
}

async fn insert(
    write: &mut DbConnection,
    id: &str,
    payer: Payer,
    expected: Expected,
    counted: u32,
    owner: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO token_holds (id, user_id, key_id, prompt, answer, counted, owner, made_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id)
    .bind(payer.user.to_string())
    .bind(payer.key())
    .bind(i64::from(expected.prompt))
    .bind(i64::from(expected.answer))
    .bind(i64::from(counted))
    .bind(owner)
    .bind(Timestamp::now().0)
    .execute(write)
    .await?;
    Ok(())
}

/// Counts what an answer in the chat has come to, if that was not done yet.
pub(super) async fn settle(write: &mut DbConnection, turn: TurnId, given: Given) -> Result<(), StoreError> {
    let id = turn.to_string();
    let hold = sqlx::query("SELECT user_id, key_id, prompt, counted FROM token_holds WHERE id = ?").bind(&id);
    let Some(hold) = hold.fetch_optional(&mut *write).await? else { return Ok(()) };
    let delete = sqlx::query("DELETE FROM token_holds WHERE id = ?").bind(&id);
    if delete.execute(&mut *write).await?.rows_affected() == 0 {
        return Ok(());
    }
    let new = given.answer.saturating_sub(rows::number(&hold, "counted")?);
    // Without an answer nobody knows whether the prompt was read.
    let guess = if new > 0 { rows::number(&hold, "prompt")? } else { 0 };
    let tokens = u64::from(given.prompt.unwrap_or(guess)) + u64::from(new);
    let (user, key): (&str, &str) = (hold.try_get("user_id")?, hold.try_get("key_id")?);
    add(write, user, key, Timestamp::now().day(), tokens).await
}

/// Nothing for somebody who is gone.
async fn add(write: &mut DbConnection, user: &str, key: &str, day: i64, tokens: u64) -> Result<(), StoreError> {
    let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
    if tokens == 0 {
        return Ok(());
    }
    let update = "UPDATE token_usage SET tokens = tokens + ? WHERE user_id = ? AND key_id = ? AND day = ?";
    let update = sqlx::query(update).bind(tokens).bind(user).bind(key).bind(day);
    if update.execute(&mut *write).await?.rows_affected() == 0 {
        sqlx::query(
            "INSERT INTO token_usage (user_id, key_id, day, tokens) SELECT id, ?, ?, ? FROM users WHERE id = ?",
        )
        .bind(key)
        .bind(day)
        .bind(tokens)
        .bind(user)
        .execute(write)
        .await?;
    }
    Ok(())
}
