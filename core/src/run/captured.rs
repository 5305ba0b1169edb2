//! One captured run: how its notes are taken, and what is kept of them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::RunKind;
use crate::broker::{Presence, Publication};
use crate::cache::Cache;
use crate::error::Failure;
use crate::jobs::LaterJob;
use crate::script::{Call, CallUser, Host, Origin, RunOutput};

/// Of a payload, of all emits and of all writes of one run, as JSON; what is beyond is cut.
const PART_BYTES_MAX: usize = 64 << 10;
/// Rooms of a socket that are kept.
const ROOMS_MAX: usize = 1000;
/// What stands for text that is nobody else's business.
const HIDDEN: &str = "<hidden>";
/// Fields whose text is hidden: names that end like this, in whatever case.
const HIDDEN_FIELDS: [&str; 8] =
    ["password", "passwd", "secret", "token", "apikey", "api_key", "authorization", "cookie"];

/// What a run was given, said and wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapturedRun {
    /// What was run, as runs have it.
    pub kind: String,
    /// The gateway's path, or `routes`.
    pub gateway: String,
    /// `@EVENT`.
    pub event: String,
    /// `@BODY`; of one that is too long, the beginning of its JSON as text.
    pub payload: Json,
    /// `@USER`; none: a guest.
    pub user: Option<Json>,
    /// `@APP`.
    pub app: Option<Json>,
    /// The id of the socket that triggered it.
    pub socket: Option<String>,
    /// The rooms that the socket was in when it began.
    pub rooms: Vec<String>,
    /// `{method, path, params, query, headers}` of a route's request.
    pub request: Option<Json>,
    /// One `{method, args}` for each `@SOCKET` call that acts; `isCut` where the last argument is left out.
    pub emitted: Vec<Json>,
    /// One `{table, operation, row}` for each row that was written; `isCut` where of a large row there is the id alone.
    pub writes: Vec<Json>,
    /// Which of `payload`, `emitted` and `writes` are not whole.
    pub cut: Vec<String>,
    /// How long it took to hand its outcome to its socket; none: it had none, or its outcome waited for a commit.
    #[serde(skip)]
    pub sent: Option<Duration>,
}

/// Takes notes of one run.
pub(super) struct Capturing {
    /// The row that has the script, and which of its scripts it is.
    pub of: (Uuid, &'static str),
    rooms: Vec<String>,
    host: Arc<NotingHost>,
}

/// A host that takes notes of what it does.
struct NotingHost {
    inner: Arc<dyn Host>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    emitted: Vec<Json>,
    bytes: usize,
    is_cut: bool,
}

impl Capturing {
    /// Takes notes of a run that is about to begin with this host.
    pub(super) fn new(of: (Uuid, &'static str), call: &Call, inner: Arc<dyn Host>) -> Self {
        let mut rooms = match &call.origin {
            // What is to be let in is in no room yet.
            Origin::Socket { socket, .. } => socket.rooms(),
            _ => Vec::new(),
        };
        rooms.truncate(ROOMS_MAX);
        Self { of, rooms, host: Arc::new(NotingHost { inner, notes: Mutex::default() }) }
    }

    /// What the run is to be given as its host.
    pub(super) fn host(&self) -> Arc<dyn Host> {
        self.host.clone()
    }

    /// What is kept of the run.
    pub(super) fn finished(self, kind: RunKind, call: &Call, output: &RunOutput) -> CapturedRun {
        let mut cut = Vec::new();
        let (payload, is_cut) = call.arguments.shown(PART_BYTES_MAX);
        if is_cut {
            cut.push("payload".to_owned());
        }
        let notes = std::mem::take(&mut *self.host.notes.lock());
        // What a job said and wrote that failed is undone.
        let is_undone = call.origin.job().is_some() && output.outcome.is_err();
        let (mut emitted, mut writes) = (notes.emitted, Vec::new());
        if is_undone {
            emitted.clear();
        } else {
            let mut bytes = 0;
            for write in &output.writes {
                let write = json!(write);
                bytes += write.to_string().len();
                if bytes > PART_BYTES_MAX {
                    cut.push("writes".to_owned());
                    break;
                }
                writes.push(write);
            }
        }
        if notes.is_cut && !is_undone {
            cut.push("emitted".to_owned());
        }
        if output.writes_are_cut && !is_undone && !cut.iter().any(|part| part == "writes") {
            cut.push("writes".to_owned());
        }
        let mut captured = CapturedRun {
            kind: kind.as_str().to_owned(),
            gateway: call.origin.gateway_or_word().to_owned(),
            event: call.event.to_string(),
            payload,
            user: call.user.as_ref().map(user_of),
            app: app_of(&call.origin),
            socket: socket_of(&call.origin),
            rooms: self.rooms,
            request: call.origin.request().map(|request| request.shown()),
            emitted,
            writes,
            cut,
            sent: None,
        };
        let request = captured.request.iter_mut();
        let parts = captured.emitted.iter_mut().chain(&mut captured.writes).chain(request);
        parts.chain([&mut captured.payload]).for_each(hide);
        captured
    }
}

impl Host for NotingHost {
    fn check_gateway(&self, path: &str) -> Result<(), Failure> {
        self.inner.check_gateway(path)
    }

