//! `GET /admin/tree`: all gateways with their events, from the live snapshot.

use axum::extract::State;
use gatewright_core::catalog::{LiveEvent, LiveGateway};
use gatewright_core::script::Handler;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::extract::Admin;
use crate::state::AdminState;

/// All gateways.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tree {
    /// By path.
    gateways: Vec<TreeGateway>,
}

/// A gateway, with what its scripts have done since the start.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TreeGateway {
    id: Uuid,
    path: String,
    is_enabled: bool,
    is_paused: bool,
    connections: usize,
    /// Runs of its events, and of its own scripts.
    count: u64,
    /// Of those, the ones that failed.
    errors: u64,
    /// Why one of its own scripts does not run, if one is suspended.
    suspended: Option<String>,
    /// By name.
    events: Vec<TreeEvent>,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TreeEvent {
    id: Uuid,
    event_name: String,
    is_enabled: bool,
    /// `memory` or `durable`.
    delivery: &'static str,
    count: u64,
    errors: u64,
    suspended: Option<String>,
}

/// All gateways with their events, and what became of their runs since the start.
#[utoipa::path(get, path = "/admin/tree", operation_id = "getTree", tag = "gateways", responses((status = 200, body = Tree)))]
pub(crate) async fn get(State(state): State<AdminState>, _: Admin) -> axum::Json<Tree> {
    let (live, connections) = (state.catalog.live(), state.live.connections());
    let mut gateways: Vec<_> = live
        .values()
        .map(|gateway| tree_gateway(gateway, connections.get(&*gateway.path).copied().unwrap_or(0)))
        .collect();
    gateways.sort_by(|a, b| a.path.cmp(&b.path));
    axum::Json(Tree { gateways })
}

fn tree_gateway(gateway: &LiveGateway, connections: usize) -> TreeGateway {
    let (mut count, mut errors) = (0, 0);
    for handler in gateway.handlers() {
        let (runs, failed) = handler.counts();
        (count, errors) = (count + runs, errors + failed);
    }
    let own = gateway.admission.iter().chain(&gateway.connection).chain(&gateway.disconnection);
    TreeGateway {
        id: gateway.id,
        path: gateway.path.to_string(),
        is_enabled: gateway.is_enabled,
        is_paused: gateway.is_paused,
        connections,
        count,
        errors,
        suspended: own.filter_map(|handler| handler.suspended()).next(),
        events: gateway.all_events.iter().map(tree_event).collect(),
    }
}

fn tree_event(event: &LiveEvent) -> TreeEvent {
    let handler: Option<&Handler> = event.handler.as_deref();
    let (count, errors) = handler.map_or((0, 0), Handler::counts);
    TreeEvent {
        id: event.id,
        event_name: event.name.to_string(),
        is_enabled: handler.is_some(),
        delivery: if event.is_durable { "durable" } else { "memory" },
        count,
        errors,
        suspended: handler.and_then(Handler::suspended),
    }
}
