//! Accounts, what they hold, and invites.

use starling_protocol::membership;

use super::super::{
    ApiKey, Invitation, Invite, KeyScope, MemberRole, Person, SessionView, SignUpMode, TokenBudget, User, UserRole,
};
use crate::{
    accounts::SignUp,
    id::SessionId,
    store::{invitations, invites, keys, people, sessions, tokens, users},
};

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self { id: user.id, username: user.username, role: user.role.into() }
    }
}

impl From<UserRole> for users::Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::User => Self::User,
            UserRole::Worker => Self::Worker,
            UserRole::Admin => Self::Admin,
        }
    }
}

impl From<users::Role> for UserRole {
    fn from(role: users::Role) -> Self {
        match role {
            users::Role::User => Self::User,
            users::Role::Worker => Self::Worker,
            users::Role::Admin => Self::Admin,
        }
    }
}

impl Person {
    /// With the tokens that were used, and what each may use unless it is said otherwise.
    pub(in crate::api) fn new(person: people::Person, used: u64, default: u64) -> Self {
        let people::Person { user: users::User { id, username, role }, created_at, disabled, tokens_per_month } =
            person;
        let tokens = TokenBudget { used, per_month: tokens::budget(tokens_per_month, default) };
        Self { id, username, role: role.into(), created_at, disabled, tokens, own_budget: tokens_per_month.is_some() }
    }
}

impl From<invitations::Invitation> for Invitation {
    fn from(one: invitations::Invitation) -> Self {
        let invitations::Invitation { id, label, role, max_uses, uses, created_at, expires_at } = one;
        Self { id, label, role: role.into(), max_uses, uses, created_at, expires_at }
    }
}

impl From<SignUp> for SignUpMode {
    fn from(who: SignUp) -> Self {
        match who {
            SignUp::Open => Self::Open,
            SignUp::Invitation => Self::Invitation,
            SignUp::Closed => Self::Closed,
        }
    }
}

impl SessionView {
    pub(in crate::api) fn new(session: sessions::Session, asking: SessionId) -> Self {
        let sessions::Session { id, created_at, last_used_at, device } = session;
        let current = id == asking;
        Self { id, created_at, last_used_at, agent: device.agent, network: device.network, current }
    }
}

impl From<(keys::Key, u64)> for ApiKey {
    fn from((key, used): (keys::Key, u64)) -> Self {
        let keys::Key { id, label, created_at, last_used_at, scopes, tokens_per_month } = key;
        let tokens = TokenBudget { used, per_month: tokens::budget(Some(tokens_per_month), 0) };
        Self { id, label, created_at, last_used_at, scopes: scopes.into_iter().map(Into::into).collect(), tokens }
    }
}

impl From<keys::Scope> for KeyScope {
    fn from(scope: keys::Scope) -> Self {
        match scope {
            keys::Scope::Chat => Self::Chat,
            keys::Scope::Embeddings => Self::Embeddings,
            keys::Scope::Models => Self::Models,
            keys::Scope::Metrics => Self::Metrics,
        }
    }
}

impl From<KeyScope> for keys::Scope {
    fn from(scope: KeyScope) -> Self {
        match scope {
            KeyScope::Chat => Self::Chat,
            KeyScope::Embeddings => Self::Embeddings,
            KeyScope::Models => Self::Models,
            KeyScope::Metrics => Self::Metrics,
        }
    }
}

impl From<membership::MemberRole> for MemberRole {
    fn from(role: membership::MemberRole) -> Self {
        match role {
            membership::MemberRole::Node => Self::Node,
            membership::MemberRole::Gateway => Self::Gateway,
        }
    }
}

impl From<MemberRole> for membership::MemberRole {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Node => Self::Node,
            MemberRole::Gateway => Self::Gateway,
        }
    }
}

impl From<invites::Invite> for Invite {
    fn from(invite: invites::Invite) -> Self {
        Self {
            id: invite.id,
            label: invite.label,
            role: invite.role.into(),
            max_uses: invite.max_uses,
            uses: invite.uses,
            created_at: invite.created_at,
            expires_at: invite.expires_at,
            revoked_at: invite.revoked_at,
        }
    }
}
