//! Reads the jobs that are not finished, as far as they are this node's.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, TransactionTrait, Value};

use super::job::{Attempts, Caller, Job};
use super::sql::{BY_INDEX, json_text, statement, uuid};
use crate::error::{Error, Result};
use crate::store::{Pool, Transaction};

/// A job that is stored and not finished.
#[derive(Debug, Clone)]
pub(super) struct StoredJob {
    pub seq: i64,
    pub job: Job,
    pub shard: i32,
    pub due_at: Option<i64>,
    /// Attempts that were begun.
    pub attempt: i32,
    /// Nodes that were lost with it, one after the other.
    pub lost: i32,
    /// Who has begun an attempt and not ended it.
    pub node: Option<String>,
    pub attempts: Attempts,
}

/// Which jobs are looked at.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub backend: DbBackend,
    /// The shards that this node owns; on SQLite all.
    pub shards: Vec<i32>,
    /// The paths of the gateways whose jobs wait.
    pub paused: Vec<String>,
}

/// How long reading jobs may take: a database that is lost does not answer.
const READ_MAX: Duration = Duration::from_secs(5);
const STORED: &str = "seq, id, shard, job_key, gateway, event, caller, payload, blobs, accepted_at, due_at, attempt, \
                      lost, node, attempts";

impl Scope {
    /// The condition that a job is in it; `$1` and `$2` are the shards and the paused gateways.
    fn condition(&self) -> &'static str {
        match self.backend {
            DbBackend::Sqlite => {
                "(json_array_length($1) = 64 OR shard IN (SELECT value FROM json_each($1))) \
                 AND gateway NOT IN (SELECT value FROM json_each($2))"
            }
            _ => {
                "shard IN (SELECT value::integer FROM json_array_elements_text($1::json)) \
                 AND gateway NOT IN (SELECT value FROM json_array_elements_text($2::json))"
            }
        }
    }

    fn statement(&self, sql: String, values: impl IntoIterator<Item = Value>) -> Statement {
        let own = [json_text(&self.shards).into(), json_text(&self.paused).into()];
        statement(self.backend, sql, own.into_iter().chain(values))
    }

    /// Jobs whose time has come, those that wait longest first.
    pub(super) async fn due(&self, on: &Pool, now: i64, limit: usize) -> Result<Vec<StoredJob>> {
        let sql = format!(
            "SELECT {STORED} FROM gw_job WHERE due_at <= $3 AND {} ORDER BY due_at, seq LIMIT $4",
            self.condition()
        );
        self.read(on, self.statement(sql, [now.into(), (limit as i64).into()])).await
    }

    /// When the next job is due that is not yet, in milliseconds.
    pub(super) async fn next_due(&self, on: &Pool, now: i64) -> Result<Option<i64>> {
        let sql = "SELECT MIN(due_at) AS due_at FROM gw_job WHERE due_at > $1".to_owned();
        let found = on.query_one_raw(statement(self.backend, sql, [now.into()])).await?;
        Ok(found.map(|row| row.try_get("", "due_at")).transpose()?.flatten())
    }

    /// Jobs that wait for nothing, behind the cursor of their shard, in the order in which they were committed; and
    /// whether there are more. On SQLite the shards have one cursor.
    pub(super) async fn ready(
        &self,
        on: &Pool,
        cursors: &[(i32, i64)],
        limit: usize,
    ) -> Result<(Vec<StoredJob>, bool)> {
        if self.backend == DbBackend::Sqlite {
            let sql = format!(
                "SELECT {STORED} FROM gw_job WHERE seq > $3 AND due_at IS NULL AND {} ORDER BY seq LIMIT $4",
                self.condition()
            );
            let cursor = cursors.iter().map(|(_, seq)| *seq).min().unwrap_or_default();
            let ready = self.statement(sql, [cursor.into(), (limit as i64).into()]);
            let ready = self.read(on, ready).await?;
            let has_more = ready.len() == limit;
            return Ok((ready, has_more));
        }
        // Of each shard its part: the database would sort as many of each as there are in all.
        let of_shard = limit.div_ceil(cursors.len().max(1));
        let sql = format!(
            "SELECT {STORED} FROM json_to_recordset($3::json) AS c(of_shard integer, cursor bigint), LATERAL \
             (SELECT * FROM gw_job WHERE shard = c.of_shard AND seq > c.cursor AND due_at IS NULL AND {} \
             ORDER BY seq LIMIT $4) AS j ORDER BY seq",
            self.condition()
        );
        let cursors: Vec<_> = cursors
            .iter()
            .map(|(shard, seq)| serde_json::json!({ "of_shard": shard, "cursor": seq }))
            .collect();
        let ready = self.statement(sql, [json_text(&cursors).into(), (of_shard as i64).into()]);
        let ready = self.read(on, ready).await?;
        let mut found = HashMap::new();
        ready.iter().for_each(|one| *found.entry(one.shard).or_insert(0) += 1);
        let has_more = found.values().any(|found| *found == of_shard);
        Ok((ready, has_more))
    }

    /// The jobs of one key that wait for nothing, in the order in which they were committed; and those that wait for
    /// another attempt, before which no other of the key may begin.
    pub(super) async fn of_key(&self, on: &Pool, key: &str, limit: usize) -> Result<Vec<StoredJob>> {
        let sql = format!(
            "SELECT {STORED} FROM gw_job WHERE job_key = $3 AND (due_at IS NULL OR attempt > 0) AND {} \
             ORDER BY seq LIMIT $4",
            self.condition()
        );
        self.read(on, self.statement(sql, [key.into(), (limit as i64).into()])).await
    }

    /// Reads jobs, by an index on PostgreSQL too, see [`BY_INDEX`].
    async fn read(&self, on: &Pool, statement: Statement) -> Result<Vec<StoredJob>> {
        if self.backend == DbBackend::Sqlite {
            return on.query_all_raw(statement).await?.iter().map(stored_job).collect();
        }
        let read = async {
            let on = Transaction::OfPool(TransactionTrait::begin(&**on).await?);
            on.execute(BY_INDEX).await?;
            let rows = on.all(statement).await?;
            on.commit().await?;
            rows.iter().map(stored_job).collect()
        };
        let late = || Error::Internal("jobs were not read in time".to_owned());
        tokio::time::timeout(READ_MAX, read).await.unwrap_or_else(|_| Err(late()))
    }

    /// The jobs that wait for another attempt: number, key and shard.
    pub(super) async fn retrying(&self, on: &Pool) -> Result<Vec<(i64, String, i32)>> {
        let sql = format!(
            "SELECT seq, job_key, shard FROM gw_job WHERE due_at IS NOT NULL AND attempt > 0 AND {}",
            self.condition()
        );
        let rows = on.query_all_raw(self.statement(sql, [])).await?;
        let read = |row: &QueryResult| {
            Ok((row.try_get("", "seq")?, row.try_get("", "job_key")?, row.try_get("", "shard")?))
        };
        rows.iter().map(read).collect()
    }

    /// The keys that wait for what becomes of a job that was given up, with their shard.
    pub(super) async fn stopped(&self, on: &Pool) -> Result<Vec<(String, i32)>> {
        let sql = format!(
            "SELECT DISTINCT job_key, shard FROM gw_job_done WHERE stops_key AND {}",
            self.condition()
        );
        let rows = on.query_all_raw(self.statement(sql, [])).await?;
        rows.iter().map(|row| Ok((row.try_get("", "job_key")?, row.try_get("", "shard")?))).collect()
    }
}

