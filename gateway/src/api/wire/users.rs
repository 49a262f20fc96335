//! Who somebody is, and how they come in.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::TokenBudget;
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
};

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    User,
    Worker,
    Admin,
}

#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub role: UserRole,
}

/// `GET /api/setup`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct SetupState {
    pub needed: bool,
    pub sign_up: SignUpMode,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignUpMode {
    Open,
    Invitation,
    Closed,
}

/// `POST /api/setup`.
#[derive(Deserialize, TS, ToSchema)]
pub struct SetupRequest {
    pub code: String,
    pub username: String,
    pub password: String,
}

/// `POST /api/session`.
#[derive(Deserialize, TS, ToSchema)]
pub struct SignInRequest {
    pub username: String,
    pub password: String,
}

/// A body that says nothing.
#[derive(Deserialize, ToSchema)]
pub struct Empty {}

/// `POST /api/setup`, `POST /api/session` and `POST /api/session/refresh`.
#[derive(Clone, Serialize, TS, ToSchema)]
pub struct SessionAnswer {
    pub user: User,
    /// For `Authorization: Bearer`, and for the chat socket.
    pub access_token: String,
    /// For so many seconds.
    pub expires_in: u64,
}

/// Where somebody is signed in.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct SessionView {
    pub id: SessionId,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    /// The browser and the system, in a few words.
    pub agent: String,
    /// The network of the address.
    pub network: String,
    /// The one that asks.
    pub current: bool,
}

/// `GET /api/sessions`, the one used last first.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct SessionList {
    pub sessions: Vec<SessionView>,
}

/// `GET /api/me`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct UserAnswer {
    pub user: User,
    pub tokens: TokenBudget,
}

/// `POST /api/account`.
#[derive(Deserialize, TS, ToSchema)]
pub struct SignUpRequest {
    pub username: String,
    pub password: String,
    /// Needed where not everybody may make an account.
    #[serde(default)]
    #[ts(optional)]
    pub invitation: Option<String>,
}

/// `PUT /api/account/password`.
#[derive(Deserialize, TS, ToSchema)]
pub struct NewPassword {
    pub old: String,
    pub new: String,
}

/// `DELETE /api/account`.
#[derive(Deserialize, TS, ToSchema)]
pub struct DeleteAccount {
    pub password: String,
}
