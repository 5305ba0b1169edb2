//! `/data/{table}`: the rows of tables, within what their rules let the caller do.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use gatewright_admin_api::request::{client_address, network_of};
use gatewright_admin_api::{ApiError, Caller, Json, ListAnswer, ListParams, Path, Query};
use gatewright_core::auth::Scope;
use gatewright_core::data::{Action, Actor, Find, Found, Keep, Row, Selector, Table};
use gatewright_core::run::RowsCall;
use gatewright_core::script::RowsChange;
use gatewright_core::{ErrorCode, Failure};
use serde_json::Value;

use super::reads::Reader;
use super::{HttpState, pages};

type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Lists rows that the caller may read.
#[utoipa::path(get, path = "/data/{table}", operation_id = "listRows", tag = "data", params(ListParams, ("table" = String, Path)),
    responses((status = 200, body = ListAnswer<Value>)))]
pub async fn list(
    State(state): State<HttpState>,
    network: Network,
    caller: Caller,
    Path(table): Path<String>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<Value>>> {
    let reader = reader(&caller, &network);
    let (table, actor) = table_and_actor(&state, &table, caller, Scope::DataRead)?;
    let grant = table.grant(Action::Read, &actor)?;
    let find = Find { scope: grant.filter().cloned(), ..params.find(&table)? };
    let found = read(&state, reader, &table, &find).await?;
    Ok(axum::Json(ListAnswer::new(found.rows.into_iter().map(Value::Object).collect(), found.counts)))
}

/// A row. One that the caller may not read is not there.
#[utoipa::path(get, path = "/data/{table}/{id}", operation_id = "getRow", tag = "data",
    params(("table" = String, Path), ("id" = String, Path)), responses((status = 200, body = Value)))]
pub async fn get(
    State(state): State<HttpState>,
    network: Network,
    caller: Caller,
    Path((table, id)): Path<(String, String)>,
) -> Result<axum::Json<Row>> {
    let reader = reader(&caller, &network);
    let (table, actor) = table_and_actor(&state, &table, caller, Scope::DataRead)?;
    let not_found = || Failure::not_found("row", &id);
    let grant = match table.grant(Action::Read, &actor) {
        Err(failure) if failure.code == ErrorCode::Authorization => return Err(not_found().into()),
        grant => grant?,
    };
    let find = Find {
        filter: Some(Selector::Id(id.clone()).filter()),
        scope: grant.filter().cloned(),
        limit: 1,
        page: 1,
        ..Find::default()
    };
    let row = read(&state, reader, &table, &find).await?.rows.pop();
    Ok(axum::Json(row.ok_or_else(not_found)?))
}

/// Makes a row.
#[utoipa::path(post, path = "/data/{table}", operation_id = "createRow", tag = "data", params(("table" = String, Path)),
    request_body = Value, responses((status = 201, body = Value)))]
pub async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    Path(table): Path<String>,
    Json(row): Json<Row>,
) -> Result<Response> {
    write(&state, caller, &table, RowsChange::Create(row), StatusCode::CREATED).await
}

/// Changes fields of a row.
#[utoipa::path(patch, path = "/data/{table}/{id}", operation_id = "updateRow", tag = "data",
    params(("table" = String, Path), ("id" = String, Path)), request_body = Value, responses((status = 200, body = Value)))]
pub async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    Path((table, id)): Path<(String, String)>,
    Json(row): Json<Row>,
) -> Result<Response> {
    write(&state, caller, &table, RowsChange::Update(id, row), StatusCode::OK).await
}

/// Deletes a row.
#[utoipa::path(delete, path = "/data/{table}/{id}", operation_id = "deleteRow", tag = "data",
    params(("table" = String, Path), ("id" = String, Path)), responses((status = 204)))]
pub async fn delete(
    State(state): State<HttpState>,
    caller: Caller,
    Path((table, id)): Path<(String, String)>,
) -> Result<Response> {
    write(&state, caller, &table, RowsChange::Delete(id), StatusCode::NO_CONTENT).await
}

/// The table, and the caller as its rules see them.
fn table_and_actor(
    state: &HttpState,
    table: &str,
    caller: Caller,
    scope: Scope,
) -> Result<(Arc<Table>, Actor)> {
    let actor = actor(&caller, scope)?;
    Ok((state.runner.catalog.data()?.table(table)?, actor))
}

/// The caller as the rules of tables see them: an app key with the scope is trusted.
fn actor(caller: &Caller, scope: Scope) -> std::result::Result<Actor, Failure> {
    match caller {
        Caller::Anonymous => Ok(Actor::Anonymous),
        Caller::User(signed_in) => Ok(Actor::of_user(&signed_in.user)),
        Caller::App(key) if key.may(scope) => Ok(Actor::Trusted),
        Caller::App(_) => {
            let message = format!("This needs an app key with {}", scope.as_str());
            Err(Failure::new(ErrorCode::Authorization, message))
        }
    }
}

/// Whether the rules let the caller do this with any row at all.
pub(super) fn may(caller: &Caller, table: &Table, action: Action) -> bool {
    let scope = if action == Action::Read { Scope::DataRead } else { Scope::DataWrite };
    actor(caller, scope).and_then(|actor| table.grant(action, &actor)).is_ok()
}

/// The network that a request comes from.
pub struct Network(IpAddr);

impl FromRequestParts<HttpState> for Network {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Infallible> {
        let trusted = state.runner.config.trusted_ip_header.as_deref();
        let peer = parts.extensions.get().copied();
        Ok(Self(network_of(client_address(&parts.headers, peer, trusted))))
    }
}

/// Whose places a read takes.
fn reader(caller: &Caller, network: &Network) -> Reader {
    match caller {
        Caller::User(signed_in) => Reader::User(signed_in.user.id.clone()),
        Caller::App(key) => Reader::App(key.id),
        Caller::Anonymous => Reader::Network(network.0),
    }
}

/// Reads, for no longer than a script may take.
async fn read(state: &HttpState, reader: Reader, table: &Table, find: &Find) -> Result<Found> {
    let patience = Duration::from_millis(state.runner.config.scripts.timeout_ms);
    let session = state.runner.catalog.data()?.session(Keep::Writes);
    let admitted = state.reads.admit(reader)?;
    let found = async {
        let _place = admitted.place().await;
        session.find(table, find).await
    };
    match tokio::time::timeout(patience, found).await {
        Ok(found) => Ok(found?),
        Err(_) => {
            let message = "The database did not answer in time. Ask for less, or try again later";
            Err(Failure::new(ErrorCode::Database, message).into())
        }
    }
}

async fn write(
    state: &HttpState,
    caller: Caller,
    table: &str,
    change: RowsChange,
    status: StatusCode,
) -> Result<Response> {
    let user = match &caller {
        Caller::User(signed_in) => Some(signed_in.user.clone()),
        Caller::Anonymous | Caller::App(_) => None,
    };
    let (table, actor) = table_and_actor(state, table, caller, Scope::DataWrite)?;
    let (request_id, outcome) = state
        .runner
        .write_rows(RowsCall { table: table.name.clone(), actor, change, user, timeout: None })
        .await;
    let answer = match outcome {
        Err(failure) => ApiError::of_run(failure, request_id).into_response(),
        Ok(_) if status == StatusCode::NO_CONTENT => status.into_response(),
        Ok(json) => (status, [(CONTENT_TYPE, "application/json")], json).into_response(),
    };
    Ok(pages::of_run(answer, request_id))
}