fn stored_job(row: &QueryResult) -> Result<StoredJob> {
    let text = |column: &str| row.try_get::<String>("", column);
    let job = Job {
        id: uuid(row, "id")?,
        key: text("job_key")?.into(),
        gateway: text("gateway")?.into(),
        event: text("event")?.into(),
        caller: serde_json::from_str::<Caller>(&text("caller")?).unwrap_or_default(),
        payload: text("payload")?.into(),
        attachments: attachments_of(row.try_get::<Option<String>>("", "blobs")?.as_deref()),
        accepted_at: row.try_get("", "accepted_at")?,
    };
    Ok(StoredJob {
        seq: row.try_get("", "seq")?,
        job,
        shard: row.try_get("", "shard")?,
        due_at: row.try_get("", "due_at")?,
        attempt: row.try_get("", "attempt")?,
        lost: row.try_get("", "lost")?,
        node: row.try_get("", "node")?,
        attempts: Attempts(row.try_get("", "attempts")?),
    })
}

fn attachments_of(blobs: Option<&str>) -> Vec<Vec<u8>> {
    let blobs: Vec<String> = blobs.and_then(|blobs| serde_json::from_str(blobs).ok()).unwrap_or_default();
    blobs.iter().map(|blob| STANDARD.decode(blob).unwrap_or_default()).collect()
}
