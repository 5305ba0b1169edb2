//! `POST /admin/test/run`: a script with a recorded host, without a client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use gatewright_core::Failure;
use gatewright_core::data::Row;
use gatewright_core::run::{CapturedRun, TestCall, TestOutcome, run_test};
use gatewright_core::script::{CallUser, Within};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::Note;
use crate::error::Result;
use crate::extract::{Admin, Json as JsonBody};
use crate::state::AdminState;
use crate::test_subject::subject_of;

/// Rooms of a test's socket.
const ROOMS_MAX: usize = 1000;
/// Rows that a test begins with.
const ROWS_MAX: usize = 1000;

/// What to run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestRunBody {
    /// `websocket_event`, `websocket_admission`, `websocket_connection`, `websocket_disconnection`,
    /// `http_route`, `table_hook` or `script`.
    #[serde(default)]
    pub(crate) kind: String,
    /// Of the gateway, or of a request such as `/orders/42/ship`; `path` is accepted too.
    #[serde(alias = "path")]
    pub(crate) gateway_path: Option<String>,
    pub(crate) gateway_id: Option<Uuid>,
    /// `name` is accepted too.
    #[serde(alias = "name")]
    pub(crate) event_name: Option<String>,
    pub(crate) event_id: Option<Uuid>,
    /// The route whose script runs; without it the one that takes `method` and `path`.
    pub(crate) route_id: Option<Uuid>,
    /// Of the request; GET by default.
    pub(crate) method: Option<String>,
    /// `sourceCode` is accepted too. Without it the saved handler runs.
    #[serde(alias = "sourceCode")]
    pub(crate) script: Option<String>,
    /// `body` is accepted too.
    #[serde(alias = "body")]
    payload: Option<Json>,
    /// `@USER`.
    user: Option<Json>,
    /// `@APP`.
    pub(crate) app: Option<Json>,
    pub(crate) headers: Option<Map<String, Json>>,
    /// `@PARAMS` of a route; without it those of `path`.
    pub(crate) params: Option<Map<String, Json>>,
    pub(crate) query: Option<Map<String, Json>>,
    /// 1 to 30000, 5000 by default; `timeout` is accepted too.
    #[serde(alias = "timeout")]
    timeout_ms: Option<u64>,
    /// `@OLD` of a hook.
    pub(crate) old: Option<Json>,
    /// The hook whose script runs; without it `script`.
    pub(crate) hook_id: Option<Uuid>,
    /// Of a hook, as in its definition; a script that was sent needs no more than `on`.
    #[expect(dead_code, reason = "accepted so that a hook's definition can be sent as it is")]
    table: Option<String>,
    #[expect(dead_code, reason = "accepted so that a hook's definition can be sent as it is")]
    when: Option<String>,
    /// `create`, `update` or `delete`, or an array whose first is meant.
    on: Option<Json>,
    /// Whether requests that write may leave, and rows that are written stay.
    #[serde(default)]
    commit: bool,
    /// Rooms that the socket is in, at most 1000.
    rooms: Option<Vec<String>>,
    /// Rows that exist beside those that are there, by table, at most 1000 in all; undone with the rest.
    #[schema(value_type = Option<Object>)]
    rows: Option<BTreeMap<String, Vec<Row>>>,
    /// The request id of a run that was captured: what is left out is as it was there.
    from_run: Option<Uuid>,
    /// Runs this revision of the saved script in place of the newest.
    revision: Option<i64>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestRunAnswer {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TestRunError>,
    /// Of the answer, where `@STATUS` set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Of the answer, where `@HEADER` set any; several cookies are an array.
    #[serde(skip_serializing_if = "Map::is_empty")]
    headers: Map<String, Json>,
    logs: Json,
    /// One `{method, args}` for each `@SOCKET` call that acts, in order.
    emitted: Vec<Json>,
    /// One `{table, operation, row}` for each row that was written, in order; undone unless `commit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    writes: Vec<Json>,
    /// One `{gateway, event, payload, dueAt, after, key?, unique?, durable}` for each job for later, in the order of their
    /// times; they do not run unless `commit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<Json>,
    /// What it gave to `@JOB.retry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    duration_ms: f64,
    operations: u64,
}

/// Why it failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestRunError {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Json>,
}

