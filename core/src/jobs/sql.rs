//! The statements on the tables of jobs. What concerns many jobs is one statement for all of them, which takes them
//! as one JSON array: the same text on both databases, but for how an array becomes rows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use super::job::{Attempts, End, EndState, Fence, Job};
use crate::error::{Error, Result};
use crate::store::{Pool, Transaction};

/// PostgreSQL plans a statement on the table of jobs when it is small, or full of rows that are gone, and would read or sort
/// all of it also when it has grown: jobs are to be found by an index, and in its order. What cannot be done so costs very
/// much by its reckoning, for which it would compile the statement.
pub(super) const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
                                   SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off; \
                                   SET LOCAL enable_mergejoin = off; SET LOCAL jit = off";

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
#[derive(Debug, Serialize)]
pub(super) struct EndRow<'a> {
    pub seq: i64,
    attempt: i32,
    state: &'static str,
    result: Option<&'a str>,
    error: Option<String>,
    attempts: Option<&'a str>,
    stops_key: bool,
    /// Whether it may be tried again, for which it keeps its payload.
    keeps: bool,
    finished_at: i64,
}

impl<'a> EndRow<'a> {
    pub(super) fn new(fence: Fence, end: &'a End, finished_at: i64) -> Self {
        Self {
            seq: fence.seq,
            attempt: fence.attempt,
            state: end.state.as_str(),
            result: end.result.as_deref(),
            error: end.error.as_ref().map(json_text),
            attempts: end.attempts.0.as_deref(),
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

pub(super) fn statement(
    backend: DbBackend,
    sql: String,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    Statement::from_sql_and_values(backend, sql, values)
}

pub(super) fn json_text(value: &impl Serialize) -> String {
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
pub(super) async fn end(on: &Transaction, backend: DbBackend, rows: &[&EndRow<'_>]) -> Result<Vec<i64>> {
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
        // Both statements at once: each way to SQLite's thread and back costs more than they do.
        let sql = format!(
            "INSERT INTO gw_job_done ({KEPT}, {ADDED}) SELECT {kept}, \
             CASE WHEN v.keeps THEN j.payload END, CASE WHEN v.keeps THEN j.blobs END, \
             v.finished_at, v.attempts, v.state, v.result, v.error, v.stops_key \
             FROM {of_array} CROSS JOIN gw_job j WHERE j.seq = v.seq AND j.attempt = v.attempt RETURNING seq; \
             DELETE FROM gw_job WHERE seq IN (SELECT value ->> '$.seq' FROM json_each($1)) \
             AND EXISTS (SELECT 1 FROM gw_job_done d WHERE d.id = gw_job.id)"
        );
        return numbers(&on.all(statement(backend, sql, values)).await?);
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

pub(super) fn uuid(row: &QueryResult, column: &str) -> Result<Uuid> {
    let text: String = row.try_get("", column)?;
    text.parse().map_err(|_| Error::Internal(format!("{text:?} is no id of a job")))
}

/// Blobs as a JSON array of base64; none: there are none.
fn blobs_text(attachments: &[Vec<u8>]) -> Option<String> {
    let blobs: Vec<_> = attachments.iter().map(|blob| STANDARD.encode(blob)).collect();
    (!blobs.is_empty()).then(|| json_text(&blobs))
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
