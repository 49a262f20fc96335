//! Who somebody is, and how they come in.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::id::UserId;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    User,
    Admin,
}

#[derive(Clone, Debug, Serialize, TS)]
pub struct User {
    pub id: UserId,
    pub username: String,
    pub role: UserRole,
}

/// `GET /api/setup`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct SetupState {
    pub needed: bool,
}

/// `POST /api/setup`.
#[derive(Deserialize, TS)]
pub struct SetupRequest {
    pub code: String,
    pub username: String,
    pub password: String,
}

/// `POST /api/session`.
#[derive(Deserialize, TS)]
pub struct SignInRequest {
    pub username: String,
    pub password: String,
}

/// `POST /api/setup`, `POST /api/session` and `GET /api/me`.
#[derive(Clone, Debug, Serialize, TS)]
pub struct UserAnswer {
    pub user: User,
}
