//! Test runs: a script by itself, with a recorded host. The admin API and pack tests share this.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::engine::ScriptEngine;
use super::packet::Arguments;
use super::recorded::{Emitted, RecordedHost};
use super::request::{HttpRequest, HttpResponse};
use super::run::{Call, CallUser};
use super::thread::run_on_script_thread;
use crate::error::{ErrorCode, Failure, Result};
use crate::id::new_id;

/// What to run.
#[derive(Debug, Clone)]
pub struct TestCall {
    /// The script.
    pub source: String,
    /// `@GATEWAY`.
    pub gateway: String,
    /// `@EVENT`.
    pub event: String,
    /// `@BODY`.
    pub payload: Json,
    /// `@USER`.
    pub user: Option<CallUser>,
    /// The request that it answers, if it is an HTTP script.
    pub request: Option<Arc<HttpRequest>>,
    /// Whether a socket triggers it.
    pub has_socket: bool,
    /// Rooms that the socket is in.
    pub rooms: Vec<String>,
    /// The time of the run.
    pub timeout: Duration,
    /// Whether requests that write may leave.
    pub is_live: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct TestOutcome {
    /// The result, or why there is none.
    pub result: Result<Json, Failure>,
    /// What it set of the answer to a request.
    pub response: HttpResponse,
    /// What was logged.
    pub logs: Json,
    /// The calls of `@SOCKET` that act.
    pub emitted: Vec<Emitted>,
    /// From start to end.
    pub duration: Duration,
    /// Rhai operations.
    pub operations: u64,
}

/// Compiles and runs a script on a thread of its own. A script that does not compile is an
/// outcome, not an error.
///
/// # Errors
/// When no thread can be had.
pub async fn run_test(engine: &Arc<ScriptEngine>, test: TestCall) -> Result<TestOutcome> {
    let engine = engine.clone();
    run_on_script_thread(move || run(&engine, test)).await
}

fn run(engine: &ScriptEngine, test: TestCall) -> TestOutcome {
    let script = match engine.compile(&test.source) {
        Ok(script) => script,
        Err(error) => {
            return not_compiled(Failure { code: ErrorCode::ScriptExecution, ..Failure::from(error) });
        }
    };
    let user_id = test.user.as_ref().and_then(CallUser::id);
    let host = Arc::new(RecordedHost::new(test.has_socket, user_id, test.is_live).in_rooms(test.rooms));
    let call = Call {
        gateway: test.gateway.into(),
        event: test.event.into(),
        request_id: new_id(),
        arguments: Arguments::one(&test.payload),
        user: test.user,
        request: test.request,
        timeout: test.timeout,
    };
    let output = engine.run(&script, &call, host.clone());
    TestOutcome {
        result: output.outcome.map(|payload| payload.to_value()),
        response: output.response,
        logs: serde_json::from_str(&output.logs).unwrap_or_default(),
        emitted: host.emitted(),
        duration: output.duration,
        operations: output.operations,
    }
}

fn not_compiled(failure: Failure) -> TestOutcome {
    TestOutcome {
        result: Err(failure),
        response: HttpResponse::default(),
        logs: Json::Array(Vec::new()),
        emitted: Vec::new(),
        duration: Duration::ZERO,
        operations: 0,
    }
}
