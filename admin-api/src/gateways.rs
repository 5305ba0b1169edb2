//! `/admin/gateways`.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Gateway, GatewayChange, GatewayLimits, LimitsChange};
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams, nullable};
use crate::state::AdminState;

/// A gateway.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayView {
    id: Uuid,
    path: String,
    description: String,
    is_enabled: bool,
    require_auth: bool,
    connection_script: Option<String>,
    disconnection_script: Option<String>,
    script_timeout_ms: Option<i64>,
    allowed_origins: Option<Vec<String>>,
    limits: LimitsView,
    presence: bool,
    /// The pack that it came from.
    pack: Option<String>,
    /// Scripts that do not run until they are saved again or resumed.
    suspended: Vec<SuspensionView>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// A gateway's own limits; null: the configured default; 0: none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsView {
    events_per_second: Option<u32>,
    burst: Option<u32>,
    subscriptions_per_connection: Option<u32>,
    message_bytes: Option<u32>,
}

/// A script that is suspended.
#[derive(Debug, Serialize, ToSchema)]
pub struct SuspensionView {
    script: &'static str,
    reason: String,
}

/// What is set of a gateway; absent fields stay (PATCH) or have their default (POST).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayBody {
    path: Option<String>,
    description: Option<String>,
    is_enabled: Option<bool>,
    require_auth: Option<bool>,
    /// `connectionHandlerScript` is accepted too.
    #[serde(default, deserialize_with = "nullable", alias = "connectionHandlerScript")]
    connection_script: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    disconnection_script: Option<Option<String>>,
    /// `connectionHandlerTimeout` is accepted too.
    #[serde(default, deserialize_with = "nullable", alias = "connectionHandlerTimeout")]
    script_timeout_ms: Option<Option<i64>>,
    #[serde(default, deserialize_with = "nullable")]
    allowed_origins: Option<Option<Vec<String>>>,
    limits: Option<LimitsBody>,
    presence: Option<bool>,
}

/// What is set of a gateway's limits.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsBody {
    #[serde(default, deserialize_with = "nullable")]
    events_per_second: Option<Option<u32>>,
    #[serde(default, deserialize_with = "nullable")]
    burst: Option<Option<u32>>,
    #[serde(default, deserialize_with = "nullable")]
    subscriptions_per_connection: Option<Option<u32>>,
    #[serde(default, deserialize_with = "nullable")]
    message_bytes: Option<Option<u32>>,
}

/// Lists gateways.
#[utoipa::path(get, path = "/admin/gateways", operation_id = "listGateways", tag = "gateways", params(ListParams),
    responses((status = 200, body = ListAnswer<GatewayView>)))]
pub async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, GatewayView>(state.catalog.list_gateways(&params.query()?).await?)
}

/// Makes a gateway. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/gateways", operation_id = "createGateway", tag = "gateways", request_body = GatewayBody,
    responses((status = 201, body = GatewayView)))]
pub async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(body): Json<GatewayBody>,
) -> Result<(StatusCode, axum::Json<GatewayView>)> {
    let gateway = state.catalog.create_gateway(body.into(), admin.user.author(), None).await?;
    Ok((StatusCode::CREATED, axum::Json(gateway.into())))
}

/// A gateway.
#[utoipa::path(get, path = "/admin/gateways/{id}", operation_id = "getGateway", tag = "gateways", responses((status = 200, body = GatewayView)))]
pub async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<GatewayView>> {
    Ok(axum::Json(state.catalog.gateway(id).await?.into()))
}

/// Changes a gateway. It is live when the answer comes, and no client is dropped but those that a
/// disabled gateway or `requireAuth` excludes.
#[utoipa::path(patch, path = "/admin/gateways/{id}", operation_id = "updateGateway", tag = "gateways", request_body = GatewayBody,
    responses((status = 200, body = GatewayView)))]
pub async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<GatewayBody>,
) -> Result<axum::Json<GatewayView>> {
    let gateway = state.catalog.update_gateway(id, body.into(), admin.user.author()).await?;
    Ok(axum::Json(gateway.into()))
}

/// Deletes a gateway with its events; its sockets are disconnected.
#[utoipa::path(delete, path = "/admin/gateways/{id}", operation_id = "deleteGateway", tag = "gateways", responses((status = 204)))]
pub async fn delete(State(state): State<AdminState>, _: Admin, Path(id): Path<Uuid>) -> Result<StatusCode> {
    state.catalog.delete_gateway(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets the suspended scripts of a gateway run again.
#[utoipa::path(post, path = "/admin/gateways/{id}/resume", operation_id = "resumeGateway", tag = "gateways",
    responses((status = 200, body = GatewayView)))]
pub async fn resume(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<GatewayView>> {
    state.catalog.resume(id)?;
    Ok(axum::Json(state.catalog.gateway(id).await?.into()))
}

impl From<Gateway> for GatewayView {
    fn from(gateway: Gateway) -> Self {
        Self {
            id: gateway.id,
            path: gateway.path,
            description: gateway.description,
            is_enabled: gateway.is_enabled,
            require_auth: gateway.require_auth,
            connection_script: gateway.connection_script,
            disconnection_script: gateway.disconnection_script,
            script_timeout_ms: gateway.script_timeout_ms,
            allowed_origins: gateway.allowed_origins,
            limits: gateway.limits.into(),
            presence: gateway.presence,
            pack: gateway.pack,
            suspended: gateway.suspended.into_iter().map(SuspensionView::from).collect(),
            created_at: gateway.created_at,
            updated_at: gateway.updated_at,
        }
    }
}

impl From<GatewayLimits> for LimitsView {
    fn from(limits: GatewayLimits) -> Self {
        Self {
            events_per_second: limits.events_per_second,
            burst: limits.burst,
            subscriptions_per_connection: limits.subscriptions_per_connection,
            message_bytes: limits.message_bytes,
        }
    }
}

impl From<gatewright_core::catalog::Suspension> for SuspensionView {
    fn from(suspension: gatewright_core::catalog::Suspension) -> Self {
        Self { script: suspension.script, reason: suspension.reason }
    }
}

impl From<GatewayBody> for GatewayChange {
    fn from(body: GatewayBody) -> Self {
        Self {
            path: body.path,
            description: body.description,
            is_enabled: body.is_enabled,
            require_auth: body.require_auth,
            connection_script: body.connection_script,
            disconnection_script: body.disconnection_script,
            script_timeout_ms: body.script_timeout_ms,
            allowed_origins: body.allowed_origins,
            limits: body.limits.map(|limits| LimitsChange {
                events_per_second: limits.events_per_second,
                burst: limits.burst,
                subscriptions_per_connection: limits.subscriptions_per_connection,
                message_bytes: limits.message_bytes,
            }),
            presence: body.presence,
        }
    }
}
