//! The error of every HTTP handler: what the other side may know, and the log for the rest.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use gatewright_core::id::new_id;
use gatewright_core::{Error, ErrorCode, Failure};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::audit::RefusedWith;

/// Bytes of the message of a request that is not understood.
const MESSAGE_MAX: usize = 600;

/// An error on its way out. Internals are logged under the request id that the client gets.
#[derive(Debug)]
pub struct ApiError {
    error: Error,
    /// Of the run that failed; none: one is made up.
    request_id: Option<Uuid>,
}

/// The result of a handler.
pub type Result<T> = std::result::Result<T, ApiError>;

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self { error: error.into(), request_id: None }
    }
}

impl ApiError {
    /// The failure of a script's run, with the request id that it has in the log.
    pub fn of_run(failure: Failure, request_id: Uuid) -> Self {
        Self { error: failure.into(), request_id: Some(request_id) }
    }

    /// `BAD_REQUEST`: the request itself cannot be understood.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Failure::new(ErrorCode::BadRequest, shortened(message.into())).into()
    }

    /// No or wrong credentials.
    pub fn unauthenticated() -> Self {
        Failure::new(ErrorCode::Authentication, "Sign in first").into()
    }
}

/// Without the middle of what is too long to be read: a message may quote a body of megabytes.
fn shortened(message: Cow<'static, str>) -> Cow<'static, str> {
    if message.len() <= MESSAGE_MAX {
        return message;
    }
    let (begin, end) = (MESSAGE_MAX * 2 / 3, message.len() - MESSAGE_MAX / 3);
    let (begin, end) = (message.floor_char_boundary(begin), message.ceil_char_boundary(end));
    format!("{} … {}", &message[..begin], &message[end..]).into()
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorAnswer {
    success: bool,
    status_code: u16,
    message: String,
    error: ErrorDetail,
}

/// What programs read of an error.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ErrorDetail {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<serde_json::Value>,
    request_id: Uuid,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let request_id = self.request_id.unwrap_or_else(new_id);
        let failure = tracing::info_span!("request", %request_id).in_scope(|| self.error.into_failure());
        let (status, code) = (failure.status(), failure.code);
        let retry_after_ms =
            failure.details.as_ref().and_then(|details| details.get("retryAfterMs")?.as_u64());
        let message = failure.message.into_owned();
        let answer = ErrorAnswer {
            success: false,
            status_code: status,
            message: message.clone(),
            error: ErrorDetail { code: code.as_str(), message, details: failure.details, request_id },
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(answer)).into_response();
        response.extensions_mut().insert(RefusedWith(code));
        if let Some(ms) = retry_after_ms {
            response.headers_mut().insert(RETRY_AFTER, ms.div_ceil(1000).max(1).into());
        }
        response
    }
}
