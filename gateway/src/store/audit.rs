//! What was done to accounts, and by those who run the gateway. Never what anybody has said.

use sqlx::{FromRow, QueryBuilder, Row};

use super::{
    Db, DbRow, Store, StoreError,
    rows::{self, Word, words},
};
use crate::{clock::Timestamp, id::AuditId};

/// Entries that are kept; the oldest make room.
const KEPT: i64 = 100_000;
/// Room is made once in so many entries: it reads the index.
const TIDY_EVERY: i64 = 256;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The first administrator was made, with the console's code.
    SetUp,
    /// An invite into the swarm was made.
    InviteMade,
    /// An invite was taken back.
    InviteRevoked,
    /// A member was turned out of the swarm.
    MemberRevoked,
    /// A node is given no more.
    NodeDrained,
    /// A node is given answers again.
    NodeResumed,
    /// People may come in with this.
    InvitationMade,
    /// People may no longer come in with this.
    InvitationRevoked,
    /// An account was made by somebody else.
    UserMade,
    /// An account's role, or whether it may be used, was changed.
    UserChanged,
    /// An account is gone.
    UserDeleted,
    /// An account's role was changed.
    RoleChanged,
    /// Somebody has made an account for themselves.
    SignedUp,
    /// A password was changed.
    PasswordChanged,
    /// All of somebody's sessions have ended.
    SessionsRevoked,
    /// An API key was made.
    KeyMade,
    /// An API key was revoked.
    KeyRevoked,
    /// The key of somebody's words was replaced.
    DataKeyReplaced,
    /// An account's limits were changed.
    LimitsChanged,
}

words!(Action {
    Action::SetUp = "set_up",
    Action::InviteMade = "invite_made",
    Action::InviteRevoked = "invite_revoked",
    Action::MemberRevoked = "member_revoked",
    Action::NodeDrained = "node_drained",
    Action::NodeResumed = "node_resumed",
    Action::InvitationMade = "invitation_made",
    Action::InvitationRevoked = "invitation_revoked",
    Action::UserMade = "user_made",
    Action::UserChanged = "user_changed",
    Action::UserDeleted = "user_deleted",
    Action::RoleChanged = "role_changed",
    Action::SignedUp = "signed_up",
    Action::PasswordChanged = "password_changed",
    Action::SessionsRevoked = "sessions_revoked",
    Action::KeyMade = "key_made",
    Action::KeyRevoked = "key_revoked",
    Action::DataKeyReplaced = "data_key_replaced",
    Action::LimitsChanged = "limits_changed",
});

impl Action {
    /// What that word means; none when it is none of them.
    #[must_use]
    pub fn of_name(word: &str) -> Option<Self> {
        Self::from_word(word)
    }

    /// Its word, in the database and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.word()
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Later ones sort later.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who: a user name as it was then, or `console`.
    pub actor: String,
    /// What.
    pub action: Action,
    /// To whom or what: an id or a user name.
    pub target: String,
    /// From which address, or `console`.
    pub from: String,
}

/// Which lines of the log one wants to see; all of them where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only this was done.
    pub action: Option<Action>,
    /// Only by whoever had this name then.
    pub actor: Option<String>,
}

impl Entry {
    /// Something that is done now at the gateway's own console.
    #[must_use]
    pub fn at_console(action: Action, target: impl ToString) -> Self {
        Self::now("console", action, target, "console")
    }

    /// Something that is done now.
    #[must_use]
    pub fn now(actor: &str, action: Action, target: impl ToString, from: impl ToString) -> Self {
        let (actor, target, from) = (actor.to_owned(), target.to_string(), from.to_string());
        Self { id: AuditId::generate(), at: Timestamp::now(), actor, action, target, from }
    }
}

impl FromRow<'_, DbRow> for Entry {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("id", row.try_get("id")?)?,
            at: Timestamp(row.try_get("at")?),
            actor: row.try_get("actor")?,
            action: rows::word("action", row.try_get("action")?)?,
            target: row.try_get("target")?,
            from: row.try_get("from_addr")?,
        })
    }
}

impl Store {
    /// Adds a line.
    pub async fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query("INSERT INTO audit (id, at, actor, action, target, from_addr) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(entry.id.to_string())
            .bind(entry.at.0)
            .bind(&entry.actor)
            .bind(entry.action.word())
            .bind(&entry.target)
            .bind(&entry.from)
            .execute(&mut *write)
            .await?;
        // Milliseconds are as good as dice.
        if entry.at.0 % TIDY_EVERY == 0 {
            let last: Option<String> = sqlx::query_scalar("SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?")
                .bind(KEPT)
                .fetch_optional(&mut *write)
                .await?;
            sqlx::query("DELETE FROM audit WHERE id <= ?").bind(last).execute(&mut *write).await?;
        }
        Ok(write.commit().await?)
    }

    /// Lines before that one, newest first.
    pub async fn audit(&self, wanted: &Wanted, before: Option<AuditId>, limit: u32) -> Result<Vec<Entry>, StoreError> {
        // Ids are made of hexadecimal digits: this sorts behind them all.
        let before = before.map_or_else(|| "g".to_owned(), |id| id.to_string());
        let mut query = QueryBuilder::<Db>::new("SELECT * FROM audit WHERE id < ");
        query.push_bind(before);
        if let Some(action) = wanted.action {
            query.push(" AND action = ").push_bind(action.word());
        }
        if let Some(actor) = &wanted.actor {
            query.push(" AND actor = ").push_bind(actor.clone());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
        Ok(query.build_query_as().fetch_all(&self.readers).await?)
    }
}
