//! `/admin/sockets`: who is connected, in which rooms, and what an admin says to one of them. To rooms and gateways
//! programs and admins speak alike, by `/api/socket/broadcast`.

use std::collections::BTreeMap;

use axum::extract::State;
use gatewright_core::broker::{Action, Publication, Target};
use gatewright_core::run::{RunFilter, RunRecord};
use gatewright_core::store::Time;
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, OptionalJson, Path, Query};
use crate::logs::RunView;
use crate::state::{AdminState, Cursor, LiveRoom, LiveSocket, RoomQuery, SocketQuery};

/// Sockets or rooms of one page, at most, and where nothing is said.
const LIMIT_MAX: usize = 1000;
const LIMIT: usize = 100;
/// Runs that a socket is shown with.
const RUNS_MAX: usize = 20;

/// Which sockets.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SocketParams {
    /// Only those of the gateway with this path.
    gateway: Option<String>,
    /// Only those of this user.
    user_id: Option<String>,
    /// Only those in the room of this name.
    room: Option<String>,
    /// Only those with this in their id or address, or in the id, e-mail or name of their user.
    q: Option<String>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Which rooms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RoomParams {
    /// Only those of the gateway with this path.
    gateway: Option<String>,
    /// Only those with this in their name.
    q: Option<String>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Sockets, by gateway and id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketsAnswer {
    data: Vec<ConnectedSocket>,
    /// Where the next page begins; null: this was the last. A page may have fewer than its limit, or none, before that,
    /// since a request looks at a bounded number of sockets.
    next_cursor: Option<String>,
}

/// Rooms, by gateway and name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomsAnswer {
    data: Vec<RoomView>,
    /// As of sockets.
    next_cursor: Option<String>,
}

/// A room that somebody is in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoomView {
    name: String,
    /// The path of its gateway.
    gateway: String,
    /// How many sockets are in it.
    members: usize,
}

/// A socket in a gateway.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectedSocket {
    id: String,
    /// The path of its gateway.
    gateway: String,
    /// Null for a guest.
    user: Option<SocketUser>,
    /// The session whose token it shows; null: of a guest, or the token is of another issuer.
    session_id: Option<Uuid>,
    address: Option<String>,
    /// `websocket` or `polling`.
    transport: &'static str,
    /// The first of its rooms.
    rooms: Vec<String>,
    /// How many rooms it is in.
    room_count: usize,
    /// Bytes that wait to be sent to it.
    queued_bytes: usize,
    /// Events that it sent, which wait for their scripts.
    queued_events: usize,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    connected_at: Time,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
struct SocketUser {
    id: String,
    email: String,
    name: String,
}

/// A socket, with what it had run.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SocketDetail {
    #[serde(flatten)]
    socket: ConnectedSocket,
    /// The last that it triggered, newest first; durable events are found among the runs of their user.
    last_runs: Vec<RunView>,
}

/// Of which gateway.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GatewayParams {
    /// The path of the gateway, for a socket that is connected to several.
    gateway: Option<String>,
}

/// What is said to a socket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketEmitBody {
    event: String,
    #[serde(default)]
    data: Value,
    /// The path of the gateway; without it, in all that it is connected to.
    gateway: Option<String>,
}

/// Where a socket is disconnected.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketDisconnectBody {
    /// The path of the gateway; without it, all that it is connected to.
    gateway: Option<String>,
}

/// To how many connections of the socket it went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SocketDelivered {
    delivered: usize,
}

/// How many connections of the socket were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SocketDisconnected {
    disconnected: usize,
}

/// What all sockets and rooms come to. Rates are those of about the last second; null where nobody has looked for a while.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SocketFigures {
    /// Open connections.
    pub connections: PerGateway,
    /// Rooms that somebody is in.
    pub rooms: PerGateway,
    /// Connections that were opened.
    pub connects_per_second: Option<f64>,
    /// Connections that were closed.
    pub disconnects_per_second: Option<f64>,
    /// Sockets that came into a room.
    pub joins_per_second: Option<f64>,
    /// Sockets that went out of one.
    pub leaves_per_second: Option<f64>,
}

