//! `/api/socket`: who is connected, and what programs say to them; for admins, and app keys with the scope.

use std::collections::BTreeMap;

use axum::extract::State;
use gatewright_admin_api::{ApiError, Caller, Json, Path, Query};
use gatewright_core::auth::Scope;
use gatewright_core::broker::{Action, Publication, Room, Target};
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::HttpState;

type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Channels of one page, at most, and where nothing is said.
const LIMIT_MAX: usize = 1000;
const LIMIT: usize = 20;

/// Which channels.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChannelParams {
    /// Only those of the gateway with this path.
    gateway: Option<String>,
    /// Only those whose names begin like this.
    #[serde(default)]
    prefix: String,
    /// Channels of a page, 1 to 1000; 20 by default.
    limit: Option<usize>,
    /// Counts from 1.
    page: Option<usize>,
}

/// Channels with members, by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelsAnswer {
    channels: Vec<ChannelView>,
}

/// A room that somebody is in.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelView {
    name: String,
    /// The path of its gateway.
    gateway: String,
    /// How many sockets are in it.
    members: usize,
}

/// Of which gateway.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GatewayParams {
    /// Only in the gateway with this path.
    gateway: Option<String>,
}

/// Who is in a channel.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembersAnswer {
    channel: String,
    members: Vec<MemberView>,
}

/// A socket in a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    socket_id: String,
    /// Null for a guest.
    user_id: Option<String>,
    /// RFC 3339, UTC.
    joined_at: String,
}

/// How many sockets there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionsAnswer {
    total: usize,
    /// Of each gateway, by its path.
    gateways: BTreeMap<String, usize>,
}

/// What is said, and to whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BroadcastBody {
    /// The channel; without it, all of the gateway.
    channel: Option<String>,
    /// The gateway's path; without it, the channels of this name in all gateways.
    gateway: Option<String>,
    event: String,
    #[serde(default)]
    data: Value,
}

/// What is said to a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmitBody {
    event: String,
    #[serde(default)]
    data: Value,
}

/// To how many sockets it went.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveredAnswer {
    delivered: usize,
}

/// How many sockets were disconnected.
#[derive(Debug, Serialize, ToSchema)]
pub struct DisconnectedAnswer {
    disconnected: usize,
}

/// Lists the channels that somebody is in, by name.
#[utoipa::path(get, path = "/api/socket/channels", operation_id = "listChannels", tag = "sockets", params(ChannelParams),
    responses((status = 200, body = ChannelsAnswer)))]
pub async fn channels(
    State(state): State<HttpState>,
    caller: Caller,
    Query(params): Query<ChannelParams>,
) -> Result<axum::Json<ChannelsAnswer>> {
    check(&caller, Scope::SocketRead)?;
    check_gateway(&state, params.gateway.as_deref())?;
    let (limit, page) = (params.limit.unwrap_or(LIMIT), params.page.unwrap_or(1));
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Failure::invalid("limit", format!("is 1 to {LIMIT_MAX}")).into());
    }
    if page == 0 {
        return Err(Failure::invalid("page", "counts from 1").into());
    }
    let all = state.runner.presence().channels(params.gateway.as_deref(), &params.prefix)?;
    let view = |channel: gatewright_core::broker::Channel| ChannelView {
        name: channel.name,
        gateway: channel.gateway.to_string(),
        members: channel.members,
    };
    let channels = all.into_iter().skip((page - 1).saturating_mul(limit)).take(limit).map(view).collect();
    Ok(axum::Json(ChannelsAnswer { channels }))
}

/// Lists who is in a channel.
#[utoipa::path(get, path = "/api/socket/channels/{channel}/members", operation_id = "listMembers", tag = "sockets",
    params(("channel" = String, Path), GatewayParams), responses((status = 200, body = MembersAnswer)))]
