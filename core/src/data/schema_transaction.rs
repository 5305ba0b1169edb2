//! The transactions that tables are altered in: all of a change or nothing, and to its end.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};

use super::Data;
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::store;

/// How long a change may wait for others who use a table of PostgreSQL, and they for it.
const LOCK_MAX: Duration = Duration::from_secs(3);
/// How long a change on PostgreSQL may take in all.
const CHANGE_MAX: Duration = Duration::from_secs(60);

impl Data {
    /// Does work that alters tables: all of it or nothing. On SQLite references are not enforced
    /// meanwhile, since a table that is rebuilt is gone for a moment.
    pub(super) async fn in_schema_transaction<T>(
        &self,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>,
    ) -> Result<T> {
        let Some(writer) = self.writer() else { return self.in_time(work).await };
        let turn = writer.turn().await;
        turn.connection.execute_unprepared("PRAGMA foreign_keys = OFF").await?;
        let done = async {
            let on = store::begin_writing(&turn.connection).await?;
            let done = work(&on).await?;
            on.commit().await?;
            Ok(done)
        }
        .await;
        turn.connection.execute_unprepared("PRAGMA foreign_keys = ON").await?;
        done
    }

    /// The same on PostgreSQL, which may be lost, or have others hold the table: whoever waits for it
    /// then waits behind this.
    async fn in_time<T>(&self, work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T>) -> Result<T> {
        let changed = async {
            let on = self.db().begin().await?;
            let (lock_ms, all_ms) = (LOCK_MAX.as_millis(), CHANGE_MAX.as_millis());
            let bounds =
                format!("SET LOCAL lock_timeout = {lock_ms}; SET LOCAL statement_timeout = {all_ms}");
            on.execute_unprepared(&bounds).await?;
            let done = work(&on).await?;
            on.commit().await?;
            Ok(done)
        };
        match tokio::time::timeout(CHANGE_MAX, changed).await {
            Ok(Err(Error::Database(error))) if is_busy(&error) => {
                let message = "The table is in use by others for too long. Try again";
                Err(Failure::new(ErrorCode::ServiceUnavailable, message).into())
            }
            Ok(changed) => changed,
            Err(_) => {
                let message = format!("no answer within {} s", CHANGE_MAX.as_secs());
                Err(Error::Database(sea_orm::DbErr::Custom(message)))
            }
        }
    }
}

/// Does work that must not be left in the middle, also when nobody waits for it any more.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let done = tokio::spawn(work).await;
    done.map_err(|error| Error::Internal(format!("a change of tables: {error}")))?
}

/// A lock that was not to be had in time, or two that wait for each other.
fn is_busy(error: &sea_orm::DbErr) -> bool {
    matches!(super::failure::code_of(error).as_deref(), Some("55P03" | "40P01"))
}
