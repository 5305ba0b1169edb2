//! `@THROW`: ends a script with a coded error.

use rhai::{Dynamic, Engine, EvalAltResult};
use serde_json::{Map, Value as Json, json};

use crate::error::{ErrorCode, Failure};
use crate::script::failure::{Thrown, raise_own};
use crate::script::outside::from_outside;
use crate::script::{json, strings};

/// Details of an error: no larger, no deeper.
const DETAILS_BYTES_MAX: usize = 16 << 10;
const DETAILS_DEPTH_MAX: usize = 64;

/// What `@THROW` stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throw;

/// The methods of `@THROW` and their codes.
const METHODS: [(&str, ErrorCode); 12] = [
    ("badRequest", ErrorCode::BusinessLogic),
    ("businessLogic", ErrorCode::BusinessLogic),
    ("unauthorized", ErrorCode::Authentication),
    ("forbidden", ErrorCode::Authorization),
    ("notFound", ErrorCode::ResourceNotFound),
    ("conflict", ErrorCode::DuplicateResource),
    ("duplicate", ErrorCode::DuplicateResource),
    ("validation", ErrorCode::Validation),
    ("tooManyRequests", ErrorCode::RateLimitExceeded),
    ("rateLimit", ErrorCode::RateLimitExceeded),
    ("internal", ErrorCode::Internal),
    ("serviceUnavailable", ErrorCode::ServiceUnavailable),
];

/// Registers `@THROW.…` and what a caught error shows.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Throw>("@THROW").register_type_with_name::<Thrown>("Error");
    for (name, code) in METHODS {
        engine.register_fn(name, move |_: &mut Throw, message: Dynamic| thrown(code, &message, None));
        engine.register_fn(name, move |_: &mut Throw, message: Dynamic, details: Dynamic| {
            thrown(code, &message, Some(&details))
        });
    }
    engine.register_fn("http", |_: &mut Throw, status: i64, message: Dynamic| {
        with_status(status, &message, None)
    });
    engine.register_fn("http", |_: &mut Throw, status: i64, message: Dynamic, details: Dynamic| {
        with_status(status, &message, Some(&details))
    });
    engine.register_get("code", |thrown: &mut Thrown| thrown.failure.code.as_str().to_owned());
    engine.register_get("message", |thrown: &mut Thrown| thrown.failure.message.clone().into_owned());
    engine.register_get("details", |thrown: &mut Thrown| {
        thrown
            .failure
            .details
            .as_ref()
            .map_or(Ok(Dynamic::UNIT), |details| rhai::serde::to_dynamic(details).map(from_outside))
    });
    engine.register_fn("to_string", |thrown: &mut Thrown| thrown.failure.message.clone().into_owned());
}

/// `@THROW404(…)` and `@THROW.http(404, …)`: the status decides the code.
pub(crate) fn with_status(
    status: i64,
    message: &Dynamic,
    details: Option<&Dynamic>,
) -> Result<(), Box<EvalAltResult>> {
    let code = match status {
        400 => ErrorCode::BusinessLogic,
        401 => ErrorCode::Authentication,
        403 => ErrorCode::Authorization,
        404 => ErrorCode::ResourceNotFound,
        409 => ErrorCode::DuplicateResource,
        422 => ErrorCode::Validation,
        429 => ErrorCode::RateLimitExceeded,
        500 => ErrorCode::Internal,
        503 => ErrorCode::ServiceUnavailable,
        100..=599 => {
            let mut failure = failure(ErrorCode::Http, message, details)?;
            failure.details = Some(details_with_status(status, failure.details));
            return Err(raise_own(failure));
        }
        _ => return Err(format!("{status} is no HTTP status").into()),
    };
    thrown(code, message, details)
}

fn details_with_status(status: i64, details: Option<Json>) -> Json {
    let mut all = match details {
        Some(Json::Object(details)) => details,
        Some(other) => Map::from_iter([("value".to_owned(), other)]),
        None => Map::new(),
    };
    all.insert("statusCode".to_owned(), json!(status));
    Json::Object(all)
}

fn thrown(code: ErrorCode, message: &Dynamic, details: Option<&Dynamic>) -> Result<(), Box<EvalAltResult>> {
    Err(raise_own(failure(code, message, details)?))
}

fn failure(
    code: ErrorCode,
    message: &Dynamic,
    details: Option<&Dynamic>,
) -> Result<Failure, Box<EvalAltResult>> {
    let details = match details.filter(|details| !details.is_unit()) {
        None => None,
        Some(details) => {
            let text = json::to_json(details, DETAILS_DEPTH_MAX, DETAILS_BYTES_MAX)
                .map_err(|reason| crate::script::run::unsendable("the details of an error", reason))?;
            serde_json::from_str(&text).ok()
        }
    };
    Ok(Failure { details, ..Failure::new(code, strings::printed(message)) })
}
