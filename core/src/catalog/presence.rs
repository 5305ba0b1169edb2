//! Which rooms of a gateway hear who joins and leaves.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::checks::NAME_BYTES_MAX;
use crate::error::{Failure, Result};
use crate::store::check_text;

/// Patterns of one gateway, at most: each join and leave looks at them.
const PATTERNS_MAX: usize = 100;

/// Which rooms hear who joins and leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "takes true, false, or a list of patterns")]
pub enum PresenceRooms {
    /// All, or none.
    All(bool),
    /// Those with these names, each exact or a prefix that ends in `*`.
    Matching(Vec<String>),
}

impl Default for PresenceRooms {
    fn default() -> Self {
        Self::All(false)
    }
}

impl PresenceRooms {
    /// As a row says it: whether any do, and which.
    pub(super) fn of_row(is_any: bool, patterns: Option<Json>) -> Self {
        let patterns = patterns.and_then(|patterns| serde_json::from_value(patterns).ok());
        patterns.map_or(Self::All(is_any), Self::Matching)
    }

    /// Whether there may be such a room.
    pub(super) fn is_any(&self) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Matching(patterns) => !patterns.is_empty(),
        }
    }

    /// The patterns, where it is some rooms.
    pub(super) fn patterns(&self) -> Option<&[String]> {
        if let Self::Matching(patterns) = self { Some(patterns) } else { None }
    }

    /// Patterns that only these rooms match.
    pub(super) fn into_patterns(self) -> Vec<String> {
        match self {
            Self::All(true) => vec!["*".to_owned()],
            Self::All(false) => Vec::new(),
            Self::Matching(patterns) => patterns,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let patterns = self.patterns().unwrap_or_default();
        if patterns.len() > PATTERNS_MAX {
            return Err(Failure::invalid("presence", format!("has more than {PATTERNS_MAX} patterns")).into());
        }
        for pattern in patterns {
            check_text("presence", pattern)?;
            if !(1..=NAME_BYTES_MAX).contains(&pattern.len()) {
                let message = format!("a pattern has 1 to {NAME_BYTES_MAX} bytes");
                return Err(Failure::invalid("presence", message).into());
            }
            if pattern.strip_suffix('*').unwrap_or(pattern).contains('*') {
                return Err(Failure::invalid("presence", "a pattern may have a * only at its end").into());
            }
        }
        Ok(())
    }
}
