//! `/admin/audit`, and what fills it: one layer around all requests, which knows from a request's path what is done
//! to what, and from who let it in who does it. Handlers say only what no path tells.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use gatewright_core::audit::{Audit, AuditEntry, Deed, OWN_ACCOUNT, SIGN_IN, SIGN_OUT};
use gatewright_core::auth::User;
use gatewright_core::config::Config;
use gatewright_core::store::Time;
use gatewright_core::{Error, ErrorCode};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Query};
use crate::list::{ListAnswer, ListParams};
use crate::request::client_address;
use crate::state::AdminState;

/// An answer that is read for the id of what was made, at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What is posted and changes nothing.
const LOOKS: [&str; 7] = [
    "/admin/script/validate",
    "/admin/test/run",
    "/admin/tests/run",
    "/admin/tests/{id}/run",
    "/admin/packs/{name}/test",
    "/admin/hooks/{id}/match",
    "/admin/tables/{id}/explain-access",
];
/// What the paths of the admin API call the kinds of things.
const KINDS: [(&str, &str); 16] = [
    ("gateways", "gateway"),
    ("events", "event"),
    ("routes", "route"),
    ("hooks", "hook"),
    ("libraries", "library"),
    ("schedules", "schedule"),
    ("tables", "table"),
    ("users", "user"),
    ("sessions", "session"),
    ("app-keys", "appKey"),
    ("packs", "pack"),
    ("jobs", "job"),
    ("sockets", "socket"),
    ("tests", "test"),
    ("captures", "capture"),
    ("backups", "backup"),
];

/// What a request says of itself for the audit; a part of each request that may change something.
#[derive(Debug, Clone, Default)]
pub struct Note(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    /// Who was let in: the id, and how histories name the user.
    user: Option<(String, String)>,
    /// An e-mail address that somebody tried to sign in with. Only that of an account is kept.
    tried: Option<String>,
    /// Whether it changes something, where the path does not tell.
    changes: Option<bool>,
}

/// The code of a refusal, for the layers around its handler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusedWith(pub ErrorCode);

/// What one request does.
#[derive(Debug, PartialEq)]
struct Operation {
    action: String,
    kind: String,
    subject_id: Option<String>,
    /// Whether its answer has the id of what was made.
    makes: bool,
    /// Whether it only looks, unless its handler says otherwise.
    looks: bool,
}

/// What the layer works with.
#[derive(Clone)]
pub struct AuditLayer {
    /// The record.
    pub audit: Arc<Audit>,
    /// Says which header has the address.
    pub config: Arc<Config>,
}

impl Note {
    /// Who was let in.
    pub fn by(&self, user: &User) {
        self.0.lock().user = Some((user.id.to_string(), user.author().to_owned()));
    }

    /// The e-mail address that somebody tries to sign in with.
    pub fn tries(&self, email: &str) {
        self.0.lock().tried = Some(email.to_owned());
    }

