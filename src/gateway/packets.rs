//! What the product itself sends: names and shapes that clients depend on.

use std::borrow::Cow;
use std::sync::Arc;

use gatewright_core::auth::UserId;
use gatewright_core::jobs::{JobError, JobStatus};
use gatewright_core::payload::Payload;
use gatewright_core::run::{ErrorPacket, ResultPacket, raw};
use gatewright_core::{ErrorCode, Failure};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use uuid::Uuid;

/// Over a limit.
pub const RATE_LIMITED: &str = "rate_limited";
/// The token runs out in a minute.
pub const TOKEN_EXPIRING: &str = "token_expiring";
/// The token ran out.
pub const TOKEN_EXPIRED: &str = "token_expired";
/// Sent by clients: a new token for the same user.
pub const TOKEN_REFRESH: &str = "token_refresh";
/// Sent by clients: what has become of a durable event.
pub const JOB_STATUS: &str = "job_status";
/// An event of a topic.
pub const EVENT: &str = "event";
/// Who joins and leaves a room.
pub const PRESENCE: &str = "presence";

/// A code and a sentence.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> ErrorBody<'a> {
    /// The part of a failure that stands in an ack.
    pub fn of(failure: &'a Failure) -> Self {
        Self { code: failure.code.as_str(), message: &failure.message }
    }
}

/// The answer to an event, as soon as it is accepted or refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ack<'a> {
    accepted: bool,
    queued: bool,
    request_id: Uuid,
    event_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
}

impl<'a> Ack<'a> {
    /// The event waits for its handler, or not, because of `refusal`.
    pub fn new(request_id: Uuid, event_name: &'a str, refusal: Option<&'a Failure>) -> Self {
        let accepted = refusal.is_none();
        Self { accepted, queued: accepted, request_id, event_name, error: refusal.map(ErrorBody::of) }
    }
}

/// The answer to a durable event that was stored before.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DuplicateAck<'a> {
    accepted: bool,
    queued: bool,
    request_id: Uuid,
    event_name: &'a str,
    duplicate: bool,
    #[serde(flatten)]
    status: StatusBody<'a>,
}

/// What has become of a job.
#[derive(Serialize)]
pub struct StatusBody<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a JobError>,
    #[serde(skip)]
    bytes: usize,
}

impl<'a> StatusBody<'a> {
    fn new(status: &'a JobStatus) -> Self {
        let result = status.result.as_deref();
        Self {
            state: status.state,
            result: result.and_then(|result| serde_json::from_str(result).ok()),
            error: status.error.as_ref(),
            bytes: result.map_or(0, str::len),
        }
    }
}

impl<'a> DuplicateAck<'a> {
    /// The event has this request id since it was stored first.
    pub fn new(request_id: Uuid, event_name: &'a str, status: &'a JobStatus) -> Self {
        let status = StatusBody::new(status);
        Self { accepted: true, queued: true, request_id, event_name, duplicate: true, status }
    }
}

/// The answer to `job_status`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatusAnswer<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Uuid>,
    #[serde(flatten)]
    status: Option<StatusBody<'a>>,
    #[serde(rename = "error", skip_serializing_if = "Option::is_none")]
    refusal: Option<ErrorBody<'a>>,
}

impl<'a> JobStatusAnswer<'a> {
    /// What has become of an event, or why that is not told.
    pub fn new(request_id: Uuid, found: Result<&'a JobStatus, &'a Failure>) -> Self {
        match found {
            Ok(status) => Self {
                ok: true,
                request_id: Some(request_id),
                status: Some(StatusBody::new(status)),
                refusal: None,
            },
            Err(failure) => Self::refused(failure),
        }
    }

    /// It is not told.
    pub fn refused(failure: &'a Failure) -> Self {
        Self { ok: false, request_id: None, status: None, refusal: Some(ErrorBody::of(failure)) }
    }
}

impl Packet for DuplicateAck<'_> {
    fn bytes(&self) -> usize {
        AROUND_BYTES + self.status.bytes
    }
}

impl Packet for JobStatusAnswer<'_> {
    fn bytes(&self) -> usize {
        AROUND_BYTES + self.status.as_ref().map_or(0, |status| status.bytes)
    }
}

/// `rate_limited`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitedPacket {
    pub message: &'static str,
    pub limit: u32,
    pub retry_after_ms: u64,
}

/// `event`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPacket<'a> {
    pub subscription_id: Uuid,
    pub topic: &'a str,
    pub data: &'a Outgoing<'a>,
    pub timestamp: &'a str,
}

