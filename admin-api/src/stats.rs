//! `GET /admin/stats`: what is going on.

use std::collections::BTreeMap;

use axum::extract::State;
use gatewright_core::script::Handler;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Result;
use crate::extract::Admin;
use crate::state::AdminState;

/// What is going on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    connections: ConnectionStats,
    events_per_second: f64,
    queue_depth: usize,
    handlers: Vec<HandlerStats>,
}

/// Open connections.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionStats {
    total: usize,
    /// By gateway path.
    gateways: BTreeMap<String, usize>,
}

/// One handler since the start.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HandlerStats {
    /// A gateway's path, or `routes`.
    gateway: String,
    /// An event's name, or a route's method and path.
    event_name: String,
    count: u64,
    errors: u64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// Why it does not run, if it is suspended.
    suspended: Option<String>,
}

/// Connections, queue, and each handler's count, errors and times.
#[utoipa::path(get, path = "/admin/stats", operation_id = "getStats", tag = "operation", responses((status = 200, body = Stats)))]
pub(crate) async fn get(State(state): State<AdminState>, _: Admin) -> Result<axum::Json<Stats>> {
    let gateways = state.live.connections();
    let mut handlers: Vec<_> =
        state.catalog.handlers().iter().map(|handler| handler_stats(handler)).collect();
    handlers.sort_by(|a, b| (&a.gateway, &a.event_name).cmp(&(&b.gateway, &b.event_name)));
    Ok(axum::Json(Stats {
        connections: ConnectionStats { total: gateways.values().sum(), gateways },
        events_per_second: state.live.runs_per_second(),
        queue_depth: state.live.queue_depth(),
        handlers,
    }))
}

fn handler_stats(handler: &Handler) -> HandlerStats {
    let (count, errors) = handler.counts();
    let ms = |quantile| handler.quantile(quantile).map(|seconds| seconds * 1000.0);
    HandlerStats {
        gateway: handler.gateway.to_string(),
        event_name: handler.name.to_string(),
        count,
        errors,
        p50_ms: ms(0.50),
        p95_ms: ms(0.95),
        p99_ms: ms(0.99),
        suspended: handler.suspended(),
    }
}
