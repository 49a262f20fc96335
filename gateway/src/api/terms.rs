//! What invites and invitations have in common: what they are called, how often they count, and for how long.

use std::{ops::RangeInclusive, time::Duration};

use super::error::ApiError;

/// Longest label, in bytes.
pub(super) const MAX_LABEL_BYTES: usize = 64;
/// How long something counts when nothing is said.
const WEEK: u64 = 7 * 24 * 3600;

/// As they may be.
pub(super) struct Terms {
    pub(super) label: String,
    pub(super) max_uses: u32,
    pub(super) lifetime: Duration,
}

/// As they are asked for.
pub(super) struct Asked {
    pub(super) label: Option<String>,
    pub(super) max_uses: Option<u32>,
    pub(super) expires_in_seconds: Option<u64>,
}

impl Asked {
    /// With at most so many uses, for at most so long.
    pub(super) fn check(self, most_uses: u32, longest: Duration) -> Result<Terms, ApiError> {
        let label = label(&self.label.unwrap_or_default(), 0..=MAX_LABEL_BYTES)?;
        let max_uses = self.max_uses.unwrap_or(1);
        if !(1..=most_uses).contains(&max_uses) {
            return Err(ApiError::field("max_uses", format!("must be 1 to {most_uses}")));
        }
        let (seconds, most) = (self.expires_in_seconds.unwrap_or(WEEK), longest.as_secs());
        if !(1..=most).contains(&seconds) {
            return Err(ApiError::field("expires_in_seconds", format!("must be 1 to {most}")));
        }
        Ok(Terms { label, max_uses, lifetime: Duration::from_secs(seconds) })
    }
}

/// A label of so many bytes, without the white space around it.
pub(super) fn label(text: &str, bytes: RangeInclusive<usize>) -> Result<String, ApiError> {
    let text = text.trim();
    if bytes.contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let (least, most) = bytes.into_inner();
    let lengths = if least == 0 { format!("at most {most}") } else { format!("{least} to {most}") };
    Err(ApiError::field("label", format!("must be {lengths} bytes on one line")))
}
