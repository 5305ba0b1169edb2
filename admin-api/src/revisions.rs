//! The history of scripts, and going back in it.

use axum::extract::State;
use gatewright_core::catalog::Revision;
use gatewright_core::store::Time;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::events::EventView;
use crate::extract::{Admin, Path, Query};
use crate::gateways::GatewayView;
use crate::hooks::HookView;
use crate::list::{ListAnswer, ListParams};
use crate::routes::RouteView;
use crate::state::AdminState;

/// One saved version of a script.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionView {
    number: i64,
    /// `sourceCode`, `connectionScript` or `disconnectionScript`.
    script: String,
    source: String,
    author: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

/// Lists the versions of an event's script, newest first.
#[utoipa::path(get, path = "/admin/events/{id}/revisions", operation_id = "listRevisionsOfEvent", tag = "events", params(ListParams),
    responses((status = 200, body = ListAnswer<RevisionView>)))]
pub async fn list_of_event(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    state.catalog.event(id).await?;
    params.answer::<_, RevisionView>(state.catalog.list_revisions(id, &params.query()?).await?)
}

/// Lists the versions of a gateway's scripts, newest first.
#[utoipa::path(get, path = "/admin/gateways/{id}/revisions", operation_id = "listRevisionsOfGateway", tag = "gateways", params(ListParams),
    responses((status = 200, body = ListAnswer<RevisionView>)))]
pub async fn list_of_gateway(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    state.catalog.gateway(id).await?;
    params.answer::<_, RevisionView>(state.catalog.list_revisions(id, &params.query()?).await?)
}

/// Lists the versions of a route's script, newest first.
#[utoipa::path(get, path = "/admin/routes/{id}/revisions", operation_id = "listRevisionsOfRoute", tag = "routes", params(ListParams),
    responses((status = 200, body = ListAnswer<RevisionView>)))]
pub async fn list_of_route(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    state.catalog.route(id).await?;
    params.answer::<_, RevisionView>(state.catalog.list_revisions(id, &params.query()?).await?)
}

/// Lists the versions of a hook's script, newest first.
#[utoipa::path(get, path = "/admin/hooks/{id}/revisions", operation_id = "listRevisionsOfHook", tag = "hooks", params(ListParams),
    responses((status = 200, body = ListAnswer<RevisionView>)))]
pub async fn list_of_hook(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    state.catalog.hook(id).await?;
    params.answer::<_, RevisionView>(state.catalog.list_revisions(id, &params.query()?).await?)
}

/// Saves an earlier version of an event's script again, as the newest.
#[utoipa::path(post, path = "/admin/events/{id}/revisions/{number}/restore", operation_id = "restoreEvent", tag = "events",
    responses((status = 200, body = EventView)))]
pub async fn restore_event(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<EventView>> {
    let event = state.catalog.restore_event(id, number, admin.user.author()).await?;
    Ok(axum::Json(event.into()))
}

/// Saves an earlier version of one of a gateway's scripts again, as the newest.
#[utoipa::path(post, path = "/admin/gateways/{id}/revisions/{number}/restore", operation_id = "restoreGateway", tag = "gateways",
    responses((status = 200, body = GatewayView)))]
pub async fn restore_gateway(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<GatewayView>> {
    let gateway = state.catalog.restore_gateway(id, number, admin.user.author()).await?;
    Ok(axum::Json(gateway.into()))
}

/// Saves an earlier version of a route's script again, as the newest.
#[utoipa::path(post, path = "/admin/routes/{id}/revisions/{number}/restore", operation_id = "restoreRoute", tag = "routes",
    responses((status = 200, body = RouteView)))]
pub async fn restore_route(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<RouteView>> {
    let route = state.catalog.restore_route(id, number, admin.user.author()).await?;
    Ok(axum::Json(route.into()))
}

/// Saves an earlier version of a hook's script again, as the newest.
#[utoipa::path(post, path = "/admin/hooks/{id}/revisions/{number}/restore", operation_id = "restoreHook", tag = "hooks",
    responses((status = 200, body = HookView)))]
pub async fn restore_hook(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<HookView>> {
    Ok(axum::Json(state.catalog.restore_hook(id, number, admin.user.author()).await?.into()))
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self {
            number: revision.number,
            script: revision.script,
            source: revision.source,
            author: revision.author,
            created_at: revision.created_at,
        }
    }
}