/// A number, and its parts by gateway.
#[derive(Debug, Serialize, ToSchema)]
pub struct PerGateway {
    total: usize,
    /// By gateway path.
    gateways: BTreeMap<String, usize>,
}

impl From<BTreeMap<String, usize>> for PerGateway {
    fn from(gateways: BTreeMap<String, usize>) -> Self {
        Self { total: gateways.values().sum(), gateways }
    }
}

/// Lists the sockets that are connected, page by page.
#[utoipa::path(get, path = "/admin/sockets", operation_id = "listSockets", tag = "sockets", params(SocketParams),
    responses((status = 200, body = SocketsAnswer)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<SocketParams>,
) -> Result<axum::Json<SocketsAnswer>> {
    check_gateway(&state, params.gateway.as_deref())?;
    let page = state.live.sockets(&SocketQuery {
        gateway: params.gateway,
        user_id: params.user_id,
        room: params.room,
        text: text(params.q),
        behind: cursor(params.cursor.as_deref())?,
        limit: limit(params.limit)?,
    });
    let data = page.found.into_iter().map(ConnectedSocket::from).collect();
    Ok(axum::Json(SocketsAnswer { data, next_cursor: page.next.map(|next| next.to_string()) }))
}

/// Lists the rooms that somebody is in, page by page.
#[utoipa::path(get, path = "/admin/sockets/rooms", operation_id = "listRooms", tag = "sockets", params(RoomParams),
    responses((status = 200, body = RoomsAnswer)))]
pub(crate) async fn rooms(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<RoomParams>,
) -> Result<axum::Json<RoomsAnswer>> {
    check_gateway(&state, params.gateway.as_deref())?;
    let page = state.live.rooms(&RoomQuery {
        gateway: params.gateway,
        text: text(params.q),
        behind: cursor(params.cursor.as_deref())?,
        limit: limit(params.limit)?,
    });
    let view = |LiveRoom { name, gateway, members }| RoomView { name, gateway, members };
    let data = page.found.into_iter().map(view).collect();
    Ok(axum::Json(RoomsAnswer { data, next_cursor: page.next.map(|next| next.to_string()) }))
}

/// What all sockets and rooms come to.
#[utoipa::path(get, path = "/admin/sockets/stats", operation_id = "getSocketStats", tag = "sockets",
    responses((status = 200, body = SocketFigures)))]
pub(crate) async fn stats(State(state): State<AdminState>, _: Admin) -> axum::Json<SocketFigures> {
    axum::Json(state.live.socket_figures())
}

/// A socket, with its last runs.
#[utoipa::path(get, path = "/admin/sockets/{id}", operation_id = "getSocket", tag = "sockets",
    params(("id" = String, Path), GatewayParams), responses((status = 200, body = SocketDetail)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<String>,
    Query(params): Query<GatewayParams>,
) -> Result<axum::Json<SocketDetail>> {
    let mut found = connected(&state, &id, params.gateway.as_deref())?;
    if found.len() > 1 {
        let gateways = found.iter().map(|socket| &*socket.gateway).collect::<Vec<_>>().join(", ");
        let message = format!("is to be named: the socket is connected to {gateways}");
        return Err(Failure::invalid("gateway", message).into());
    }
    let socket = found.swap_remove(0);
    let filter = RunFilter {
        socket_id: Some(socket.socket_id.clone()),
        gateway: Some(socket.gateway.clone()),
        ..RunFilter::default()
    };
    let last_runs: Vec<RunRecord> = state.runs.find(&filter).into_iter().take(RUNS_MAX).collect();
    let last_runs = last_runs.into_iter().map(RunView::from).collect();
    Ok(axum::Json(SocketDetail { socket: socket.into(), last_runs }))
}

