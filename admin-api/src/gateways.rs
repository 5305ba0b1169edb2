//! `/admin/gateways`.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Fields, Gateway, Place, Revision, Saved};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// A gateway as it is answered.
type View = Saved<Gateway>;
/// What is set of a gateway.
type Body = Fields<Gateway>;

/// Lists gateways.
#[utoipa::path(get, path = "/admin/gateways", operation_id = "listGateways", tag = "gateways", params(ListParams),
    responses((status = 200, body = ListAnswer<View>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, View>(state.catalog.list::<Gateway>(&params.query()?).await?)
}

/// Makes a gateway. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/gateways", operation_id = "createGateway", tag = "gateways", request_body = Body,
    responses((status = 201, body = View)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(fields): Json<Body>,
) -> Result<(StatusCode, axum::Json<View>)> {
    let gateway = state.catalog.create(Place::ALONE, &fields, admin.user.author()).await?;
    Ok((StatusCode::CREATED, axum::Json(gateway)))
}

/// A gateway.
#[utoipa::path(get, path = "/admin/gateways/{id}", operation_id = "getGateway", tag = "gateways", responses((status = 200, body = View)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.get(id).await?))
}

/// Changes a gateway. It is live when the answer comes, and no client is dropped but those that a
/// disabled gateway or `requireAuth` excludes.
#[utoipa::path(patch, path = "/admin/gateways/{id}", operation_id = "updateGateway", tag = "gateways", request_body = Body,
    responses((status = 200, body = View)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(fields): Json<Body>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.update(id, &fields, admin.user.author()).await?))
}

/// Deletes a gateway with its events; its sockets are disconnected.
#[utoipa::path(delete, path = "/admin/gateways/{id}", operation_id = "deleteGateway", tag = "gateways", responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.catalog.delete::<Gateway>(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps the durable events and jobs of a gateway waiting. Events are accepted meanwhile.
#[utoipa::path(post, path = "/admin/gateways/{id}/pause", operation_id = "pauseGateway", tag = "gateways", responses((status = 200, body = View)))]
pub(crate) async fn pause(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.set_paused(id, true, admin.user.author()).await?))
}

/// Lets the jobs of a gateway that was paused run, and its suspended scripts.
#[utoipa::path(post, path = "/admin/gateways/{id}/resume", operation_id = "resumeGateway", tag = "gateways", responses((status = 200, body = View)))]
pub(crate) async fn resume(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    state.catalog.set_paused(id, false, admin.user.author()).await?;
    Ok(axum::Json(state.catalog.resume_gateway(id).await?))
}

/// Lists the versions of a gateway's scripts, newest first.
#[utoipa::path(get, path = "/admin/gateways/{id}/revisions", operation_id = "listRevisionsOfGateway", tag = "gateways", params(ListParams),
    responses((status = 200, body = ListAnswer<Revision>)))]
pub(crate) async fn list_revisions(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, Revision>(state.catalog.list_revisions::<Gateway>(id, &params.query()?).await?)
}

/// Saves an earlier version of one of a gateway's scripts again, as the newest.
#[utoipa::path(post, path = "/admin/gateways/{id}/revisions/{number}/restore", operation_id = "restoreGateway", tag = "gateways",
    responses((status = 200, body = View)))]
pub(crate) async fn restore(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.restore(id, number, admin.user.author()).await?))
}
