//! `/health` and `/metrics`, for operators.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use gatewright_admin_api::{ApiError, Caller};
use gatewright_core::auth::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::HttpState;

/// How long the database may take for the round trip of a health check.
const PING_MAX: Duration = Duration::from_secs(2);
/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the server is.
#[derive(Serialize, ToSchema)]
pub struct Health {
    status: &'static str,
}

/// The process runs.
#[utoipa::path(get, path = "/health/live", tag = "operation", responses((status = 200, body = Health)))]
pub async fn live() -> axum::Json<Health> {
    axum::Json(Health { status: "ok" })
}

/// The server takes connections and the database answers; else 503.
#[utoipa::path(get, path = "/health/ready", tag = "operation",
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub async fn ready(State(state): State<HttpState>) -> (StatusCode, axum::Json<Health>) {
    let unready = |status| (StatusCode::SERVICE_UNAVAILABLE, axum::Json(Health { status }));
    if !state.runner.queue.is_open() {
        return unready("draining");
    }
    match tokio::time::timeout(PING_MAX, state.store.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, axum::Json(Health { status: "ok" })),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database fails");
            unready("database")
        }
        Err(_) => unready("database"),
    }
}

/// The metrics, for an admin or an app key with `socket:read`. With `metrics.listen` they are
/// served there without sign-in.
#[utoipa::path(get, path = "/metrics", tag = "operation", responses((status = 200, body = String)))]
pub async fn metrics(State(state): State<HttpState>, caller: Caller) -> Result<Response, ApiError> {
    caller.check_admin_or(Scope::SocketRead)?;
    Ok(text(&state))
}

/// The metrics, without sign-in, on a listener of their own.
pub async fn open_metrics(State(state): State<HttpState>) -> Response {
    text(&state)
}

fn text(state: &HttpState) -> Response {
    state.runner.metrics.queue_depth.set(state.runner.queue.depth() as i64);
    ([(CONTENT_TYPE, METRICS_TYPE)], state.runner.metrics.text()).into_response()
}
