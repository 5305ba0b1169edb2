//! The calls of `@THROW`.

use super::Entry;

const fn throws(
    signature: &'static str,
    about: &'static str,
    errors: &'static str,
    example: &'static str,
) -> Entry {
    Entry::new("@THROW", signature, "", about).errors(errors).example(example)
}

pub(super) const ENTRIES: [Entry; 13] = [
    throws(
        "badRequest(message, details?)",
        "HTTP 400.",
        "`BUSINESS_LOGIC_ERROR`",
        "@THROW.badRequest(\"roomId is required\", #{ field: \"roomId\" });",
    ),
    throws(
        "businessLogic(message, details?)",
        "HTTP 400.",
        "`BUSINESS_LOGIC_ERROR`",
        "@THROW.businessLogic(\"The shop is closed\");",
    ),
    throws(
        "unauthorized(message, details?)",
        "HTTP 401.",
        "`AUTHENTICATION_ERROR`",
        "@THROW.unauthorized(\"Sign in first\");",
    ),
    throws(
        "forbidden(message, details?)",
        "HTTP 403.",
        "`AUTHORIZATION_ERROR`",
        "@THROW.forbidden(\"Join the room first\");",
    ),
    throws(
        "notFound(message, details?)",
        "HTTP 404.",
        "`RESOURCE_NOT_FOUND`",
        "@THROW.notFound(\"There is no such room\");",
    ),
    throws(
        "conflict(message, details?)",
        "HTTP 409.",
        "`DUPLICATE_RESOURCE`",
        "@THROW.conflict(\"The name is taken\");",
    ),
    throws(
        "duplicate(message, details?)",
        "HTTP 409.",
        "`DUPLICATE_RESOURCE`",
        "@THROW.duplicate(\"The name is taken\");",
    ),
    throws(
        "validation(message, details?)",
        "HTTP 422.",
        "`VALIDATION_ERROR`",
        "@THROW.validation(\"limit is 1 to 200\", #{ field: \"limit\" });",
    ),
    throws(
        "tooManyRequests(message, details?)",
        "HTTP 429.",
        "`RATE_LIMIT_EXCEEDED`",
        "@THROW.tooManyRequests(\"Once a minute\");",
    ),
    throws(
        "rateLimit(message, details?)",
        "HTTP 429.",
        "`RATE_LIMIT_EXCEEDED`",
        "@THROW.rateLimit(\"Once a minute\");",
    ),
    throws(
        "internal(message, details?)",
        "HTTP 500.",
        "`INTERNAL_ERROR`",
        "@THROW.internal(\"This should not happen\");",
    ),
    throws(
        "serviceUnavailable(message, details?)",
        "HTTP 503.",
        "`SERVICE_UNAVAILABLE`",
        "@THROW.serviceUnavailable(\"Come back later\");",
    ),
    throws(
        "http(status, message, details?)",
        "Any status, 100 to 599.",
        "the code of the status; for one without a code of its own `HTTP_ERROR`, whose details have it as `statusCode`",
        "@THROW.http(418, \"I am a teapot\");",
    ),
];
