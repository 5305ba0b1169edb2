//! The statements on the tables of jobs. What concerns many jobs is one statement for all of them, which takes them
//! as one JSON array: the same text on both databases, but for how an array becomes rows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use super::job::{Attempts, Caller, End, EndState, Fence, Job};
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

/// A job on its way to the table.
#[derive(Debug, Serialize)]
pub(super) struct NewRow<'a> {
    /// The order within the statement.
    n: usize,
    id: Uuid,
    shard: i32,
    job_key: &'a str,
    gateway: &'a str,
    event: &'a str,
    caller: String,
    payload: &'a str,
    blobs: Option<String>,
    unique_name: Option<&'a str>,
    accepted_at: i64,
    due_at: Option<i64>,
    /// 1 where the node that stores it begins at once.
    attempt: i32,
    node: Option<&'a str>,
}

impl<'a> NewRow<'a> {
    /// One that waits for a node to begin.
    pub(super) fn new(n: usize, job: &'a Job, shard: i32) -> Self {
        Self {
            n,
            id: job.id,
            shard,
            job_key: &job.key,
            gateway: &job.gateway,
            event: &job.event,
            caller: json_text(&job.caller),
            payload: &job.payload,
            blobs: blobs_text(&job.attachments),
            unique_name: None,
            accepted_at: job.accepted_at,
            due_at: None,
            attempt: 0,
            node: None,
        }
    }

    /// The same, for later.
    pub(super) fn due(self, due_at: i64, unique_name: Option<&'a str>) -> Self {
        Self { due_at: Some(due_at), unique_name, ..self }
    }

    /// The same, begun by a node.
    pub(super) fn begun_by(self, node: &'a str) -> Self {
        Self { attempt: 1, node: Some(node), ..self }
    }
}

/// An event id on its way to the table.
#[derive(Debug, Serialize)]
pub(super) struct EventIdRow<'a> {
    pub n: usize,
    pub gateway: &'a str,
    pub whose: String,
    pub event_id: &'a str,
    pub request_id: Uuid,
    pub stored_at: i64,
}

/// The next attempt at a job, to be begun.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct ClaimRow {
    #[serde(skip)]
    pub shard: i32,
    pub seq: i64,
    /// The attempt before.
    pub attempt: i32,
    pub lost: i32,
}

/// A job that waits for another attempt.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RetryRow {
    seq: i64,
    attempt: i32,
    due_at: i64,
    attempts: Option<String>,
}

impl RetryRow {
    pub(super) fn new(fence: Fence, due_at: i64, attempts: &Attempts) -> Self {
        Self { seq: fence.seq, attempt: fence.attempt, due_at, attempts: attempts.0.clone() }
    }
}

/// A job that ends.
#[derive(Debug, Clone, Serialize)]
pub(super) struct EndRow {
    seq: i64,
    attempt: i32,
    state: &'static str,
    result: Option<String>,
    error: Option<String>,
    attempts: Option<String>,
    stops_key: bool,
    /// Whether it may be tried again, for which it keeps its payload.
    keeps: bool,
    finished_at: i64,
}

impl EndRow {
    pub(super) fn new(fence: Fence, end: &End, finished_at: i64) -> Self {
        Self {
            seq: fence.seq,
            attempt: fence.attempt,
            state: end.state.as_str(),
            result: end.result.clone(),
            error: end.error.as_ref().map(json_text),
            attempts: end.attempts.0.clone(),
            stops_key: end.stops_key,
            keeps: matches!(end.state, EndState::Failed | EndState::Dead),
            finished_at,
        }
    }
}

/// Rows of the array that is the first parameter, as `v`.
fn array(backend: DbBackend, columns: &[(&str, &str)]) -> String {
    match backend {
        DbBackend::Sqlite => {
            let columns: Vec<_> =
                columns.iter().map(|(name, _)| format!("value ->> '$.{name}' AS {name}")).collect();
            format!("(SELECT {} FROM json_each($1)) AS v", columns.join(", "))
        }
        _ => {
            let columns: Vec<_> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
            format!("json_to_recordset($1::json) AS v({})", columns.join(", "))
        }
    }
}

const FENCE: [(&str, &str); 2] = [("seq", "bigint"), ("attempt", "integer")];