    fn publish(&self, publication: Publication) -> Result<(), Failure> {
        self.inner.publish(publication)
    }

    fn presence(&self) -> &dyn Presence {
        self.inner.presence()
    }

    fn check_event(&self, path: &str, event: &str) -> Result<(), Failure> {
        self.inner.check_event(path, event)
    }

    fn later(&self, later: LaterJob) -> Result<(), Failure> {
        self.inner.later(later)
    }

    fn cancel(&self, id: Uuid) -> bool {
        self.inner.cancel(id)
    }

    fn cache(&self) -> &dyn Cache {
        self.inner.cache()
    }

    fn note(&self, method: &'static str, args: &dyn Fn() -> Vec<Json>) {
        let mut notes = self.notes.lock();
        if notes.bytes >= PART_BYTES_MAX {
            notes.is_cut = true;
            return;
        }
        let mut args = args();
        let bytes = |args: &[Json]| args.iter().map(|arg| arg.to_string().len()).sum::<usize>();
        let is_cut = notes.bytes + bytes(&args) > PART_BYTES_MAX;
        if is_cut {
            args.pop();
            notes.is_cut = true;
        }
        notes.bytes += method.len() + bytes(&args);
        let mut emitted = json!({ "method": method, "args": args });
        if is_cut {
            emitted["isCut"] = true.into();
        }
        notes.emitted.push(emitted);
    }

    fn is_live(&self) -> bool {
        self.inner.is_live()
    }

    fn notes_writes(&self) -> bool {
        true
    }
}

fn user_of(user: &CallUser) -> Json {
    match user {
        CallUser::Row(user) => json!(**user),
        CallUser::Given(user) => (**user).clone(),
    }
}

fn app_of(origin: &Origin) -> Option<Json> {
    match origin {
        Origin::Socket { socket, .. } | Origin::Admission { socket, .. } => socket.app(),
        Origin::Job { job, .. } => job.app.clone(),
        Origin::Route(request) => request.app().cloned(),
        Origin::Gateway(_) | Origin::Data => None,
    }
}

fn socket_of(origin: &Origin) -> Option<String> {
    let of_job = || origin.job()?.socket_id.as_deref().map(str::to_owned);
    origin.socket().map(|socket| socket.id().to_owned()).or_else(of_job)
}

/// Hides text of fields that hold secrets by their names.
fn hide(value: &mut Json) {
    // The nesting of what scripts take and give is bounded.
    match value {
        Json::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_ascii_lowercase();
                if value.is_string() && HIDDEN_FIELDS.iter().any(|hidden| name.ends_with(hidden)) {
                    *value = HIDDEN.into();
                } else {
                    hide(value);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_secrets_are_hidden() {
        let mut payload = json!({
            "name": "Ada", "Password": "p", "tokens": 5, "token": 7,
            "deep": [{ "accessToken": "t", "api_key": "k", "set-cookie": "c", "note": "token" }],
        });
        hide(&mut payload);
        let expected = json!({
            "name": "Ada", "Password": HIDDEN, "tokens": 5, "token": 7,
            "deep": [{ "accessToken": HIDDEN, "api_key": HIDDEN, "set-cookie": HIDDEN, "note": "token" }],
        });
        assert_eq!(payload, expected);
    }
}
