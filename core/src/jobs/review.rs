//! Jobs as admins look at them, retry them and discard them.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::Jobs;
use super::job::{Attempt, Attempts, Caller, JobError, now_ms};
use super::status::{STATE, STATES, state_word};
use crate::error::{Failure, Result};
use crate::store::Transaction;

/// Jobs that one call retries or discards, at most.
const SELECTED_MAX: usize = 10_000;
/// Rows that a list goes through to its page, at most.
const LISTED_MAX: u64 = 100_000;

/// Which jobs; none: any.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// What has become of it.
    pub state: Option<String>,
    /// The path of its gateway.
    pub gateway: Option<String>,
    /// Its event's name.
    pub event: Option<String>,
    /// Text that its id, key, caller, payload or error has in it.
    pub q: Option<String>,
}

/// Jobs that are meant.
#[derive(Debug, Clone)]
pub enum Selected {
    /// Those with these ids.
    Ids(Vec<Uuid>),
    /// Those that match.
    Matching(JobFilter),
}

/// A job as an admin sees it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of a job")]
pub struct JobView {
    pub id: Uuid,
    pub state: &'static str,
    pub gateway: String,
    pub event: String,
    pub key: String,
    pub user_id: Option<String>,
    pub socket_id: Option<String>,
    pub schedule: Option<String>,
    /// Attempts that were begun.
    pub attempt: i32,
    /// Those that failed, oldest first.
    pub attempts: Vec<Attempt>,
    /// In milliseconds, as all times here.
    pub accepted_at: i64,
    pub due_at: Option<i64>,
    pub finished_at: Option<i64>,
    /// The node that runs it.
    pub node: Option<String>,
    /// The data of the event; none: it is not kept.
    pub payload: Option<Json>,
    pub result: Option<Json>,
    pub error: Option<JobError>,
    /// Whether the jobs of its key wait until it is retried or discarded.
    pub stops_key: bool,
}

/// One of the two tables, with its columns under common names.
struct Table {
    name: &'static str,
    state: &'static str,
    columns: &'static str,
}

const UNFINISHED: Table = Table {
    name: "gw_job",
    state: STATE,
    columns: "id, gateway, event, job_key, caller, attempt, attempts, accepted_at, due_at, NULL AS finished_at, node, \
              payload, NULL AS result, NULL AS error, 0 AS stops",
};
const FINISHED: Table = Table {
    name: "gw_job_done",
    state: "state",
    columns: "id, gateway, event, job_key, caller, attempt, attempts, accepted_at, NULL AS due_at, finished_at, \
              NULL AS node, payload, result, error, CASE WHEN stops_key THEN 1 ELSE 0 END AS stops",
};

impl JobFilter {
    /// The conditions, of which `$1` is the first parameter.
    fn condition(&self, table: &Table) -> (String, Vec<Value>) {
        let (mut all, mut values) = (vec!["true".to_owned()], Vec::<Value>::new());
        let mut add = |text: &dyn Fn(usize) -> String, value: Value| {
            values.push(value);
            all.push(text(values.len()));
        };
        if let Some(state) = &self.state {
            add(&|n| format!("{} = ${n}", table.state), state.as_str().into());
        }
        if let Some(gateway) = &self.gateway {
            add(&|n| format!("gateway = ${n}"), gateway.as_str().into());
        }
        if let Some(event) = &self.event {
            add(&|n| format!("event = ${n}"), event.as_str().into());
        }
        if let Some(q) = self.q.as_deref().filter(|q| !q.is_empty()) {
            let pattern: String = q
                .chars()
                .flat_map(|c| ['%', '_', '\\'].contains(&c).then_some('\\').into_iter().chain([c]))
                .collect();
            let columns = match table.name {
                "gw_job" => "id, job_key, caller, payload",
                _ => "id, job_key, caller, payload, error",
            };
            let like = |n: usize| {
                let any = columns.split(", ").map(|name| format!("{name} LIKE ${n} ESCAPE '\\'"));
                format!("({})", any.collect::<Vec<_>>().join(" OR "))
            };
            add(&like, format!("%{pattern}%").into());
        }
        (all.join(" AND "), values)
    }

    /// The tables that may have what is meant.
    fn tables(&self) -> &'static [Table] {
        const BOTH: [Table; 2] = [UNFINISHED, FINISHED];
        match self.state.as_deref() {
            None => &BOTH,
            Some("waiting" | "scheduled" | "running" | "retrying") => &BOTH[..1],
            Some(_) => &BOTH[1..],
        }
    }
}