    /// Whether this request changes something, whatever its path.
    pub fn changes(&self, changes: bool) {
        self.0.lock().changes = Some(changes);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Note {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// An entry of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditView {
    id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// Null: nobody who is known, such as a refused sign-in.
    user_id: Option<String>,
    /// The e-mail address, or the id where there is none.
    user: Option<String>,
    /// Of the network.
    address: String,
    /// Such as `create`, `update`, `delete`, `rotate`, `signIn` or `signOut`.
    action: String,
    /// What it was done to, such as `gateway`, `appKey` or `session`.
    kind: String,
    subject_id: Option<String>,
    /// Its name, as it was before; null where it has none.
    subject: Option<String>,
    /// `ok` or `error`.
    outcome: String,
    /// Of the failure.
    code: Option<String>,
}

/// Who changed what through the admin API, and who signed in; the newest first. It is kept for `audit.kept_days`.
#[utoipa::path(get, path = "/admin/audit", operation_id = "listAudit", tag = "operation", params(ListParams),
    responses((status = 200, body = ListAnswer<AuditView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<Json>>> {
    params.answer::<_, AuditView>(state.audit.list(&params.query()?).await?)
}

impl From<AuditEntry> for AuditView {
    fn from(row: AuditEntry) -> Self {
        Self {
            id: row.id,
            created_at: row.created_at,
            user_id: row.user_id,
            user: row.user,
            address: row.address,
            action: row.action,
            kind: row.kind,
            subject_id: row.subject_id,
            subject: row.subject,
            outcome: row.outcome,
            code: row.code,
        }
    }
}

/// Puts what a request changes on record. A change that has begun is finished and recorded, whether or not its
/// client waits for it.
pub async fn record(State(layer): State<AuditLayer>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let operation = matched.and_then(|matched| operation(request.method(), matched, request.uri().path()));
    let Some(operation) = operation else { return next.run(request).await };
    let note = Note::default();
    request.extensions_mut().insert(note.clone());
    let peer = request.extensions().get::<SocketAddr>().copied();
    let trusted = layer.config.trusted_ip_header.as_deref();
    let address = client_address(request.headers(), peer, trusted).to_canonical().to_string();
    let done = tokio::spawn(async move {
        let AuditLayer { audit, .. } = layer;
        // Before it may be gone.
        let subject = match &operation.subject_id {
            Some(id) => audit.name_of(&operation.kind, id).await,
            None => None,
        };
        let (answer, made) = read_answer(next.run(request).await, operation.makes).await;
        let code = answer.extensions().get::<RefusedWith>().map(|RefusedWith(code)| *code);
        let Operation { action, kind, subject_id, looks, .. } = operation;
        let deed = Deed {
            address,
            action,
            kind,
            subject_id,
            subject,
            code: code.map(ErrorCode::as_str),
            ..Deed::default()
        };
        if let Some(deed) = complete(&audit, deed, &note, (code, made), looks).await {
            audit.add(deed).await;
        }
        answer
    });
    match done.await {
        Ok(answer) => answer,
        Err(error) => {
            let error = Error::Internal(format!("a request did not end: {error}"));
            axum::response::IntoResponse::into_response(crate::ApiError::from(error))
        }
    }
}

/// The deed with who did it and what was made; none: it is nothing to record.
async fn complete(
    audit: &Audit,
    mut deed: Deed,
    note: &Note,
    (code, made): (Option<ErrorCode>, Option<String>),
    looks: bool,
) -> Option<Deed> {
    let (user, tried, changes) = {
        let noted = note.0.lock();
        (noted.user.clone(), noted.tried.clone(), noted.changes)
    };
    let is_refused_sign_in = deed.action == SIGN_IN && code == Some(ErrorCode::Authentication);
    let is_let_in = user.is_some() && !matches!(code.map(ErrorCode::status), Some(401 | 403));
    if !changes.unwrap_or(!looks) || !(is_let_in || is_refused_sign_in) {
        return None;
    }
    let user = match (user, tried) {
        (None, Some(tried)) => audit.account(&tried).await,
        (user, _) => user,
    };
    (deed.user_id, deed.user) = user.unzip();
    if let Some(id) = made {
        deed.subject = audit.name_of(&deed.kind, &id).await;
        deed.subject_id = Some(id);
    }
    Some(deed)
}

/// What a request changes, by its method and path; none: nothing, or nothing of the admin API.
fn operation(method: &Method, matched: &str, path: &str) -> Option<Operation> {
    let of = |action: &str, kind: &str| {
        let (action, kind) = (action.to_owned(), kind.to_owned());
        Some(Operation { action, kind, subject_id: None, makes: false, looks: false })
    };
    match (method, matched) {
        (&Method::POST, "/auth/login" | "/auth/exchange") => return of(SIGN_IN, "session"),
        (&Method::POST, "/auth/logout") => return of(SIGN_OUT, "session"),
        (&Method::PATCH, "/me") => return of("update", OWN_ACCOUNT),
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, _) => return None,
        (_, matched) if LOOKS.contains(&matched) => {
            return of("run", "script").map(|operation| Operation { looks: true, ..operation });
        }
        _ => {}
    }
    let names: Vec<_> = matched.strip_prefix("/admin/")?.split('/').collect();
    let values = path.strip_prefix("/admin/")?.split('/');
    let subject_id = names.iter().zip(values).find(|(name, _)| name.starts_with('{'));
    let subject_id = subject_id.map(|(_, value)| value.to_owned());
    let (first, last) = (*names.first()?, *names.last()?);
    if *method != Method::POST {
        let action = if *method == Method::DELETE { "delete" } else { "update" };
        let (action, kind) = (action.to_owned(), kind_of(first));
        return Some(Operation { action, kind, subject_id, makes: false, looks: false });
    }
    let is_collection = names.len() == 1 || KINDS.iter().any(|(name, _)| *name == last);
    Some(if is_collection {
        let action = if last == "packs" { "install" } else { "create" };
        let (action, kind) = (action.to_owned(), kind_of(last));
        Operation { action, kind, subject_id: None, makes: true, looks: false }
    } else {
        let (action, kind) = (camel_case(last), kind_of(first));
        let makes = subject_id.is_none();
        Operation { action, kind, subject_id, makes, looks: false }
    })
}

fn kind_of(name: &str) -> String {
    KINDS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or_else(|| camel_case(name), |(_, kind)| (*kind).to_owned())
}

/// `revoke-tokens` as `revokeTokens`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        let mut letters = part.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name + letters.as_str()
    })
}

