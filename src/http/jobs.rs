//! `GET /jobs/{requestId}`: what has become of a durable event, for who sent it.

use axum::extract::State;
use gatewright_admin_api::{ApiError, Identity, Path};
use gatewright_core::Failure;
use gatewright_core::jobs::JobError;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::HttpState;

/// What has become of a durable event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusAnswer {
    request_id: Uuid,
    /// `waiting`, `scheduled`, `running`, `retrying`, `done`, `failed`, `dead` or `discarded`.
    state: &'static str,
    /// What its handler gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    /// `{code, message, details?}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<JobError>,
}

/// What has become of a durable event: for the user who sent it, and for admins.
#[utoipa::path(get, path = "/jobs/{requestId}", operation_id = "getJobStatus", tag = "jobs",
    params(("requestId" = Uuid, Path)), responses((status = 200, body = StatusAnswer)))]
pub async fn status(
    State(state): State<HttpState>,
    Identity(signed_in): Identity,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<StatusAnswer>, ApiError> {
    let user = &signed_in.user;
    let may_ask = |caller: &gatewright_core::jobs::Caller| {
        user.is_admin() || caller.user_id.as_deref() == Some(user.id.as_str())
    };
    let found = state.runner.jobs.status(id, may_ask).await?;
    let status = found.ok_or_else(|| Failure::not_found("event", id))?;
    Ok(axum::Json(StatusAnswer {
        request_id: id,
        state: status.state,
        result: status.result.and_then(|result| serde_json::from_str(&result).ok()),
        error: status.error,
    }))
}
