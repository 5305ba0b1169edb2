//! `GET /admin/logs`: the last runs.

use axum::extract::State;
use gatewright_core::run::{CapturedRun, RunFilter, RunKind, RunRecord};
use gatewright_core::store::Time;
use gatewright_core::store::in_memory::list_values;
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// Which runs: what a list of them and who watches them may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of a run")]
pub struct RunQuery {
    pub request_id: Option<Uuid>,
    pub kind: Option<String>,
    pub gateway: Option<String>,
    pub event_name: Option<String>,
    pub user_id: Option<String>,
    pub socket_id: Option<String>,
    pub outcome: Option<String>,
    pub code: Option<String>,
    pub slower_than_ms: Option<f64>,
}

impl RunQuery {
    /// The filter of the core.
    ///
    /// # Errors
    /// `BAD_REQUEST` for words that are not known.
    pub fn filter(self) -> std::result::Result<RunFilter, Failure> {
        let bad = |message: String| Err(Failure::new(ErrorCode::BadRequest, message));
        let is_failed = match self.outcome.as_deref() {
            None => None,
            Some("ok") => Some(false),
            Some("error") => Some(true),
            Some(other) => return bad(format!("outcome is ok or error, not {other}")),
        };
        if let Some(kind) = self.kind.as_deref().filter(|kind| !RunKind::WORDS.contains(kind)) {
            return bad(format!("kind is one of {}, not {kind}", RunKind::WORDS.join(", ")));
        }
        if let Some(ms) = self.slower_than_ms.filter(|ms| ms.is_nan() || *ms < 0.0) {
            return bad(format!("slowerThanMs is a number of milliseconds from 0 on, not {ms}"));
        }
        Ok(RunFilter {
            request_id: self.request_id,
            kind: self.kind,
            gateway: self.gateway,
            event_name: self.event_name,
            user_id: self.user_id,
            socket_id: self.socket_id,
            is_failed,
            code: self.code,
            slower_than_us: self.slower_than_ms.map(|ms| (ms * 1000.0) as u64),
        })
    }
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogParams {
    request_id: Option<Uuid>,
    /// `connection`, `event`, `disconnection`, `route`, `data`, `hook` or `job`.
    kind: Option<String>,
    gateway: Option<String>,
    event_name: Option<String>,
    user_id: Option<String>,
    /// Of the socket that triggered it.
    socket_id: Option<String>,
    /// `ok` or `error`.
    outcome: Option<String>,
    code: Option<String>,
    /// Only runs that took longer.
    slower_than_ms: Option<f64>,
    /// 1 to 1000, 20 by default.
    limit: Option<i64>,
    /// Counts from 1.
    page: Option<i64>,
    /// Fields with commas, `-` before one for descending; newest first by default.
    sort: Option<String>,
    /// Conditions as JSON, over the fields of a run.
    filter: Option<String>,
    /// Only these fields, with commas.
    fields: Option<String>,
    /// `*` for `totalCount` and `filterCount`.
    meta: Option<String>,
}

/// One finished run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Of the run and of the hooks of its writes.
    request_id: Uuid,
    /// `connection`, `event`, `disconnection`, `route`, `data` (a write over `/data`), `hook` or `job`.
    kind: &'static str,
    /// The gateway's path; `routes`, `data` or `hooks` where there is none.
    gateway: String,
    event_name: String,
    user_id: Option<String>,
    /// The socket that triggered it; null: none did, or it was a durable event.
    socket_id: Option<String>,
    /// `ok` or `error`.
    outcome: &'static str,
    code: Option<&'static str>,
    /// Why it failed, cut short.
    message: Option<String>,
    /// The library where it failed; null: its script itself.
    library: Option<String>,
    /// Where in that, from 1.
    line: Option<usize>,
    column: Option<usize>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    duration_ms: f64,
    queued_ms: f64,
    /// Of `durationMs`, what it waited for the database.
    database_ms: f64,
    operations: u64,
    logs: Json,
}

