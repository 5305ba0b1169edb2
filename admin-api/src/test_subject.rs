//! What a test run runs: the script that was sent, or the saved one of what the request names.

use std::sync::Arc;
use std::time::Duration;

use gatewright_core::catalog::{Gateway, Hook, SavedScript, ScriptSelector};
use gatewright_core::run::Trigger;
use gatewright_core::script::{Handler, HttpRequest, SCRIPT_EVENT};
use gatewright_core::{ErrorCode, Failure};
use uuid::Uuid;

use crate::error::Result;
use crate::state::AdminState;
use crate::test_run::TestRunBody;

const KINDS: &str = "websocket_event, websocket_admission, websocket_connection, websocket_disconnection, http_route, \
                     table_hook, script";

/// What is run, and as what.
pub(crate) struct Subject {
    pub source: String,
    /// The pack whose script it is.
    pub pack: Option<Arc<str>>,
    /// The event whose schema the payload has to fit.
    pub checked_by: Option<Arc<Handler>>,
    pub trigger: Trigger,
    pub event: String,
    /// Of the saved script; none: the configured one.
    pub timeout: Option<Duration>,
    /// The row and the field of the saved script, where there is one.
    pub saved: Option<(Uuid, &'static str)>,
}

/// Finds what is to be run.
///
/// # Errors
/// `INVALID_TEST_KIND`, `MISSING_EVENT_NAME`, `MISSING_SCRIPT`, and `RESOURCE_NOT_FOUND` for what
/// is named and does not exist.
pub(crate) async fn subject_of(state: &AdminState, body: &TestRunBody) -> Result<Subject> {
    match body.kind.as_str() {
        "http_route" => of_route(state, body).await,
        "table_hook" => of_hook(state, body).await,
        _ => of_socket(state, body).await,
    }
}

/// A script of a hook: the one that was sent, or of the hook with this id. `@EVENT` is the
/// operation: what was sent, else an update where there is an old row.
async fn of_hook(state: &AdminState, body: &TestRunBody) -> Result<Subject> {
    let saved = match body.hook_id {
        Some(id) => Some(state.catalog.get::<Hook>(id).await?),
        None => None,
    };
    let pack = saved.as_ref().and_then(|saved| saved.place.pack()).map(Arc::from);
    let saved = saved.map(|saved| saved.definition);
    let operation = match (body.operation(), &saved) {
        (Some(operation), _) => operation,
        (None, _) if body.old.is_some() => "update".to_owned(),
        (None, Some(saved)) => saved.on.first().cloned().unwrap_or_default(),
        (None, None) => "create".to_owned(),
    };
    let source = body.script.clone().or(saved.map(|saved| saved.source_code));
    let Some(source) = source.filter(|source| !source.trim().is_empty()) else {
        let message = "Send a script, or name a saved hook by hookId";
        return Err(Failure::new(ErrorCode::MissingScript, message).into());
    };
    let gateway = body.gateway_path.clone().unwrap_or_else(|| "/".to_owned());
    let (trigger, saved) = (Trigger::Gateway(gateway), body.hook_id.map(|id| (id, SCRIPT_EVENT)));
    Ok(Subject { source, pack, checked_by: None, trigger, event: operation, timeout: None, saved })
}

/// A script of a socket, or of nothing.
async fn of_socket(state: &AdminState, body: &TestRunBody) -> Result<Subject> {
    let event = event_of(body)?;
    let (gateway, saved) = saved_script(state, body, event.as_deref()).await?;
    let live = state.catalog.live();
    let live = live.get(gateway.as_str());
    let pack = live.and_then(|gateway| gateway.pack.clone());
    let pack = saved.as_ref().map_or(pack, |saved| saved.pack.clone());
    let name = saved.as_ref().map(|saved| &saved.event_name).or(event.as_ref());
    let handler =
        name.and_then(|name| live?.handler(name)).filter(|_| body.kind == "websocket_event").cloned();
    let is_job = handler.as_ref().is_some_and(|handler| handler.durable.is_some());
    let trigger = if body.kind == "script" && body.gateway_path.is_none() {
        Trigger::Gateway(gateway)
    } else if body.kind == "websocket_admission" {
        Trigger::Admission(gateway)
    } else if is_job {
        Trigger::Job { gateway, id: Uuid::now_v7(), attempt: 1, rooms: Some(body.rooms()?) }
    } else {
        Trigger::Socket { gateway, rooms: body.rooms()? }
    };
    Ok(Subject {
        source: source_of(body, saved.as_ref())?,
        pack,
        checked_by: handler,
        trigger,
        timeout: saved.as_ref().map(|saved| saved.timeout),
        saved: saved.as_ref().map(|saved| (saved.owner, saved.script)),
        event: saved.map_or_else(|| event.unwrap_or_default(), |saved| saved.event_name),
    })
}

/// A script of a route: of the one with this id, or that takes a request of this method and path.
async fn of_route(state: &AdminState, body: &TestRunBody) -> Result<Subject> {
    let method = body.method.as_deref().unwrap_or("GET").to_ascii_uppercase();
    let path = body.gateway_path.as_deref();
    let saved = match (body.route_id, path, &body.script) {
        (Some(id), ..) => Some(state.catalog.saved_route_by_id(id, path).await?),
        (None, Some(path), None) => Some(state.catalog.saved_route(&method, path).await?),
        // A script for a path that need not be saved yet.
        (None, Some(path), Some(_)) => state.catalog.saved_route(&method, path).await.ok(),
        (None, None, _) => None,
    };
    let source = source_of(body, saved.as_ref().map(|saved| &saved.script))?;
    let pack = saved.as_ref().and_then(|saved| saved.script.pack.clone());
    let path_or_root = path.unwrap_or("/").to_owned();
    let owner = saved.as_ref().map(|saved| (saved.script.owner, saved.script.script));
    let (method, event, path, params, timeout) = match saved {
        Some(saved) => {
            let path = path.map_or(saved.path, str::to_owned);
            (saved.method, saved.script.event_name, path, saved.params, Some(saved.script.timeout))
        }
        None => (method.clone(), format!("{method} {path_or_root}"), path_or_root, Default::default(), None),
    };
    let params = body.params.clone().unwrap_or(params);
    let query = body.query.clone().unwrap_or_default();
    let request = HttpRequest::new(method, path, "127.0.0.1".to_owned(), params, query);
    let request = request.with_headers(body.headers.clone().unwrap_or_default()).with_app(body.app.clone());
    let trigger = Trigger::Route(Arc::new(request));
    Ok(Subject { source, pack, checked_by: None, trigger, event, timeout, saved: owner })
}

/// The script that was sent, else the saved one.
fn source_of(body: &TestRunBody, saved: Option<&SavedScript>) -> Result<String> {
    let source = body.script.as_ref().or(saved.map(|saved| &saved.source));
    match source.filter(|source| !source.trim().is_empty()) {
        Some(source) => Ok(source.clone()),
        None if body.kind == "http_route" => {
            let message = "Send a script, or name a saved route by routeId, or by method and path";
            Err(Failure::new(ErrorCode::MissingScript, message).into())
        }
        None => Err(Failure::new(ErrorCode::MissingScript, "Send a script, or name a saved handler").into()),
    }
}

/// The name of the event that the script runs for.
fn event_of(body: &TestRunBody) -> Result<Option<String>> {
    match body.kind.as_str() {
        "websocket_event" if body.event_name.is_none() && body.event_id.is_none() => {
            Err(Failure::new(ErrorCode::MissingEventName, "Name the event: eventName or eventId").into())
        }
        "websocket_event" => Ok(body.event_name.clone()),
        "websocket_admission" => Ok(Some("admission".to_owned())),
        "websocket_connection" => Ok(Some("connection".to_owned())),
        "websocket_disconnection" => Ok(Some("disconnection".to_owned())),
        "script" => Ok(body.event_name.clone()),
        other => {
            let message = format!("There is no kind {other:?}; known: {KINDS}");
            Err(Failure::new(ErrorCode::InvalidTestKind, message).into())
        }
    }
}

/// The gateway's path, and the saved handler where no script was sent.
async fn saved_script(
    state: &AdminState,
    body: &TestRunBody,
    event: Option<&str>,
) -> Result<(String, Option<SavedScript>)> {
    let names_gateway = body.gateway_id.is_some() || body.gateway_path.is_some() || body.event_id.is_some();
    if body.script.is_none() && !names_gateway {
        return Ok(("/".to_owned(), None));
    }
    let path = match body.gateway_id {
        Some(id) => state.catalog.get::<Gateway>(id).await?.definition.path,
        None => body.gateway_path.clone().unwrap_or_else(|| "/".to_owned()),
    };
    if body.script.is_some() {
        return Ok((path, None));
    }
    let selector = match (body.kind.as_str(), body.event_id, event) {
        ("websocket_event", Some(id), _) => ScriptSelector::EventId(id),
        ("websocket_event", None, Some(name)) => ScriptSelector::Event { path: &path, name },
        ("websocket_admission", ..) => ScriptSelector::Admission { path: &path },
        ("websocket_connection", ..) => ScriptSelector::Connection { path: &path },
        ("websocket_disconnection", ..) => ScriptSelector::Disconnection { path: &path },
        _ => return Ok((path, None)),
    };
    let saved = state.catalog.saved_script(selector).await?;
    Ok((saved.as_ref().map_or(path, |saved| saved.gateway_path.clone()), saved))
}
