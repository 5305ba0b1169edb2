//! How many jobs there are, by gateway and state, and how old the oldest of them is.

use sea_orm::{ConnectionTrait, Statement};

use super::Jobs;
use super::status::{STATE, state_word};
use crate::error::Result;

/// Jobs of each table that are counted: what is beyond costs too much to be asked often.
const COUNTED_MAX: i64 = 100_000;

/// How many jobs there are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobCounts {
    /// By gateway and state, in this order; what has none is left out.
    pub counts: Vec<JobCount>,
    /// Whether all were counted: of more than 100,000 that are not finished, of as many that are done and of as many that
    /// ended otherwise, the rest is not.
    pub is_all: bool,
}

/// Jobs of one gateway in one state.
#[derive(Debug, Clone, PartialEq)]
pub struct JobCount {
    /// The gateway's path.
    pub gateway: String,
    /// As in [`super::JobView`].
    pub state: &'static str,
    /// How many.
    pub jobs: u64,
    /// When the oldest of them was accepted, in milliseconds.
    pub oldest_at: i64,
}

impl Jobs {
    /// Counts jobs by gateway and state.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn counts(&self) -> Result<JobCounts> {
        let mut all = JobCounts { counts: Vec::new(), is_all: true };
        let parts = [
            (STATE, "gw_job"),
            ("state", "gw_job_done WHERE state <> 'done'"),
            ("state", "gw_job_done WHERE state = 'done'"),
        ];
        for (state, from) in parts {
            let sql = format!(
                "SELECT gateway, state, COUNT(*) AS jobs, MIN(accepted_at) AS oldest_at FROM \
                 (SELECT gateway, {state} AS state, accepted_at FROM {from} LIMIT {COUNTED_MAX}) AS counted \
                 GROUP BY gateway, state"
            );
            let statement = Statement::from_string(self.backend(), sql);
            let mut counted = 0;
            for row in self.store.db().query_all_raw(statement).await? {
                let jobs: i64 = row.try_get("", "jobs")?;
                counted += jobs;
                all.counts.push(JobCount {
                    gateway: row.try_get("", "gateway")?,
                    state: state_word(&row.try_get::<String>("", "state")?),
                    jobs: jobs.unsigned_abs(),
                    oldest_at: row.try_get("", "oldest_at")?,
                });
            }
            all.is_all &= counted < COUNTED_MAX;
        }
        all.counts.sort_by(|one, other| (&one.gateway, one.state).cmp(&(&other.gateway, other.state)));
        Ok(all)
    }
}
