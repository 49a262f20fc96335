//! Accounts and invitations, as administrators see them, and a person's nodes.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{NodeView, TokenBudget, UserRole};
use crate::{
    clock::Timestamp,
    id::{InvitationId, InviteId, UserId},
};

/// An account.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct Person {
    pub id: UserId,
    pub username: String,
    pub role: UserRole,
    pub created_at: Timestamp,
    /// It cannot come in.
    pub disabled: bool,
    pub tokens: TokenBudget,
    /// Its budget is its own, and not what the gateway says for all.
    pub own_budget: bool,
}

/// `GET /api/users`, by name.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct PersonList {
    pub users: Vec<Person>,
}

/// The query of `GET /api/users`.
#[derive(Clone, Debug, Deserialize)]
pub struct PersonPage {
    /// 50 when missing.
    pub limit: Option<u32>,
    /// The last name of the page before.
    pub behind: Option<String>,
}

/// `PATCH /api/users/{id}`; what is missing stays.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
pub struct ChangePerson {
    #[serde(default)]
    #[ts(optional)]
    pub role: Option<UserRole>,
    #[serde(default)]
    #[ts(optional)]
    pub disabled: Option<bool>,
    /// A budget of its own, in a calendar month (UTC); 0 for no limit.
    #[serde(default)]
    #[ts(optional)]
    #[schema(maximum = 1_000_000_000_000_000_u64)]
    pub tokens_per_month: Option<u64>,
    /// False gives it back what the gateway says for all.
    #[serde(default)]
    #[ts(optional)]
    pub own_budget: Option<bool>,
}

/// The answer to it.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct PersonAnswer {
    pub user: Person,
}

/// An invitation to make an account, without the string that is shown once.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct Invitation {
    pub id: InvitationId,
    pub label: String,
    pub role: UserRole,
    pub max_uses: u32,
    pub uses: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// `GET /api/invitations`, newest first.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct InvitationList {
    pub invitations: Vec<Invitation>,
}

/// `POST /api/invitations`.
#[derive(Clone, Debug, Deserialize, TS, ToSchema)]
pub struct NewInvitation {
    #[serde(default)]
    #[ts(optional)]
    pub label: Option<String>,
    /// A user when missing.
    #[serde(default)]
    #[ts(optional)]
    pub role: Option<UserRole>,
    /// 1 when missing.
    #[serde(default)]
    #[ts(optional)]
    pub max_uses: Option<u32>,
    /// A week when missing.
    #[serde(default)]
    #[ts(optional)]
    pub expires_in_seconds: Option<u64>,
}

/// The answer to it: the only time that the string is shown.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct InvitationAnswer {
    pub invitation: Invitation,
    pub text: String,
}

/// A node that came in with an invite of mine.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct MyNode {
    pub peer: String,
    pub name: String,
    pub joined_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// The invite that it came in with; null once that is forgotten.
    pub invite: Option<InviteId>,
    /// How it does; null while it is not in sight.
    pub now: Option<NodeView>,
}

/// `GET /api/my/nodes`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct MyNodes {
    pub nodes: Vec<MyNode>,
}
