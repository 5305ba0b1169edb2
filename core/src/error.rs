//! The error policy of the whole product: one table of stable codes, and what may be told.
//!
//! A [`Failure`] is written for the person on the other side (client, script author, admin) and
//! goes out as it is. Everything else is logged once, where it is handled, and goes out as
//! `DATABASE_ERROR` or `INTERNAL_ERROR` without its cause.

use std::borrow::Cow;

use serde_json::Value as Json;

/// The result of a core operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// A stable error code that clients may switch on, with its HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// The code as it stands in packets and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that an answer with this code has.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The code written as `text`, if it is one.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// A script or the API refused the request for a reason of the business.
    BusinessLogic = "BUSINESS_LOGIC_ERROR", 400;
    /// The request itself cannot be understood.
    BadRequest = "BAD_REQUEST", 400;
    /// No or wrong credentials.
    Authentication = "AUTHENTICATION_ERROR", 401;
    /// Credentials are fine, the right is missing.
    Authorization = "AUTHORIZATION_ERROR", 403;
    /// What the request names does not exist.
    ResourceNotFound = "RESOURCE_NOT_FOUND", 404;
    /// The path exists, the method does not.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405;
    /// A unique value is taken.
    DuplicateResource = "DUPLICATE_RESOURCE", 409;
    /// Somebody else has saved it since it was read.
    Conflict = "CONFLICT", 409;
    /// A value breaks its rule.
    Validation = "VALIDATION_ERROR", 422;
    /// Too many requests.
    RateLimitExceeded = "RATE_LIMIT_EXCEEDED", 429;
    /// A fault of the server; the reason is in its log.
    Internal = "INTERNAL_ERROR", 500;
    /// The server cannot do this now.
    ServiceUnavailable = "SERVICE_UNAVAILABLE", 503;
    /// `@THROW.http` with a status that has no code of its own.
    Http = "HTTP_ERROR", 500;
    /// The database refused or failed; the reason is in the log.
    Database = "DATABASE_ERROR", 500;
    /// A script does not compile.
    ScriptCompile = "SCRIPT_COMPILE_ERROR", 400;
    /// Past its time.
    ScriptTimeout = "SCRIPT_TIMEOUT", 504;
    /// Past the memory one run may hold.
    ScriptMemoryLimit = "SCRIPT_MEMORY_LIMIT", 500;
    /// Past the operations or the call depth of one run.
    ScriptOperationLimit = "SCRIPT_OPERATION_LIMIT", 500;
    /// Past what one run may send, log or return.
    ScriptOutputLimit = "SCRIPT_OUTPUT_LIMIT", 500;
    /// Anything else a script did wrong.
    ScriptExecution = "SCRIPT_EXECUTION_ERROR", 500;
    /// No enabled event matches.
    NoHandler = "NO_HANDLER", 404;
    /// The payload is not JSON, nests too deep or fails the event's schema.
    InvalidPayload = "INVALID_PAYLOAD", 400;
    /// The payload is over `messageBytes`.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    /// Over `eventsPerSecond`.
    RateLimited = "RATE_LIMITED", 429;
    /// The queue of the socket or of the server is full.
    QueueFull = "QUEUE_FULL", 503;
    /// The server is draining.
    ShuttingDown = "SHUTTING_DOWN", 503;
    /// Too many servers were lost while they ran a job.
    WorkerLost = "WORKER_LOST", 500;
    /// The gateway is disabled.
    GatewayDisabled = "GATEWAY_DISABLED", 403;
    /// The gateway needs a token and got none.
    AuthRequired = "AUTH_REQUIRED", 401;
    /// The token is bad, expired, or its user is gone.
    AuthInvalid = "AUTH_INVALID", 401;
    /// The gateway needs an app key and got none.
    AppKeyRequired = "APP_KEY_REQUIRED", 401;
    /// The app key is unknown or has expired.
    AppKeyInvalid = "APP_KEY_INVALID", 401;
    /// The socket's user may not connect here.
    Forbidden = "FORBIDDEN", 403;
    /// The server is draining or full.
    Unavailable = "UNAVAILABLE", 503;
    /// The request's `Origin` is not in the allowed list.
    OriginNotAllowed = "ORIGIN_NOT_ALLOWED", 403;
    /// A test run of an event that names no event.
    MissingEventName = "MISSING_EVENT_NAME", 400;
    /// A test run without a script, where none is saved.
    MissingScript = "MISSING_SCRIPT", 400;
    /// A test run of a kind that does not exist.
    InvalidTestKind = "INVALID_TEST_KIND", 400;
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal that may be shown as it is: a code, a sentence that says what to do, and details.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// What programs switch on.
    pub code: ErrorCode,
    /// What people read.
    pub message: Cow<'static, str>,
    /// Structured details, where there are any.
    pub details: Option<Json>,
}

impl Failure {
    /// A failure without details.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// The same failure with details.
    pub fn with_details(mut self, details: Json) -> Self {
        self.details = Some(details);
        self
    }

    /// The HTTP status of an answer with this failure: that of its code, but for `HTTP_ERROR`, whose
    /// details have it as `statusCode`.
    pub fn status(&self) -> u16 {
        let own = self.details.as_ref().filter(|_| self.code == ErrorCode::Http);
        let own = own.and_then(|details| u16::try_from(details.get("statusCode")?.as_u64()?).ok());
        // What is below is no final answer of HTTP.
        own.filter(|status| (200..=599).contains(status)).unwrap_or(self.code.status())
    }

    /// `RESOURCE_NOT_FOUND` for a thing, e.g. `("event", id)`.
    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::ResourceNotFound, format!("There is no {what} {name}"))
    }

    /// `VALIDATION_ERROR` about one field.
    pub fn invalid(field: &str, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::Validation, format!("{field}: {message}"))
            .with_details(serde_json::json!({ "field": field }))
    }
}

/// What a core operation can end with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller did something that is refused; to be shown.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The database failed; to be logged.
    #[error("database: {0}")]
    Database(sea_orm::DbErr),
    /// Anything else that failed inside; to be logged.
    #[error("{0}")]
    Internal(String),
}

/// Its text already has its causes, which `#[from]` would make people read twice.
impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Database(error)
    }
}

impl Error {
    /// What the other side may know: a refusal as it is, the rest without its cause.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            Self::Database(error) => {
                tracing::error!(%error, "the database refused or failed");
                Failure::new(ErrorCode::Database, "The database could not do this. Try again later")
            }
            Self::Internal(error) => {
                tracing::error!(%error, "internal error");
                Failure::new(ErrorCode::Internal, "Internal error")
            }
        }
    }
}
