//! Who came in through this gateway, and where the gateway is.

use sqlx::{FromRow, Row};
use starling_protocol::{
    membership::{MemberRole, SwarmId},
    swarm::{Multiaddr, PeerId},
};

use super::{
    DbConnection, DbRow, Store, StoreError,
    invites::{Bearer, Invite},
    rows::{self, Word},
};
use crate::{
    clock::Timestamp,
    id::{InviteId, UserId},
};

/// Members listed at one time, the newest first.
const MAX_LISTED: i64 = 10_000;

/// A peer that an invite has let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub peer: PeerId,
    /// What its owner called it when it joined.
    pub name: String,
    pub role: MemberRole,
    pub joined_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// What it came in with; none once that is forgotten.
    pub invite: Option<InviteId>,
}

/// Where a gateway is, for an invite that is made beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    pub peer: PeerId,
    pub swarm: SwarmId,
    pub addresses: Vec<Multiaddr>,
}

/// What became of a peer that came in with the same invite before.
pub(super) enum Before {
    Member,
    TurnedOut,
}

impl FromRow<'_, DbRow> for Member {
    fn from_row(row: &DbRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            peer: rows::parse("peer", row.try_get("peer")?)?,
            name: row.try_get("name")?,
            role: rows::word("role", row.try_get("role")?)?,
            joined_at: Timestamp(row.try_get("joined_at")?),
            revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(Timestamp),
            invite: row.try_get::<Option<&str>, _>("invite_id")?.map(|id| rows::parse("invite_id", id)).transpose()?,
        })
    }
}

impl Store {
    /// The nodes that came in with an invite of this person's, newest first.
    pub async fn members_of(&self, owner: UserId) -> Result<Vec<Member>, StoreError> {
        let members = sqlx::query_as(
            "SELECT * FROM members WHERE owner_id = ? AND role = 'node' ORDER BY joined_at DESC, peer LIMIT ?",
        );
        Ok(members.bind(owner.to_string()).bind(MAX_LISTED).fetch_all(&self.readers).await?)
    }

    /// Who came in through this gateway, newest first; those turned out since are among them.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        let members = sqlx::query_as("SELECT * FROM members ORDER BY joined_at DESC, peer LIMIT ?").bind(MAX_LISTED);
        Ok(members.fetch_all(&self.readers).await?)
    }

    /// Whether somebody has come in and is still welcome, as a node or at all.
    pub async fn has_members(&self, role: Option<MemberRole>) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM members WHERE revoked_at IS NULL AND (? IS NULL OR role = ?))";
        let role = role.map(|role| role.word());
        let any: i64 = sqlx::query_scalar(sql).bind(role).bind(role).fetch_one(&self.readers).await?;
        Ok(any != 0)
    }

    /// Notes that a member was turned out; false when it is not in the list.
    pub async fn revoke_member(&self, peer: PeerId, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE members SET revoked_at = COALESCE(revoked_at, ?) WHERE peer = ?")
            .bind(now.0)
            .bind(peer.to_string())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Where the gateway is now.
    pub async fn set_whereabouts(&self, now: &Whereabouts) -> Result<(), StoreError> {
        let lines: Vec<String> = now.addresses.iter().map(ToString::to_string).collect();
        let update = "UPDATE gateway_addresses SET peer = ?, swarm = ?, addresses = ? WHERE id = 1";
        let insert = "INSERT INTO gateway_addresses (peer, swarm, addresses, id) VALUES (?, ?, ?, 1)";
        let mut write = self.write().await?;
        for sql in [update, insert] {
            let done = sqlx::query(sql)
                .bind(now.peer.to_string())
                .bind(now.swarm.to_string())
                .bind(lines.join("\n"))
                .execute(&mut *write)
                .await?;
            if done.rows_affected() == 1 {
                break;
            }
        }
        Ok(write.commit().await?)
    }

    /// Where the gateway was when it last ran; none when it never has.
    pub async fn whereabouts(&self) -> Result<Option<Whereabouts>, StoreError> {
        let row = sqlx::query("SELECT * FROM gateway_addresses").fetch_optional(&self.readers).await?;
        let read = |row: DbRow| -> Result<_, sqlx::Error> {
            let addresses: String = row.try_get("addresses")?;
            let addresses = addresses.lines().map(|line| rows::parse("addresses", line)).collect::<Result<_, _>>()?;
            let (peer, swarm) =
                (rows::parse("peer", row.try_get("peer")?)?, rows::parse("swarm", row.try_get("swarm")?)?);
            Ok(Whereabouts { peer, swarm, addresses })
        };
        Ok(row.map(read).transpose()?)
    }
}

pub(super) async fn came_in_with(
    write: &mut DbConnection,
    peer: PeerId,
    invite: InviteId,
) -> Result<Option<Before>, StoreError> {
    let row: Option<Member> = sqlx::query_as("SELECT * FROM members WHERE peer = ? AND invite_id = ?")
        .bind(peer.to_string())
        .bind(invite.to_string())
        .fetch_optional(write)
        .await?;
    Ok(row.map(|member| if member.revoked_at.is_some() { Before::TurnedOut } else { Before::Member }))
}

/// A peer that was turned out and comes with a new invite is welcome again.
pub(super) async fn come_in(
    write: &mut DbConnection,
    bearer: &Bearer<'_>,
    invite: &Invite,
    now: Timestamp,
) -> Result<(), StoreError> {
    let update =
        "UPDATE members SET name = ?, role = ?, invite_id = ?, joined_at = ?, revoked_at = NULL WHERE peer = ?";
    let insert = "INSERT INTO members (name, role, invite_id, joined_at, peer) VALUES (?, ?, ?, ?, ?)";
    for sql in [update, insert] {
        let done = sqlx::query(sql)
            .bind(bearer.name)
            .bind(invite.role.word())
            .bind(invite.id.to_string())
            .bind(now.0)
            .bind(bearer.peer.to_string())
            .execute(&mut *write)
            .await?;
        if done.rows_affected() == 1 {
            break;
        }
    }
    Ok(())
}

/// Whoever has made the invite owns what comes in with it. The invite is forgotten one day, and this is not.
pub(super) async fn belong(write: &mut DbConnection, peer: PeerId, invite: InviteId) -> Result<(), StoreError> {
    sqlx::query("UPDATE members SET owner_id = (SELECT created_by FROM invites WHERE id = ?) WHERE peer = ?")
        .bind(invite.to_string())
        .bind(peer.to_string())
        .execute(write)
        .await?;
    Ok(())
}
