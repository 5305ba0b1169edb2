//! `/admin/routes`: paths of the HTTP API that scripts serve.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Fields, Place, Revision, Route, Saved};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// A route as it is answered.
type View = Saved<Route>;
/// What is set of a route.
type Body = Fields<Route>;

/// Lists routes.
#[utoipa::path(get, path = "/admin/routes", operation_id = "listRoutes", tag = "routes", params(ListParams),
    responses((status = 200, body = ListAnswer<View>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, View>(state.catalog.list::<Route>(&params.query()?).await?)
}

/// Makes a route. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/routes", operation_id = "createRoute", tag = "routes", request_body = Body,
    responses((status = 201, body = View)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(fields): Json<Body>,
) -> Result<(StatusCode, axum::Json<View>)> {
    let route = state.catalog.create(Place::ALONE, &fields, admin.user.author()).await?;
    Ok((StatusCode::CREATED, axum::Json(route)))
}

/// A route.
#[utoipa::path(get, path = "/admin/routes/{id}", operation_id = "getRoute", tag = "routes", responses((status = 200, body = View)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.get(id).await?))
}

/// Changes a route. It is live when the answer comes; requests taken before run what was current.
#[utoipa::path(patch, path = "/admin/routes/{id}", operation_id = "updateRoute", tag = "routes", request_body = Body,
    responses((status = 200, body = View)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(fields): Json<Body>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.update(id, &fields, admin.user.author()).await?))
}

/// Deletes a route with its history.
#[utoipa::path(delete, path = "/admin/routes/{id}", operation_id = "deleteRoute", tag = "routes", responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.catalog.delete::<Route>(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a suspended route run again.
#[utoipa::path(post, path = "/admin/routes/{id}/resume", operation_id = "resumeRoute", tag = "routes", responses((status = 200, body = View)))]
pub(crate) async fn resume(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.resume(id).await?))
}

/// Lists the versions of a route's script, newest first.
#[utoipa::path(get, path = "/admin/routes/{id}/revisions", operation_id = "listRevisionsOfRoute", tag = "routes", params(ListParams),
    responses((status = 200, body = ListAnswer<Revision>)))]
pub(crate) async fn list_revisions(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, Revision>(state.catalog.list_revisions::<Route>(id, &params.query()?).await?)
}

/// Saves an earlier version of a route's script again, as the newest.
#[utoipa::path(post, path = "/admin/routes/{id}/revisions/{number}/restore", operation_id = "restoreRoute", tag = "routes",
    responses((status = 200, body = View)))]
pub(crate) async fn restore(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.restore(id, number, admin.user.author()).await?))
}
