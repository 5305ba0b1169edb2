//! `/admin/jobs`: durable events and jobs for later, with their attempts.

use axum::extract::State;
use gatewright_core::jobs::{JobCount, JobCounts, JobError, JobFilter, JobView as Job, Selected};
use gatewright_core::moment::from_ms;
use gatewright_core::store::Time;
use gatewright_core::store::list::ListQuery;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::audit::Note;
use crate::error::{ApiError, Result};
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobParams {
    /// `waiting`, `scheduled`, `running`, `retrying`, `done`, `failed`, `dead` or `discarded`.
    state: Option<String>,
    /// The gateway's path.
    gateway: Option<String>,
    /// The event's name.
    event: Option<String>,
    /// Text in the id, the key, the caller, the payload or the error.
    q: Option<String>,
    /// 1 to 1000, 20 by default.
    limit: Option<i64>,
    /// Counts from 1.
    page: Option<i64>,
    /// Only these fields, with commas.
    fields: Option<String>,
    /// `*` for `totalCount` and `filterCount`.
    meta: Option<String>,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    /// The request id of an event of a client.
    id: Uuid,
    /// `waiting`, `scheduled` (for later), `running`, `retrying`, `done`, `failed` (refused by its script), `dead` (given
    /// up) or `discarded`.
    state: &'static str,
    gateway: String,
    event: String,
    /// Jobs of one key run one after the other.
    key: String,
    user_id: Option<String>,
    socket_id: Option<String>,
    /// The schedule that made it.
    schedule: Option<String>,
    /// Attempts that were begun.
    attempt: i32,
    /// Those that failed, oldest first.
    attempts: Vec<AttemptView>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Time,
    /// When it is tried, or tried again.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Time>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Time>,
    /// The process that runs it.
    node: Option<String>,
    /// Kept until the job has ended well or is discarded.
    payload: Option<Value>,
    result: Option<Value>,
    error: Option<ErrorView>,
    /// Whether the jobs of its key wait until it is retried or discarded.
    stops_key: bool,
}

/// An attempt that failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttemptView {
    attempt: i32,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    node: String,
    code: String,
    message: String,
}

/// Why a job did not end well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorView {
    code: String,
    message: String,
    details: Option<Value>,
}

/// The jobs that are meant: by their ids, or all that match a filter, 10,000 at most at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SelectedBody {
    ids: Option<Vec<Uuid>>,
    filter: Option<FilterBody>,
    /// Whether to tell how many these are, and do nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What the jobs have in common.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FilterBody {
    state: Option<String>,
    gateway: Option<String>,
    event: Option<String>,
    q: Option<String>,
}

/// How many jobs there are, by gateway and state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobCountsView {
    counts: Vec<JobCountView>,
    /// Whether all were counted: of more than 100000 the rest is not.
    is_all: bool,
}

/// Jobs of one gateway in one state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobCountView {
    gateway: String,
    state: &'static str,
    jobs: u64,
    /// When the oldest of them was accepted.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    oldest_at: Time,
}

/// How many jobs are to run again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetriedAnswer {
    retried: u64,
}

/// How many jobs were taken out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiscardedAnswer {
    discarded: u64,
}

/// Lists jobs, newest first.
#[utoipa::path(get, path = "/admin/jobs", operation_id = "listJobs", tag = "jobs", params(JobParams),
    responses((status = 200, body = ListAnswer<JobView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<JobParams>,
) -> Result<axum::Json<ListAnswer<Value>>> {
    let list = ListParams {
        limit: params.limit,
        page: params.page,
        fields: params.fields,
        meta: params.meta,
        ..ListParams::default()
    };
    let query: ListQuery = list.query()?;
    let (limit, page) = query.limit_and_page()?;
    let filter = JobFilter { state: params.state, gateway: params.gateway, event: params.event, q: params.q };
    let (jobs, count) = state.jobs.list(&filter, limit, page, query.with_counts).await?;
    let rows = jobs.into_iter().map(|job| json!(JobView::from(job))).collect();
    let counts = match count {
        None => None,
        Some(count) => {
            let all = state.jobs.list(&JobFilter::default(), 1, 1, true).await?.1;
            Some((all.unwrap_or(count), count))
        }
    };
    list.answer_values::<JobView>(gatewright_core::store::list::Page { rows, counts })
}

/// Counts jobs by gateway and state, with the age of the oldest.
#[utoipa::path(get, path = "/admin/jobs/counts", operation_id = "countJobs", tag = "jobs", responses((status = 200, body = JobCountsView)))]
pub(crate) async fn counts(State(state): State<AdminState>, _: Admin) -> Result<axum::Json<JobCountsView>> {
    Ok(axum::Json(state.jobs.counts().await?.into()))
}

/// A job with its attempts.
#[utoipa::path(get, path = "/admin/jobs/{id}", operation_id = "getJob", tag = "jobs", responses((status = 200, body = JobView)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<JobView>> {
    Ok(axum::Json(state.jobs.get(id).await?.into()))
}