impl Jobs {
    /// One page of jobs, newest first, and how many there are if that is asked for.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown state, or a page that is too far.
    pub async fn list(
        &self,
        filter: &JobFilter,
        limit: u64,
        page: u64,
        counts: bool,
    ) -> Result<(Vec<JobView>, Option<u64>)> {
        check_state(filter)?;
        let end = page.saturating_mul(limit);
        if end > LISTED_MAX {
            let message = format!("there is no page {page}: a list has {LISTED_MAX} jobs at most; filter it");
            return Err(Failure::invalid("page", message).into());
        }
        let (mut found, mut count) = (Vec::new(), 0);
        for table in filter.tables() {
            let (condition, values) = filter.condition(table);
            let sql = format!(
                "SELECT {}, {} AS state FROM {} WHERE {condition} ORDER BY id DESC LIMIT {end}",
                table.columns, table.state, table.name
            );
            let rows = self.query(sql, values.clone()).await?;
            for row in rows {
                found.push(view(&row)?);
            }
            if counts {
                let sql = format!("SELECT COUNT(*) AS jobs FROM {} WHERE {condition}", table.name);
                let row = self.query(sql, values).await?;
                count +=
                    row.first().map(|row| row.try_get::<i64>("", "jobs")).transpose()?.unwrap_or(0) as u64;
            }
        }
        found.sort_by_key(|job| std::cmp::Reverse(job.id));
        let page = found.into_iter().skip((end - limit) as usize).take(limit as usize).collect();
        Ok((page, counts.then_some(count)))
    }

    /// A job.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn get(&self, id: Uuid) -> Result<JobView> {
        for table in [UNFINISHED, FINISHED] {
            let sql = format!(
                "SELECT {}, {} AS state FROM {} WHERE id = $1 ORDER BY accepted_at DESC LIMIT 1",
                table.columns, table.state, table.name
            );
            if let Some(row) = self.query(sql, vec![id.to_string().into()]).await?.first() {
                return view(row);
            }
        }
        Err(Failure::not_found("job", id).into())
    }

    /// Has jobs run again that failed or were given up, and those that wait for another attempt tried now; how many.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown state.
    pub async fn retry_selected(&self, which: &Selected) -> Result<u64> {
        let (unfinished, finished) = self.select(which, "retrying", &["failed", "dead"]).await?;
        let ids = |ids: &[String]| Value::from(serde_json::to_string(ids).unwrap_or_default());
        let (in_array, now) = (self.in_array(), now_ms());
        let on = self.store.begin_durable().await?;
        let now_due = format!(
            "UPDATE gw_job SET due_at = $2 WHERE node IS NULL AND due_at IS NOT NULL AND attempt > 0 AND id IN ({in_array})"
        );
        let mut count = self.count_of(&on, now_due, [ids(&unfinished), now.into()]).await?;
        // In its old place: what waits for it comes after it.
        let moved = format!(
            "INSERT INTO gw_job (seq, id, shard, job_key, gateway, event, caller, payload, blobs, accepted_at, due_at, \
             attempt, lost, attempts) SELECT seq, id, shard, job_key, gateway, event, caller, payload, blobs, \
             accepted_at, $2, attempt, 0, attempts FROM gw_job_done \
             WHERE state IN ('failed', 'dead') AND payload IS NOT NULL AND id IN ({in_array})"
        );
        count += self.count_of(&on, moved, [ids(&finished), now.into()]).await?;
        let gone = format!(
            "DELETE FROM gw_job_done WHERE state IN ('failed', 'dead') AND payload IS NOT NULL AND id IN ({in_array})"
        );
        self.count_of(&on, gone, [ids(&finished)]).await?;
        on.commit().await?;
        self.look();
        Ok(count)
    }

    /// Takes jobs out: they are not run, or not again; how many.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown state.
    pub async fn discard_selected(&self, which: &Selected) -> Result<u64> {
        let (unfinished, finished) = self.select(which, "", &["failed", "dead"]).await?;
        let ids = |ids: &[String]| Value::from(serde_json::to_string(ids).unwrap_or_default());
        let (in_array, now) = (self.in_array(), now_ms());
        let on = self.store.begin_durable().await?;
        // The attempt that may run finds at its end that its job is gone, and is undone.
        let moved = format!(
            "INSERT INTO gw_job_done (id, seq, shard, job_key, gateway, event, caller, accepted_at, finished_at, attempt, \
             attempts, state, stops_key) SELECT id, seq, shard, job_key, gateway, event, caller, accepted_at, $2, \
             attempt, attempts, 'discarded', false FROM gw_job WHERE id IN ({in_array})"
        );
        let mut count = self.count_of(&on, moved, [ids(&unfinished), now.into()]).await?;
        let gone = format!("DELETE FROM gw_job WHERE id IN ({in_array})");
        self.count_of(&on, gone, [ids(&unfinished)]).await?;
        let marked = format!(
            "UPDATE gw_job_done SET state = 'discarded', stops_key = false, payload = NULL, blobs = NULL \
             WHERE state IN ('failed', 'dead') AND id IN ({in_array})"
        );
        count += self.count_of(&on, marked, [ids(&finished)]).await?;
        on.commit().await?;
        self.read_again();
        Ok(count)
    }

    /// How many jobs [`Self::retry_selected`] would have run again, at this moment.
    ///
    /// # Errors
    /// As it.
    pub async fn count_to_retry(&self, which: &Selected) -> Result<u64> {
        self.count_selected(which, "retrying").await
    }

    /// How many jobs [`Self::discard_selected`] would take out, at this moment.
    ///
    /// # Errors
    /// As it.
    pub async fn count_to_discard(&self, which: &Selected) -> Result<u64> {
        self.count_selected(which, "").await
    }

    async fn count_selected(&self, which: &Selected, unfinished: &str) -> Result<u64> {
        let (waiting, ended) = self.select(which, unfinished, &["failed", "dead"]).await?;
        Ok(match which {
            // Each is in one of the two tables at most.
            Selected::Ids(ids) => ids.len() as u64,
            Selected::Matching(_) => (waiting.len() + ended.len()) as u64,
        })
    }

    /// The ids of those that are meant: unfinished ones of this state (empty: of any) and finished ones of these.
    async fn select(
        &self,
        which: &Selected,
        unfinished: &str,
        finished: &[&str],
    ) -> Result<(Vec<String>, Vec<String>)> {
        let filter = match which {
            Selected::Ids(ids) => {
                let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
                return Ok((ids.clone(), ids));
            }
            Selected::Matching(filter) => filter,
        };
        check_state(filter)?;
        let mut found = (Vec::new(), Vec::new());
        for table in filter.tables() {
            let (condition, values) = filter.condition(table);
            let is_unfinished = table.name == UNFINISHED.name;
            let words = match (is_unfinished, unfinished) {
                (true, "") => &STATES[..],
                (true, _) => &[unfinished],
                (false, _) => finished,
            };
            let words = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT id FROM {} WHERE {condition} AND {} IN ({words}) ORDER BY id LIMIT {SELECTED_MAX}",
                table.name, table.state
            );
            let ids = if is_unfinished { &mut found.0 } else { &mut found.1 };
            for row in self.query(sql, values).await? {
                ids.push(row.try_get("", "id")?);
            }
        }
        Ok(found)
    }

    fn in_array(&self) -> &'static str {
        match self.backend() {
            DbBackend::Sqlite => "SELECT value FROM json_each($1)",
            _ => "SELECT value FROM json_array_elements_text($1::json)",
        }
    }

    async fn count_of(
        &self,
        on: &Transaction,
        sql: String,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<u64> {
        let statement = Statement::from_sql_and_values(self.backend(), format!("{sql} RETURNING id"), values);
        Ok(on.all(statement).await?.len() as u64)
    }

    async fn query(&self, sql: String, values: Vec<Value>) -> Result<Vec<QueryResult>> {
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        Ok(self.store.db().query_all_raw(statement).await?)
    }
}

