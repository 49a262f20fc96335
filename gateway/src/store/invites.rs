//! Invites: who may still come in, and with what. The secret itself is stored nowhere, only its SHA-256.

use std::time::Duration;

use sqlx::{FromRow, Row};
use starling_protocol::{
    membership::{JoinRefusal, MemberRole},
    swarm::PeerId,
};

use super::{
    DbConnection, DbRow, Lock, Store, StoreError, members,
    rows::{self, Word, words},
};
use crate::{
    clock::Timestamp,
    id::{InviteId, UserId},
    secret::Digest,
};

/// Invites that can still be used, at one time.
pub const MAX_LIVE_INVITES: i64 = 1_024;
/// How often one invite may be used: with it the members that one leak makes are bounded.
pub const MAX_USES: u32 = 10_000;
/// The longest that an invite may last.
pub const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long the list still shows an invite that is over.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

words!(MemberRole { MemberRole::Node = "node", MemberRole::Gateway = "gateway" });

/// An invite to be made.
#[derive(Clone, Debug)]
pub struct NewInvite {
    /// What whoever makes it calls it.
    pub label: String,
    /// What its bearers become.
    pub role: MemberRole,
    /// How often it may be used.
    pub max_uses: u32,
    /// How long it lasts.
    pub lifetime: Duration,
    /// Who makes it; none on the console.
    pub created_by: Option<UserId>,
    /// It is shown at the gateway's start, and takes the place of those shown before.
    pub printed: bool,
}

/// An invite, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    pub id: InviteId,
    pub label: String,
    pub role: MemberRole,
    pub max_uses: u32,
    pub uses: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Invite {
    /// Whether somebody may still come in with it.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at > now && self.uses < self.max_uses
    }
}

impl FromRow<'_, DbRow> for Invite {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: rows::parse("id", row.try_get("id")?)?,
            label: row.try_get("label")?,
            role: rows::word("role", row.try_get("role")?)?,
            max_uses: rows::number(row, "max_uses")?,
            uses: rows::number(row, "uses")?,
            created_at: Timestamp(row.try_get("created_at")?),
            expires_at: Timestamp(row.try_get("expires_at")?),
            revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(Timestamp),
        })
    }
}

/// Somebody who shows an invite's secret.
#[derive(Clone, Debug)]
pub struct Bearer<'a> {
    /// Of the secret.
    pub digest: Digest,
    /// Who it is; the connection has proved it.
    pub peer: PeerId,
    /// What its owner calls it; checked by the caller.
    pub name: &'a str,
    /// What it wants to be, where it has said so.
    pub role: Option<MemberRole>,
}

impl Store {
    /// A new invite; `None` when there are as many as may be.
    pub async fn create_invite(&self, new: &NewInvite, secret: &Digest) -> Result<Option<Invite>, StoreError> {
        let now = Timestamp::now();
        let mut write = self.write().await?;
        write.lock(Lock::Invites).await?;
        forget_old(&mut write, now).await?;
        if new.printed {
            revoke_printed(&mut write, now).await?;
        }
        let (live,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM invites WHERE expires_at > ? AND revoked_at IS NULL AND uses < max_uses",
        )
        .bind(now.0)
        .fetch_one(&mut *write)
        .await?;
        if live >= MAX_LIVE_INVITES {
            return Ok(None);
        }
        let invite = insert(&mut write, new, secret, now).await?;
        write.commit().await?;
        Ok(Some(invite))
    }

    /// Invites, newest first: all of them, or those that this person has made. Those that have long been over are not
    /// among them.
    pub async fn invites(&self, of: Option<UserId>) -> Result<Vec<Invite>, StoreError> {
        let Some(of) = of else {
            let invites = sqlx::query_as("SELECT * FROM invites ORDER BY created_at DESC, id DESC");
            return Ok(invites.fetch_all(&self.readers).await?);
        };
        let invites = sqlx::query_as("SELECT * FROM invites WHERE created_by = ? ORDER BY created_at DESC, id DESC");
        Ok(invites.bind(of.to_string()).fetch_all(&self.readers).await?)
    }

    /// Takes an invite back, one of this person's or anybody's; false when there is none of that id. Who has come in with
    /// it stays.
    pub async fn revoke_invite(
        &self,
        invite: InviteId,
        of: Option<UserId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if !self.invites(of).await?.iter().any(|one| one.id == invite) {
            return Ok(false);
        }
        sqlx::query("UPDATE invites SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?")
            .bind(now.0)
            .bind(invite.to_string())
            .execute(&self.writer)
            .await?;
        Ok(true)
    }

