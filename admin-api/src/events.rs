//! `/admin/gateways/{id}/events` and `/admin/events`.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::catalog::{Event, EventChange};
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::gateways::SuspensionView;
use crate::list::{ListAnswer, ListParams, nullable};
use crate::state::AdminState;

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    id: Uuid,
    gateway_id: Uuid,
    /// Exact, or a prefix that ends in `*`.
    event_name: String,
    description: String,
    is_enabled: bool,
    source_code: String,
    timeout_ms: Option<i64>,
    /// A JSON Schema.
    payload_schema: Option<serde_json::Value>,
    delivery: String,
    /// Why its script does not run, if it is suspended.
    suspended: Option<SuspensionView>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// What is set of an event; absent fields stay (PATCH) or have their default (POST).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventBody {
    event_name: Option<String>,
    description: Option<String>,
    is_enabled: Option<bool>,
    /// `handlerScript` is accepted too.
    #[serde(alias = "handlerScript")]
    source_code: Option<String>,
    /// `timeout` is accepted too.
    #[serde(default, deserialize_with = "nullable", alias = "timeout")]
    timeout_ms: Option<Option<i64>>,
    #[serde(default, deserialize_with = "nullable")]
    payload_schema: Option<Option<serde_json::Value>>,
    delivery: Option<String>,
}

/// Lists a gateway's events.
#[utoipa::path(get, path = "/admin/gateways/{id}/events", operation_id = "listEvents", tag = "events", params(ListParams),
    responses((status = 200, body = ListAnswer<EventView>)))]
pub async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Path(gateway_id): Path<Uuid>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, EventView>(state.catalog.list_events(gateway_id, &params.query()?).await?)
}

/// Makes an event. It is live when the answer comes.
#[utoipa::path(post, path = "/admin/gateways/{id}/events", operation_id = "createEvent", tag = "events", request_body = EventBody,
    responses((status = 201, body = EventView)))]
pub async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(gateway_id): Path<Uuid>,
    Json(body): Json<EventBody>,
) -> Result<(StatusCode, axum::Json<EventView>)> {
    let event = state.catalog.create_event(gateway_id, body.into(), admin.user.author()).await?;
    Ok((StatusCode::CREATED, axum::Json(event.into())))
}

/// An event.
#[utoipa::path(get, path = "/admin/events/{id}", operation_id = "getEvent", tag = "events", responses((status = 200, body = EventView)))]
pub async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<EventView>> {
    Ok(axum::Json(state.catalog.event(id).await?.into()))
}

/// Changes an event. It is live when the answer comes; accepted jobs run what was current.
#[utoipa::path(patch, path = "/admin/events/{id}", operation_id = "updateEvent", tag = "events", request_body = EventBody,
    responses((status = 200, body = EventView)))]
pub async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<EventBody>,
) -> Result<axum::Json<EventView>> {
    let event = state.catalog.update_event(id, body.into(), admin.user.author()).await?;
    Ok(axum::Json(event.into()))
}

/// Deletes an event with its history.
#[utoipa::path(delete, path = "/admin/events/{id}", operation_id = "deleteEvent", tag = "events", responses((status = 204)))]
pub async fn delete(State(state): State<AdminState>, _: Admin, Path(id): Path<Uuid>) -> Result<StatusCode> {
    state.catalog.delete_event(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a suspended event run again.
#[utoipa::path(post, path = "/admin/events/{id}/resume", operation_id = "resumeEvent", tag = "events", responses((status = 200, body = EventView)))]
pub async fn resume(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<EventView>> {
    state.catalog.resume(id)?;
    Ok(axum::Json(state.catalog.event(id).await?.into()))
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            gateway_id: event.gateway_id,
            event_name: event.event_name,
            description: event.description,
            is_enabled: event.is_enabled,
            source_code: event.source_code,
            timeout_ms: event.timeout_ms,
            payload_schema: event.payload_schema,
            delivery: event.delivery,
            suspended: event.suspended.map(SuspensionView::from),
            created_at: event.created_at,
            updated_at: event.updated_at,
        }
    }
}

impl From<EventBody> for EventChange {
    fn from(body: EventBody) -> Self {
        Self {
            event_name: body.event_name,
            description: body.description,
            is_enabled: body.is_enabled,
            source_code: body.source_code,
            timeout_ms: body.timeout_ms,
            payload_schema: body.payload_schema,
            delivery: body.delivery,
        }
    }
}
