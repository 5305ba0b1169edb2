//! Edits of definitions, each of which is one transaction, and reads that see no edit half done.

use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, IsolationLevel, RuntimeErr, TransactionOptions,
    TransactionTrait,
};

use super::change_number::definitions_changed;
use super::{Store, begin_writing};
use crate::error::{Error, ErrorCode, Failure, Result};

/// The number of the advisory lock that an edit holds in PostgreSQL; `gw` and a number.
const EDIT_LOCK: i32 = 0x6777_0002;
/// How long work on definitions alone may take; on PostgreSQL with its wait for another process.
const DEFINITIONS_MAX: Duration = Duration::from_secs(10);
/// The same of work that looks at all rows of tables, or alters them.
const TABLES_MAX: Duration = Duration::from_secs(60);
/// How long an edit may wait for others who use a table of PostgreSQL, and they for it.
const LOCK_MAX: Duration = Duration::from_secs(3);

/// What an edit or a read works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concerns {
    /// Rows of the product's own tables.
    Definitions,
    /// Admins' tables too.
    Tables,
}

impl Concerns {
    /// How long it may take.
    fn most(self) -> Duration {
        match self {
            Self::Definitions => DEFINITIONS_MAX,
            Self::Tables => TABLES_MAX,
        }
    }
}

impl Store {
    /// Does work on definitions, and on the tables that they define, in one transaction, and one such
    /// work at a time, whichever process does it: what it gives back, and the number of the change.
    /// When it fails, is dropped or its process is killed, nothing has happened.
    ///
    /// On SQLite references are not enforced meanwhile, since a table that is rebuilt is gone for a
    /// moment: what hangs on a row is deleted by name.
    ///
    /// # Errors
    /// Those of the work; `SERVICE_UNAVAILABLE` when others use a table for too long.
    pub(crate) async fn edit<T>(
        &self,
        concerns: Concerns,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
    ) -> Result<(T, i64)> {
        // Who waits here waits without a connection, which sign-in may need.
        let _one_at_a_time = self.editing.lock().await;
        let Some(writer) = self.db().writer() else { return self.edit_in_time(concerns, work).await };
        let turn = writer.turn().await;
        finish(begin_writing(&turn.connection).await?, work).await
    }

    /// On PostgreSQL, which may be lost, or have others hold a table: whoever waits for it then waits
    /// behind this.
    async fn edit_in_time<T>(
        &self,
        concerns: Concerns,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
    ) -> Result<(T, i64)> {
        let most = concerns.most();
        let edited = async {
            let on = self.db().begin().await?;
            let (all_ms, turn_ms, lock_ms) = (most.as_millis(), most.as_millis() / 2, LOCK_MAX.as_millis());
            let bounds = format!(
                "SET LOCAL statement_timeout = {all_ms}; SET LOCAL lock_timeout = {turn_ms}; \
                 SELECT pg_advisory_xact_lock({EDIT_LOCK}); SET LOCAL lock_timeout = {lock_ms}"
            );
            on.execute_unprepared(&bounds).await?;
            finish(on, work).await
        };
        match tokio::time::timeout(most, edited).await {
            Ok(Err(Error::Database(error))) if is_busy(&error) => {
                let message = "The tables or definitions are in use by others for too long. Try again";
                Err(Failure::new(ErrorCode::ServiceUnavailable, message).into())
            }
            Ok(edited) => edited,
            Err(_) => Err(no_answer(most)),
        }
    }

    /// Does work that reads several tables as they were at one moment.
    pub(crate) async fn read_together<T>(
        &self,
        concerns: Concerns,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
    ) -> Result<T> {
        let is_sqlite = self.db().get_database_backend() == DbBackend::Sqlite;
        let options = TransactionOptions {
            // A transaction of SQLite always is of one moment.
            isolation_level: (!is_sqlite).then_some(IsolationLevel::RepeatableRead),
            ..TransactionOptions::default()
        };
        let read = async {
            let on = self.db().begin_with_options(options).await?;
            let read = work(&on).await?;
            on.commit().await?;
            Ok(read)
        };
        let most = concerns.most();
        tokio::time::timeout(most, read).await.unwrap_or_else(|_| Err(no_answer(most)))
    }
}

async fn finish<T>(
    on: DatabaseTransaction,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
) -> Result<(T, i64)> {
    let done = work(&on).await?;
    // Last, since sessions wait for the row of all changes.
    let number = definitions_changed(&on).await?;
    on.commit().await?;
    Ok((done, number))
}

fn no_answer(within: Duration) -> Error {
    Error::Database(DbErr::Custom(format!("no answer within {} s", within.as_secs())))
}

/// A lock that was not to be had in time, or two that wait for each other.
fn is_busy(error: &DbErr) -> bool {
    matches!(code_of(error).as_deref(), Some("55P03" | "40P01"))
}

/// The database's own code of an error.
pub(crate) fn code_of(error: &DbErr) -> Option<String> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            Some(error.as_database_error()?.code()?.into_owned())
        }
        _ => None,
    }
}
