//! The admin API, call by call: rows, lists, history, test runs, logs, and how it refuses. One file
//! per resource; here is what they share.

mod audit;
mod captures;
mod description;
mod events;
mod gateways;
mod hooks;
mod lists;
mod logs;
mod operation;
mod pack_files;
mod requests;
mod revisions;
mod saved_tests;
mod scripts;
mod sockets;
mod users;

use serde_json::Value as Json;

use super::support::api::Api;
use super::support::server::{Answer, Server};

/// An id that nothing has.
const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

impl Api {
    fn start() -> Self {
        Self::of(Server::start())
    }

    fn try_call(&self, method: &str, path: &str, body: Option<Json>) -> Answer {
        self.server.admin(&self.token, method, path, body.as_ref())
    }

    /// A call that must end with this status; its body.
    fn call(&self, method: &str, path: &str, body: Option<Json>, status: u16) -> Json {
        let answer = self.try_call(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        if answer.body.is_empty() { Json::Null } else { answer.json() }
    }

    fn patch(&self, path: &str, body: Json) -> Json {
        self.call("PATCH", path, Some(body), 200)
    }

    fn delete(&self, path: &str) {
        assert_eq!(self.call("DELETE", path, None, 204), Json::Null, "a 204 has no body");
    }

    /// A call that must be refused so.
    fn refuses(
        &self,
        call: (&str, &str),
        body: Option<Json>,
        (status, code): (u16, &str),
        mentions: &[&str],
    ) {
        let text = body.as_ref().map_or_else(String::new, Json::to_string);
        let what = format!("{} {} {}", call.0, call.1, &text[..text.len().min(200)]);
        check_error(&what, &self.try_call(call.0, call.1, body), status, code, mentions);
    }
}

const BAD: (u16, &str) = (400, "BAD_REQUEST");
const INVALID: (u16, &str) = (422, "VALIDATION_ERROR");
const NOT_COMPILED: (u16, &str) = (400, "SCRIPT_COMPILE_ERROR");
const MISSING: (u16, &str) = (404, "RESOURCE_NOT_FOUND");
const TAKEN: (u16, &str) = (409, "DUPLICATE_RESOURCE");

/// An error has the shape that http.md gives every error, this code, and these words in its message.
fn check_error(what: &str, answer: &Answer, status: u16, code: &str, mentions: &[&str]) {
    let body = check_error_shape(what, answer);
    assert_eq!(
        (answer.status, body["error"]["code"].as_str().unwrap()),
        (status, code),
        "{what}: {}",
        answer.body
    );
    let message = body["message"].as_str().unwrap();
    for word in mentions {
        assert!(message.contains(word), "{what}: {message:?} does not mention {word}");
    }
}

fn check_error_shape(what: &str, answer: &Answer) -> Json {
    error_shape(answer).unwrap_or_else(|reason| panic!("{what}: {reason}: {} {}", answer.status, answer.body))
}

/// The body of an error, or what is wrong with its shape.
fn error_shape(answer: &Answer) -> Result<Json, &'static str> {
    let body: Json = serde_json::from_str(&answer.body).map_err(|_| "the body is no JSON")?;
    let has_only = |value: &Json, known: &[&str]| {
        value.as_object().is_some_and(|map| map.keys().all(|key| known.contains(&key.as_str())))
    };
    let (message, error) = (body["message"].as_str().unwrap_or_default(), &body["error"]);
    let id = error["requestId"].as_str().and_then(|id| uuid::Uuid::parse_str(id).ok());
    let internals = ["SELECT ", "INSERT ", "sqlx", "gw_", ".rs:", "panicked", "/root", "/tmp"];
    for (is_right, reason) in [
        (body["success"] == false, "success is not false"),
        (body["statusCode"] == answer.status, "statusCode is not the status"),
        (!message.is_empty() && error["message"] == message, "the messages differ"),
        (error["code"].as_str().is_some_and(|code| !code.is_empty()), "there is no code"),
        (id.is_some_and(|id| id.get_version_num() == 7), "requestId is no UUID v7"),
        (has_only(&body, &["success", "statusCode", "message", "error"]), "there are other fields"),
        (has_only(error, &["code", "message", "details", "requestId"]), "there are other fields in error"),
        (!internals.iter().any(|internal| message.contains(internal)), "internals are told"),
    ] {
        if !is_right {
            return Err(reason);
        }
    }
    Ok(body)
}

fn check_id(id: &Json) {
    let id = uuid::Uuid::parse_str(id.as_str().unwrap_or_else(|| panic!("{id} is no id"))).unwrap();
    assert_eq!(id.get_version_num(), 7, "ids are UUID v7");
}

fn check_time(time: &Json) {
    let text = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    let format = &time::format_description::well_known::Rfc3339;
    assert!(text.ends_with('Z'), "{text} is not UTC");
    time::OffsetDateTime::parse(text, format).unwrap();
}

/// Whether a row has these values, and what every row has.
fn check_row(row: &Json, expected: Json) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name} of {row}");
        assert!(row.get(name).is_some(), "{name} is missing in {row}");
    }
    check_id(&row["id"]);
    check_time(&row["createdAt"]);
    check_time(&row["updatedAt"]);
}

/// A text as it may stand in a query.
fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,:".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
