//! `/admin/hooks`: scripts that run around the writes of a table.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Fields, Hook, Place, Revision, Saved};
use gatewright_core::data::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// A hook as it is answered.
type View = Saved<Hook>;
/// What is set of a hook.
type Body = Fields<Hook>;

/// A write that a hook may be for.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct HookMatchBody {
    /// The row as it would be written; `data` is accepted too.
    #[serde(alias = "data", default)]
    #[schema(value_type = Object)]
    row: Row,
    /// The row before an update.
    #[schema(value_type = Option<Object>)]
    old: Option<Row>,
    /// `create`, `update` or `delete`; else an update where there is `old`, and what the hook is for where not.
    on: Option<String>,
    /// As in a test run; no condition of a hook asks who writes.
    #[expect(dead_code, reason = "accepted so that the body of a test run can be sent")]
    user: Option<Value>,
}

/// Whether a hook runs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookMatchAnswer {
    matches: bool,
    /// Why, or why not: of its table, what it is for, and its condition.
    reason: String,
}

/// Lists hooks.
#[utoipa::path(get, path = "/admin/hooks", operation_id = "listHooks", tag = "hooks", params(ListParams),
    responses((status = 200, body = ListAnswer<View>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, View>(state.catalog.list::<Hook>(&params.query()?).await?)
}

/// Makes a hook. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/hooks", operation_id = "createHook", tag = "hooks", request_body = Body,
    responses((status = 201, body = View)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(fields): Json<Body>,
) -> Result<(StatusCode, axum::Json<View>)> {
    let hook = state.catalog.create(Place::ALONE, &fields, admin.user.author()).await?;
    Ok((StatusCode::CREATED, axum::Json(hook)))
}

/// A hook.
#[utoipa::path(get, path = "/admin/hooks/{id}", operation_id = "getHook", tag = "hooks", responses((status = 200, body = View)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.get(id).await?))
}

/// Changes a hook. It is live when the answer comes.
#[utoipa::path(patch, path = "/admin/hooks/{id}", operation_id = "updateHook", tag = "hooks", request_body = Body,
    responses((status = 200, body = View)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(fields): Json<Body>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.update(id, &fields, admin.user.author()).await?))
}

/// Deletes a hook with its history.
#[utoipa::path(delete, path = "/admin/hooks/{id}", operation_id = "deleteHook", tag = "hooks", responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.catalog.delete::<Hook>(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a suspended hook run again.
#[utoipa::path(post, path = "/admin/hooks/{id}/resume", operation_id = "resumeHook", tag = "hooks", responses((status = 200, body = View)))]
pub(crate) async fn resume(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.resume(id).await?))
}

/// Lists the versions of a hook's script, newest first.
#[utoipa::path(get, path = "/admin/hooks/{id}/revisions", operation_id = "listRevisionsOfHook", tag = "hooks", params(ListParams),
    responses((status = 200, body = ListAnswer<Revision>)))]
pub(crate) async fn list_revisions(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, Revision>(state.catalog.list_revisions::<Hook>(id, &params.query()?).await?)
}

/// Saves an earlier version of a hook's script again, as the newest.
#[utoipa::path(post, path = "/admin/hooks/{id}/revisions/{number}/restore", operation_id = "restoreHook", tag = "hooks",
    responses((status = 200, body = View)))]
pub(crate) async fn restore(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.restore(id, number, admin.user.author()).await?))
}

/// Whether a hook runs for a write, and why. Nothing is written, and no script runs.
#[utoipa::path(post, path = "/admin/hooks/{id}/match", operation_id = "matchHook", tag = "hooks", request_body = HookMatchBody,
    responses((status = 200, body = HookMatchAnswer)))]
pub(crate) async fn match_row(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<HookMatchBody>,
) -> Result<axum::Json<HookMatchAnswer>> {
    let found = state.catalog.match_hook(id, body.on.as_deref(), &body.row, body.old.as_ref()).await?;
    Ok(axum::Json(HookMatchAnswer { matches: found.matches, reason: found.reason }))
}
