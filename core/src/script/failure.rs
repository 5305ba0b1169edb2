//! What a client learns of a failed run: never source, paths or internals.

use rhai::{Dynamic, EvalAltResult, Position};

use super::throw::Thrown;
use crate::error::{ErrorCode, Failure};

/// A failed evaluation as a failure of the run.
pub(super) fn of_error(error: EvalAltResult) -> Failure {
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
        mut other => {
            other.clear_position();
            limit(ErrorCode::ScriptExecution, other.to_string(), position)
        }
    }
}

/// The code alone, of an error that goes on.
pub(super) fn code_of(error: &EvalAltResult) -> ErrorCode {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => code_of(inner),
        EvalAltResult::ErrorRuntime(value, _) => {
            value.read_lock::<Thrown>().map_or(ErrorCode::ScriptExecution, |thrown| thrown.failure.code)
        }
        EvalAltResult::ErrorTooManyOperations(_) | EvalAltResult::ErrorStackOverflow(_) => {
            ErrorCode::ScriptOperationLimit
        }
        EvalAltResult::ErrorDataTooLarge(..) => ErrorCode::ScriptMemoryLimit,
        _ => ErrorCode::ScriptExecution,
    }
}

/// The error where it happened, not the calls around it.
fn innermost(mut error: EvalAltResult) -> EvalAltResult {
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => error = *inner,
            other => return other,
        }
    }
}

fn of_thrown(value: Dynamic, position: Position) -> Failure {
    if let Some(thrown) = value.read_lock::<Thrown>() {
        let mut failure = thrown.failure.clone();
        failure.details = failure.details.or_else(|| place(position));
        return failure;
    }
    let message = if let Ok(map) = value.as_map_ref() {
        map.get("message").map_or_else(|| super::strings::printed(&value), super::strings::printed)
    } else {
        super::strings::printed(&value)
    };
    limit(ErrorCode::ScriptExecution, message, position)
}

fn limit(code: ErrorCode, message: impl Into<std::borrow::Cow<'static, str>>, position: Position) -> Failure {
    Failure { details: place(position), ..Failure::new(code, message) }
}

fn place(position: Position) -> Option<serde_json::Value> {
    let line = position.line()?;
    Some(serde_json::json!({ "line": line, "column": position.position().unwrap_or(0) }))
}
