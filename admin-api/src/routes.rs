//! `/admin/routes`: paths of the HTTP API that scripts serve.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Route, RouteChange};
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::gateways::SuspensionView;
use crate::list::{ListAnswer, ListParams, nullable};
use crate::state::AdminState;

/// A route.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    id: Uuid,
    /// GET, POST, PUT, PATCH or DELETE. HEAD is answered by GET.
    method: String,
    /// With `{name}` for a parameter.
    path: String,
    description: String,
    is_enabled: bool,
    /// `public`, `user`, `admin` or `app` (an app key with the scope `routes`).
    access: String,
    source_code: String,
    timeout_ms: Option<i64>,
    /// The pack that it came from.
    pack: Option<String>,
    /// Why its script does not run, if it is suspended.
    suspended: Option<SuspensionView>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// What is set of a route; absent fields stay (PATCH) or have their default (POST).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteBody {
    method: Option<String>,
    /// `:name` is accepted for a parameter too.
    path: Option<String>,
    description: Option<String>,
    is_enabled: Option<bool>,
    /// `admin` by default.
    access: Option<String>,
    /// `handlerScript` is accepted too.
    #[serde(alias = "handlerScript")]
    source_code: Option<String>,
    /// `timeout` is accepted too.
    #[serde(default, deserialize_with = "nullable", alias = "timeout")]
    timeout_ms: Option<Option<i64>>,
}

/// Lists routes.
#[utoipa::path(get, path = "/admin/routes", operation_id = "listRoutes", tag = "routes", params(ListParams),
    responses((status = 200, body = ListAnswer<RouteView>)))]
pub async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, RouteView>(state.catalog.list_routes(&params.query()?).await?)
}

/// Makes a route. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/routes", operation_id = "createRoute", tag = "routes", request_body = RouteBody,
    responses((status = 201, body = RouteView)))]
pub async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(body): Json<RouteBody>,
) -> Result<(StatusCode, axum::Json<RouteView>)> {
    let route = state.catalog.create_route(body.into(), admin.user.author(), None).await?;
    Ok((StatusCode::CREATED, axum::Json(route.into())))
}

/// A route.
#[utoipa::path(get, path = "/admin/routes/{id}", operation_id = "getRoute", tag = "routes", responses((status = 200, body = RouteView)))]
pub async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<RouteView>> {
    Ok(axum::Json(state.catalog.route(id).await?.into()))
}

/// Changes a route. It is live when the answer comes; requests taken before run what was current.
#[utoipa::path(patch, path = "/admin/routes/{id}", operation_id = "updateRoute", tag = "routes", request_body = RouteBody,
    responses((status = 200, body = RouteView)))]
pub async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<RouteBody>,
) -> Result<axum::Json<RouteView>> {
    let route = state.catalog.update_route(id, body.into(), admin.user.author()).await?;
    Ok(axum::Json(route.into()))
}

/// Deletes a route with its history.
#[utoipa::path(delete, path = "/admin/routes/{id}", operation_id = "deleteRoute", tag = "routes", responses((status = 204)))]
pub async fn delete(State(state): State<AdminState>, _: Admin, Path(id): Path<Uuid>) -> Result<StatusCode> {
    state.catalog.delete_route(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a suspended route run again.
#[utoipa::path(post, path = "/admin/routes/{id}/resume", operation_id = "resumeRoute", tag = "routes", responses((status = 200, body = RouteView)))]
pub async fn resume(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<RouteView>> {
    state.catalog.resume(id)?;
    Ok(axum::Json(state.catalog.route(id).await?.into()))
}

impl From<Route> for RouteView {
    fn from(route: Route) -> Self {
        Self {
            id: route.id,
            method: route.method,
            path: route.path,
            description: route.description,
            is_enabled: route.is_enabled,
            access: route.access,
            source_code: route.source_code,
            timeout_ms: route.timeout_ms,
            pack: route.pack,
            suspended: route.suspended.map(SuspensionView::from),
            created_at: route.created_at,
            updated_at: route.updated_at,
        }
    }
}

impl From<RouteBody> for RouteChange {
    fn from(body: RouteBody) -> Self {
        Self {
            method: body.method,
            path: body.path,
            description: body.description,
            is_enabled: body.is_enabled,
            access: body.access,
            source_code: body.source_code,
            timeout_ms: body.timeout_ms,
        }
    }
}