impl TestRunBody {
    /// Takes over what is left out from a run that was captured.
    fn take_from(&mut self, run: CapturedRun) -> Result<()> {
        let kind = match run.kind.as_str() {
            "route" => "http_route",
            "admission" => "websocket_admission",
            "connection" => "websocket_connection",
            "disconnection" => "websocket_disconnection",
            _ => "websocket_event",
        };
        if self.kind.is_empty() {
            kind.clone_into(&mut self.kind);
        }
        if self.payload.is_none() && run.cut.iter().any(|part| part == "payload") {
            let message =
                "its payload is not whole, so that it cannot be sent again; send a payload beside it";
            return Err(Failure::invalid("fromRun", message).into());
        }
        self.payload.get_or_insert(run.payload);
        self.user = self.user.take().or(run.user);
        self.app = self.app.take().or(run.app);
        if self.kind.starts_with("websocket_") {
            self.rooms.get_or_insert(run.rooms);
        }
        let names_handler =
            self.gateway_path.is_some() || self.gateway_id.is_some() || self.event_id.is_some();
        match run.request {
            Some(request) if !names_handler && self.route_id.is_none() => self.take_request(&request),
            None if !names_handler => {
                self.gateway_path = Some(run.gateway);
                self.event_name = self.event_name.take().or(Some(run.event));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_request(&mut self, request: &Json) {
        let text = |name: &str| request[name].as_str().map(str::to_owned);
        let map = |name: &str| request[name].as_object().cloned();
        self.method = self.method.take().or_else(|| text("method"));
        self.gateway_path = text("path");
        self.params = self.params.take().or_else(|| map("params"));
        self.query = self.query.take().or_else(|| map("query"));
        self.headers = self.headers.take().or_else(|| map("headers"));
    }

    /// Rooms that the socket is in.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for too many, and without a socket.
    pub(crate) fn rooms(&self) -> Result<Vec<String>> {
        let rooms = self.rooms.clone().unwrap_or_default();
        if rooms.len() > ROOMS_MAX {
            return Err(Failure::invalid("rooms", format!("takes at most {ROOMS_MAX}")).into());
        }
        if !rooms.is_empty() && !self.kind.starts_with("websocket_") {
            return Err(Failure::invalid("rooms", "are of a socket: this kind of test has none").into());
        }
        Ok(rooms)
    }

    /// What is done to the row of a hook.
    pub(crate) fn operation(&self) -> Option<String> {
        let on = self.on.as_ref().map(|on| on.get(0).unwrap_or(on));
        let on = on.and_then(|on| on.as_str().map(str::to_owned));
        on.or_else(|| self.event_name.clone())
    }
}

/// Runs a script against a recorded host. Nothing leaves.
#[utoipa::path(post, path = "/admin/test/run", operation_id = "runTest", tag = "scripts", request_body = TestRunBody,
    responses((status = 200, body = TestRunAnswer)))]
pub(crate) async fn run(
    State(state): State<AdminState>,
    _: Admin,
    note: Note,
    JsonBody(mut body): JsonBody<TestRunBody>,
) -> Result<axum::Json<TestRunAnswer>> {
    note.changes(body.commit);
    if let Some(id) = body.from_run {
        body.take_from(captured_run(&state, id)?)?;
    }
    body.rooms()?;
    let rows = rows_of(&state, &body)?;
    let subject = subject_of(&state, &body).await?;
    let source = source_of(&state, &body, subject.source, subject.saved).await?;
    let call = TestCall {
        clock_ms: None,
        waiting: Vec::new(),
        events: Some(state.catalog.live()),
        move_on: None,
        source,
        within: Within { libraries: state.catalog.libraries(), pack: subject.pack },
        checked_by: subject.checked_by,
        trigger: subject.trigger,
        app: body.app.clone(),
        event: subject.event,
        payload: payload_of(&body),
        timeout: timeout(&state, &body, subject.timeout)?,
        user: body.user.filter(|user| !user.is_null()).map(|user| CallUser::Given(Arc::new(user))),
        is_live: body.commit,
        old: body.old.unwrap_or_default(),
        sockets: Vec::new(),
        rows,
        rows_of: Vec::new(),
    };
    let outcome = run_test(state.catalog.engine(), call).await?;
    Ok(axum::Json(answer(outcome)))
}

fn captured_run(state: &AdminState, id: Uuid) -> Result<CapturedRun> {
    let gone = || {
        Failure::not_found(
            "captured run",
            format!("{id}; start a capture of its handler, then let it run again"),
        )
    };
    Ok(state.captures.find(id).ok_or_else(gone)?)
}

/// The script, or its version of the revision that is meant.
async fn source_of(
    state: &AdminState,
    body: &TestRunBody,
    source: String,
    saved: Option<(Uuid, &'static str)>,
) -> Result<String> {
    let Some(number) = body.revision else { return Ok(source) };
    match saved.filter(|_| body.script.is_none()) {
        Some((owner, script)) => Ok(state.catalog.source_of_revision(owner, script, number).await?),
        None => Err(Failure::invalid("revision", "is of a saved script: name it, and send no script").into()),
    }
}

/// The rows that exist, those first that others refer to.
fn rows_of(state: &AdminState, body: &TestRunBody) -> Result<Vec<(String, Vec<Row>)>> {
    let mut left = body.rows.clone().unwrap_or_default();
    if !left.is_empty() && body.commit {
        return Err(Failure::invalid("rows", "are undone with the rest: not with commit").into());
    }
    if left.values().map(Vec::len).sum::<usize>() > ROWS_MAX {
        return Err(Failure::invalid("rows", format!("takes at most {ROWS_MAX} in all")).into());
    }
    let tables = state.catalog.data()?.tables();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |name: &str| {
            let columns = tables.get(name).map(|table| table.own_columns()).unwrap_or_default();
            let mut referred = columns.iter().filter_map(|column| column.references.as_deref());
            referred.any(|other| other != name && left.contains_key(other))
        };
        let next = left.keys().find(|name| !waits(name)).or(left.keys().next()).cloned();
        ordered.extend(next.and_then(|next| left.remove_entry(&next)));
    }
    Ok(ordered)
}

fn timeout(state: &AdminState, body: &TestRunBody, saved: Option<Duration>) -> Result<Duration> {
    let most = state.config.scripts.timeout_max_ms;
    match body.timeout_ms {
        None => Ok(saved.unwrap_or(Duration::from_millis(state.config.scripts.timeout_ms))),
        Some(ms) if (1..=most).contains(&ms) => Ok(Duration::from_millis(ms)),
        Some(_) => Err(Failure::invalid("timeoutMs", format!("must be 1 to {most}")).into()),
    }
}

/// The payload; a connection without one has what a client would bring.
fn payload_of(body: &TestRunBody) -> Json {
    match &body.payload {
        Some(payload) => payload.clone(),
        None if matches!(&*body.kind, "websocket_connection" | "websocket_admission") => json!({
            "id": "test-socket",
            "ip": "127.0.0.1",
            "headers": body.headers.clone().unwrap_or_default(),
            "auth": {},
            "query": body.query.clone().unwrap_or_default(),
        }),
        None => json!({}),
    }
}

fn answer(outcome: TestOutcome) -> TestRunAnswer {
    let (result, error) = match outcome.result {
        Ok(result) => (Some(result), None),
        Err(failure) => {
            let (code, message) = (failure.code.as_str(), failure.message.into_owned());
            (None, Some(TestRunError { code, message, details: failure.details }))
        }
    };
    TestRunAnswer {
        success: error.is_none(),
        result,
        error,
        status: outcome.response.status,
        headers: headers_of(outcome.response.headers),
        logs: outcome.logs,
        emitted: outcome.emitted.iter().map(|emitted| json!(emitted)).collect(),
        writes: outcome.writes.iter().map(|write| json!(write)).collect(),
        jobs: outcome.later.iter().map(|later| json!(later.view())).collect(),
        retry_after: outcome.retry_after.map(|after| after.as_millis() as u64),
        duration_ms: outcome.duration.as_secs_f64() * 1000.0,
        operations: outcome.operations,
    }
}

/// Headers as an object.
fn headers_of(headers: Vec<(String, String)>) -> Map<String, Json> {
    let mut all = Map::new();
    for (name, value) in headers {
        let value = Json::from(value);
        match all.get_mut(&name) {
            None => drop(all.insert(name, value)),
            Some(Json::Array(values)) => values.push(value),
            Some(first) => *first = Json::Array(vec![first.take(), value]),
        }
    }
    all
}
