//! How a request is refused: what its client is told, and what the log and the metrics call it.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::{Value as Json, json};

use super::packets::Broken;

/// When to try again, for clients of a server that is stopping or full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest,
    /// The session has a WebSocket, or is moving to one.
    SecondUpgrade,
    NoUpgradeHeaders,
    WrongProtocol,
    PacketTooLarge,
    Broken(Broken),
    TooMany(Duration),
    Stopping,
    Full,
}

impl Refusal {
    /// For the log and the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownTransport => "unknown_transport",
            Self::UnknownSession => "unknown_session",
            Self::BadMethod => "bad_method",
            Self::BadRequest => "bad_request",
            Self::SecondUpgrade => "second_upgrade",
            Self::NoUpgradeHeaders => "no_upgrade_headers",
            Self::WrongProtocol => "wrong_protocol",
            Self::PacketTooLarge => "packet_too_large",
            Self::Broken(rule) => rule.reason(),
            Self::TooMany(_) => "too_many_from_address",
            Self::Stopping => "stopping",
            Self::Full => "full",
        }
    }

    /// What its client is told, in the codes and messages of Engine.IO.
    pub fn answer(self) -> Response<Body> {
        let (code, message, hint) = match self {
            Self::TooMany(wait) => {
                return unavailable(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too many connections from this address",
                    wait,
                );
            }
            Self::Stopping => {
                return unavailable(StatusCode::SERVICE_UNAVAILABLE, "The server is stopping", RETRY_AFTER);
            }
            Self::Full => {
                return unavailable(StatusCode::SERVICE_UNAVAILABLE, "The server is full", RETRY_AFTER);
            }
            Self::PacketTooLarge => return plain(StatusCode::PAYLOAD_TOO_LARGE, "The packets are too large"),
            Self::UnknownTransport => (0, "Transport unknown", "transport is polling or websocket"),
            Self::UnknownSession => {
                return json_answer(json!({ "code": 1, "message": "Session ID unknown" }));
            }
            Self::BadMethod => (2, "Bad handshake method", "A session is opened by GET"),
            Self::BadRequest => return json_answer(json!({ "code": 3, "message": "Bad request" })),
            Self::Broken(rule) => (3, "Bad request", rule.hint()),
            Self::SecondUpgrade => (3, "Bad request", "The session has a WebSocket"),
            Self::NoUpgradeHeaders => (
                3,
                "Bad request",
                "transport=websocket came without the headers of an upgrade; a proxy in between has to pass them on",
            ),
            Self::WrongProtocol => (
                5,
                "Unsupported protocol version",
                "This server speaks Engine.IO 4 (EIO=4): socket.io-client 3 and later",
            ),
        };
        json_answer(json!({ "code": code, "message": message, "hint": hint }))
    }
}

fn json_answer(body: Json) -> Response<Body> {
    let mut answer = plain(StatusCode::BAD_REQUEST, body.to_string());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    answer
}

fn unavailable(status: StatusCode, text: &'static str, retry_after: Duration) -> Response<Body> {
    let mut answer = plain(status, text);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
    answer
}
