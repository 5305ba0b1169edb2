//! `/admin/libraries`: functions and constants that scripts share.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Fields, Library, Place, Revision, Saved};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// A library as it is answered.
type View = Saved<Library>;
/// What is set of a library.
type Body = Fields<Library>;

/// Lists libraries.
#[utoipa::path(get, path = "/admin/libraries", operation_id = "listLibraries", tag = "libraries", params(ListParams),
    responses((status = 200, body = ListAnswer<View>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, View>(state.catalog.list::<Library>(&params.query()?).await?)
}

/// Makes a library. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/libraries", operation_id = "createLibrary", tag = "libraries", request_body = Body,
    responses((status = 201, body = View)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(fields): Json<Body>,
) -> Result<(StatusCode, axum::Json<View>)> {
    let library = state.catalog.create(Place::ALONE, &fields, admin.user.author()).await?;
    Ok((StatusCode::CREATED, axum::Json(library)))
}

/// A library.
#[utoipa::path(get, path = "/admin/libraries/{id}", operation_id = "getLibrary", tag = "libraries", responses((status = 200, body = View)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.get(id).await?))
}

/// Changes a library. It is live when the answer comes, and so is all that imports it; refused, with the places, if
/// any of that would no longer compile.
#[utoipa::path(patch, path = "/admin/libraries/{id}", operation_id = "updateLibrary", tag = "libraries", request_body = Body,
    responses((status = 200, body = View)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(fields): Json<Body>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.update(id, &fields, admin.user.author()).await?))
}

/// Deletes a library with its history. One that is in use is refused (409), with the places.
#[utoipa::path(delete, path = "/admin/libraries/{id}", operation_id = "deleteLibrary", tag = "libraries", responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.catalog.delete::<Library>(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the versions of a library, newest first.
#[utoipa::path(get, path = "/admin/libraries/{id}/revisions", operation_id = "listRevisionsOfLibrary", tag = "libraries", params(ListParams),
    responses((status = 200, body = ListAnswer<Revision>)))]
pub(crate) async fn list_revisions(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, Revision>(state.catalog.list_revisions::<Library>(id, &params.query()?).await?)
}

/// Saves an earlier version of a library again, as the newest.
#[utoipa::path(post, path = "/admin/libraries/{id}/revisions/{number}/restore", operation_id = "restoreLibrary", tag = "libraries",
    responses((status = 200, body = View)))]
pub(crate) async fn restore(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.restore(id, number, admin.user.author()).await?))
}