fn check_state(filter: &JobFilter) -> Result<()> {
    match filter.state.as_deref().filter(|state| !STATES.contains(state)) {
        None => Ok(()),
        Some(other) => {
            let known = STATES.join(", ");
            Err(Failure::invalid("state", format!("{other:?} is not known; known: {known}")).into())
        }
    }
}

fn view(row: &QueryResult) -> Result<JobView> {
    let text = |column: &str| row.try_get::<String>("", column);
    let maybe = |column: &str| row.try_get::<Option<String>>("", column);
    let caller: Caller = serde_json::from_str(&text("caller")?).unwrap_or_default();
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str::<Json>(&text).ok());
    // It is kept as it came: an array that begins with the event's name.
    let payload = json(maybe("payload")?).and_then(|payload| payload.get(1).cloned());
    Ok(JobView {
        id: text("id")?.parse().unwrap_or_default(),
        state: state_word(&text("state")?),
        gateway: text("gateway")?,
        event: text("event")?,
        key: text("job_key")?,
        user_id: caller.user_id,
        socket_id: caller.socket_id,
        schedule: caller.schedule,
        attempt: row.try_get("", "attempt")?,
        attempts: Attempts(maybe("attempts")?).all(),
        accepted_at: row.try_get("", "accepted_at")?,
        due_at: row.try_get("", "due_at")?,
        finished_at: row.try_get("", "finished_at")?,
        node: maybe("node")?,
        payload,
        result: json(maybe("result")?),
        error: maybe("error")?.and_then(|error| serde_json::from_str(&error).ok()),
        stops_key: row.try_get::<i32>("", "stops")? != 0,
    })
}
