//! `/admin/tests`: script tests that are kept with the server.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::Failure;
use gatewright_core::pack::{self, SavedTest, SavedTestResult, TestedThings};
use gatewright_core::store::Time;
use gatewright_core::store::in_memory::list_values;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json as JsonBody, OptionalJson, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// Tests of one handler that run in one call.
const RUN_MAX: usize = 200;

/// A test as packs write it; of a change what changes, and null takes a field away.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Definition(Map<String, Json>);

/// What is known of a test's fields: the form of the tests of packs.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what the core reads")]
struct Fields {
    name: Option<String>,
    /// `event` (default), `admission`, `connection`, `disconnection`, `job`, `route` or `hook`.
    kind: Option<String>,
    /// The gateway's path.
    gateway: Option<String>,
    /// The event's name.
    event: Option<String>,
    /// Of a request.
    method: Option<String>,
    /// Of a request, such as `/orders/42/ship`.
    path: Option<String>,
    #[schema(value_type = Option<Object>)]
    params: Option<Json>,
    #[schema(value_type = Option<Object>)]
    query: Option<Json>,
    #[schema(value_type = Option<Object>)]
    headers: Option<Json>,
    /// Of a hook.
    table: Option<String>,
    /// Of a hook: `create`, `update` or `delete`.
    operation: Option<String>,
    /// Of a hook.
    when: Option<String>,
    /// Of a hook.
    priority: Option<i64>,
    /// `@OLD` of a hook.
    #[schema(value_type = Option<Object>)]
    old: Option<Json>,
    /// What runs in the place of the saved script.
    script: Option<String>,
    /// `@BODY`.
    payload: Option<Json>,
    /// `@USER`.
    #[schema(value_type = Option<Object>)]
    user: Option<Json>,
    /// `@APP`.
    #[schema(value_type = Option<Object>)]
    app: Option<Json>,
    /// Rooms that the socket is in.
    rooms: Option<Vec<String>>,
    /// Other sockets: `{id, gateway, userId?, rooms?}`.
    #[schema(value_type = Option<Vec<Object>>)]
    sockets: Option<Json>,
    /// Rows that exist beside those that are there, by table.
    #[schema(value_type = Option<Object>)]
    rows: Option<Json>,
    /// Jobs for later that wait.
    #[schema(value_type = Option<Vec<Object>>)]
    jobs: Option<Json>,
    /// Which job it is: `{attempt?, id?}`.
    #[schema(value_type = Option<Object>)]
    job: Option<Json>,
    /// The time, which stands still.
    now: Option<String>,
    /// By how many milliseconds it is moved on after the script.
    move_on: Option<u32>,
    /// `result`, `error`, `message`, `status`, `headers`, `emitted`, `logs`, `rows`, `writes`, `jobs`, `retryAfter` and
    /// `failedJobs`, each if it matters; `"<any>"` stands for any value.
    #[schema(value_type = Option<Object>)]
    expect: Option<Json>,
}

/// A test that is kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestView {
    id: Uuid,
    name: String,
    /// What it tests: an event, a gateway, a route or a hook; null: nothing of the kind is there.
    handler_id: Option<Uuid>,
    /// The same by the name that runs have, such as `/chat sendMessage`.
    handler: Option<String>,
    /// The pack that it came with; null: an admin made it, or has changed it.
    pack: Option<String>,
    /// It as packs write it.
    #[schema(value_type = Definition)]
    test: Definition,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// Which tests.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TestParams {
    /// Only those of this handler: its id, or the name that its runs have, such as `/chat sendMessage`.
    handler: Option<String>,
    /// 1 to 1000, 20 by default.
    limit: Option<i64>,
    /// Counts from 1.
    page: Option<i64>,
    /// Fields with commas, `-` before one for descending; by name by default.
    sort: Option<String>,
    /// Conditions as JSON.
    filter: Option<String>,
    /// Only these fields, with commas.
    fields: Option<String>,
    /// `*` for `totalCount` and `filterCount`.
    meta: Option<String>,
}

/// How a test is to be run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunTestBody {
    /// What runs in the place of the saved script.
    script: Option<String>,
}

/// Which tests are to be run, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunTestsBody {
    /// The handler's id, or the name that its runs have, such as `/chat sendMessage`.
    handler: String,
    /// What runs in the place of its saved script.
    script: Option<String>,
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestResultView {
    id: Uuid,
    name: String,
    passed: bool,
    /// Of what differs, what was expected, as text; null: nothing differs, or it could not be run.
    expected: Option<String>,
    /// Of what differs, what came, as text.
    got: Option<String>,
    /// Why it could not be run.
    error: Option<String>,
    duration_ms: f64,
}

/// What came of all tests of a handler.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestResults {
    passed: usize,
    failed: usize,
    /// By name.
    results: Vec<TestResultView>,
}