/// Sends an event to a socket.
#[utoipa::path(post, path = "/admin/sockets/{id}/emit", operation_id = "emitToSocket", tag = "sockets",
    params(("id" = String, Path)), request_body = SocketEmitBody, responses((status = 200, body = SocketDelivered)))]
pub(crate) async fn emit(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<String>,
    Json(body): Json<SocketEmitBody>,
) -> Result<axum::Json<SocketDelivered>> {
    let delivered = connected(&state, &id, body.gateway.as_deref())?.len();
    state.runner.emit(target(id, body.gateway), &body.event, &body.data).await?;
    Ok(axum::Json(SocketDelivered { delivered }))
}

/// Disconnects a socket, once what was sent to it before has left.
#[utoipa::path(post, path = "/admin/sockets/{id}/disconnect", operation_id = "disconnectSocket", tag = "sockets",
    params(("id" = String, Path)), request_body = Option<SocketDisconnectBody>,
    responses((status = 200, body = SocketDisconnected)))]
pub(crate) async fn disconnect(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<String>,
    OptionalJson(body): OptionalJson<SocketDisconnectBody>,
) -> Result<axum::Json<SocketDisconnected>> {
    let gateway = body.unwrap_or_default().gateway;
    let disconnected = connected(&state, &id, gateway.as_deref())?.len();
    state.runner.publish(Publication { target: target(id, gateway), action: Action::Disconnect }).await?;
    Ok(axum::Json(SocketDisconnected { disconnected }))
}

fn target(id: String, gateway: Option<String>) -> Target {
    match gateway {
        Some(gateway) => Target::Connection { gateway: gateway.into(), socket: id.into() },
        None => Target::Socket(id.into()),
    }
}

/// The connections of a socket, of which there is one at least.
fn connected(state: &AdminState, id: &str, gateway: Option<&str>) -> Result<Vec<LiveSocket>> {
    check_gateway(state, gateway)?;
    let mut found = state.live.sockets_with_id(id);
    found.retain(|socket| gateway.is_none_or(|path| path == socket.gateway));
    found.sort_by(|one, other| one.gateway.cmp(&other.gateway));
    match found.is_empty() {
        true => Err(Failure::new(ErrorCode::ResourceNotFound, format!("No socket {id} is connected")).into()),
        false => Ok(found),
    }
}

fn check_gateway(state: &AdminState, path: Option<&str>) -> Result<()> {
    match path.filter(|path| !state.catalog.has_gateway(path)) {
        Some(path) => Err(Failure::not_found("gateway", path).into()),
        None => Ok(()),
    }
}

fn limit(limit: Option<usize>) -> Result<usize> {
    match limit.unwrap_or(LIMIT) {
        limit if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(Failure::invalid("limit", format!("is 1 to {LIMIT_MAX}")).into()),
    }
}

fn cursor(text: Option<&str>) -> Result<Option<Cursor>> {
    let read = |text| {
        Cursor::parse(text).ok_or_else(|| {
            Failure::invalid("cursor", "is nextCursor of the page before, as it was answered").into()
        })
    };
    text.map(read).transpose()
}

fn text(q: Option<String>) -> Option<String> {
    q.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty())
}

impl From<LiveSocket> for ConnectedSocket {
    fn from(socket: LiveSocket) -> Self {
        let user = socket.user.map(|user| SocketUser {
            id: user.id.to_string(),
            email: user.email.clone(),
            name: user.name.clone(),
        });
        Self {
            id: socket.socket_id,
            gateway: socket.gateway,
            user,
            session_id: socket.session_id,
            address: socket.address.map(|address| address.to_string()),
            transport: if socket.is_polling { "polling" } else { "websocket" },
            rooms: socket.rooms,
            room_count: socket.room_count,
            queued_bytes: socket.queued_bytes,
            queued_events: socket.queued_events,
            connected_at: socket.connected_at,
        }
    }
}