/// Lists the last runs, newest first.
#[utoipa::path(get, path = "/admin/logs", operation_id = "listRuns", tag = "operation", params(LogParams),
    responses((status = 200, body = ListAnswer<RunView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<LogParams>,
) -> Result<axum::Json<ListAnswer<Json>>> {
    let filter = RunQuery {
        request_id: params.request_id,
        kind: params.kind,
        gateway: params.gateway,
        event_name: params.event_name,
        user_id: params.user_id,
        socket_id: params.socket_id,
        outcome: params.outcome,
        code: params.code,
        slower_than_ms: params.slower_than_ms,
    }
    .filter()?;
    let list = ListParams {
        limit: params.limit,
        page: params.page,
        sort: params.sort,
        filter: params.filter,
        fields: params.fields,
        meta: params.meta,
    };
    let runs = state.runs.find(&filter).into_iter().map(RunView::from).map(|run| json!(run)).collect();
    let page = list_values(runs, &FIELDS, &list.query()?)?;
    list.answer_values::<RunView>(page)
}

/// A run with the hooks of its writes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunDetail {
    #[serde(flatten)]
    run: RunView,
    /// In their order.
    hooks: Vec<RunView>,
    /// What it was given, said and wrote; null where its handler was not captured.
    captured: Option<CapturedView>,
}

/// What a run was given, said and wrote. Text of fields named like secrets is `<hidden>`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CapturedView {
    /// `@BODY`; of one that is longer than 64 KiB, the beginning of its JSON as text.
    payload: Json,
    /// `@USER`; null: a guest.
    user: Option<Json>,
    /// `@APP`.
    app: Option<Json>,
    /// The id of the socket that triggered it.
    socket: Option<String>,
    /// The rooms that the socket was in when it began.
    rooms: Vec<String>,
    /// `{method, path, params, query, headers}` of a route's request.
    request: Option<Json>,
    /// One `{method, args}` for each `@SOCKET` call that acts, in order; `isCut` where the last argument is left out.
    emitted: Vec<Json>,
    /// One `{table, operation, row}` for each row that was written, in order; `isCut` where there is no more than the id.
    writes: Vec<Json>,
    /// Which of `payload`, `emitted` and `writes` are not whole.
    cut: Vec<String>,
    /// How long it took to hand its outcome to its socket; null: it had none, or its outcome waited for a commit.
    sent_ms: Option<f64>,
}

impl From<CapturedRun> for CapturedView {
    fn from(run: CapturedRun) -> Self {
        let CapturedRun { payload, user, app, socket, rooms, request, emitted, writes, cut, sent, .. } = run;
        let sent_ms = sent.map(|sent| sent.as_secs_f64() * 1000.0);
        Self { payload, user, app, socket, rooms, request, emitted, writes, cut, sent_ms }
    }
}

/// One of the last runs by its request id, with the hooks of its writes.
#[utoipa::path(get, path = "/admin/logs/{requestId}", operation_id = "getRun", tag = "operation", responses((status = 200, body = RunDetail)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(request_id): Path<Uuid>,
) -> Result<axum::Json<RunDetail>> {
    let filter = RunFilter { request_id: Some(request_id), ..RunFilter::default() };
    let mut runs = state.runs.find(&filter);
    runs.sort_by_key(|run| (run.kind == RunKind::Hook, run.at));
    let mut runs = runs.into_iter().map(RunView::from);
    let Some(run) = runs.next() else {
        let message = format!("There is no run {request_id} among the last {}", state.config.logs.runs);
        return Err(Failure::new(ErrorCode::ResourceNotFound, message).into());
    };
    let captured = state.captures.find(request_id).map(CapturedView::from);
    Ok(axum::Json(RunDetail { run, hooks: runs.collect(), captured }))
}

/// What runs can be filtered and sorted by.
const FIELDS: [&str; 17] = [
    "requestId",
    "kind",
    "gateway",
    "eventName",
    "userId",
    "socketId",
    "outcome",
    "code",
    "message",
    "library",
    "line",
    "column",
    "at",
    "durationMs",
    "queuedMs",
    "databaseMs",
    "operations",
];

impl From<RunRecord> for RunView {
    fn from(run: RunRecord) -> Self {
        let place = run.failure.as_ref().and_then(|failure| failure.place.as_ref());
        Self {
            request_id: run.request_id,
            kind: run.kind.as_str(),
            gateway: run.gateway.to_string(),
            event_name: run.event_name.to_string(),
            user_id: run.user_id.map(|id| id.to_string()),
            socket_id: run.socket_id.map(|id| id.to_string()),
            outcome: if run.failure.is_some() { "error" } else { "ok" },
            code: run.failure.as_ref().map(|failure| failure.code.as_str()),
            library: place.and_then(|place| place.library.as_deref()).map(str::to_owned),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            message: run.failure.map(|failure| failure.message.into()),
            at: run.at,
            duration_ms: run.duration_us as f64 / 1000.0,
            queued_ms: run.queued_us as f64 / 1000.0,
            database_ms: run.database_us as f64 / 1000.0,
            operations: run.operations,
            logs: run.logs.map_or_else(|| json!([]), |logs| serde_json::from_str(&logs).unwrap_or_default()),
        }
    }
}