    /// Takes back what earlier starts have shown on the console.
    pub async fn revoke_printed_invites(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        revoke_printed(&mut write, now).await?;
        Ok(write.commit().await?)
    }

    /// Makes the bearer a member, or says why not. One transaction: of two who come at once with the last use
    /// of an invite, one gets it. The same peer gets its place again without another use, so that an answer that
    /// was lost costs nothing.
    pub async fn redeem(
        &self,
        bearer: &Bearer<'_>,
        now: Timestamp,
    ) -> Result<Result<MemberRole, JoinRefusal>, StoreError> {
        let mut write = self.write().await?;
        write.lock(Lock::Invites).await?;
        let invite: Option<Invite> = sqlx::query_as("SELECT * FROM invites WHERE secret_hash = ?")
            .bind(bearer.digest.as_slice())
            .fetch_optional(&mut *write)
            .await?;
        let Some(invite) = invite else { return Ok(Err(JoinRefusal::Unknown)) };
        let known = members::came_in_with(&mut write, bearer.peer, invite.id).await?;
        if bearer.role.is_some_and(|wanted| wanted != invite.role) {
            return Ok(Err(JoinRefusal::OtherRole { role: invite.role }));
        }
        match judge(&invite, known, now) {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(Use::Again) => {}
            Ok(Use::First) => {
                sqlx::query("UPDATE invites SET uses = uses + 1 WHERE id = ?")
                    .bind(invite.id.to_string())
                    .execute(&mut *write)
                    .await?;
            }
        }
        members::come_in(&mut write, bearer, &invite, now).await?;
        members::belong(&mut write, bearer.peer, invite.id).await?;
        write.commit().await?;
        Ok(Ok(invite.role))
    }
}

enum Use {
    First,
    Again,
}

/// `known` is the standing of a peer that has come in with this invite before.
fn judge(invite: &Invite, known: Option<members::Before>, now: Timestamp) -> Result<Use, JoinRefusal> {
    if invite.revoked_at.is_some() {
        return Err(JoinRefusal::Revoked);
    }
    if invite.expires_at <= now {
        let milliseconds = now.0.saturating_sub(invite.expires_at.0);
        return Err(JoinRefusal::Expired { seconds: u64::try_from(milliseconds / 1_000).unwrap_or(0) });
    }
    match known {
        Some(members::Before::Member) => Ok(Use::Again),
        // Turned out: the invite that it came in with does not bring it back.
        Some(members::Before::TurnedOut) => Err(JoinRefusal::Revoked),
        None if invite.uses >= invite.max_uses => Err(JoinRefusal::Used),
        None => Ok(Use::First),
    }
}

async fn insert(
    write: &mut DbConnection,
    new: &NewInvite,
    secret: &Digest,
    now: Timestamp,
) -> Result<Invite, StoreError> {
    let invite = Invite {
        id: InviteId::generate(),
        label: new.label.clone(),
        role: new.role,
        max_uses: new.max_uses.clamp(1, MAX_USES),
        uses: 0,
        created_at: now,
        expires_at: now.after(new.lifetime.min(MAX_LIFETIME)),
        revoked_at: None,
    };
    sqlx::query(
        "INSERT INTO invites (id, secret_hash, label, role, max_uses, printed, created_by, created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(invite.id.to_string())
    .bind(secret.as_slice())
    .bind(&invite.label)
    .bind(invite.role.word())
    .bind(i64::from(invite.max_uses))
    .bind(new.printed)
    .bind(new.created_by.map(|user| user.to_string()))
    .bind(invite.created_at.0)
    .bind(invite.expires_at.0)
    .execute(write)
    .await?;
    Ok(invite)
}

async fn revoke_printed(write: &mut DbConnection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE invites SET revoked_at = ? WHERE printed = 1 AND revoked_at IS NULL")
        .bind(now.0)
        .execute(write)
        .await?;
    Ok(())
}

async fn forget_old(write: &mut DbConnection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM invites WHERE expires_at < ? OR revoked_at < ?")
        .bind(now.before(REMEMBERED).0)
        .bind(now.before(REMEMBERED).0)
        .execute(write)
        .await?;
    Ok(())
}
