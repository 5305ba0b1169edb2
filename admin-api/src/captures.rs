//! `/admin/captures`: payloads, emits and writes of a handler's runs, kept for a while.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::Failure;
use gatewright_core::run::{CaptureOptions, CaptureStatus, Captures};
use gatewright_core::script::Handler;
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path};
use crate::state::AdminState;

const MINUTES: u32 = 10;
const RUNS: usize = 100;

/// What is to be captured.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CaptureBody {
    /// The id of an event or a route, or the gateway and the name that its runs have: `/chat sendMessage`, `/chat connection`,
    /// `routes POST /orders/{id}/ship`.
    handler: String,
    /// 1 to 60, 10 by default.
    minutes: Option<u32>,
    /// Runs that are kept, 1 to 1000, 100 by default; past it the oldest go.
    max: Option<usize>,
    /// Whether only runs that fail are kept.
    #[serde(default)]
    errors_only: bool,
}

/// A capture that is on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CaptureView {
    id: Uuid,
    /// The gateway and the name, as `POST` takes them.
    handler: String,
    /// As its runs have it.
    gateway: String,
    /// As its runs have it.
    event_name: String,
    minutes: u32,
    max: usize,
    errors_only: bool,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    /// When it ends by itself, with all that it kept.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    ends_at: Time,
    /// Runs that are kept.
    count: usize,
    /// Bytes that they take, about; all captures together have 16 MiB.
    bytes: usize,
    /// Runs that were kept and had to go.
    dropped: u64,
}

/// The captures that are on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CapturesAnswer {
    /// Oldest first.
    data: Vec<CaptureView>,
}

/// The captures that are on at this server.
#[utoipa::path(get, path = "/admin/captures", operation_id = "listCaptures", tag = "operation",
    responses((status = 200, body = CapturesAnswer)))]
pub(crate) async fn list(State(state): State<AdminState>, _: Admin) -> axum::Json<CapturesAnswer> {
    let data = state.captures.list().into_iter().map(CaptureView::from).collect();
    axum::Json(CapturesAnswer { data })
}

/// Keeps what runs of a handler are given, say and write from now on, until it ends; `GET /admin/logs/{requestId}` shows it.
#[utoipa::path(post, path = "/admin/captures", operation_id = "startCapture", tag = "operation", request_body = CaptureBody,
    responses((status = 201, body = CaptureView)))]
pub(crate) async fn start(
    State(state): State<AdminState>,
    _: Admin,
    Json(body): Json<CaptureBody>,
) -> Result<(StatusCode, axum::Json<CaptureView>)> {
    let minutes = body.minutes.unwrap_or(MINUTES);
    if !(1..=Captures::MINUTES_MAX).contains(&minutes) {
        return Err(Failure::invalid("minutes", format!("must be 1 to {}", Captures::MINUTES_MAX)).into());
    }
    let runs_max = body.max.unwrap_or(RUNS);
    if !(1..=Captures::RUNS_MAX).contains(&runs_max) {
        return Err(Failure::invalid("max", format!("must be 1 to {}", Captures::RUNS_MAX)).into());
    }
    let handler = handler_of(&state, &body.handler)?;
    let options = CaptureOptions { minutes, runs_max, errors_only: body.errors_only };
    let status = state.captures.start(&handler, options)?;
    Ok((StatusCode::CREATED, axum::Json(status.into())))
}

/// Ends a capture and forgets what it kept.
#[utoipa::path(delete, path = "/admin/captures/{id}", operation_id = "stopCapture", tag = "operation",
    responses((status = 204)))]
pub(crate) async fn stop(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    if state.captures.stop(id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Failure::not_found("capture", id).into())
}

/// The live handler that is meant.
fn handler_of(state: &AdminState, meant: &str) -> Result<Arc<Handler>> {
    let handlers = state.catalog.handlers();
    let meant = meant.trim();
    let id = meant.parse::<Uuid>().ok();
    let name = meant.split_once(' ');
    if id.is_none() && name.is_none() {
        let message = "is the id of an event or a route, or a gateway and a name, such as /chat sendMessage";
        return Err(Failure::invalid("handler", message).into());
    }
    let mut found = handlers.into_iter().filter(|handler| match (id, name) {
        (Some(id), _) => handler.owner == id,
        (None, Some((gateway, name))) => *handler.gateway == *gateway && *handler.name == *name,
        (None, None) => false,
    });
    let Some(first) = found.next() else {
        return Err(Failure::not_found("enabled handler", meant).into());
    };
    if &*first.gateway == HOOKS {
        let message = "is a hook, which runs within another run: capture the event or the route that writes";
        return Err(Failure::invalid("handler", message).into());
    }
    if found.next().is_some() {
        let message = format!("{} has several scripts; name one, such as {0} connection", first.gateway);
        return Err(Failure::invalid("handler", message).into());
    }
    Ok(first)
}

/// What stands for a gateway's path where the script is a hook's.
const HOOKS: &str = "hooks";

impl From<CaptureStatus> for CaptureView {
    fn from(status: CaptureStatus) -> Self {
        Self {
            id: status.id,
            handler: format!("{} {}", status.gateway, status.event_name),
            gateway: status.gateway.to_string(),
            event_name: status.event_name.to_string(),
            minutes: status.options.minutes,
            max: status.options.runs_max,
            errors_only: status.options.errors_only,
            started_at: status.started_at,
            ends_at: status.ends_at,
            count: status.count,
            bytes: status.bytes,
            dropped: status.dropped,
        }
    }
}
