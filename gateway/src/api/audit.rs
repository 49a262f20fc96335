//! What was done to accounts, and by those who run the gateway, for administrators.

use axum::{
    Json as Answer,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;

use super::{
    auth::SignedInAdministrator,
    error::ApiError,
    wire::{AuditEntry, AuditList},
};
use crate::{
    app::App,
    id::AuditId,
    store::audit::{Action, Entry, Wanted},
};

/// Entries in one answer.
const MAX_PAGE: u32 = 200;
/// Longest name to look for, in bytes.
const MAX_ACTOR_BYTES: usize = 64;

#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<AuditId>,
    limit: Option<u32>,
    action: Option<String>,
    actor: Option<String>,
}

/// `GET /api/audit`, newest first.
#[utoipa::path(
    get,
    path = "/api/audit",
    summary = "What was done to accounts and by administrators, newest first",
    params(
        ("before" = Option<AuditId>, Query, description = "Those before this one"),
        ("limit" = Option<u32>, Query, description = "1 to 200; 50 when missing"),
        ("action" = Option<String>, Query, description = "Only this, such as member_revoked"),
        ("actor" = Option<String>, Query, description = "Only by whoever had this user name then"),
    ),
    responses((status = 200, description = "", body = AuditList)),
)]
pub(super) async fn list(
    State(app): State<App>,
    _: SignedInAdministrator,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Answer<AuditList>, ApiError> {
    let Query(Page { before, limit, action, actor }) =
        page.map_err(|error| ApiError::field("query", error.body_text()))?;
    let limit = limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {MAX_PAGE}")));
    }
    let action =
        action.map(|word| Action::of_name(&word).ok_or_else(|| ApiError::field("action", "is none of the log's")));
    let actor = actor.map(|name| name.trim().to_lowercase());
    if actor.as_ref().is_some_and(|name| name.len() > MAX_ACTOR_BYTES) {
        return Err(ApiError::field("actor", format!("must be at most {MAX_ACTOR_BYTES} bytes")));
    }
    let entries = app.store.audit(&Wanted { action: action.transpose()?, actor }, before, limit).await?;
    Ok(Answer(AuditList { entries: entries.into_iter().map(Into::into).collect() }))
}

impl From<Entry> for AuditEntry {
    fn from(Entry { id, at, actor, action, target, from }: Entry) -> Self {
        Self { id, at, actor, action: action.name().to_owned(), target, from }
    }
}
