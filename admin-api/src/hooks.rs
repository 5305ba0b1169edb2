//! `/admin/hooks`: scripts that run around the writes of a table.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Hook, HookChange};
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::gateways::SuspensionView;
use crate::list::{ListAnswer, ListParams, nullable};
use crate::state::AdminState;

/// A hook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookView {
    id: Uuid,
    /// The name of the table.
    table: String,
    /// `before` or `after`.
    when: String,
    /// Of `create`, `update`, `delete`.
    on: Vec<String>,
    description: String,
    is_enabled: bool,
    /// A filter on the new row; `_changed` names columns of which one has to have changed.
    condition: Option<serde_json::Value>,
    source_code: String,
    /// Lower runs earlier.
    priority: i64,
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

/// What is set of a hook; absent fields stay (PATCH) or have their default (POST).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookBody {
    table: Option<String>,
    when: Option<String>,
    on: Option<Vec<String>>,
    description: Option<String>,
    is_enabled: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    condition: Option<Option<serde_json::Value>>,
    /// `handlerScript` is accepted too.
    #[serde(alias = "handlerScript")]
    source_code: Option<String>,
    priority: Option<i64>,
}

/// Lists hooks.
#[utoipa::path(get, path = "/admin/hooks", operation_id = "listHooks", tag = "hooks", params(ListParams),
    responses((status = 200, body = ListAnswer<HookView>)))]
pub async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, HookView>(state.catalog.list_hooks(&params.query()?).await?)
}

/// Makes a hook. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/hooks", operation_id = "createHook", tag = "hooks", request_body = HookBody,
    responses((status = 201, body = HookView)))]
pub async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(body): Json<HookBody>,
) -> Result<(StatusCode, axum::Json<HookView>)> {
    let hook = state.catalog.create_hook(body.into(), admin.user.author(), None).await?;
    Ok((StatusCode::CREATED, axum::Json(hook.into())))
}

/// A hook.
#[utoipa::path(get, path = "/admin/hooks/{id}", operation_id = "getHook", tag = "hooks", responses((status = 200, body = HookView)))]
pub async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<HookView>> {
    Ok(axum::Json(state.catalog.hook(id).await?.into()))
}

/// Changes a hook. It is live when the answer comes.
#[utoipa::path(patch, path = "/admin/hooks/{id}", operation_id = "updateHook", tag = "hooks", request_body = HookBody,
    responses((status = 200, body = HookView)))]
pub async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<HookBody>,
) -> Result<axum::Json<HookView>> {
    Ok(axum::Json(state.catalog.update_hook(id, body.into(), admin.user.author()).await?.into()))
}

/// Deletes a hook with its history.
#[utoipa::path(delete, path = "/admin/hooks/{id}", operation_id = "deleteHook", tag = "hooks", responses((status = 204)))]
pub async fn delete(State(state): State<AdminState>, _: Admin, Path(id): Path<Uuid>) -> Result<StatusCode> {
    state.catalog.delete_hook(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a suspended hook run again.
#[utoipa::path(post, path = "/admin/hooks/{id}/resume", operation_id = "resumeHook", tag = "hooks", responses((status = 200, body = HookView)))]
pub async fn resume(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<HookView>> {
    state.catalog.resume(id)?;
    Ok(axum::Json(state.catalog.hook(id).await?.into()))
}

impl From<Hook> for HookView {
    fn from(hook: Hook) -> Self {
        Self {
            id: hook.id,
            table: hook.table,
            when: hook.when,
            on: hook.on,
            description: hook.description,
            is_enabled: hook.is_enabled,
            condition: hook.condition,
            source_code: hook.source_code,
            priority: hook.priority,
            pack: hook.pack,
            suspended: hook.suspended.map(SuspensionView::from),
            created_at: hook.created_at,
            updated_at: hook.updated_at,
        }
    }
}

impl From<HookBody> for HookChange {
    fn from(body: HookBody) -> Self {
        Self {
            table: body.table,
            when: body.when,
            on: body.on,
            description: body.description,
            is_enabled: body.is_enabled,
            condition: body.condition,
            source_code: body.source_code,
            priority: body.priority,
        }
    }
}
