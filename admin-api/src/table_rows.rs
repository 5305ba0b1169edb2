//! `/admin/tables/{id}/rows` and what belongs to it: rows as the grid of the admin UI needs them, for tables of any size.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use gatewright_core::auth::User;
use gatewright_core::data::{Action, Actor, Find, Grant, Keep, ROWS_MAX, Row, Table};
use gatewright_core::run::RowsCall;
use gatewright_core::script::{RowsBatch, RowsChange};
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::extract::{Admin, Json, Path, Query};
use crate::list::ListParams;
use crate::state::AdminState;
use crate::table_access::{Somebody, somebody};

/// Up to here all tables are counted at once.
const COUNTED_MAX: u64 = 10_000;
/// How long a batch may take with its hooks.
pub(crate) const BATCH_TIME: Duration = Duration::from_secs(30);

/// Which rows, and from where.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RowsParams {
    /// Rows at once: 1 to 1000, 20 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
    /// Fields with commas, `-` before one for descending: `-createdAt,name`. Without it as the rows were made.
    sort: Option<String>,
    /// Conditions as JSON: `{"name": {"_contains": "x"}}`.
    filter: Option<String>,
    /// Only these fields, with commas; those of `sort` and the id come with them.
    fields: Option<String>,
    /// The `next` of the answer before, with the same `sort`.
    cursor: Option<String>,
    /// Only what somebody would get who asks `/data`: the id of a user, or `public`.
    #[serde(rename = "as")]
    #[param(rename = "as")]
    who: Option<String>,
}

/// Rows, and where those behind them begin.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowsAnswer {
    #[schema(value_type = Vec<Value>)]
    data: Vec<Row>,
    /// Null: there are no more.
    next: Option<String>,
}

/// Which rows are counted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CountParams {
    /// Conditions as JSON; without it all rows.
    filter: Option<String>,
    /// Only what somebody would get who asks `/data`: the id of a user, or `public`.
    #[serde(rename = "as")]
    #[param(rename = "as")]
    who: Option<String>,
}

/// How many rows match.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountAnswer {
    count: u64,
}

/// How many rows each table has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountsAnswer {
    data: Vec<TableCount>,
}

/// How many rows a table has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableCount {
    id: Uuid,
    name: String,
    /// At most 10000.
    rows: u64,
    /// Whether these are all; the exact number of a large table is at `/admin/tables/{id}/count`.
    is_all: bool,
}

/// What is written, in this order: all or nothing. At most 1000 rows in all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct BatchBody {
    /// Rows to make.
    #[schema(value_type = Vec<Object>)]
    create: Vec<Row>,
    /// Rows to change: the `id` of each with the fields that change.
    #[schema(value_type = Vec<Object>)]
    update: Vec<Row>,
    /// The ids of rows to delete; one that is not there is none.
    delete: Vec<Uuid>,
}

/// What was written.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BatchAnswer {
    /// The ids of the new rows, in their order.
    pub(crate) created: Vec<String>,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

/// Lists rows from a place on: each page takes as long as the first, also of a million rows. All of them are seen, whatever
/// the rules are; with `as` those that somebody else would get.
#[utoipa::path(get, path = "/admin/tables/{id}/rows", operation_id = "listTableRows", tag = "tables", params(RowsParams),
    responses((status = 200, body = RowsAnswer)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<RowsParams>,
) -> Result<axum::Json<RowsAnswer>> {
    let table = state.catalog.data()?.table_by_id(id)?;
    let (limit, sort, filter) = (params.limit, params.sort, params.filter);
    let list = ListParams { limit, sort, filter, fields: params.fields, ..ListParams::default() };
    let scope = scope(&state, &table, params.who).await?;
    let find = Find { scope, ..list.find(&table)? };
    let session = state.catalog.data()?.session(Keep::Writes);
    let (data, next) = in_time(&state, session.rows_behind(&table, &find, params.cursor.as_deref())).await?;
    Ok(axum::Json(RowsAnswer { data, next }))
}

/// Counts the rows of a table. Of many rows that takes a while; see `/admin/tables/counts` for all tables at once.
#[utoipa::path(get, path = "/admin/tables/{id}/count", operation_id = "countTableRows", tag = "tables", params(CountParams),
    responses((status = 200, body = CountAnswer)))]
