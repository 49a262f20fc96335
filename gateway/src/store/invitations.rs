//! Invitations: who may make an account. The secret itself is stored nowhere, only its SHA-256.

use std::time::Duration;

use sqlx::{FromRow, Row};

use super::{
    DbRow, Lock, Store, StoreError, Write, repeat,
    rows::{self, Word, words},
    users::{self, Role, User},
};
use crate::{
    clock::Timestamp,
    id::{InvitationId, UserId},
    secret::Digest,
};

/// Invitations at one time, used up or not.
pub const MAX_INVITATIONS: i64 = 1_000;
/// How often one may be used.
pub const MAX_USES: u32 = 1_000;
/// The longest that one may last.
pub const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long the list still shows one that has run out.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

words!(Role { Role::User = "user", Role::Worker = "worker", Role::Admin = "admin" });

/// An invitation to be made.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// What whoever makes it calls it.
    pub label: String,
    /// What its bearers become.
    pub role: Role,
    /// How often it may be used.
    pub max_uses: u32,
    /// How long it lasts.
    pub lifetime: Duration,
    /// Who makes it.
    pub created_by: UserId,
}

/// An invitation, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub id: InvitationId,
    pub label: String,
    pub role: Role,
    pub max_uses: u32,
    pub uses: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// What came of making an account.
#[derive(Debug, PartialEq, Eq)]
pub enum SignedUp {
    /// It is made.
    Made(User),
    /// The name is taken.
    NameTaken,
    /// The invitation is none, has run out, or is used up.
    NotInvited,
}

impl Invitation {
    /// Whether it lets one more in.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        self.expires_at > now && self.uses < self.max_uses
    }
}

impl FromRow<'_, DbRow> for Invitation {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("id", row.try_get("id")?)?,
            label: row.try_get("label")?,
            role: rows::word("role", row.try_get("role")?)?,
            max_uses: rows::number(row, "max_uses")?,
            uses: rows::number(row, "uses")?,
            created_at: Timestamp(row.try_get("created_at")?),
            expires_at: Timestamp(row.try_get("expires_at")?),
        })
    }
}

impl Store {
    /// A new invitation; none when there are as many as may be.
    pub async fn create_invitation(
        &self,
        new: &NewInvitation,
        secret: &Digest,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError> {
        let mut write = self.write().await?;
        write.lock(Lock::Invites).await?;
        sqlx::query("DELETE FROM invitations WHERE expires_at < ?")
            .bind(now.before(REMEMBERED).0)
            .execute(&mut *write)
            .await?;
        let (all,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM invitations").fetch_one(&mut *write).await?;
        if all >= MAX_INVITATIONS {
            return Ok(None);
        }
        let invitation = Invitation {
            id: InvitationId::generate(),
            label: new.label.clone(),
            role: new.role,
            max_uses: new.max_uses.clamp(1, MAX_USES),
            uses: 0,
            created_at: now,
            expires_at: now.after(new.lifetime.min(MAX_LIFETIME)),
        };
        sqlx::query(
            "INSERT INTO invitations (id, secret_hash, label, role, max_uses, created_by, created_at, expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(invitation.id.to_string())
        .bind(secret.as_slice())
        .bind(&invitation.label)
        .bind(invitation.role.word())
        .bind(i64::from(invitation.max_uses))
        .bind(new.created_by.to_string())
        .bind(invitation.created_at.0)
        .bind(invitation.expires_at.0)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(Some(invitation))
    }

    /// Invitations, newest first.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        let all = sqlx::query_as("SELECT * FROM invitations ORDER BY created_at DESC, id DESC");
        Ok(all.fetch_all(&self.readers).await?)
    }

    /// Takes one back; false when there is none of that id.
    pub async fn delete_invitation(&self, invitation: InvitationId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM invitations WHERE id = ?").bind(invitation.to_string());
        Ok(done.execute(&self.writer).await?.rows_affected() == 1)
    }

    /// Whether an invitation counts, before a password is hashed for it.
    pub async fn is_invited(&self, secret: &Digest, now: Timestamp) -> Result<bool, StoreError> {
        let found: Option<Invitation> = sqlx::query_as("SELECT * FROM invitations WHERE secret_hash = ?")
            .bind(secret.as_slice())
            .fetch_optional(&self.readers)
            .await?;
        Ok(found.is_some_and(|invitation| invitation.counts(now)))
    }

    /// An account of somebody's own making. With an invitation it is used in the same transaction: of two who come at
    /// once with its last use, one gets the account.
    pub async fn sign_up(
        &self,
        username: &str,
        password_hash: &str,
        invitation: Option<&Digest>,
        now: Timestamp,
    ) -> Result<SignedUp, StoreError> {
        repeat(|| async {
            let mut write = self.write().await?;
            let role = match invitation {
                Some(secret) => use_once(&mut write, secret, now).await?,
                None => Some(Role::User),
            };
            let Some(role) = role else { return Ok(SignedUp::NotInvited) };
            let user = User { id: UserId::generate(), username: username.to_owned(), role };
            match users::insert_user(&mut write, &user, password_hash).await {
                Ok(()) => {}
                Err(StoreError::Conflict) => return Ok(SignedUp::NameTaken),
                Err(error) => return Err(error),
            }
            write.commit().await?;
            Ok(SignedUp::Made(user))
        })
        .await
    }
}

async fn use_once(write: &mut Write, secret: &Digest, now: Timestamp) -> Result<Option<Role>, StoreError> {
    let found: Option<Invitation> = sqlx::query_as("SELECT * FROM invitations WHERE secret_hash = ?")
        .bind(secret.as_slice())
        .fetch_optional(&mut **write)
        .await?;
    let Some(invitation) = found.filter(|invitation| invitation.counts(now)) else { return Ok(None) };
    let done = sqlx::query("UPDATE invitations SET uses = uses + 1 WHERE id = ? AND uses < max_uses")
        .bind(invitation.id.to_string())
        .execute(&mut **write)
        .await?;
    Ok((done.rows_affected() == 1).then_some(invitation.role))
}
