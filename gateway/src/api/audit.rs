//! What those who run the gateway have done, for administrators.

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
use crate::{app::App, id::AuditId, store::audit::Entry};

/// Entries in one answer.
const MAX_PAGE: u32 = 200;

#[derive(Deserialize)]
pub(super) struct Page {
    before: Option<AuditId>,
    limit: Option<u32>,
}

/// `GET /api/audit`, newest first.
#[utoipa::path(
    get,
    path = "/api/audit",
    summary = "What administrators have done, newest first",
    params(("before" = Option<AuditId>, Query, description = "Those before this one"), ("limit" = Option<u32>, Query, description = "1 to 200; 50 when missing")),
    responses((status = 200, description = "", body = AuditList)),
)]
pub(super) async fn list(
    State(app): State<App>,
    _: SignedInAdministrator,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Answer<AuditList>, ApiError> {
    let Query(Page { before, limit }) = page.map_err(|error| ApiError::field("query", error.body_text()))?;
    let limit = limit.unwrap_or(50);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be 1 to {MAX_PAGE}")));
    }
    let entries = app.store.audit(before, limit).await?;
    Ok(Answer(AuditList { entries: entries.into_iter().map(Into::into).collect() }))
}

impl From<Entry> for AuditEntry {
    fn from(Entry { id, at, actor, action, target, from }: Entry) -> Self {
        Self { id, at, actor, action: action.name().to_owned(), target, from }
    }
}