pub async fn members(
    State(state): State<HttpState>,
    caller: Caller,
    Path(channel): Path<String>,
    Query(params): Query<GatewayParams>,
) -> Result<axum::Json<MembersAnswer>> {
    check(&caller, Scope::SocketRead)?;
    check_gateway(&state, params.gateway.as_deref())?;
    let room = Room { gateway: params.gateway.as_deref(), name: &channel };
    let view = |member: gatewright_core::broker::Member| MemberView {
        socket_id: member.socket_id,
        user_id: member.user_id,
        joined_at: gatewright_core::store::time_text(member.joined_at),
    };
    let mut members: Vec<_> = state.runner.presence().members(room)?.into_iter().map(view).collect();
    members.sort_unstable_by(|one, other| {
        (&one.joined_at, &one.socket_id).cmp(&(&other.joined_at, &other.socket_id))
    });
    Ok(axum::Json(MembersAnswer { channel, members }))
}

/// Counts the sockets.
#[utoipa::path(get, path = "/api/socket/connections", operation_id = "countConnections", tag = "sockets",
    responses((status = 200, body = ConnectionsAnswer)))]
pub async fn connections(
    State(state): State<HttpState>,
    caller: Caller,
) -> Result<axum::Json<ConnectionsAnswer>> {
    check(&caller, Scope::SocketRead)?;
    let gateways = state.runner.presence().connections()?;
    Ok(axum::Json(ConnectionsAnswer { total: gateways.values().sum(), gateways }))
}

/// Sends an event to all in a channel, or to all of a gateway.
#[utoipa::path(post, path = "/api/socket/broadcast", operation_id = "broadcast", tag = "sockets",
    request_body = BroadcastBody, responses((status = 200, body = DeliveredAnswer)))]
pub async fn broadcast(
    State(state): State<HttpState>,
    caller: Caller,
    Json(body): Json<BroadcastBody>,
) -> Result<axum::Json<DeliveredAnswer>> {
    check(&caller, Scope::SocketBroadcast)?;
    check_gateway(&state, body.gateway.as_deref())?;
    let target = match (body.channel, body.gateway) {
        (Some(room), Some(gateway)) => {
            Target::Room { gateway: gateway.into(), room: room.into(), except: None }
        }
        (Some(room), None) => Target::RoomOfAll(room.into()),
        (None, Some(gateway)) => Target::Gateway(gateway.into()),
        (None, None) => return Err(Failure::invalid("channel", "or gateway has to be named").into()),
    };
    Ok(axum::Json(DeliveredAnswer { delivered: state.runner.emit(target, &body.event, &body.data).await? }))
}

/// Sends an event to all sockets of a user.
#[utoipa::path(post, path = "/api/socket/users/{id}/emit", operation_id = "emitToUser", tag = "sockets",
    params(("id" = String, Path)), request_body = EmitBody, responses((status = 200, body = DeliveredAnswer)))]
pub async fn emit_to_user(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<EmitBody>,
) -> Result<axum::Json<DeliveredAnswer>> {
    check(&caller, Scope::SocketBroadcast)?;
    let delivered = state.runner.emit(Target::User(id.into()), &body.event, &body.data).await?;
    Ok(axum::Json(DeliveredAnswer { delivered }))
}

/// Disconnects all sockets of a user.
#[utoipa::path(post, path = "/api/socket/users/{id}/disconnect", operation_id = "disconnectUser", tag = "sockets",
    params(("id" = String, Path)), responses((status = 200, body = DisconnectedAnswer)))]
pub async fn disconnect_user(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<axum::Json<DisconnectedAnswer>> {
    check(&caller, Scope::SocketBroadcast)?;
    let publication = Publication { target: Target::User(id.into()), action: Action::Disconnect };
    Ok(axum::Json(DisconnectedAnswer { disconnected: state.runner.publish(publication).await? }))
}

fn check(caller: &Caller, scope: Scope) -> Result<()> {
    match caller {
        Caller::User(signed_in) if signed_in.user.is_admin() => Ok(()),
        Caller::App(key) if key.may(scope) => Ok(()),
        Caller::Anonymous => {
            let message = "This needs an admin's token or an app key";
            Err(Failure::new(ErrorCode::Authentication, message).into())
        }
        Caller::User(_) | Caller::App(_) => {
            let message = format!("This needs an admin, or an app key with {}", scope.as_str());
            Err(Failure::new(ErrorCode::Authorization, message).into())
        }
    }
}

fn check_gateway(state: &HttpState, path: Option<&str>) -> Result<()> {
    match path.filter(|path| !state.runner.catalog.has_gateway(path)) {
        Some(path) => Err(Failure::not_found("gateway", path).into()),
        None => Ok(()),
    }
}
