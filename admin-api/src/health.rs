//! `GET /admin/health`: how the server, what it rests on and its nodes are.

use std::time::{Duration, Instant};

use axum::extract::State;
use gatewright_core::disk::{DiskSpace, space_of};
use gatewright_core::jobs::Node;
use gatewright_core::store::{Time, now};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Result;
use crate::extract::Admin;
use crate::state::AdminState;

/// How long the database or the disk may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthAnswer {
    /// `ok`; `degraded` where something does not answer.
    status: &'static str,
    version: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    uptime_seconds: u64,
    database: DatabaseHealth,
    /// Null: none is configured.
    redis: Option<RoundTrip>,
    /// Of the data folder; null where the system does not tell.
    disk: Option<DiskView>,
    /// The processes on this database that are known; null where it does not answer.
    nodes: Option<Vec<NodeView>>,
}

/// The database.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DatabaseHealth {
    /// `sqlite` or `postgres`.
    kind: &'static str,
    #[serde(flatten)]
    round_trip: RoundTrip,
}

/// A real round trip.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoundTrip {
    is_up: bool,
    /// Null: there was no answer within 2 s, or a wrong one.
    latency_ms: Option<f64>,
}

/// The room of a disk.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DiskView {
    /// The data folder.
    path: String,
    total_bytes: u64,
    free_bytes: u64,
}

/// A process that serves this database.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeView {
    id: String,
    /// Whether it is the one that answers.
    is_this: bool,
    /// How many of the 64 parts of the durable jobs it has.
    shards: i64,
}

/// How the server is: the database by a real round trip, the disk of the data folder, version, uptime, and the nodes as they
/// are known. It is 200 whatever it says; `/health/ready` is for load balancers.
#[utoipa::path(get, path = "/admin/health", operation_id = "getHealth", tag = "operation",
    responses((status = 200, body = HealthAnswer)))]
pub(crate) async fn get(State(state): State<AdminState>, _: Admin) -> Result<axum::Json<HealthAnswer>> {
    let (database, disk) = tokio::join!(round_trip(&state), disk_of(&state));
    let nodes = match database.is_up {
        true => {
            tokio::time::timeout(ANSWER_MAX, state.jobs.nodes()).await.ok().and_then(std::result::Result::ok)
        }
        false => None,
    };
    let uptime = state.history.uptime();
    Ok(axum::Json(HealthAnswer {
        status: if database.is_up { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        started_at: now() - uptime,
        uptime_seconds: uptime.as_secs(),
        database: DatabaseHealth {
            kind: if state.config.sqlite_file().is_some() { "sqlite" } else { "postgres" },
            round_trip: database,
        },
        redis: None,
        disk,
        nodes: nodes.map(|nodes| nodes.into_iter().map(NodeView::from).collect()),
    }))
}

async fn round_trip(state: &AdminState) -> RoundTrip {
    let began = Instant::now();
    let is_up = match tokio::time::timeout(ANSWER_MAX, state.catalog.store().ping()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the database fails");
            false
        }
        Err(_) => false,
    };
    RoundTrip { is_up, latency_ms: is_up.then(|| began.elapsed().as_secs_f64() * 1000.0) }
}

/// A disk that hangs keeps nobody waiting.
async fn disk_of(state: &AdminState) -> Option<DiskView> {
    let folder = state.config.data_dir.clone();
    let path = folder.display().to_string();
    let space = tokio::task::spawn_blocking(move || space_of(&folder));
    let space = tokio::time::timeout(ANSWER_MAX, space).await.ok()?.ok()?.ok()?;
    let DiskSpace { total_bytes, free_bytes } = space;
    Some(DiskView { path, total_bytes, free_bytes })
}

impl From<Node> for NodeView {
    fn from(node: Node) -> Self {
        Self { id: node.id, is_this: node.is_this, shards: node.shards }
    }
}
