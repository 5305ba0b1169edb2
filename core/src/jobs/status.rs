//! What has become of a job: for its client, for its user, for admins.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};
use uuid::Uuid;

use super::Jobs;
use super::job::{Caller, JobError};
use crate::error::Result;
use crate::store::Transaction;

/// What has become of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobStatus {
    /// `waiting`, `scheduled`, `running`, `retrying`, `done`, `failed`, `dead` or `discarded`.
    pub state: &'static str,
    /// What its handler gave, as JSON.
    pub result: Option<String>,
    /// Why it did not end well.
    pub error: Option<JobError>,
}

impl JobStatus {
    /// Of one that was stored this moment.
    pub(super) const WAITING: Self = Self { state: "waiting", result: None, error: None };
}

/// What has become of a job, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub caller: Caller,
    pub status: JobStatus,
}

/// The state of a job that is not finished, in SQL.
pub(super) const STATE: &str = "CASE WHEN node IS NOT NULL THEN 'running' WHEN due_at IS NULL THEN 'waiting' \
                                WHEN attempt > 0 THEN 'retrying' ELSE 'scheduled' END";

impl Jobs {
    /// What has become of a job, as far as its caller or an admin asks.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn status(&self, id: Uuid, asks: impl FnOnce(&Caller) -> bool) -> Result<Option<JobStatus>> {
        let db = self.store.db();
        let (unfinished, finished) = statements(self.backend(), id);
        // In this order: a job that ends in between is found at its end.
        let found = match db.query_one_raw(unfinished).await? {
            Some(row) => Some(read(&row)?),
            None => db.query_one_raw(finished).await?.map(|row| read(&row)).transpose()?,
        };
        Ok(found.filter(|found| asks(&found.caller)).map(|found| found.status))
    }

    /// The same within a transaction, whoever asks.
    pub(super) async fn status_on(&self, on: &Transaction, id: Uuid) -> Result<Option<Found>> {
        let (unfinished, finished) = statements(self.backend(), id);
        Ok(match on.one(unfinished).await? {
            Some(row) => Some(read(&row)?),
            None => on.one(finished).await?.map(|row| read(&row)).transpose()?,
        })
    }
}

fn statements(backend: DbBackend, id: Uuid) -> (Statement, Statement) {
    let of = |sql: &str| Statement::from_sql_and_values(backend, sql, [id.to_string().into()]);
    let unfinished =
        format!("SELECT caller, {STATE} AS state, NULL AS result, NULL AS error FROM gw_job WHERE id = $1");
    let finished = "SELECT caller, state, result, error FROM gw_job_done WHERE id = $1 ORDER BY finished_at DESC LIMIT 1";
    (of(&unfinished), of(finished))
}

fn read(row: &QueryResult) -> Result<Found> {
    let caller: String = row.try_get("", "caller")?;
    let state: String = row.try_get("", "state")?;
    let error: Option<String> = row.try_get("", "error")?;
    let status = JobStatus {
        state: state_word(&state),
        result: row.try_get("", "result")?,
        error: error.and_then(|error| serde_json::from_str(&error).ok()),
    };
    Ok(Found { caller: serde_json::from_str(&caller).unwrap_or_default(), status })
}

/// The states that a job may have.
pub(super) const STATES: [&str; 8] =
    ["waiting", "scheduled", "running", "retrying", "done", "failed", "dead", "discarded"];

pub(super) fn state_word(state: &str) -> &'static str {
    STATES.iter().find(|known| **known == state).copied().unwrap_or("waiting")
}
