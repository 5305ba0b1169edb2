//! `GET /admin/stats`: what is going on, and `GET /admin/stats/history`: how it has been.

use std::collections::BTreeMap;

use axum::extract::State;
use gatewright_core::run::{History, Point, Times};
use gatewright_core::script::Handler;
use gatewright_core::store::{Time, now};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::extract::{Admin, Query};
use crate::state::{AdminState, Live};

/// What is going on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    #[serde(flatten)]
    figures: Figures,
    handlers: Vec<HandlerStats>,
}

/// What is going on, without the handlers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    uptime_seconds: u64,
    connections: ConnectionStats,
    /// Runs in the last second.
    events_per_second: f64,
    /// Of those, the ones that failed.
    errors_per_second: f64,
    queue_depth: usize,
    #[serde(flatten)]
    times: TimeStats,
}

/// How long runs took; null where nothing ran.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TimeStats {
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// Which part of the history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryParams {
    /// `15m` (default), `1h` or `24h`.
    window: Option<String>,
    /// Seconds of a point: 1, 5 or 60 of 15 minutes, 5 or 60 of an hour, 60 of a day; the shortest by default.
    step: Option<String>,
}

/// How it has been.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryAnswer {
    step_seconds: u32,
    /// Oldest first.
    points: Vec<PointView>,
}

/// One step.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PointView {
    /// Its end.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// Open at its end.
    connections: usize,
    events_per_second: f64,
    errors_per_second: f64,
    /// At most.
    queue_depth: usize,
    #[serde(flatten)]
    times: TimeStats,
}

/// Open connections.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectionStats {
    total: usize,
    /// By gateway path.
    gateways: BTreeMap<String, usize>,
}

/// One handler since the start.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HandlerStats {
    /// Of the event, the route, the hook, or the gateway whose own script it is.
    id: Uuid,
    /// A gateway's path, `routes` or `hooks`.
    gateway: String,
    /// An event's name, a route's method and path, or when and for what a hook runs; hooks of which all that is the
    /// same have their figures in common.
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
    let mut handlers: Vec<_> =
        state.catalog.handlers().iter().map(|handler| handler_stats(handler)).collect();
    handlers.sort_by(|a, b| (&a.gateway, &a.event_name).cmp(&(&b.gateway, &b.event_name)));
    Ok(axum::Json(Stats { figures: Figures::of(&*state.live, &state.history), handlers }))
}

/// Connections, rates, queue and times as they have been, for at most a day and since the start.
#[utoipa::path(get, path = "/admin/stats/history", operation_id = "getStatsHistory", tag = "operation", params(HistoryParams),
    responses((status = 200, body = HistoryAnswer)))]
pub(crate) async fn history(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<HistoryParams>,
) -> Result<axum::Json<HistoryAnswer>> {
    let (seconds, step) = window_and_step(&params)?;
    let since = now() - time::Duration::seconds(seconds);
    let points = state.history.points(step).unwrap_or_default();
    let points = points.into_iter().filter(|point| point.at > since).map(PointView::from).collect();
    Ok(axum::Json(HistoryAnswer { step_seconds: step, points }))
}

/// A step as it is written, and in seconds.
type Step = (&'static str, u32);

/// The windows with their seconds, and the steps that are kept for so long.
const WINDOWS: [(&str, i64, &[Step]); 3] = [
    ("15m", 15 * 60, &[("1", 1), ("5", 5), ("60", 60)]),
    ("1h", 60 * 60, &[("5", 5), ("60", 60)]),
    ("24h", 24 * 60 * 60, &[("60", 60)]),
];

fn window_and_step(params: &HistoryParams) -> Result<(i64, u32)> {
    let window = params.window.as_deref().unwrap_or(WINDOWS[0].0);
    let Some((_, seconds, steps)) = WINDOWS.iter().find(|(name, ..)| *name == window) else {
        return Err(ApiError::bad_request(format!("window is 15m, 1h or 24h, not {window}")));
    };
    let Some(step) = params.step.as_deref() else { return Ok((*seconds, steps[0].1)) };
    let Some((_, step)) = steps.iter().find(|(name, _)| *name == step) else {
        let allowed: Vec<_> = steps.iter().map(|(name, _)| *name).collect();
        let allowed = allowed.join(" or ");
        let message = format!("step of the window {window} is {allowed}, in seconds, not {step}");
        return Err(ApiError::bad_request(message));
    };
    Ok((*seconds, *step))
}

impl Figures {
    /// What is going on now.
    pub fn of(live: &dyn Live, history: &History) -> Self {
        let (gateways, last) = (live.connections(), history.last());
        Self {
            uptime_seconds: history.uptime().as_secs(),
            connections: ConnectionStats { total: gateways.values().sum(), gateways },
            events_per_second: last.as_ref().map_or(0.0, |last| last.runs_per_second),
            errors_per_second: last.as_ref().map_or(0.0, |last| last.errors_per_second),
            queue_depth: live.queue_depth(),
            times: history.minute().into(),
        }
    }
}

impl From<Option<Times>> for TimeStats {
    fn from(times: Option<Times>) -> Self {
        Self {
            p50_ms: times.map(|times| times.p50_ms),
            p95_ms: times.map(|times| times.p95_ms),
            p99_ms: times.map(|times| times.p99_ms),
        }
    }
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        Self {
            at: point.at,
            connections: point.connections,
            events_per_second: point.runs_per_second,
            errors_per_second: point.errors_per_second,
            queue_depth: point.queue_depth,
            times: point.times.into(),
        }
    }
}

fn handler_stats(handler: &Handler) -> HandlerStats {
    let (count, errors) = handler.counts();
    let ms = |quantile| handler.quantile(quantile).map(|seconds| seconds * 1000.0);
    HandlerStats {
        id: handler.owner,
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
