//! What a client is told of its event: names and shapes that clients depend on.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::Failure;

/// A handler's result.
pub const RESULT: &str = "ws:result";
/// A failed or refused event, where no ack was asked for.
pub const ERROR: &str = "ws:error";

/// `ws:result`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultPacket<'a, T: Serialize> {
    request_id: Uuid,
    event_name: &'a str,
    success: bool,
    /// What the handler gave.
    pub result: T,
    /// What it logged, an array.
    pub logs: &'a RawValue,
}

impl<'a, T: Serialize> ResultPacket<'a, T> {
    /// The packet of an event that ended well.
    pub fn new(request_id: Uuid, event_name: &'a str, result: T, logs: &'a RawValue) -> Self {
        Self { request_id, event_name, success: true, result, logs }
    }
}

/// `ws:error`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorPacket<'a> {
    request_id: Uuid,
    event_name: &'a str,
    success: bool,
    code: &'static str,
    /// A sentence.
    pub message: &'a Cow<'static, str>,
    /// What the handler logged, an array.
    pub logs: &'a RawValue,
    /// What the failure says besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<&'a Json>,
}

impl<'a> ErrorPacket<'a> {
    /// The packet of a failed event.
    pub fn new(request_id: Uuid, event_name: &'a str, failure: &'a Failure, logs: &'a RawValue) -> Self {
        Self {
            request_id,
            event_name,
            success: false,
            code: failure.code.as_str(),
            message: &failure.message,
            logs,
            details: failure.details.as_ref(),
        }
    }
}

/// JSON that the script module made, as such.
pub fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
}
