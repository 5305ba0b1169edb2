//! Ends many jobs in one transaction, with the rows that their handlers made.

use super::ledger::Done;
use super::sql::{self, EndRow};
use crate::error::{Error, Result};
use crate::store::{NewRows, Transaction, code_of};

/// Who alters a table keeps others waiting for it; the jobs that want it are tried again, and the others do not wait.
const BEGIN_POSTGRES: &str = "SAVEPOINT gw_ends; SET LOCAL lock_timeout = '1s'";
const BEGIN_SQLITE: &str = "SAVEPOINT gw_ends";
const END_POSTGRES: &str = "RELEASE SAVEPOINT gw_ends; SET LOCAL lock_timeout = 0";
const END_SQLITE: &str = "RELEASE SAVEPOINT gw_ends";
const UNDO: &str = "ROLLBACK TO SAVEPOINT gw_ends";

/// Ends jobs. Where the database refuses the rows of one, only that one is not ended.
pub(super) async fn end(on: &Transaction, ends: &[(EndRow<'_>, &NewRows)], done: &mut Done) -> Result<()> {
    if ends.iter().all(|(_, new_rows)| new_rows.is_empty()) {
        return end_all(on, ends, done).await;
    }
    let Err(refused) = end_or_undo(on, ends, done).await? else { return Ok(()) };
    tracing::warn!(error = %refused, jobs = ends.len(), "new rows of jobs could not be inserted together; each is by itself");
    for one in ends {
        if let Err(refused) = end_or_undo(on, std::slice::from_ref(one), done).await? {
            done.refused.insert(one.0.seq, refused.into_failure());
        }
    }
    Ok(())
}

/// Ends all of these, or undoes that and says why.
async fn end_or_undo(
    on: &Transaction,
    ends: &[(EndRow<'_>, &NewRows)],
    done: &mut Done,
) -> Result<Result<()>> {
    let is_sqlite = on.backend() == sea_orm::DbBackend::Sqlite;
    on.execute(if is_sqlite { BEGIN_SQLITE } else { BEGIN_POSTGRES }).await?;
    let ended = match end_all(on, ends, done).await {
        Err(Error::Database(error)) if code_of(&error).is_some() => {
            on.execute(UNDO).await?;
            ends.iter().for_each(|(end, _)| _ = done.changed.remove(&end.seq));
            Err(Error::Database(error))
        }
        ended => Ok(ended?),
    };
    on.execute(if is_sqlite { END_SQLITE } else { END_POSTGRES }).await?;
    Ok(ended)
}

async fn end_all(on: &Transaction, ends: &[(EndRow<'_>, &NewRows)], done: &mut Done) -> Result<()> {
    let rows: Vec<_> = ends.iter().map(|(end, _)| end).collect();
    done.changed.extend(sql::end(on, on.backend(), &rows).await?);
    let of_ended = ends.iter().filter(|(end, _)| done.changed.contains(&end.seq));
    NewRows::insert(of_ended.map(|(_, new_rows)| *new_rows), on).await
}