/// Lists the tests that are kept.
#[utoipa::path(get, path = "/admin/tests", operation_id = "listTests", tag = "scripts", params(TestParams),
    responses((status = 200, body = ListAnswer<TestView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<TestParams>,
) -> Result<axum::Json<ListAnswer<Json>>> {
    let store = state.catalog.store();
    let things = TestedThings::read(store).await?;
    let tests = pack::saved_tests(store, &things, params.handler.as_deref()).await?;
    let list = ListParams {
        limit: params.limit,
        page: params.page,
        sort: params.sort,
        filter: params.filter,
        fields: params.fields,
        meta: params.meta,
    };
    let tests = tests.into_iter().map(|test| json!(TestView::from(test))).collect();
    let page = list_values(tests, &FIELDS, &list.query()?)?;
    list.answer_values::<TestView>(page)
}

/// Keeps a test of a handler that is there, in the form of the tests of packs.
#[utoipa::path(post, path = "/admin/tests", operation_id = "createTest", tag = "scripts", request_body = Definition,
    responses((status = 201, body = TestView)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    _: Admin,
    JsonBody(Definition(test)): JsonBody<Definition>,
) -> Result<(StatusCode, axum::Json<TestView>)> {
    let saved = pack::save_test(state.catalog.store(), test).await?;
    Ok((StatusCode::CREATED, axum::Json(saved.into())))
}

/// A test.
#[utoipa::path(get, path = "/admin/tests/{id}", operation_id = "getTest", tag = "scripts",
    responses((status = 200, body = TestView)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<TestView>> {
    Ok(axum::Json(pack::saved_test(state.catalog.store(), id).await?.into()))
}

/// Changes a test. One that came with a pack is the admin's from then on.
#[utoipa::path(patch, path = "/admin/tests/{id}", operation_id = "updateTest", tag = "scripts", request_body = Definition,
    responses((status = 200, body = TestView)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    JsonBody(Definition(changes)): JsonBody<Definition>,
) -> Result<axum::Json<TestView>> {
    Ok(axum::Json(pack::change_test(state.catalog.store(), id, changes).await?.into()))
}

/// Deletes a test.
#[utoipa::path(delete, path = "/admin/tests/{id}", operation_id = "deleteTest", tag = "scripts",
    responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    pack::delete_test(state.catalog.store(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a test against what is live, or with another script. Nothing leaves, nothing stays.
#[utoipa::path(post, path = "/admin/tests/{id}/run", operation_id = "runSavedTest", tag = "scripts",
    request_body = Option<RunTestBody>, responses((status = 200, body = TestResultView)))]
pub(crate) async fn run(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    OptionalJson(body): OptionalJson<RunTestBody>,
) -> Result<axum::Json<TestResultView>> {
    let saved = pack::saved_test(state.catalog.store(), id).await?;
    let mut things = TestedThings::read(state.catalog.store()).await?;
    let script = body.unwrap_or_default().script;
    Ok(axum::Json(things.run(&state.catalog, &saved, script.as_deref()).await.into()))
}

/// Runs all tests of a handler, at most 200, one after the other. Nothing leaves, nothing stays.
#[utoipa::path(post, path = "/admin/tests/run", operation_id = "runSavedTests", tag = "scripts", request_body = RunTestsBody,
    responses((status = 200, body = TestResults)))]
pub(crate) async fn run_all(
    State(state): State<AdminState>,
    _: Admin,
    JsonBody(body): JsonBody<RunTestsBody>,
) -> Result<axum::Json<TestResults>> {
    let store = state.catalog.store();
    let mut things = TestedThings::read(store).await?;
    let tests = pack::saved_tests(store, &things, Some(&body.handler)).await?;
    if tests.len() > RUN_MAX {
        let message =
            format!("has {} tests; at most {RUN_MAX} run in one call: run them one by one", tests.len());
        return Err(Failure::invalid("handler", message).into());
    }
    let mut results: Vec<TestResultView> = Vec::with_capacity(tests.len());
    for test in &tests {
        results.push(things.run(&state.catalog, test, body.script.as_deref()).await.into());
    }
    let passed = results.iter().filter(|result| result.passed).count();
    Ok(axum::Json(TestResults { passed, failed: results.len() - passed, results }))
}

/// What tests can be filtered and sorted by.
const FIELDS: [&str; 7] = ["id", "name", "handlerId", "handler", "pack", "createdAt", "updatedAt"];

impl PartialSchema for Definition {
    fn schema() -> RefOr<Schema> {
        Fields::schema()
    }
}

impl ToSchema for Definition {
    fn name() -> std::borrow::Cow<'static, str> {
        "ScriptTest".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Fields::schemas(schemas);
    }
}

impl From<SavedTest> for TestView {
    fn from(test: SavedTest) -> Self {
        let SavedTest { id, name, pack, definition, handler_id, handler, created_at, updated_at } = test;
        Self { id, name, handler_id, handler, pack, test: Definition(definition), created_at, updated_at }
    }
}

impl From<SavedTestResult> for TestResultView {
    fn from(result: SavedTestResult) -> Self {
        let passed = result.difference.is_none() && result.error.is_none();
        let (expected, got) = result.difference.unzip();
        let duration_ms = result.duration.as_secs_f64() * 1000.0;
        Self { id: result.id, name: result.name, passed, expected, got, error: result.error, duration_ms }
    }
}
