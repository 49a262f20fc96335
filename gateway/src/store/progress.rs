//! What it takes to go on with an answer that is not whole, after a restart or when a person asks for it.
//!
//! A running answer is kept while it grows, behind every token that came, so that another node can go on where it
//! stood. What is whole needs none of this.

pub(super) mod write;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::{QueryBuilder, Row};
use starling_protocol::{
    JobId, ModelId,
    limits::MAX_CONTINUE_TOKENS,
    message::{Private, Reasoning},
};

use super::{
    Db, DbRow, Store, StoreError,
    branches::Tree,
    memories::recalled::{self, Recalled},
    messages::TurnError,
    rows::{self, words},
    seal::{self, Table, UserKeys},
    tokens::Expected,
    turns::Accepted,
};
use crate::{
    clock::Timestamp,
    id::{ConversationId, TurnId, UserId},
};

words!(Reasoning { Reasoning::Never = "never", Reasoning::Marked = "marked", Reasoning::Open = "open" });

/// An answer so far. What its model wrote is never shown by `Debug`.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The job: the same over all attempts.
    pub job: JobId,
    /// Attempts that were begun.
    pub attempts: u32,
    /// The model, by content: no other can go on from its tokens.
    pub model: ModelId,
    /// The model's name at that time.
    pub model_name: String,
    /// What makes the answer repeatable.
    pub seed: Option<u64>,
    /// Most tokens in the answer; `None` is as many as the context holds.
    pub max_tokens: Option<u32>,
    /// Where the model's thoughts are in its text.
    pub reasoning: Reasoning,
    /// Who has given it, in order.
    pub nodes: Vec<Node>,
    /// From question to first token, in milliseconds.
    pub first_token_ms: Option<f64>,
    /// All tokens, those of thoughts too, up to what a request may continue from: what comes behind those is
    /// computed anew.
    pub tokens: Vec<u32>,
    /// What these tokens say, thoughts and all.
    pub text: Private,
    /// What its model was told from the person's memory; stored with the question, and never changed.
    pub recalled: Vec<Recalled>,
    /// What its prompt may come to, in tokens; held against the person's budget from the question on.
    pub prompt_tokens: u32,
}

/// A node that has given a part of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name at that time.
    pub name: String,
    /// The node.
    pub peer: String,
    /// What computes there, in words.
    pub device: String,
}

/// An answer that can go on.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// The turn.
    pub turn: TurnId,
    /// Whose it is.
    pub user: UserId,
    /// What was asked.
    pub accepted: Accepted,
    /// How far it has come.
    pub progress: Progress,
}

impl Progress {
    /// Of an answer that nobody has begun.
    #[must_use]
    pub fn new(job: JobId, model: ModelId, model_name: String, seed: Option<u64>) -> Self {
        Self {
            job,
            attempts: 0,
            model,
            model_name,
            seed,
            max_tokens: None,
            reasoning: Reasoning::default(),
            nodes: vec![],
            first_token_ms: None,
            tokens: vec![],
            text: Private::default(),
            recalled: vec![],
            prompt_tokens: 0,
        }
    }

    /// What it may come to, behind the tokens that there are.
    pub(super) fn expected(&self) -> Expected {
        let most = self.max_tokens.map(|most| most.saturating_sub(self.given()));
        Expected { prompt: self.prompt_tokens, ..Expected::new(0, most) }
    }

    /// The tokens that there are.
    pub(super) fn given(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    /// More of it; false when there is no more room, and then it must not grow again.
    #[must_use]
    pub fn grow(&mut self, tokens: &[u32], text: &str) -> bool {
        let fits = self.tokens.len() + tokens.len() <= MAX_CONTINUE_TOKENS;
        if fits {
            self.tokens.extend_from_slice(tokens);
            self.text.0.push_str(text);
        }
        fits
    }

    /// What it takes in the database, in bytes, more or less.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * self.tokens.len() + self.text.0.len()
    }
}

