//! What tables and columns may be called: letters, digits and `_`, so that a name can stand in a
//! script, a path and a statement, and never reaches what is the product's own or the database's.

use crate::error::{Failure, Result};

/// Within what PostgreSQL keeps of a name (63 bytes).
const NAME_BYTES_MAX: usize = 60;
/// Prefixes of tables that are not an admin's.
const RESERVED_PREFIXES: [&str; 3] = ["gw_", "sqlite_", "pg_"];
/// `#secure` is the grammar's, and these are users.
const RESERVED_TABLES: [&str; 3] = ["secure", "user", "user_definition"];
/// Columns that every table has, and those that PostgreSQL has of its own.
const RESERVED_COLUMNS: [&str; 10] =
    ["id", "createdat", "updatedat", "oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Refuses what no table may be called.
pub(super) fn check_table_name(name: &str) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    check("name", name)?;
    if RESERVED_TABLES.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
    {
        let message =
            format!("{name} is reserved; names may not begin with {}", RESERVED_PREFIXES.join(", "));
        return Err(Failure::invalid("name", message).into());
    }
    Ok(())
}

/// Refuses what no column may be called.
pub(super) fn check_column_name(name: &str) -> Result<()> {
    check("columns", name)?;
    if RESERVED_COLUMNS.contains(&name.to_ascii_lowercase().as_str()) {
        let message = format!("{name} is reserved: every table has id, createdAt and updatedAt by itself");
        return Err(Failure::invalid("columns", message).into());
    }
    Ok(())
}

fn check(field: &str, name: &str) -> Result<()> {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if begins_well && is_plain && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    let message = format!(
        "{shown:?} is no name: a letter, then letters, digits and _, at most {NAME_BYTES_MAX} in all"
    );
    Err(Failure::invalid(field, message).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, is_fine) in [
            ("message", true),
            ("banned_user2", true),
            ("gw_user", false),
            ("GW_user", false),
            ("sqlite_master", false),
            ("pg_class", false),
            ("secure", false),
            ("order", true),
            ("", false),
            ("1a", false),
            ("a-b", false),
            ("a\"b", false),
            ("é", false),
            ("_a", false),
        ] {
            assert_eq!(check_table_name(name).is_ok(), is_fine, "{name}");
        }
        assert!(check_column_name("createdAt").is_err());
        assert!(check_column_name("roomId").is_ok());
        assert!(check_column_name("_eq").is_err());
    }
}
