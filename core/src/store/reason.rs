//! Why a database does not open: one sentence with its host or file, and without its password.

use std::time::Duration;

use sea_orm::sqlx::{self, Connection, PgConnection};
use sea_orm::{DbErr, RuntimeErr};
use url::Url;

use crate::error::Error;

/// How long PostgreSQL has to say why it cannot be reached.
const ASK_MAX: Duration = Duration::from_secs(2);

/// The error of an attempt to open the database of `url`.
pub(super) async fn not_opened(url: &str, error: Error) -> Error {
    let Error::Database(error) = error else { return error };
    let mut reason = reason(&error);
    // A pool only says that it waited; a connection of its own says for what.
    if is_timeout(&error) && !url.starts_with("sqlite:") {
        match tokio::time::timeout(ASK_MAX, PgConnection::connect(url)).await {
            Ok(Err(error)) => reason = reason_of(&error),
            Ok(Ok(_)) => {}
            Err(_) => reason = "no answer".to_owned(),
        }
    }
    Error::Internal(format!("cannot open the database {}: {reason}", place(url)))
}

/// The host and the name of a PostgreSQL database, or the file.
fn place(url: &str) -> String {
    if let Some(file) = url.strip_prefix("sqlite:") {
        return file.strip_prefix("//").unwrap_or(file).to_owned();
    }
    let Ok(url) = Url::parse(url) else { return "of database_url".to_owned() };
    let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
    let port = url.port().unwrap_or(5432);
    format!("{} on {host}:{port}", url.path().trim_start_matches('/'))
}

fn is_timeout(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(_))
        || matches!(sqlx_error(error), Some(sqlx::Error::PoolTimedOut))
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn reason(error: &DbErr) -> String {
    sqlx_error(error).map_or_else(|| error.to_string(), reason_of)
}

fn reason_of(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |url, shown| assert_eq!(place(url), shown, "{url}");
        check("sqlite://data/gatewright.db", "data/gatewright.db");
        check("postgres://u:secret@db.example:6000/gate", "gate on db.example:6000");
        check("postgres://u:secret@db.example/gate?x=secret", "gate on db.example:5432");
    }
}
