//! `POST /admin/test/run`: a script with a recorded host, without a client.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use gatewright_core::catalog::{SavedScript, ScriptSelector};
use gatewright_core::script::{CallUser, TestCall, run_test};
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json as JsonBody};
use crate::state::AdminState;

const KINDS: &str = "websocket_event, websocket_connection, websocket_disconnection, script";

/// What to run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestRunBody {
    /// `websocket_event`, `websocket_connection`, `websocket_disconnection` or `script`.
    #[serde(default)]
    kind: String,
    /// `path` is accepted too.
    #[serde(alias = "path")]
    gateway_path: Option<String>,
    gateway_id: Option<Uuid>,
    /// `name` is accepted too.
    #[serde(alias = "name")]
    event_name: Option<String>,
    event_id: Option<Uuid>,
    /// `sourceCode` is accepted too. Without it the saved handler runs.
    #[serde(alias = "sourceCode")]
    script: Option<String>,
    /// `body` is accepted too.
    #[serde(alias = "body")]
    payload: Option<Json>,
    /// `@USER`.
    user: Option<Json>,
    headers: Option<Map<String, Json>>,
    #[expect(dead_code, reason = "accepted for scripts of HTTP; those of sockets have no parameters")]
    params: Option<Map<String, Json>>,
    query: Option<Map<String, Json>>,
    /// 1 to 30000, 5000 by default; `timeout` is accepted too.
    #[serde(alias = "timeout")]
    timeout_ms: Option<u64>,
    /// Whether requests that write may leave.
    #[serde(default)]
    commit: bool,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestRunAnswer {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TestRunError>,
    logs: Json,
    /// One `{method, args}` for each `@SOCKET` call that acts, in order.
    emitted: Vec<Json>,
    duration_ms: f64,
    operations: u64,
}

/// Why it failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestRunError {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Json>,
}

/// Runs a script against a recorded host. Nothing leaves.
#[utoipa::path(post, path = "/admin/test/run", operation_id = "runTest", tag = "scripts", request_body = TestRunBody,
    responses((status = 200, body = TestRunAnswer)))]
pub async fn run(
    State(state): State<AdminState>,
    _: Admin,
    JsonBody(body): JsonBody<TestRunBody>,
) -> Result<axum::Json<TestRunAnswer>> {
    let event = event_of(&body)?;
    let (gateway, saved) = saved_script(&state, &body, event.as_deref()).await?;
    let timeout = timeout(&state, &body, saved.as_ref())?;
    let source = body.script.clone().or_else(|| saved.as_ref().map(|saved| saved.source.clone()));
    let Some(source) = source.filter(|source| !source.trim().is_empty()) else {
        return Err(Failure::new(ErrorCode::MissingScript, "Send a script, or name a saved handler").into());
    };
    let call = TestCall {
        source,
        gateway,
        event: saved.map_or_else(|| event.unwrap_or_default(), |saved| saved.event_name),
        payload: payload_of(&body),
        user: body.user.filter(|user| !user.is_null()).map(|user| CallUser::Given(Arc::new(user))),
        has_socket: body.kind != "script" || body.gateway_path.is_some(),
        rooms: Vec::new(),
        timeout,
        is_live: body.commit,
    };
    let outcome = run_test(state.catalog.engine(), call).await?;
    Ok(axum::Json(answer(outcome)))
}

/// The name of the event that the script runs for.
fn event_of(body: &TestRunBody) -> Result<Option<String>> {
    match body.kind.as_str() {
        "websocket_event" if body.event_name.is_none() && body.event_id.is_none() => {
            Err(Failure::new(ErrorCode::MissingEventName, "Name the event: eventName or eventId").into())
        }
        "websocket_event" => Ok(body.event_name.clone()),
        "websocket_connection" => Ok(Some("connection".to_owned())),
        "websocket_disconnection" => Ok(Some("disconnection".to_owned())),
        "script" => Ok(body.event_name.clone()),
        other => {
            let message = format!("There is no kind {other:?}; known: {KINDS}");
            Err(Failure::new(ErrorCode::InvalidTestKind, message).into())
        }
    }
}

/// The gateway's path, and the saved handler where no script was sent.
async fn saved_script(
    state: &AdminState,
    body: &TestRunBody,
    event: Option<&str>,
) -> Result<(String, Option<SavedScript>)> {
    let names_gateway = body.gateway_id.is_some() || body.gateway_path.is_some() || body.event_id.is_some();
    if body.script.is_none() && !names_gateway {
        return Ok(("/".to_owned(), None));
    }
    let path = match body.gateway_id {
        Some(id) => state.catalog.gateway(id).await?.path,
        None => body.gateway_path.clone().unwrap_or_else(|| "/".to_owned()),
    };
    if body.script.is_some() {
        return Ok((path, None));
    }
    let selector = match (body.kind.as_str(), body.event_id, event) {
        ("websocket_event", Some(id), _) => ScriptSelector::EventId(id),
        ("websocket_event", None, Some(name)) => ScriptSelector::Event { path: &path, name },
        ("websocket_connection", ..) => ScriptSelector::Connection { path: &path },
        ("websocket_disconnection", ..) => ScriptSelector::Disconnection { path: &path },
        _ => return Ok((path, None)),
    };
    let saved = state.catalog.saved_script(selector).await?;
    Ok((saved.as_ref().map_or(path, |saved| saved.gateway_path.clone()), saved))
}

fn timeout(state: &AdminState, body: &TestRunBody, saved: Option<&SavedScript>) -> Result<Duration> {
    let most = state.config.scripts.timeout_max_ms;
    match body.timeout_ms {
        None => {
            Ok(saved.map_or(Duration::from_millis(state.config.scripts.timeout_ms), |saved| saved.timeout))
        }
        Some(ms) if (1..=most).contains(&ms) => Ok(Duration::from_millis(ms)),
        Some(_) => Err(Failure::invalid("timeoutMs", format!("must be 1 to {most}")).into()),
    }
}

/// The payload; a connection without one has what a client would bring.
fn payload_of(body: &TestRunBody) -> Json {
    match &body.payload {
        Some(payload) => payload.clone(),
        None if body.kind == "websocket_connection" => json!({
            "id": "test-socket",
            "ip": "127.0.0.1",
            "headers": body.headers.clone().unwrap_or_default(),
            "auth": {},
            "query": body.query.clone().unwrap_or_default(),
        }),
        None => json!({}),
    }
}

fn answer(outcome: gatewright_core::script::TestOutcome) -> TestRunAnswer {
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
        logs: outcome.logs,
        emitted: outcome.emitted.iter().map(|emitted| json!(emitted)).collect(),
        duration_ms: outcome.duration.as_secs_f64() * 1000.0,
        operations: outcome.operations,
    }
}
