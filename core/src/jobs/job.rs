//! What a job is, before it is stored, while it waits, and at its end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::auth::User;
use crate::error::Failure;
use crate::moment::{now, to_ms};
use crate::payload::Payload;
use crate::store::NewRows;

/// What an event to be handled is, wherever it comes from.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its own id; the request id of an event of a client.
    pub id: Uuid,
    /// Jobs of one key run one after the other.
    pub key: Arc<str>,
    /// The path of the gateway.
    pub gateway: Arc<str>,
    /// The event's name, as a client would send it.
    pub event: Arc<str>,
    /// For whom it is.
    pub caller: Caller,
    /// The data of the event, as Socket.IO sends it: a JSON array that begins with a name.
    pub payload: Arc<str>,
    /// What the placeholders of the payload stand for.
    pub attachments: Vec<Vec<u8>>,
    /// When it was accepted, in milliseconds.
    pub accepted_at: i64,
}

/// For whom a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The user, where another issuer has the account: there is no row to read it from again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<ForeignUser>,
    /// The socket that is told what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket_id: Option<String>,
    /// What a guest is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// The app key that was shown, as scripts see it: as it was then, whatever became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Json>,
    /// The schedule that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// A user of another issuer, as the token said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of a user")]
pub struct ForeignUser {
    pub email: String,
    pub name: String,
    pub role: String,
}

impl From<&User> for ForeignUser {
    fn from(user: &User) -> Self {
        Self { email: user.email.clone(), name: user.name.clone(), role: user.role.clone() }
    }
}

/// The event of a client, to be stored.
#[derive(Debug, Clone)]
pub struct ClientEvent {
    /// The job that it becomes.
    pub job: Arc<Job>,
    /// The client's own id of it, by which it is stored once.
    pub event_id: Option<String>,
}

impl ClientEvent {
    /// Whose event ids are told apart: a user's, a guest's who has a key, or a socket's.
    pub(super) fn whose(&self) -> String {
        self.job.caller.whose()
    }
}

impl Caller {
    /// A name for who asks, unlike all others'.
    pub(super) fn whose(&self) -> String {
        match (&self.user_id, &self.client_key, &self.socket_id) {
            (Some(user), ..) => format!("user {user}"),
            (None, Some(key), _) => format!("client {key}"),
            (None, None, socket) => format!("socket {}", socket.as_deref().unwrap_or_default()),
        }
    }
}

/// A job for later.
#[derive(Debug, Clone)]
pub struct LaterJob {
    /// What is to be run.
    pub job: Job,
    /// When, in milliseconds.
    pub due_at: i64,
    /// A name that only one waiting job has.
    pub unique_name: Option<String>,
}

/// What tells one attempt at a job from all others: whoever ends it has to have begun it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The job's number.
    pub seq: i64,
    /// Which attempt, from 1.
    pub attempt: i32,
}

/// How a job ended for good.
#[derive(Debug, Clone)]
pub struct End {
    /// How.
    pub state: EndState,
    /// What the handler gave, as JSON.
    pub result: Option<String>,
    /// Why it did not end well.
    pub error: Option<JobError>,
    /// The attempts that failed, this one among them.
    pub attempts: Attempts,
    /// Whether the jobs of its key wait until it is retried or discarded.
    pub stops_key: bool,
    /// What is inserted with it.
    pub new_rows: NewRows,
}

impl End {
    /// The end of a job whose handler ran to its end.
    pub fn done(result: &Payload, attempts: Attempts) -> Self {
        // Blobs are kept as text within the JSON.
        let result =
            if result.attachments.is_empty() { result.json.clone() } else { result.to_value().to_string() };
        let new_rows = NewRows::default();
        Self {
            state: EndState::Done,
            result: Some(result),
            error: None,
            attempts,
            stops_key: false,
            new_rows,
        }
    }

    /// The same, with rows that its handler made.
    pub fn with_new_rows(self, new_rows: NewRows) -> Self {
        Self { new_rows, ..self }
    }

    /// The end of a job that did not end well.
    pub fn failed(state: EndState, failure: &Failure, attempts: Attempts, stops_key: bool) -> Self {
        let new_rows = NewRows::default();
        Self { state, result: None, error: Some(failure.into()), attempts, stops_key, new_rows }
    }
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndState {
    /// Its handler ran to its end.
    Done,
    /// Its handler refused it.
    Failed,
    /// It was given up.
    Dead,
    /// An admin discarded it, or a script cancelled it.
    Discarded,
}

impl EndState {
    /// In lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }
}

/// A failure, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of a failure")]
pub struct JobError {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
}

impl From<&Failure> for JobError {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.as_str().to_owned(),
            message: failure.message.to_string(),
            details: failure.details.clone(),
        }
    }
}

/// The attempts that failed, oldest first, as the JSON array that is stored; empty: none did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts(pub(super) Option<String>);

/// An attempt that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct Attempt {
    pub attempt: i32,
    /// When it ended, in milliseconds.
    pub at: i64,
    /// The node that made it.
    pub node: String,
    pub code: String,
    pub message: String,
}

/// Characters of a message that an attempt keeps.
const MESSAGE_CHARS_MAX: usize = 500;
/// Attempts that are kept.
const ATTEMPTS_MAX: usize = 100;

impl Attempt {
    /// One of a node that fails now.
    pub(super) fn failed(attempt: i32, node: &str, failure: &Failure) -> Self {
        Self {
            attempt,
            at: now_ms(),
            node: node.to_owned(),
            code: failure.code.as_str().to_owned(),
            message: failure.message.to_string(),
        }
    }
}

impl Attempts {
    /// The same with another one.
    pub fn with(&self, mut attempt: Attempt) -> Self {
        attempt.message = attempt.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let mut all = self.all();
        if all.len() >= ATTEMPTS_MAX {
            all.remove(0);
        }
        all.push(attempt);
        Self(serde_json::to_string(&all).ok())
    }

    /// All of them.
    pub fn all(&self) -> Vec<Attempt> {
        self.0.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// The present time, in the unit of jobs.
pub(crate) fn now_ms() -> i64 {
    to_ms(now())
}