impl Progress {
    fn read(row: &DbRow, keys: &UserKeys) -> Result<Self, sqlx::Error> {
        let unreadable = rows::unreadable;
        let model: Vec<u8> = row.try_get("model_id")?;
        let (tokens, text) = match row.try_get::<Option<&[u8]>, _>("sealed")? {
            Some(sealed) => split(&keys.open(Table::Progress, row.try_get::<&str, _>("message_id")?, sealed)?)?,
            None => (row.try_get("tokens")?, row.try_get("text")?),
        };
        let (tokens, rest) = tokens.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(unreadable("tokens"));
        }
        Ok(Self {
            job: rows::parse("job_id", row.try_get("job_id")?)?,
            attempts: rows::number(row, "attempts")?,
            model: ModelId::new(model.try_into().map_err(|_| unreadable("model_id"))?),
            model_name: row.try_get("model")?,
            seed: row.try_get::<Option<i64>, _>("seed")?.map(i64::cast_unsigned),
            max_tokens: rows::maybe_number(row, "max_tokens")?,
            reasoning: rows::word("reasoning", row.try_get("reasoning")?)?,
            nodes: serde_json::from_str(row.try_get("nodes")?).map_err(|_| unreadable("nodes"))?,
            first_token_ms: row.try_get("first_token_ms")?,
            tokens: tokens.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect(),
            text: Private(text),
            // In rows of its own.
            recalled: vec![],
            prompt_tokens: 0,
        })
    }
}

impl Store {
    /// Keeps how far running answers have come, all or none. One that has ended meanwhile is left as it is, and so is
    /// one that another gateway gives now; these are given back.
    pub async fn keep(&self, batch: &[(TurnId, Progress)]) -> Result<Vec<TurnId>, StoreError> {
        let turns: Vec<TurnId> = batch.iter().map(|(turn, _)| *turn).collect();
        let people = self.people_of(&turns).await?;
        let mut keys = HashMap::new();
        for person in people.values() {
            keys.insert(person, self.sealing_keys(*person).await?);
        }
        let (mut transaction, mut not_kept) = (self.write().await?, vec![]);
        for (turn, progress) in batch {
            // Of nobody: it was deleted.
            let kept = match people.get(turn).and_then(|person| keys.get(person)) {
                Some(keys) => {
                    write::update(&mut transaction, *turn, progress, keys, &self.owner, Some(&self.owner)).await?
                }
                None => false,
            };
            if !kept {
                not_kept.push(*turn);
            }
        }
        transaction.commit().await?;
        Ok(not_kept)
    }

