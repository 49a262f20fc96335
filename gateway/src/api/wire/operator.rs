//! What administrators do, and what was done.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::{clock::Timestamp, id::AuditId};

/// `PATCH /api/nodes/{id}`.
#[derive(Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeNode {
    /// It is given no more; what it computes it finishes.
    pub drained: bool,
}

/// A line of the audit log.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: Timestamp,
    /// A user name as it was then.
    pub actor: String,
    /// A stable word, such as `member_revoked`.
    pub action: String,
    /// An id, or a user name.
    pub target: String,
    /// The address it was done from.
    pub from: String,
}

/// `GET /api/audit`.
#[derive(Clone, Debug, Serialize, TS, ToSchema)]
pub struct AuditList {
    pub entries: Vec<AuditEntry>,
}