/// `presence`.
#[derive(Serialize)]
pub struct PresencePacket<'a> {
    pub action: &'static str,
    pub room: &'a str,
    /// The last of them.
    pub member: &'a PresenceMember,
    /// All, where several are told together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<&'a [&'a PresenceMember]>,
    pub count: usize,
}

/// Who it is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceMember {
    pub socket_id: Arc<str>,
    pub user_id: Option<UserId>,
}

/// `token_expiring` or `token_expired`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenTime<'a> {
    ExpiresAt(&'a str),
    ExpiredAt(&'a str),
}

/// The answer to a refused or granted `token_refresh`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRefreshed<'a> {
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody<'a>>,
}

/// A script's value on its way to clients: parsed once, sent many times.
pub struct Outgoing<'a> {
    value: OutgoingValue<'a>,
    bytes: usize,
}

enum OutgoingValue<'a> {
    /// JSON as it is.
    Text(&'a RawValue),
    /// JSON with blobs in place of their placeholders.
    Binary(Json, &'a [Vec<u8>]),
}

impl<'a> Outgoing<'a> {
    /// A payload ready to be sent.
    pub fn new(payload: &'a Payload) -> Self {
        let value = if payload.attachments.is_empty() {
            OutgoingValue::Text(raw(&payload.json))
        } else {
            let value = serde_json::from_str(&payload.json).unwrap_or_default();
            OutgoingValue::Binary(value, &payload.attachments)
        };
        Self { value, bytes: payload.bytes() }
    }
}

/// What each packet of ours holds at least besides its payload: names, ids and punctuation.
const AROUND_BYTES: usize = 48;

/// What a member takes in a packet, about.
const MEMBER_BYTES: usize = 100;

/// Data of a packet, of a known size.
pub trait Packet: Serialize {
    /// Its bytes on the wire, at least: what is counted as waiting and never written would in the end
    /// look like a client that does not read.
    fn bytes(&self) -> usize;
}

impl Packet for Outgoing<'_> {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Packet for ResultPacket<'_, Outgoing<'_>> {
    fn bytes(&self) -> usize {
        AROUND_BYTES + self.result.bytes + self.logs.get().len()
    }
}

impl Packet for ErrorPacket<'_> {
    fn bytes(&self) -> usize {
        // Details are bounded with the results of scripts, and rare.
        let details = self.details.map_or(0, |details| details.to_string().len());
        AROUND_BYTES + self.message.len() + self.logs.get().len() + details
    }
}

impl Packet for EventPacket<'_> {
    fn bytes(&self) -> usize {
        AROUND_BYTES + self.topic.len() + self.data.bytes
    }
}

impl Packet for PresencePacket<'_> {
    fn bytes(&self) -> usize {
        AROUND_BYTES + self.room.len() + self.members.map_or(0, |members| members.len() * MEMBER_BYTES)
    }
}

macro_rules! small {
    ($($packet:ty),*) => {
        $(impl Packet for $packet {
            fn bytes(&self) -> usize {
                AROUND_BYTES
            }
        })*
    };
}

small!(Ack<'_>, RateLimitedPacket, TokenRefreshed<'_>, TokenTime<'_>);

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            OutgoingValue::Text(raw) => raw.serialize(serializer),
            OutgoingValue::Binary(value, blobs) => WithBlobs(value, blobs).serialize(serializer),
        }
    }
}

struct WithBlobs<'a>(&'a Json, &'a [Vec<u8>]);

impl Serialize for WithBlobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, blobs) = self;
        match value {
            Json::Object(map) if map.get("_placeholder") == Some(&Json::Bool(true)) => {
                let number = map.get("num").and_then(Json::as_u64).unwrap_or(u64::MAX);
                let blob = usize::try_from(number).ok().and_then(|number| blobs.get(number));
                serializer.serialize_bytes(blob.map_or(&[], Vec::as_slice))
            }
            Json::Object(map) => {
                let mut into = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    into.serialize_entry(key, &WithBlobs(value, blobs))?;
                }
                into.end()
            }
            Json::Array(items) => {
                let mut into = serializer.serialize_seq(Some(items.len()))?;
                for value in items {
                    into.serialize_element(&WithBlobs(value, blobs))?;
                }
                into.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

/// The text of a `CONNECT_ERROR`: Socket.IO carries nothing else here.
#[derive(Debug)]
pub struct ConnectError(pub ErrorCode, pub Cow<'static, str>);

impl ConnectError {
    /// A refusal for a reason that is always the same.
    pub const fn new(code: ErrorCode, reason: &'static str) -> Self {
        Self(code, Cow::Borrowed(reason))
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}
