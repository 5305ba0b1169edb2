//! Rules that fields of several kinds of definitions share.

use crate::config::Config;
use crate::error::{Failure, Result};

/// Bytes of a path or a name, at most.
pub(super) const NAME_BYTES_MAX: usize = 200;

/// That it is one of two words.
pub(super) fn check_word(field: &str, word: &str, known: [&str; 2]) -> Result<()> {
    if known.contains(&word) {
        return Ok(());
    }
    let [one, other] = known;
    Err(Failure::invalid(field, format!("{word:?} is not known; known: {one:?}, {other:?}")).into())
}

/// That this may be the path of a gateway.
pub(super) fn check_gateway_path(field: &str, path: &str) -> Result<()> {
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
    };
    let is_path = path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment));
    if is_path && path.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::invalid(field, "must be / or /name[/name…] of letters, digits, - _ . ~").into())
}

/// That a script may have this time, in milliseconds; none: the configured one.
pub(super) fn check_timeout(field: &str, ms: Option<i64>, config: &Config) -> Result<()> {
    let most = config.scripts.timeout_max_ms;
    match ms {
        Some(ms) if ms < 1 || ms.unsigned_abs() > most => {
            Err(Failure::invalid(field, format!("must be 1 to {most}")).into())
        }
        _ => Ok(()),
    }
}
