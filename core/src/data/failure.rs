//! What a refusal of the database means for the caller.

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::{DbErr, RuntimeErr};

use super::table::Table;
use crate::error::{Error, ErrorCode, Failure};

/// What the database has against a statement.
#[derive(Debug, PartialEq, Eq)]
enum Violation {
    /// Unique values are taken, in these columns.
    Unique(Vec<String>),
    /// A reference leads nowhere, or a row is referred to.
    Reference,
    /// A number does not fit its column.
    Range,
    /// A value is too long for an index.
    IndexSize,
}

/// An error of an insert or an update.
pub(super) fn refusal(error: impl Into<Error>, table: &Table) -> Error {
    let error = error.into();
    match violation(&error) {
        Some(Violation::Unique(columns)) => taken(table, &columns).into(),
        Some(Violation::Reference) => missing_reference(table).into(),
        Some(Violation::Range) => {
            Failure::new(ErrorCode::Validation, "A number leaves the range of its column").into()
        }
        Some(Violation::IndexSize) => {
            Failure::new(ErrorCode::Validation, "A value is too long for the index of its column").into()
        }
        None => error,
    }
}

/// The answer to values that another row has in these columns.
fn taken(table: &Table, columns: &[String]) -> Failure {
    let what = if columns.is_empty() { "a unique value".to_owned() } else { columns.join(", ") };
    let message = format!("There is a row of {} with this {what} already", table.name);
    let details = match columns {
        [_, _, ..] => serde_json::json!({ "fields": columns }),
        one => serde_json::json!({ "field": one.first() }),
    };
    Failure::new(ErrorCode::DuplicateResource, message).with_details(details)
}

/// The answer to a reference that leads nowhere, or to a row that its writer may not read: the same,
/// so that nobody learns which rows there are.
pub fn missing_reference(table: &Table) -> Failure {
    let fields = table.columns.iter().filter(|column| column.references.is_some());
    let fields = fields.map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    Failure::new(ErrorCode::Validation, format!("A reference ({fields}) names a row that does not exist"))
}

/// An error of a delete.
pub(super) fn refused_delete(error: Error, table: &Table) -> Error {
    match violation(&error) {
        Some(Violation::Reference) => {
            let message =
                format!("Other rows refer to this row of {}; delete or change those first", table.name);
            Failure::new(ErrorCode::DuplicateResource, message).into()
        }
        _ => error,
    }
}

fn database_error(error: &DbErr) -> Option<&(dyn DatabaseError + 'static)> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error.as_database_error()
        }
        _ => None,
    }
}

fn violation(error: &Error) -> Option<Violation> {
    let Error::Database(error) = error else { return None };
    let error = database_error(error)?;
    let code = error.code()?;
    // SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html) and SQLite's extended result
    // codes (sqlite.org/rescode.html).
    match &*code {
        "23505" => {
            Some(Violation::Unique(error.try_downcast_ref::<PgDatabaseError>().map_or_else(Vec::new, key_of)))
        }
        "1555" | "2067" => Some(Violation::Unique(columns_of(error.message()))),
        "23503" | "787" | "1811" => Some(Violation::Reference),
        "22003" | "3091" | "275" => Some(Violation::Range),
        "54000" => Some(Violation::IndexSize),
        _ => None,
    }
}

/// The columns of PostgreSQL's `Key (email)=(x) already exists.`
fn key_of(error: &PgDatabaseError) -> Vec<String> {
    let key = error.detail().and_then(|detail| detail.strip_prefix("Key (")?.split_once(")=("));
    key.map_or_else(Vec::new, |(key, _)| {
        key.split(", ").map(|name| name.trim_matches('"').to_owned()).collect()
    })
}

/// The columns of SQLite's `UNIQUE constraint failed: table.column, table.column`.
fn columns_of(message: &str) -> Vec<String> {
    let columns = message.split(", ").filter_map(|part| Some(part.rsplit_once('.')?.1.to_owned()));
    columns.collect()
}
