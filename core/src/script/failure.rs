//! What a client learns of a failed run, never source, paths or internals; and where it failed, for
//! its author.

use std::borrow::Cow;

use rhai::{Dynamic, EvalAltResult, Position};

use super::bounded_text;
use super::hints;
use super::strings::MESSAGE_BYTES_MAX;
use crate::error::{ErrorCode, Failure};

/// A place in the text of a script, or of a library that it imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The library; none: the script itself.
    pub library: Option<Box<str>>,
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
    match innermost(error).0 {
        EvalAltResult::ErrorRuntime(value, _) => {
            value.read_lock::<Thrown>().is_none_or(|thrown| thrown.is_own)
        }
        _ => false,
    }
}

/// Where an evaluation failed, if that is known.
pub(super) fn place_of(error: &EvalAltResult) -> Option<Place> {
    let (error, library) = innermost(error);
    place(error.position(), library)
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
    let (error, library) = innermost(error);
    let position = error.position();
    let limit = |code, message: Cow<'static, str>| limit(code, message, position, library);
    match error {
        EvalAltResult::ErrorRuntime(value, _) => of_thrown(value, position, library),
        EvalAltResult::ErrorTooManyOperations(_) => {
            limit(ErrorCode::ScriptOperationLimit, "The script took more operations than it may".into())
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            limit(ErrorCode::ScriptOperationLimit, "The script calls functions deeper than it may".into())
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            limit(ErrorCode::ScriptMemoryLimit, format!("{what} is over what a script may hold").into())
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
            limit(ErrorCode::ScriptExecution, format!("{message}{hint}").into())
        }
    }
}

/// The error where it happened, not the calls around it, and the library where that was.
fn innermost(mut error: &EvalAltResult) -> (&EvalAltResult, Option<&str>) {
    let mut library = None;
    while let EvalAltResult::ErrorInFunctionCall(_, source, inner, _) = error {
        library = Some(source.as_str()).filter(|source| !source.is_empty());
        error = inner;
    }
    (error, library)
}

fn of_thrown(value: &Dynamic, position: Position, library: Option<&str>) -> Failure {
    if let Some(thrown) = value.read_lock::<Thrown>() {
        let mut failure = thrown.failure.clone();
        failure.details = failure.details.or_else(|| details(position, library));
        return failure;
    }
    let message = if let Ok(map) = value.as_map_ref() {
        map.get("message").map_or_else(|| super::strings::printed(value), super::strings::printed)
    } else {
        super::strings::printed(value)
    };
    limit(ErrorCode::ScriptExecution, message.into(), position, library)
}

fn limit(code: ErrorCode, message: Cow<'static, str>, position: Position, library: Option<&str>) -> Failure {
    Failure { details: details(position, library), ..Failure::new(code, message) }
}

fn details(position: Position, library: Option<&str>) -> Option<serde_json::Value> {
    let Place { library, line, column } = place(position, library)?;
    let mut details = serde_json::json!({ "line": line, "column": column });
    if let Some(library) = library {
        details["library"] = serde_json::Value::from(&*library);
    }
    Some(details)
}

fn place(position: Position, library: Option<&str>) -> Option<Place> {
    let column = position.position().unwrap_or(0);
    Some(Place { library: library.map(Box::from), line: position.line()?, column })
}