/// Has jobs run again that failed or were given up; those that wait for their next attempt are tried now.
#[utoipa::path(post, path = "/admin/jobs/retry", operation_id = "retryJobs", tag = "jobs", request_body = SelectedBody,
    responses((status = 200, body = RetriedAnswer)))]
pub(crate) async fn retry(
    State(state): State<AdminState>,
    _: Admin,
    note: Note,
    Json(body): Json<SelectedBody>,
) -> Result<axum::Json<RetriedAnswer>> {
    let dry_run = body.dry_run;
    note.changes(!dry_run);
    let which = selected(body)?;
    let retried = match dry_run {
        true => state.jobs.count_to_retry(&which).await?,
        false => state.jobs.retry_selected(&which).await?,
    };
    Ok(axum::Json(RetriedAnswer { retried }))
}

/// Takes jobs out: they are not run, or not again. One that runs at this moment is undone.
#[utoipa::path(post, path = "/admin/jobs/discard", operation_id = "discardJobs", tag = "jobs", request_body = SelectedBody,
    responses((status = 200, body = DiscardedAnswer)))]
pub(crate) async fn discard(
    State(state): State<AdminState>,
    _: Admin,
    note: Note,
    Json(body): Json<SelectedBody>,
) -> Result<axum::Json<DiscardedAnswer>> {
    let dry_run = body.dry_run;
    note.changes(!dry_run);
    let which = selected(body)?;
    let discarded = match dry_run {
        true => state.jobs.count_to_discard(&which).await?,
        false => state.jobs.discard_selected(&which).await?,
    };
    Ok(axum::Json(DiscardedAnswer { discarded }))
}

fn selected(body: SelectedBody) -> Result<Selected> {
    match (body.ids, body.filter) {
        (Some(ids), None) => Ok(Selected::Ids(ids)),
        (None, Some(FilterBody { state, gateway, event, q })) => {
            Ok(Selected::Matching(JobFilter { state, gateway, event, q }))
        }
        _ => Err(ApiError::bad_request("Send either ids or a filter: {\"filter\": {\"state\": \"dead\"}}")),
    }
}

fn time(ms: i64) -> Time {
    from_ms(ms).unwrap_or(Time::UNIX_EPOCH)
}

impl From<JobCounts> for JobCountsView {
    fn from(JobCounts { counts, is_all }: JobCounts) -> Self {
        let view = |JobCount { gateway, state, jobs, oldest_at }| JobCountView {
            gateway,
            state,
            jobs,
            oldest_at: time(oldest_at),
        };
        Self { counts: counts.into_iter().map(view).collect(), is_all }
    }
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let attempt = |attempt: gatewright_core::jobs::Attempt| AttemptView {
            attempt: attempt.attempt,
            at: time(attempt.at),
            node: attempt.node,
            code: attempt.code,
            message: attempt.message,
        };
        let error = |JobError { code, message, details }| ErrorView { code, message, details };
        Self {
            id: job.id,
            state: job.state,
            gateway: job.gateway,
            event: job.event,
            key: job.key,
            user_id: job.user_id,
            socket_id: job.socket_id,
            schedule: job.schedule,
            attempt: job.attempt,
            attempts: job.attempts.into_iter().map(attempt).collect(),
            accepted_at: time(job.accepted_at),
            due_at: job.due_at.map(time),
            finished_at: job.finished_at.map(time),
            node: job.node,
            payload: job.payload,
            result: job.result,
            error: job.error.map(error),
            stops_key: job.stops_key,
        }
    }
}
