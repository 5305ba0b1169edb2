//! Test runs: a script by itself, with a recorded host. The admin API and pack tests share this.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::data::{Find, Keep, ROWS_MAX, Row, Session, Table, Write};
use crate::error::{ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::script::{
    Arguments, Call, CallUser, Emitted, HttpRequest, HttpResponse, Later, Origin, RecordedHost, ScriptEngine,
    ScriptWork, TestInputs, run_on_script_thread,
};

/// What to run.
#[derive(Debug, Clone)]
pub struct TestCall {
    /// The script.
    pub source: String,
    /// What starts it.
    pub trigger: Trigger,
    /// `@EVENT`.
    pub event: String,
    /// `@BODY`.
    pub payload: Json,
    /// `@USER`.
    pub user: Option<CallUser>,
    /// The time of the run.
    pub timeout: Duration,
    /// Whether requests that write may leave, and rows that are written stay.
    pub is_live: bool,
    /// `@OLD`, of a hook.
    pub old: Json,
    /// The time that stands still, in milliseconds.
    pub clock_ms: Option<i64>,
    /// Rows that exist, by table, those that others reference first; never for a live run.
    pub rows: Vec<(String, Vec<Row>)>,
    /// Tables whose rows are wanted as they are afterwards.
    pub rows_of: Vec<String>,
}

/// What starts a test run.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// A socket of the gateway with this path.
    Socket {
        /// `@GATEWAY`.
        gateway: String,
        /// Rooms that the socket is in.
        rooms: Vec<String>,
    },
    /// No socket, in the name of the gateway with this path.
    Gateway(String),
    /// A request.
    Route(Arc<HttpRequest>),
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
    /// What was written.
    pub writes: Vec<Write>,
    /// The jobs for later that it left.
    pub later: Vec<Later>,
    /// The rows of the tables that were asked for, by id: what was made in its order.
    pub rows: BTreeMap<String, Vec<Row>>,
}

/// Compiles and runs a script on a thread of its own. A script that does not compile is an
/// outcome, not an error.
///
/// # Errors
/// When no thread can be had, and for rows that are none of their table.
pub async fn run_test(engine: &Arc<ScriptEngine>, mut test: TestCall) -> Result<TestOutcome> {
    let keep = if test.is_live { Keep::Writes } else { Keep::Nothing };
    let session = engine.data().map(|data| Arc::new(data.session(keep)));
    for (name, rows) in std::mem::take(&mut test.rows) {
        add_rows(session.as_deref(), &name, &rows).await?;
    }
    let rows_of = std::mem::take(&mut test.rows_of);
    let (engine, of_run) = (engine.clone(), session.clone());
    let mut outcome = run_on_script_thread(ScriptWork::TestRun, move || run(&engine, test, of_run)).await?;
    for name in rows_of {
        let rows = all_rows(session.as_deref(), &name).await?;
        outcome.rows.insert(name, rows);
    }
    Ok(outcome)
}

async fn add_rows(session: Option<&Session>, table: &str, rows: &[Row]) -> Result<()> {
    let (session, table) = table_of(session, table)?;
    let rows = rows.iter().map(|row| table.new_row(row)).collect::<Result<Vec<_>>>()?;
    session.insert(&table, &rows).await
}

async fn all_rows(session: Option<&Session>, table: &str) -> Result<Vec<Row>> {
    let (session, table) = table_of(session, table)?;
    let all = Find { limit: ROWS_MAX, page: 1, ..Find::default() };
    Ok(session.find(&table, &all).await?.rows)
}

fn table_of<'a>(session: Option<&'a Session>, name: &str) -> Result<(&'a Session, Arc<Table>)> {
    let session = session.ok_or_else(|| Failure::not_found("table", name))?;
    Ok((session, session.data().table(name)?))
}

fn run(engine: &ScriptEngine, test: TestCall, session: Option<Arc<Session>>) -> TestOutcome {
    let script = match engine.compile(&test.source) {
        Ok(script) => script,
        Err(error) => {
            return not_compiled(Failure { code: ErrorCode::ScriptExecution, ..Failure::from(error) });
        }
    };
    let user_id = test.user.as_ref().and_then(CallUser::id);
    let rooms = match &test.trigger {
        Trigger::Socket { rooms, .. } => rooms.clone(),
        Trigger::Gateway(_) | Trigger::Route(_) => Vec::new(),
    };
    let host = Arc::new(RecordedHost::new(user_id, rooms, test.is_live));
    let origin = match test.trigger {
        Trigger::Socket { gateway, .. } => Origin::Socket { gateway: gateway.into(), socket: host.clone() },
        Trigger::Gateway(gateway) => Origin::Gateway(gateway.into()),
        Trigger::Route(request) => Origin::Route(request),
    };
    let call = Call {
        origin,
        event: test.event.into(),
        request_id: new_id(),
        arguments: Arguments::one(&test.payload),
        user: test.user,
        timeout: test.timeout,
        test: Some(TestInputs { session, old: test.old, clock_ms: test.clock_ms }),
    };
    let output = engine.run(&script, &call, host.clone());
    TestOutcome {
        result: output.outcome.map(|payload| payload.to_value()),
        response: output.response,
        logs: serde_json::from_str(&output.logs).unwrap_or_default(),
        emitted: host.emitted(),
        duration: output.duration,
        operations: output.operations,
        writes: output.writes,
        later: output.later,
        rows: BTreeMap::new(),
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
        writes: Vec::new(),
        later: Vec::new(),
        rows: BTreeMap::new(),
    }
}