    /// Whose these messages are.
    pub(super) async fn people_of(&self, messages: &[TurnId]) -> Result<HashMap<TurnId, UserId>, StoreError> {
        if messages.is_empty() {
            return Ok(HashMap::new());
        }
        let mut query = QueryBuilder::<Db>::new(
            "SELECT messages.id AS id, user_id FROM messages
             JOIN conversations ON conversations.id = conversation_id WHERE messages.id IN (",
        );
        let mut ids = query.separated(", ");
        for id in messages {
            ids.push_bind(id.to_string());
        }
        query.push(")");
        let rows = query.build().fetch_all(&self.readers).await?;
        let person = |row: &DbRow| -> Result<_, sqlx::Error> {
            Ok((rows::parse("id", row.try_get("id")?)?, rows::parse("user_id", row.try_get("user_id")?)?))
        };
        Ok(rows.iter().map(person).collect::<Result<_, _>>()?)
    }

    /// At the start: the answers that an earlier process of this gateway left running, with what it takes to go on, the
    /// oldest first.
    pub async fn unfinished(&self, limit: usize) -> Result<Vec<Unfinished>, StoreError> {
        let rows = sqlx::query(
            "SELECT progress.* FROM progress JOIN messages ON id = message_id
             WHERE status = 'running' AND owner = ? ORDER BY id LIMIT ?",
        )
        .bind(&*self.owner)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await?;
        let mut unfinished = Vec::with_capacity(rows.len());
        for row in rows {
            match self.unfinished_of(&row).await {
                Ok(found) => unfinished.push(found),
                Err(StoreError::Broken(error)) => tracing::error!(%error, "an answer cannot be taken up again"),
                Err(error) => return Err(error),
            }
        }
        Ok(unfinished)
    }

    /// At the start: the answers that an earlier process left running, but for those in `taken_up` and those of other
    /// gateways, are marked as cut short by `error`.
    pub async fn interrupt_running(&self, taken_up: &[Unfinished], error: &TurnError) -> Result<u64, StoreError> {
        let taken_up: Vec<String> = taken_up.iter().map(|unfinished| unfinished.turn.to_string()).collect();
        let mut write = self.write().await?;
        let sql = "SELECT id FROM messages WHERE status = 'running'
                       AND NOT EXISTS (SELECT 1 FROM progress WHERE message_id = messages.id AND owner <> ?)";
        let running: Vec<String> = sqlx::query_scalar(sql).bind(&*self.owner).fetch_all(&mut *write).await?;
        let mut interrupted = 0;
        for id in running.iter().filter(|id| !taken_up.contains(id)) {
            let done =
                sqlx::query("UPDATE messages SET status = 'partial', error_code = ?, error_message = ?, sealed_error = NULL WHERE id = ?")
                    .bind(&error.code)
                    .bind(&error.message)
                    .bind(id)
                    .execute(&mut *write)
                    .await?;
            interrupted += done.rows_affected();
        }
        write.commit().await?;
        Ok(interrupted)
    }

    /// What it takes to go on with one of a user's answers; `None` when there is none that can.
    pub async fn resumable(&self, user: UserId, turn: TurnId) -> Result<Option<Unfinished>, StoreError> {
        let row = sqlx::query(
            "SELECT progress.* FROM progress JOIN messages ON messages.id = message_id
                 JOIN conversations ON conversations.id = conversation_id
             WHERE messages.id = ? AND user_id = ? AND resumable = 1",
        )
        .bind(turn.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.readers)
        .await?;
        match row {
            Some(row) => Ok(Some(self.unfinished_of(&row).await?)),
            None => Ok(None),
        }
    }

    /// An answer runs again, as this job; false when it cannot any more.
    pub async fn reopen(&self, unfinished: &Unfinished) -> Result<bool, StoreError> {
        let turn = unfinished.turn.to_string();
        let mut write = self.write().await?;
        let Unfinished { user, turn: id, progress, .. } = unfinished;
        self.hold_turn(&mut write, (*user, *id), progress.expected(), progress.given()).await?;
        let done = sqlx::query(
            "UPDATE messages SET status = 'running', resumable = 0, remembered = 0, error_code = NULL, error_message = NULL,
                 sealed_error = NULL
             WHERE id = ? AND resumable = 1",
        )
        .bind(&turn)
        .execute(&mut *write)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("UPDATE progress SET job_id = ?, attempts = ?, owner = ? WHERE message_id = ?")
            .bind(unfinished.progress.job.to_string())
            .bind(i64::from(unfinished.progress.attempts))
            .bind(&*self.owner)
            .bind(&turn)
            .execute(&mut *write)
            .await?;
        sqlx::query("UPDATE conversations SET updated_at = ?, leaf = NULL WHERE id = ?")
            .bind(Timestamp::now().0)
            .bind(unfinished.accepted.conversation.id.to_string())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(true)
    }

    pub(super) async fn unfinished_of(&self, row: &DbRow) -> Result<Unfinished, StoreError> {
        let turn: TurnId = rows::parse("message_id", row.try_get("message_id")?)?;
        let place = sqlx::query(
            "SELECT user_id, conversations.id FROM conversations JOIN messages ON conversations.id = conversation_id
             WHERE messages.id = ?",
        )
        .bind(turn.to_string())
        .fetch_one(&self.readers)
        .await?;
        let user: UserId = rows::parse("user_id", place.try_get("user_id")?)?;
        let keys = self.keys_of(user).await?;
        let recalled = recalled::of(&self.readers, turn, &keys).await?;
        let progress = Progress { recalled, ..Progress::read(row, &keys)? };
        let id: ConversationId = rows::parse("id", place.try_get("id")?)?;
        let missing = || StoreError::Broken(sqlx::Error::RowNotFound);
        let conversation = self.conversation(user, id).await?.ok_or_else(missing)?;
        let question = Tree::read(&self.readers, &id.to_string()).await?.parent(turn).ok_or_else(missing)?;
        let question = self.message(user, id, question).await?.ok_or_else(missing)?;
        Ok(Unfinished { turn, user, accepted: Accepted { conversation, question }, progress })
    }
}

/// What is sealed of an answer so far: the length of its tokens in bytes, the tokens, and what they say.
pub(super) fn words(tokens: &[u8], text: &str) -> Vec<u8> {
    if tokens.is_empty() && text.is_empty() {
        return vec![];
    }
    let mut words = u32::try_from(tokens.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    words.extend_from_slice(tokens);
    words.extend_from_slice(text.as_bytes());
    words
}

fn split(words: &[u8]) -> Result<(Vec<u8>, String), sqlx::Error> {
    if words.is_empty() {
        return Ok(Default::default());
    }
    let unreadable = || rows::unreadable("sealed");
    let (length, rest) = words.split_first_chunk().ok_or_else(unreadable)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| unreadable())?;
    let (tokens, text) = rest.split_at_checked(length).ok_or_else(unreadable)?;
    Ok((tokens.to_vec(), seal::utf8(text.to_vec())?))
}