pub(crate) async fn count(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<CountParams>,
) -> Result<axum::Json<CountAnswer>> {
    let table = state.catalog.data()?.table_by_id(id)?;
    let find = ListParams { filter: params.filter, ..ListParams::default() }.find(&table)?;
    let scope = scope(&state, &table, params.who).await?;
    let session = state.catalog.data()?.session(Keep::Writes);
    let filters = [scope.as_ref(), find.filter.as_ref()];
    Ok(axum::Json(CountAnswer { count: in_time(&state, session.count(&table, filters)).await? }))
}

/// Counts the rows of every table, of each up to 10000, which costs little however many there are.
#[utoipa::path(get, path = "/admin/tables/counts", operation_id = "countRowsOfTables", tag = "tables",
    responses((status = 200, body = CountsAnswer)))]
pub(crate) async fn counts(State(state): State<AdminState>, _: Admin) -> Result<axum::Json<CountsAnswer>> {
    let tables = state.catalog.data()?.tables();
    let mut tables: Vec<_> = tables.values().collect();
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    let session = state.catalog.data()?.session(Keep::Writes);
    let data = in_time(&state, async {
        let mut data = Vec::with_capacity(tables.len());
        for table in tables {
            let found = session.count_up_to(table, COUNTED_MAX).await?;
            let (rows, is_all) = (found.min(COUNTED_MAX), found <= COUNTED_MAX);
            data.push(TableCount { id: table.id, name: table.name.clone(), rows, is_all });
        }
        Ok(data)
    });
    Ok(axum::Json(CountsAnswer { data: data.await? }))
}

/// Makes, changes and deletes rows in one transaction, with their hooks: all or nothing.
#[utoipa::path(post, path = "/admin/tables/{id}/batch", operation_id = "writeTableRows", tag = "tables", request_body = BatchBody,
    responses((status = 200, body = BatchAnswer)))]
pub(crate) async fn batch(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<BatchBody>,
) -> Result<Response> {
    let table = state.catalog.data()?.table_by_id(id)?;
    let rows = body.create.len() + body.update.len() + body.delete.len();
    if rows as u64 > ROWS_MAX {
        let message = format!("has {rows} rows; at most {ROWS_MAX} at once");
        return Err(Failure::invalid("batch", message).into());
    }
    let update = body.update.into_iter().enumerate().map(|(index, mut row)| match row.remove("id") {
        Some(Value::String(id)) => Ok((id, row)),
        _ => Err(Failure::invalid(&format!("update[{index}].id"), "is missing: the id of the row to change")),
    });
    let update = update.collect::<std::result::Result<Vec<_>, _>>()?;
    let delete = body.delete.iter().map(Uuid::to_string).collect();
    let batch = RowsBatch { create: body.create, update, delete };
    Ok(axum::Json(write(&state, &table, batch, &admin.user).await?).into_response())
}

/// Writes a batch as a request of this admin.
pub(crate) async fn write(
    state: &AdminState,
    table: &Table,
    batch: RowsBatch,
    admin: &Arc<User>,
) -> Result<BatchAnswer> {
    let (actor, user) = (Actor::Trusted, Some(admin.clone()));
    let change = RowsChange::Batch(batch);
    let call = RowsCall { table: table.name.clone(), actor, change, user, timeout: Some(BATCH_TIME) };
    let (request_id, outcome) = state.runner.write_rows(call).await;
    let json = outcome.map_err(|failure| ApiError::of_run(failure, request_id))?;
    let broken = |error| gatewright_core::Error::Internal(format!("the answer of a batch: {error}"));
    Ok(serde_json::from_str(&json).map_err(broken)?)
}

/// What somebody's rows are, if it is asked.
async fn scope(
    state: &AdminState,
    table: &Table,
    who: Option<String>,
) -> Result<Option<gatewright_core::filter::Filter>> {
    let Some(who) = who else { return Ok(None) };
    let Somebody { actor, shut_out } = somebody(state, &Value::String(who), Action::Read).await?;
    if let Some(reason) = shut_out {
        return Err(Failure::new(ErrorCode::Authorization, reason).into());
    }
    Ok(match table.grant(Action::Read, &actor)? {
        Grant::All => None,
        Grant::Where(filter) => Some(filter),
    })
}

/// What comes of work of the database, which may take as long as a script may.
pub(crate) async fn in_time<T>(
    state: &AdminState,
    work: impl Future<Output = gatewright_core::Result<T>>,
) -> Result<T> {
    let patience = Duration::from_millis(state.config.scripts.timeout_ms);
    match tokio::time::timeout(patience, work).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            let message =
                "The database did not answer in time. Ask for less, or sort by a column with an index";
            Err(Failure::new(ErrorCode::Database, message).into())
        }
    }
}
