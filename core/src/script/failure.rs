//! What a client learns of a failed run, never source, paths or internals; and where it failed, for
//! its author.

use rhai::{Dynamic, EvalAltResult, Position};

use super::bounded_text;
use super::hints;
use super::strings::MESSAGE_BYTES_MAX;
use crate::error::{ErrorCode, Failure};

/// A place in a script's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1; 0 when unknown.
    pub column: usize,
}

/// A thrown failure; a script that catches it sees `code`, `message` and `details`.
#[derive(Debug, Clone)]
pub(super) struct Thrown {
    pub failure: Failure,
    /// Whether the script itself threw it, not a call that it made.
    pub is_own: bool,
}

/// A failure as an error that a script can catch.
pub(super) fn raise(failure: Failure) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(Thrown { failure, is_own: false }), Position::NONE).into()
}

/// The same, thrown by the script itself.
pub(super) fn raise_own(failure: Failure) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(Thrown { failure, is_own: true }), Position::NONE).into()
}

/// Whether the script itself threw what ended it.
pub(super) fn is_own(error: &EvalAltResult) -> bool {
    match innermost(error) {
        EvalAltResult::ErrorRuntime(value, _) => {
            value.read_lock::<Thrown>().is_none_or(|thrown| thrown.is_own)
        }
        _ => false,
    }
}

/// Where an evaluation failed, if that is known.
pub(super) fn place_of(error: &EvalAltResult) -> Option<Place> {
    place(innermost(error).position())
}

/// The error without its place, for the script that called what failed: the place is in another text.
pub(super) fn elsewhere(mut error: Box<EvalAltResult>) -> Box<EvalAltResult> {
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = *error {
        error = inner;
    }
    error.clear_position();
    error
}

/// A failed evaluation as a failure of the run.
pub(super) fn of_error(error: &EvalAltResult) -> Failure {
    let error = innermost(error);
    let position = error.position();
    match error {
        EvalAltResult::ErrorRuntime(value, _) => of_thrown(value, position),
        EvalAltResult::ErrorTooManyOperations(_) => {
            limit(ErrorCode::ScriptOperationLimit, "The script took more operations than it may", position)
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            limit(ErrorCode::ScriptOperationLimit, "The script calls functions deeper than it may", position)
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            limit(ErrorCode::ScriptMemoryLimit, format!("{what} is over what a script may hold"), position)
        }
        EvalAltResult::ErrorTerminated(..) => {
            Failure::new(ErrorCode::ScriptExecution, "The script was ended")
        }
        other => {
            // Rhai appends the place, which stands in the details.
            let (text, appended) = (other.to_string(), format!(" ({position})"));
            let message = text.strip_suffix(&appended).unwrap_or(&text);
            // It may hold an index or a name that the script made up.
            let message = bounded_text(message, MESSAGE_BYTES_MAX);
            let hint = hints::of_run(other).map(|hint| format!(": {hint}")).unwrap_or_default();
            limit(ErrorCode::ScriptExecution, format!("{message}{hint}"), position)
        }
    }
}

/// The error where it happened, not the calls around it.
fn innermost(mut error: &EvalAltResult) -> &EvalAltResult {
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = error {
        error = inner;
    }
    error
}

fn of_thrown(value: &Dynamic, position: Position) -> Failure {
    if let Some(thrown) = value.read_lock::<Thrown>() {
        let mut failure = thrown.failure.clone();
        failure.details = failure.details.or_else(|| details(position));
        return failure;
    }
    let message = if let Ok(map) = value.as_map_ref() {
        map.get("message").map_or_else(|| super::strings::printed(value), super::strings::printed)
    } else {
        super::strings::printed(value)
    };
    limit(ErrorCode::ScriptExecution, message, position)
}

fn limit(code: ErrorCode, message: impl Into<std::borrow::Cow<'static, str>>, position: Position) -> Failure {
    Failure { details: details(position), ..Failure::new(code, message) }
}

fn details(position: Position) -> Option<serde_json::Value> {
    place(position).map(|Place { line, column }| serde_json::json!({ "line": line, "column": column }))
}

fn place(position: Position) -> Option<Place> {
    Some(Place { line: position.line()?, column: position.position().unwrap_or(0) })
}
