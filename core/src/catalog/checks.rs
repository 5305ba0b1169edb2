//! Rules that fields of several kinds of definitions share.

use crate::config::Config;
use crate::error::{Failure, Result};

/// Bytes of a path or a name, at most.
pub(super) const NAME_BYTES_MAX: usize = 200;

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
