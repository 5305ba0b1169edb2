//! `/admin/gateways/{id}/events` and `/admin/events`.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Event, Fields, Place, Revision, Saved};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// An event as it is answered.
type View = Saved<Event>;
/// What is set of an event.
type Body = Fields<Event>;

/// Lists a gateway's events.
#[utoipa::path(get, path = "/admin/gateways/{id}/events", operation_id = "listEvents", tag = "events", params(ListParams),
    responses((status = 200, body = ListAnswer<View>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Path(gateway_id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, View>(state.catalog.list_events(gateway_id, &params.query()?).await?)
}

/// Makes an event. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/gateways/{id}/events", operation_id = "createEvent", tag = "events", request_body = Body,
    responses((status = 201, body = View)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(gateway_id): Path<Uuid>,
    Json(fields): Json<Body>,
) -> Result<(StatusCode, axum::Json<View>)> {
    let place = Place::Gateway { gateway_id };
    let event = state.catalog.create(place, &fields, admin.user.author()).await?;
    Ok((StatusCode::CREATED, axum::Json(event)))
}

/// An event.
#[utoipa::path(get, path = "/admin/events/{id}", operation_id = "getEvent", tag = "events", responses((status = 200, body = View)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.get(id).await?))
}

/// Changes an event. It is live when the answer comes; accepted jobs run what was current.
#[utoipa::path(patch, path = "/admin/events/{id}", operation_id = "updateEvent", tag = "events", request_body = Body,
    responses((status = 200, body = View)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(fields): Json<Body>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.update(id, &fields, admin.user.author()).await?))
}

/// Deletes an event with its history.
#[utoipa::path(delete, path = "/admin/events/{id}", operation_id = "deleteEvent", tag = "events", responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.catalog.delete::<Event>(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a suspended event run again.
#[utoipa::path(post, path = "/admin/events/{id}/resume", operation_id = "resumeEvent", tag = "events", responses((status = 200, body = View)))]
pub(crate) async fn resume(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.resume(id).await?))
}

/// Lists the versions of an event's script, newest first.
#[utoipa::path(get, path = "/admin/events/{id}/revisions", operation_id = "listRevisionsOfEvent", tag = "events", params(ListParams),
    responses((status = 200, body = ListAnswer<Revision>)))]
pub(crate) async fn list_revisions(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, Revision>(state.catalog.list_revisions::<Event>(id, &params.query()?).await?)
}

/// Saves an earlier version of an event's script again, as the newest.
#[utoipa::path(post, path = "/admin/events/{id}/revisions/{number}/restore", operation_id = "restoreEvent", tag = "events",
    responses((status = 200, body = View)))]
pub(crate) async fn restore(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path((id, number)): Path<(Uuid, i64)>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(state.catalog.restore(id, number, admin.user.author()).await?))
}