/// The answer, and the id or name of what it says was made.
async fn read_answer(answer: Response, makes: bool) -> (Response, Option<String>) {
    let bytes = answer.body().size_hint().exact().unwrap_or(u64::MAX);
    if !makes || !answer.status().is_success() || bytes > ANSWER_BYTES_MAX as u64 {
        return (answer, None);
    }
    let (parts, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return (Response::from_parts(parts, Body::empty()), None);
    };
    let made = serde_json::from_slice::<Json>(&bytes).ok();
    let made = made.and_then(|made| Some(made.get("id").or(made.get("name"))?.as_str()?.to_owned()));
    (Response::from_parts(parts, Body::from(bytes)), made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations() {
        let check =
            |method: Method, matched: &str, path: &str, expected: Option<(&str, &str, Option<&str>)>| {
                let found = operation(&method, matched, path);
                let found = found.as_ref().map(|one| (&*one.action, &*one.kind, one.subject_id.as_deref()));
                assert_eq!(found, expected, "{method} {path}");
            };
        let by_id = |method, path: &str, expected| check(method, path, &path.replace("{id}", "7"), expected);
        check(Method::GET, "/admin/gateways", "/admin/gateways", None);
        check(Method::POST, "/data/{table}", "/data/a", None);
        check(Method::POST, "/admin/gateways", "/admin/gateways", Some(("create", "gateway", None)));
        check(Method::POST, "/admin/packs", "/admin/packs", Some(("install", "pack", None)));
        by_id(Method::PATCH, "/admin/app-keys/{id}", Some(("update", "appKey", Some("7"))));
        by_id(Method::POST, "/admin/app-keys/{id}/rotate", Some(("rotate", "appKey", Some("7"))));
        by_id(Method::DELETE, "/admin/libraries/{id}", Some(("delete", "library", Some("7"))));
        by_id(Method::POST, "/admin/gateways/{id}/events", Some(("create", "event", None)));
        by_id(Method::POST, "/admin/users/{id}/revoke-tokens", Some(("revokeTokens", "user", Some("7"))));
        check(Method::POST, "/admin/jobs/retry", "/admin/jobs/retry", Some(("retry", "job", None)));
        let restore = "/admin/hooks/{id}/revisions/{number}/restore";
        check(
            Method::POST,
            restore,
            "/admin/hooks/7/revisions/3/restore",
            Some(("restore", "hook", Some("7"))),
        );
        check(Method::POST, "/auth/login", "/auth/login", Some((SIGN_IN, "session", None)));
    }
}
