//! What text the product takes, whatever its database.

use serde_json::Value as Json;

use crate::error::{Failure, Result};

/// Refuses text that PostgreSQL cannot keep, whatever the database.
///
/// # Errors
/// `VALIDATION_ERROR` about the field.
pub(crate) fn check_text(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err(Failure::invalid(field, "must not contain the character NUL (\\u0000)").into());
    }
    Ok(())
}

/// Refuses a `description` that is longer than any has to be, or has a NUL.
///
/// # Errors
/// `VALIDATION_ERROR` about the field.
pub(crate) fn check_description(description: &str) -> Result<()> {
    const BYTES_MAX: usize = 10_000;
    if description.len() > BYTES_MAX {
        let message = format!("must have at most {BYTES_MAX} bytes");
        return Err(Failure::invalid("description", message).into());
    }
    check_text("description", description)
}

/// As [`check_text`], of all text in a value.
///
/// # Errors
/// As [`check_text`].
pub(crate) fn check_json(field: &str, value: &Json) -> Result<()> {
    match value {
        Json::String(text) => check_text(field, text),
        Json::Array(items) => items.iter().try_for_each(|item| check_json(field, item)),
        Json::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            check_text(field, key)?;
            check_json(field, value)
        }),
        _ => Ok(()),
    }
}
