//! Who belongs to the swarm, and the invites by which they came.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::{clock::Timestamp, id::InviteId};

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    Node,
    Gateway,
}

/// An invite, without the string that is redeemed.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
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

/// A member of the swarm: one that came in through this gateway, or one that is connected.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct Member {
    pub peer: String,
    /// What its owner called it when it joined; empty when it joined elsewhere.
    pub name: String,
    pub role: MemberRole,
    pub connected: bool,
    /// Of its certificate, which renews itself; null while it is not connected.
    pub expires_at: Option<Timestamp>,
    /// Null when it joined elsewhere.
    pub joined_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Peers that were no members, counted since the gateway's start.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct RefusedPeers {
    /// A stable word, such as `forged` or `expired`.
    pub reason: String,
    pub count: u64,
}

/// `GET /api/invites`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct InviteList {
    pub invites: Vec<Invite>,
    /// Whether this gateway can make any.
    pub authority: bool,
}

/// `POST /api/invites`.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
pub struct NewInvite {
    #[serde(default)]
    #[ts(optional)]
    pub label: Option<String>,
    /// A node when missing.
    #[serde(default)]
    #[ts(optional)]
    pub role: Option<MemberRole>,
    /// 1 when missing.
    #[serde(default)]
    #[ts(optional)]
    pub max_uses: Option<u32>,
    /// A week when missing.
    #[serde(default)]
    #[ts(optional)]
    pub expires_in_seconds: Option<u64>,
}

/// The answer to `POST /api/invites`: the only time that the string is shown.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct InviteAnswer {
    pub invite: Invite,
    pub text: String,
    /// Null while this gateway hands out no programs.
    pub installs: Option<Installs>,
}

/// What this gateway can install a node on, with one command.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct Installs {
    /// How the gateway is called in that command: scheme, host and port.
    pub origin: String,
    pub linux: bool,
    pub windows: bool,
}

/// `GET /api/members`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct MemberList {
    /// The swarm, as 64 hexadecimal digits.
    pub swarm: String,
    pub members: Vec<Member>,
    pub refused: Vec<RefusedPeers>,
}