fn statement(backend: DbBackend, sql: String, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(backend, sql, values)
}

fn json_text(value: &impl Serialize) -> String {
    // What is given has text for keys, so it is JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// The statement that stores jobs and gives back the number and the id of each.
pub(super) fn insert(backend: DbBackend, rows: &[NewRow<'_>]) -> Statement {
    const COLUMNS: [(&str, &str); 13] = [
        ("id", "text"),
        ("shard", "integer"),
        ("job_key", "text"),
        ("gateway", "text"),
        ("event", "text"),
        ("caller", "text"),
        ("payload", "text"),
        ("blobs", "text"),
        ("unique_name", "text"),
        ("accepted_at", "bigint"),
        ("due_at", "bigint"),
        ("attempt", "integer"),
        ("node", "text"),
    ];
    let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let of_array = [&COLUMNS[..], &[("n", "integer")]].concat();
    let sql = format!(
        "INSERT INTO gw_job ({names}, lost) SELECT {names}, 0 FROM {} WHERE true ORDER BY n RETURNING seq, id",
        array(backend, &of_array)
    );
    statement(backend, sql, [json_text(&rows).into()])
}

/// What [`insert`] gave back.
pub(super) fn inserted(rows: &[QueryResult]) -> Result<Vec<(i64, Uuid)>> {
    rows.iter().map(|row| Ok((row.try_get("", "seq")?, uuid(row, "id")?))).collect()
}

/// Stores event ids; gives back the request ids of those that were not there yet.
pub(super) async fn insert_event_ids(
    on: &Transaction,
    backend: DbBackend,
    rows: &[EventIdRow<'_>],
) -> Result<Vec<Uuid>> {
    let columns = [
        ("n", "integer"),
        ("gateway", "text"),
        ("whose", "text"),
        ("event_id", "text"),
        ("request_id", "text"),
        ("stored_at", "bigint"),
    ];
    let sql = format!(
        "INSERT INTO gw_event_id (gateway, whose, event_id, request_id, stored_at) \
         SELECT gateway, whose, event_id, request_id, stored_at FROM {} WHERE true ORDER BY n \
         ON CONFLICT DO NOTHING RETURNING request_id",
        array(backend, &columns)
    );
    let rows = on.all(statement(backend, sql, [json_text(&rows).into()])).await?;
    rows.iter().map(|row| uuid(row, "request_id")).collect()
}

/// The request id under which an event id was stored first.
pub(super) async fn first_request(
    on: &Transaction,
    backend: DbBackend,
    row: &EventIdRow<'_>,
) -> Result<Option<Uuid>> {
    let sql = "SELECT request_id FROM gw_event_id WHERE gateway = $1 AND whose = $2 AND event_id = $3";
    let values = [row.gateway.into(), row.whose.as_str().into(), row.event_id.into()];
    let found = on.one(statement(backend, sql.to_owned(), values)).await?;
    found.map(|row| uuid(&row, "request_id")).transpose()
}

/// Of these shards, those that the node owns; nobody takes one over before the transaction ends, and what is stored in
/// one meanwhile is stored in the order of the commits.
pub(super) async fn lock_shards(on: &Transaction, shards: &[i32], node: &str) -> Result<Vec<i32>> {
    let sql = "SELECT shard, owner FROM gw_shard WHERE shard IN \
               (SELECT value::integer FROM json_array_elements_text($1::json)) ORDER BY shard FOR UPDATE";
    let rows = on.all(statement(DbBackend::Postgres, sql.to_owned(), [json_text(&shards).into()])).await?;
    let mut owned = Vec::new();
    for row in &rows {
        if row.try_get::<Option<String>>("", "owner")?.as_deref() == Some(node) {
            owned.push(row.try_get("", "shard")?);
        }
    }
    Ok(owned)
}

/// Begins attempts; gives back the numbers of those that were begun.
pub(super) async fn claim(
    on: &Transaction,
    backend: DbBackend,
    rows: &[ClaimRow],
    node: &str,
) -> Result<Vec<i64>> {
    let columns = [&FENCE[..], &[("lost", "integer")]].concat();
    let sql = format!(
        "UPDATE gw_job SET attempt = v.attempt + 1, lost = v.lost, node = $2, due_at = NULL, unique_name = NULL \
         FROM {} WHERE gw_job.seq = v.seq AND gw_job.attempt = v.attempt RETURNING gw_job.seq",
        array(backend, &columns)
    );
    numbers(&on.all(statement(backend, sql, [json_text(&rows).into(), node.into()])).await?)
}

/// Ends attempts that are to be made again later; gives back the numbers of those that were.
pub(super) async fn retry(on: &Transaction, backend: DbBackend, rows: &[RetryRow]) -> Result<Vec<i64>> {
    let columns = [&FENCE[..], &[("due_at", "bigint"), ("attempts", "text")]].concat();
    let sql = format!(
        "UPDATE gw_job SET due_at = v.due_at, attempts = v.attempts, lost = 0, node = NULL \
         FROM {} WHERE gw_job.seq = v.seq AND gw_job.attempt = v.attempt RETURNING gw_job.seq",
        array(backend, &columns)
    );
    numbers(&on.all(statement(backend, sql, [json_text(&rows).into()])).await?)
}

/// Ends jobs for good; gives back the numbers of those that were there, as the attempt that ends them has left them.
pub(super) async fn end(on: &Transaction, backend: DbBackend, rows: &[EndRow]) -> Result<Vec<i64>> {
    const KEPT: &str = "id, seq, shard, job_key, gateway, event, caller, accepted_at, attempt";
    const ADDED: &str = "payload, blobs, finished_at, attempts, state, result, error, stops_key";
    let columns = [
        &FENCE[..],
        &[
            ("state", "text"),
            ("result", "text"),
            ("error", "text"),
            ("attempts", "text"),
            ("stops_key", "boolean"),
            ("keeps", "boolean"),
            ("finished_at", "bigint"),
        ],
    ]
    .concat();
    let of_array = array(backend, &columns);
    let values = [json_text(&rows).into()];
    if backend == DbBackend::Sqlite {
        let kept = KEPT.split(", ").map(|name| format!("j.{name}")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "INSERT INTO gw_job_done ({KEPT}, {ADDED}) SELECT {kept}, \
             CASE WHEN v.keeps THEN j.payload END, CASE WHEN v.keeps THEN j.blobs END, \
             v.finished_at, v.attempts, v.state, v.result, v.error, v.stops_key \
             FROM {of_array} CROSS JOIN gw_job j WHERE j.seq = v.seq AND j.attempt = v.attempt RETURNING seq"
        );
        let ended = numbers(&on.all(statement(backend, sql, values)).await?)?;
        let sql = "DELETE FROM gw_job WHERE seq IN (SELECT value FROM json_each($1))".to_owned();
        on.all(statement(backend, sql, [json_text(&ended).into()])).await?;
        return Ok(ended);
    }
    let sql = format!(
        "WITH gone AS (DELETE FROM gw_job j USING {of_array} WHERE j.seq = v.seq AND j.attempt = v.attempt \
         RETURNING j.id, j.seq, j.shard, j.job_key, j.gateway, j.event, j.caller, j.accepted_at, j.attempt, \
         CASE WHEN v.keeps THEN j.payload END AS payload, CASE WHEN v.keeps THEN j.blobs END AS blobs, \
         v.finished_at, v.attempts, v.state, v.result, v.error, v.stops_key) \
         INSERT INTO gw_job_done ({KEPT}, {ADDED}) SELECT {KEPT}, {ADDED} FROM gone RETURNING seq"
    );
    numbers(&on.all(statement(backend, sql, values)).await?)
}

fn numbers(rows: &[QueryResult]) -> Result<Vec<i64>> {
    rows.iter().map(|row| Ok(row.try_get("", "seq")?)).collect()
}

fn uuid(row: &QueryResult, column: &str) -> Result<Uuid> {
    let text: String = row.try_get("", column)?;
    text.parse().map_err(|_| Error::Internal(format!("{text:?} is no id of a job")))
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
        stored(&on.query_all_raw(self.statement(sql, [now.into(), (limit as i64).into()])).await?)
    }

    /// When the next job is due, in milliseconds.
    pub(super) async fn next_due(&self, on: &Pool) -> Result<Option<i64>> {
        let sql = "SELECT MIN(due_at) AS due_at FROM gw_job WHERE due_at IS NOT NULL".to_owned();
        let found = on.query_one_raw(statement(self.backend, sql, [])).await?;
        Ok(found.map(|row| row.try_get("", "due_at")).transpose()?.flatten())
    }

    /// Jobs that wait for nothing, behind the cursor of their shard, in the order in which they were committed.
    /// On SQLite the shards have one cursor.
    pub(super) async fn ready(
        &self,
        on: &Pool,
        cursors: &[(i32, i64)],
        limit: usize,
    ) -> Result<Vec<StoredJob>> {
        let limit = Value::from(limit as i64);
        let statement = if self.backend == DbBackend::Sqlite {
            let sql = format!(
                "SELECT {STORED} FROM gw_job WHERE seq > $3 AND due_at IS NULL AND {} ORDER BY seq LIMIT $4",
                self.condition()
            );
            let cursor = cursors.iter().map(|(_, seq)| *seq).min().unwrap_or_default();
            self.statement(sql, [cursor.into(), limit])
        } else {
            let sql = format!(
                "SELECT {STORED} FROM json_to_recordset($3::json) AS c(of_shard integer, cursor bigint), LATERAL \
                 (SELECT * FROM gw_job WHERE shard = c.of_shard AND seq > c.cursor AND due_at IS NULL AND {} \
                 ORDER BY seq LIMIT $4) AS j ORDER BY seq LIMIT $4",
                self.condition()
            );
            let cursors: Vec<_> = cursors
                .iter()
                .map(|(shard, seq)| serde_json::json!({ "of_shard": shard, "cursor": seq }))
                .collect();
            self.statement(sql, [json_text(&cursors).into(), limit])
        };
        stored(&on.query_all_raw(statement).await?)
    }

    /// The jobs of one key that wait for nothing, in the order in which they were committed.
    pub(super) async fn of_key(&self, on: &Pool, key: &str, limit: usize) -> Result<Vec<StoredJob>> {
        let sql = format!(
            "SELECT {STORED} FROM gw_job WHERE job_key = $3 AND due_at IS NULL AND {} ORDER BY seq LIMIT $4",
            self.condition()
        );
        stored(&on.query_all_raw(self.statement(sql, [key.into(), (limit as i64).into()])).await?)
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

fn stored(rows: &[QueryResult]) -> Result<Vec<StoredJob>> {
    rows.iter().map(stored_job).collect()
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

/// Blobs as a JSON array of base64; none: there are none.
fn blobs_text(attachments: &[Vec<u8>]) -> Option<String> {
    let blobs: Vec<_> = attachments.iter().map(|blob| STANDARD.encode(blob)).collect();
    (!blobs.is_empty()).then(|| json_text(&blobs))
}

fn attachments_of(blobs: Option<&str>) -> Vec<Vec<u8>> {
    let blobs: Vec<String> = blobs.and_then(|blobs| serde_json::from_str(blobs).ok()).unwrap_or_default();
    blobs.iter().map(|blob| STANDARD.decode(blob).unwrap_or_default()).collect()
}

/// The statement that takes back the waiting job of a name.
pub(super) fn forget_named(backend: DbBackend, name: &str) -> Statement {
    statement(backend, "DELETE FROM gw_job WHERE unique_name = $1".to_owned(), [name.into()])
}

/// The statement that takes back a job for later that has not begun.
pub(super) fn forget(backend: DbBackend, id: Uuid) -> Statement {
    let sql = "DELETE FROM gw_job WHERE id = $1 AND attempt = 0 AND due_at IS NOT NULL".to_owned();
    statement(backend, sql, [id.to_string().into()])
}

/// Lets jobs that were due wait for their key instead of for a time.
pub(super) async fn no_longer_due(on: &Pool, backend: DbBackend, seqs: &[i64]) -> Result<()> {
    let seqs_of = match backend {
        DbBackend::Sqlite => "SELECT value FROM json_each($1)",
        _ => "SELECT value::bigint FROM json_array_elements_text($1::json)",
    };
    let sql = format!(
        "UPDATE gw_job SET due_at = NULL, unique_name = NULL WHERE attempt = 0 AND seq IN ({seqs_of})"
    );
    on.execute_raw(statement(backend, sql, [json_text(&seqs).into()])).await?;
    Ok(())
}
