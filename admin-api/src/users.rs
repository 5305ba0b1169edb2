//! `/admin/users`.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::auth::{NewUser, User, UserChange};
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// A user, without secrets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    /// A UUID, or what another issuer says.
    id: String,
    email: String,
    name: String,
    role: String,
    /// This and the times: only of a user who has an account here, not of one of another issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_enabled: Option<bool>,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Time>,
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Time>,
}

/// The own account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnView {
    #[serde(flatten)]
    user: UserView,
    /// True while the password is still the one of the first start, which others may have seen; else it is absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    has_first_password: bool,
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewUserBody {
    email: String,
    /// At least 8 characters.
    password: String,
    #[serde(default)]
    name: String,
    /// `user` (the default), `admin`, or any other name.
    #[serde(default)]
    role: String,
    #[serde(default = "enabled")]
    is_enabled: bool,
}

/// What is set of a user; absent fields stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserBody {
    email: Option<String>,
    password: Option<String>,
    name: Option<String>,
    role: Option<String>,
    is_enabled: Option<bool>,
}

fn enabled() -> bool {
    true
}

/// Lists users.
#[utoipa::path(get, path = "/admin/users", operation_id = "listUsers", tag = "users", params(ListParams),
    responses((status = 200, body = ListAnswer<UserView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, UserView>(state.accounts.list_users(&params.query()?).await?)
}

/// Makes a user.
#[utoipa::path(post, path = "/admin/users", operation_id = "createUser", tag = "users", request_body = NewUserBody,
    responses((status = 201, body = UserView)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    _: Admin,
    Json(body): Json<NewUserBody>,
) -> Result<(StatusCode, axum::Json<UserView>)> {
    let new = NewUser {
        email: body.email,
        password: body.password,
        name: body.name,
        role: body.role,
        is_enabled: body.is_enabled,
    };
    Ok((StatusCode::CREATED, axum::Json(state.accounts.create_user(new).await?.into())))
}

/// A user.
#[utoipa::path(get, path = "/admin/users/{id}", operation_id = "getUser", tag = "users", responses((status = 200, body = UserView)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<UserView>> {
    Ok(axum::Json(state.accounts.user(id).await?.into()))
}

/// Changes a user. A new password or role, or disabling, ends the user's sessions and sockets.
#[utoipa::path(patch, path = "/admin/users/{id}", operation_id = "updateUser", tag = "users", request_body = UserBody,
    responses((status = 200, body = UserView)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<UserBody>,
) -> Result<axum::Json<UserView>> {
    let change = UserChange {
        email: body.email,
        password: body.password,
        name: body.name,
        role: body.role,
        is_enabled: body.is_enabled,
    };
    Ok(axum::Json(state.accounts.update_user(id, change).await?.into()))
}

/// Deletes a user; the user's sockets are disconnected.
#[utoipa::path(delete, path = "/admin/users/{id}", operation_id = "deleteUser", tag = "users", responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.accounts.delete_user(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of a user: tokens no longer count, sockets are disconnected.
#[utoipa::path(post, path = "/admin/users/{id}/revoke-tokens", operation_id = "revokeTokensOfUser", tag = "users", responses((status = 204)))]
pub(crate) async fn revoke_tokens(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.accounts.user(id).await?;
    state.accounts.end_sessions_of(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<User> for OwnView {
    fn from(user: User) -> Self {
        let has_first_password = user.account.as_ref().is_some_and(|account| account.has_first_password);
        Self { user: user.into(), has_first_password }
    }
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email,
            name: user.name,
            role: user.role,
            is_enabled: user.account.as_ref().map(|account| account.is_enabled),
            created_at: user.account.as_ref().map(|account| account.created_at),
            updated_at: user.account.as_ref().map(|account| account.updated_at),
        }
    }
}
