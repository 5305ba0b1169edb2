//! What must come of a script test, compared with what came.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::data::Row;
use crate::run::TestOutcome;
use crate::script::Later;
use crate::store::{parse_time, time_text};

/// Stands for any value in what is expected.
const ANY: &str = "<any>";

/// What must come of it; what is left out may be anything, but a run must not fail unexpectedly.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Expect {
    result: Option<Json>,
    error: Option<String>,
    message: Option<String>,
    /// Of the answer to a request.
    status: Option<u16>,
    /// Of the answer, those that matter, in lower case.
    headers: Option<BTreeMap<String, Json>>,
    emitted: Option<Json>,
    logs: Option<Json>,
    /// The rows of tables afterwards, in the order of their ids; columns that are left out may be
    /// anything.
    #[serde(default)]
    pub rows: BTreeMap<String, Vec<Row>>,
    /// What was written: table, operation and row, of which columns may be left out.
    writes: Option<Vec<Map<String, Json>>>,
    /// The jobs for later that wait afterwards, in the order of their times; fields that are left out may be anything.
    jobs: Option<Vec<Map<String, Json>>>,
    /// What it gave to `@JOB.retry`, in milliseconds.
    retry_after: Option<u64>,
    /// Jobs that ran as the time was moved on and did not end well; none where this is left out.
    #[serde(default)]
    failed_jobs: Vec<Map<String, Json>>,
}

/// What was expected and what came, as text, where they differ.
pub(super) fn difference(expect: &Expect, outcome: &TestOutcome) -> Option<(String, String)> {
    let (mut wanted, mut found) = (Map::new(), Map::new());
    let mut compare = |name: &str, expected: Option<Json>, got: Json| {
        if let Some(expected) = expected
            && !matches(&expected, &got)
        {
            wanted.insert(name.to_owned(), expected);
            found.insert(name.to_owned(), got);
        }
    };
    let failure = outcome.result.as_ref().err();
    let retry_after = outcome.retry_after.map(|after| after.as_millis() as u64);
    compare("retryAfter", expect.retry_after.map(Json::from), json!(retry_after));
    let is_expected = expect.error.is_some() || expect.message.is_some();
    let is_retried = expect.retry_after.is_some() && retry_after.is_some();
    if !is_expected && !is_retried && expect.status.is_none_or(|status| status < 400) {
        compare("error", Some(Json::Null), failure.map_or(Json::Null, |failure| json!(failure.to_string())));
    } else {
        let code = failure.map(|failure| failure.code.as_str());
        compare("error", expect.error.clone().map(Json::from), json!(code));
        let message = failure.map(|failure| &failure.message);
        compare("message", expect.message.clone().map(Json::from), json!(message));
    }
    let status = failure.map(|failure| failure.status()).or(outcome.response.status).unwrap_or(200);
    compare("status", expect.status.map(Json::from), json!(status));
    if let Some(headers) = &expect.headers {
        compare("headers", Some(json!(headers)), json!(headers_of(headers, outcome)));
    }
    compare("result", expect.result.clone(), outcome.result.clone().unwrap_or_default());
    compare("emitted", expect.emitted.clone(), json!(outcome.emitted));
    compare("logs", expect.logs.clone(), outcome.logs.clone());
    for (table, rows) in &expect.rows {
        let got = outcome.rows.get(table).map(Vec::as_slice).unwrap_or_default();
        let got = got.iter().enumerate().map(|(index, row)| as_named(row, rows.get(index)));
        compare(&format!("rows of {table}"), Some(json!(rows)), got.collect());
    }
    if let Some(writes) = &expect.writes {
        let got = outcome.writes.iter().enumerate().map(|(index, write)| {
            let expected = writes.get(index).and_then(|write| write.get("row")).and_then(Json::as_object);
            let row = as_named(&write.row, expected);
            json!({ "table": write.table, "operation": write.operation, "row": row })
        });
        compare("writes", Some(json!(writes)), got.collect());
    }
    if let Some(jobs) = &expect.jobs {
        let got: Vec<_> = outcome.later.iter().map(Later::view).map(|job| json!(job)).collect();
        compare(
            "jobs",
            Some(json!(jobs.iter().map(with_normal_time).collect::<Vec<_>>())),
            all_as_named(&got, jobs),
        );
    }
    let got: Vec<_> = outcome.failed_jobs.iter().map(|job| json!(job)).collect();
    compare("failedJobs", Some(json!(expect.failed_jobs)), all_as_named(&got, &expect.failed_jobs));
    (!wanted.is_empty())
        .then(|| (format!("{:#}", Json::Object(wanted)), format!("{:#}", Json::Object(found))))
}

/// The columns of a row that an expected one names; all where none is expected.
fn as_named(row: &Row, expected: Option<&Row>) -> Json {
    let Some(expected) = expected else { return Json::Object(row.clone()) };
    let named = row.iter().filter(|(name, _)| expected.contains_key(*name));
    Json::Object(named.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Of each thing the fields that the expected one in its place names.
fn all_as_named(got: &[Json], expected: &[Map<String, Json>]) -> Json {
    let got = got.iter().filter_map(Json::as_object).enumerate();
    got.map(|(index, one)| as_named(one, expected.get(index))).collect()
}

/// The time of an expected job as times are shown.
fn with_normal_time(job: &Map<String, Json>) -> Map<String, Json> {
    let mut job = job.clone();
    if let Some(due_at) = job.get_mut("dueAt")
        && let Some(time) = due_at.as_str().and_then(parse_time)
    {
        *due_at = time_text(time).into();
    }
    job
}

/// The headers of the answer that are expected.
fn headers_of(expected: &BTreeMap<String, Json>, outcome: &TestOutcome) -> Map<String, Json> {
    let headers = outcome.response.headers.iter().filter(|(name, _)| expected.contains_key(name));
    headers.map(|(name, value)| (name.clone(), json!(value))).collect()
}

/// Whether a value is as expected; `"<any>"` stands for any value.
fn matches(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::String(text), _) if text == ANY => true,
        (Json::Object(expected), Json::Object(found)) => {
            expected.len() == found.len()
                && expected
                    .iter()
                    .all(|(key, value)| found.get(key).is_some_and(|found| matches(value, found)))
        }
        (Json::Array(expected), Json::Array(found)) => {
            expected.len() == found.len()
                && expected.iter().zip(found).all(|(value, found)| matches(value, found))
        }
        _ => expected == found,
    }
}
