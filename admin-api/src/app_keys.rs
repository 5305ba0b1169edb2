//! `/admin/app-keys`.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::auth::{AppKey, AppKeyChange, NewAppKey, Scope};
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams, nullable};
use crate::state::AdminState;

/// An app key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppKeyView {
    id: Uuid,
    name: String,
    /// Of `socket:read`, `socket:broadcast`, `data:read`, `data:write`, `routes`.
    scopes: Vec<&'static str>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    /// To the minute; null: never.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// A new app key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeAppKey {
    #[serde(flatten)]
    row: AppKeyView,
    /// For the header `x-app-token`. Shown this once.
    key: String,
}

/// What an app key is made of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewAppKeyBody {
    /// 1 to 200 characters.
    name: String,
    /// At least one of `socket:read`, `socket:broadcast`, `data:read`, `data:write`, `routes`.
    scopes: Vec<String>,
    /// None: it does not expire.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// What is set of an app key; absent fields stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppKeyBody {
    name: Option<String>,
    scopes: Option<Vec<String>>,
    /// Null: it does not expire.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Rfc3339>>,
}

/// A time on the wire.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Rfc3339(#[serde(with = "time::serde::rfc3339")] Time);

/// Lists app keys.
#[utoipa::path(get, path = "/admin/app-keys", operation_id = "listAppKeys", tag = "app keys", params(ListParams),
    responses((status = 200, body = ListAnswer<AppKeyView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, AppKeyView>(state.accounts.list_app_keys(&params.query()?).await?)
}

/// Makes an app key. Only this answer has the key itself.
#[utoipa::path(post, path = "/admin/app-keys", operation_id = "createAppKey", tag = "app keys", request_body = NewAppKeyBody,
    responses((status = 201, body = MadeAppKey)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    _: Admin,
    Json(body): Json<NewAppKeyBody>,
) -> Result<(StatusCode, axum::Json<MadeAppKey>)> {
    let new = NewAppKey { name: body.name, scopes: body.scopes, expires_at: body.expires_at };
    let (row, key) = state.accounts.create_app_key(new).await?;
    Ok((StatusCode::CREATED, axum::Json(MadeAppKey { row: row.into(), key })))
}

/// An app key.
#[utoipa::path(get, path = "/admin/app-keys/{id}", operation_id = "getAppKey", tag = "app keys",
    responses((status = 200, body = AppKeyView)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<AppKeyView>> {
    Ok(axum::Json(state.accounts.get_app_key(id).await?.into()))
}

/// Changes an app key; the key itself stays. What it may do counts from the next request on.
#[utoipa::path(patch, path = "/admin/app-keys/{id}", operation_id = "updateAppKey", tag = "app keys", request_body = AppKeyBody,
    responses((status = 200, body = AppKeyView)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<AppKeyBody>,
) -> Result<axum::Json<AppKeyView>> {
    let change = AppKeyChange {
        name: body.name,
        scopes: body.scopes,
        expires_at: body.expires_at.map(|expires_at| expires_at.map(|Rfc3339(time)| time)),
    };
    Ok(axum::Json(state.accounts.update_app_key(id, change).await?.into()))
}

/// Gives an app key a new secret, which only this answer has. The one until now ends at once, with the sockets that
/// showed it; name, scopes and expiry stay.
#[utoipa::path(post, path = "/admin/app-keys/{id}/rotate", operation_id = "rotateAppKey", tag = "app keys",
    responses((status = 200, body = MadeAppKey)))]
pub(crate) async fn rotate(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<MadeAppKey>> {
    let (row, key) = state.accounts.rotate_app_key(id).await?;
    Ok(axum::Json(MadeAppKey { row: row.into(), key }))
}

/// Deletes an app key: from the next request on it does not count.
#[utoipa::path(delete, path = "/admin/app-keys/{id}", operation_id = "deleteAppKey", tag = "app keys",
    responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.accounts.delete_app_key(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<AppKey> for AppKeyView {
    fn from(key: AppKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes.into_iter().map(Scope::as_str).collect(),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            created_at: key.created_at,
            updated_at: key.updated_at,
        }
    }
}
