//! `/admin/schedules`: events that the clock sends.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::Failure;
use gatewright_core::catalog::{Fields, Place, Saved, Schedule};
use gatewright_core::jobs::Times;
use gatewright_core::moment::{from_ms, now, time_text, to_ms};
use gatewright_core::store::Time;
use gatewright_core::store::list::Page;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{KnownFormat, ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// Times that are told at once, where nothing else is asked, and at most.
const TIMES_DEFAULT: u64 = 5;
const TIMES_MAX: u64 = 100;

/// What is set of a schedule.
type Body = Fields<Schedule>;

/// A schedule as it is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View {
    #[serde(flatten)]
    saved: Saved<Schedule>,
    /// None: it is disabled.
    #[serde(with = "time::serde::rfc3339::option")]
    next_at: Option<Time>,
}

/// The job of a schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobOfSchedule {
    /// As in `/admin/jobs/{id}`.
    id: Uuid,
}

/// Times of which the next are asked.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimesParams {
    /// As in a schedule.
    cron: String,
    /// As in a schedule; UTC by default.
    timezone: Option<String>,
    /// How many: 1 to 100, 5 by default.
    #[param(minimum = 1, maximum = 100)]
    count: Option<u64>,
}

/// The next times, soonest first; fewer than were asked for where there are no more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimesAnswer {
    #[schema(value_type = Vec<String>)]
    times: Vec<String>,
}

/// Tells when a schedule with this `cron` would be due next. Nothing is made.
#[utoipa::path(get, path = "/admin/schedules/times", operation_id = "getTimes", tag = "schedules", params(TimesParams),
    responses((status = 200, body = TimesAnswer)))]
pub(crate) async fn times(_: Admin, Query(params): Query<TimesParams>) -> Result<axum::Json<TimesAnswer>> {
    let count = params.count.unwrap_or(TIMES_DEFAULT);
    if !(1..=TIMES_MAX).contains(&count) {
        return Err(Failure::invalid("count", format!("takes 1 to {TIMES_MAX}")).into());
    }
    let times = Times::read(&params.cron, params.timezone.as_deref().unwrap_or("UTC"))?;
    let next = |ms: &i64| times.next_after(*ms);
    let all = std::iter::successors(times.next_after(to_ms(now())), next).take(count as usize);
    Ok(axum::Json(TimesAnswer { times: all.filter_map(from_ms).map(time_text).collect() }))
}

/// Lists schedules.
#[utoipa::path(get, path = "/admin/schedules", operation_id = "listSchedules", tag = "schedules", params(ListParams),
    responses((status = 200, body = ListAnswer<View>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<Value>>> {
    let mut query = params.query()?;
    query.filter.as_mut().map_or(Ok(()), in_ms)?;
    let page = state.catalog.list::<Schedule>(&query).await?;
    let mut next = state.catalog.next_times(&page.rows).await?;
    let view = |saved: Saved<Schedule>| View { next_at: next.remove(&saved.id), saved };
    params.answer::<_, View>(Page { rows: page.rows.into_iter().map(view).collect(), counts: page.counts })
}

/// Makes a schedule. Its gateway and event need not be there yet: a job that finds no handler can be retried.
#[utoipa::path(post, path = "/admin/schedules", operation_id = "createSchedule", tag = "schedules", request_body = Body,
    responses((status = 201, body = View)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Json(fields): Json<Body>,
) -> Result<(StatusCode, axum::Json<View>)> {
    let schedule = state.catalog.create(Place::ALONE, &fields, admin.user.author()).await?;
    Ok((StatusCode::CREATED, axum::Json(view_of(&state, schedule).await?)))
}

/// A schedule.
#[utoipa::path(get, path = "/admin/schedules/{id}", operation_id = "getSchedule", tag = "schedules",
    responses((status = 200, body = View)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<View>> {
    Ok(axum::Json(view_of(&state, state.catalog.get(id).await?).await?))
}

/// Changes a schedule. With another `cron` or `timezone` it is next due at the first of its new times.
#[utoipa::path(patch, path = "/admin/schedules/{id}", operation_id = "updateSchedule", tag = "schedules", request_body = Body,
    responses((status = 200, body = View)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(fields): Json<Body>,
) -> Result<axum::Json<View>> {
    let schedule = state.catalog.update(id, &fields, admin.user.author()).await?;
    Ok(axum::Json(view_of(&state, schedule).await?))
}

/// Deletes a schedule. Jobs that it has made stay.
#[utoipa::path(delete, path = "/admin/schedules/{id}", operation_id = "deleteSchedule", tag = "schedules",
    responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    state.catalog.delete::<Schedule>(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a job of a schedule now, enabled or not; when it is next due stays as it is.
#[utoipa::path(post, path = "/admin/schedules/{id}/run", operation_id = "runSchedule", tag = "schedules",
    responses((status = 202, body = JobOfSchedule)))]
pub(crate) async fn run(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, axum::Json<JobOfSchedule>)> {
    let id = state.jobs.run_schedule(id).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(JobOfSchedule { id })))
}

async fn view_of(state: &AdminState, saved: Saved<Schedule>) -> Result<View> {
    let next_at = state.catalog.next_times([&saved]).await?.remove(&saved.id);
    Ok(View { saved, next_at })
}

/// Writes the moments of a filter on `nextAt` as the table has them.
fn in_ms(filter: &mut Value) -> Result<()> {
    fn each(value: &mut Value) -> Result<()> {
        match value {
            Value::String(text) => {
                let time = Time::parse(text, &Rfc3339);
                let time = time.map_err(|_| Failure::invalid("nextAt", "takes a moment in RFC 3339"))?;
                *value = to_ms(time).into();
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(each),
            Value::Object(fields) => fields.values_mut().try_for_each(each),
            _ => Ok(()),
        }
    }
    match filter {
        Value::Array(items) => items.iter_mut().try_for_each(in_ms),
        Value::Object(fields) => fields.iter_mut().try_for_each(|(name, value)| match name.as_str() {
            "nextAt" => each(value),
            _ => in_ms(value),
        }),
        _ => Ok(()),
    }
}

impl PartialSchema for View {
    fn schema() -> RefOr<Schema> {
        let mut schema = Saved::<Schedule>::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let time = SchemaFormat::KnownFormat(KnownFormat::DateTime);
            let next_at = OneOfBuilder::new()
                .item(ObjectBuilder::new().schema_type(Type::Null))
                .item(ObjectBuilder::new().schema_type(Type::String).format(Some(time)))
                .description(Some("When it is next due; null while it is disabled."));
            object.properties.insert("nextAt".to_owned(), next_at.into());
            object.required.push("nextAt".to_owned());
        }
        schema
    }
}

impl ToSchema for View {
    fn name() -> Cow<'static, str> {
        Saved::<Schedule>::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Saved::<Schedule>::schemas(schemas);
    }
}
