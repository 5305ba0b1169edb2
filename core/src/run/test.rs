//! Test runs: a script by itself, with a recorded host. The admin API and pack tests share this.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use uuid::Uuid;

use super::moved_on::{self, FailedJob, MoveOn};
use crate::catalog::LiveGateways;
use crate::data::{Find, Keep, ROWS_MAX, Row, Session, Table, Write};
use crate::error::{ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::moment::from_ms;
use crate::script::{
    Arguments, Call, CallUser, Emitted, Handler, HttpRequest, HttpResponse, JobOrigin, Later, Origin,
    OtherSocket, RecordedHost, RunOutput, Script, ScriptEngine, ScriptWork, Socket, TestInputs, Within,
    run_on_script_thread,
};
use crate::store::{self, Time};

/// What to run.
#[derive(Clone)]
pub struct TestCall {
    /// The script.
    pub source: String,
    /// What it is compiled within.
    pub within: Within,
    /// The live event whose schema the payload has to fit; none: any will do.
    pub checked_by: Option<Arc<Handler>>,
    /// What starts it.
    pub trigger: Trigger,
    /// `@APP` of a socket or a job.
    pub app: Option<Json>,
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
    /// The jobs for later that wait already.
    pub waiting: Vec<Later>,
    /// The events that jobs may be left for; none: any.
    pub events: Option<Arc<LiveGateways>>,
    /// How far its time is moved on after the script.
    pub move_on: Option<MoveOn>,
    /// Other sockets, and the rooms that they are in.
    pub sockets: Vec<OtherSocket>,
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
    /// What would be a socket of the gateway with this path.
    Admission(String),
    /// No socket, in the name of the gateway with this path.
    Gateway(String),
    /// A job of a gateway.
    Job {
        /// `@GATEWAY`.
        gateway: String,
        /// `@JOB.id`.
        id: Uuid,
        /// `@JOB.attempt`.
        attempt: i32,
        /// The rooms of the socket that sent it; none: no socket did.
        rooms: Option<Vec<String>>,
    },
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
    /// The jobs for later that wait then, in the order of their times.
    pub later: Vec<Later>,
    /// What it gave to `@JOB.retry`.
    pub retry_after: Option<Duration>,
    /// The jobs that ran as its time was moved on and did not end well.
    pub failed_jobs: Vec<FailedJob>,
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
    let now = test.clock_ms.and_then(from_ms).unwrap_or_else(store::now);
    for (name, rows) in std::mem::take(&mut test.rows) {
        add_rows(session.as_deref(), &name, &rows, now).await?;
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

async fn add_rows(session: Option<&Session>, table: &str, rows: &[Row], now: Time) -> Result<()> {
    let (session, table) = table_of(session, table)?;
    let rows = rows.iter().map(|row| table.new_row(row, now)).collect::<Result<Vec<_>>>()?;
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

/// Where the runs of one test take place.
pub(super) struct Stage<'a> {
    pub engine: &'a ScriptEngine,
    pub host: Arc<RecordedHost>,
    pub session: Option<Arc<Session>>,
    /// Whether what is written stays.
    pub is_live: bool,
}

impl Stage<'_> {
    /// Runs a script. A job that fails has said, written and left nothing.
    pub(super) fn run(&self, script: &Script, call: &Call) -> RunOutput {
        let said = self.host.emitted().len();
        let is_undone = call.origin.job().is_some() && !self.is_live;
        let session = self.session.as_ref().filter(|_| is_undone);
        if let Some(session) = session
            && let Err(error) = session.data().runtime().block_on(session.begin_part())
        {
            return RunOutput::refused(error.into_failure());
        }
        let mut output = self.engine.run(script, call, self.host.clone());
        if !is_undone {
            return output;
        }
        let keeps = output.outcome.is_ok();
        let ended = session.map(|session| session.data().runtime().block_on(session.end_part(keeps)));
        if let Some(Err(error)) = ended {
            output.outcome = output.outcome.and(Err(error.into_failure()));
        }
        if output.outcome.is_err() {
            self.host.forget_after(said);
            output.writes.clear();
            let before = call.test.as_ref().map(|test| test.waiting.clone()).unwrap_or_default();
            output.later = Later::undone(before, std::mem::take(&mut output.later));
        }
        output
    }
}

fn run(engine: &ScriptEngine, mut test: TestCall, session: Option<Arc<Session>>) -> TestOutcome {
    let script = match engine.compile(&test.source, &test.within) {
        Ok(script) => script,
        Err(error) => {
            return not_run(Failure { code: ErrorCode::ScriptExecution, ..Failure::from(error) });
        }
    };
    let arguments = Arguments::one(&test.payload);
    let checked = test
        .checked_by
        .take()
        .map_or(Ok(()), |handler| handler.check_payload(&arguments, engine.memory_bytes()));
    if let Err(failure) = checked {
        return not_run(failure);
    }
    let host = Arc::new(host_of(&mut test));
    let stage = Stage { engine, host: host.clone(), session: session.clone(), is_live: test.is_live };
    let (request_id, origin) = origin_of(test.trigger, &host);
    let call = Call {
        origin,
        event: test.event.into(),
        request_id,
        arguments,
        user: test.user.clone(),
        timeout: test.timeout,
        test: Some(TestInputs { session, old: test.old, clock_ms: test.clock_ms, waiting: test.waiting }),
    };
    let output = stage.run(&script, &call);
    let mut outcome = TestOutcome {
        result: output.outcome.map(|payload| payload.to_value()),
        response: output.response,
        logs: serde_json::from_str(&output.logs).unwrap_or_default(),
        emitted: Vec::new(),
        duration: output.duration,
        operations: output.operations,
        writes: output.writes,
        later: output.later,
        retry_after: output.retry_after,
        failed_jobs: Vec::new(),
        rows: BTreeMap::new(),
    };
    if let (Some(by), Some(events), Some(from)) = (test.move_on, test.events, test.clock_ms) {
        moved_on::run_due(&stage, &events, test.user, from, by, &mut outcome);
    }
    outcome.later.sort_by_key(|later| later.job.due_at);
    outcome.emitted = host.emitted();
    outcome
}

fn host_of(test: &mut TestCall) -> RecordedHost {
    let user_id = test.user.as_ref().and_then(CallUser::id);
    let (gateway, rooms) = match &test.trigger {
        Trigger::Socket { gateway, rooms } => (Some(gateway), rooms.clone()),
        Trigger::Job { gateway, rooms: Some(rooms), .. } => (Some(gateway), rooms.clone()),
        Trigger::Job { .. } | Trigger::Admission(_) | Trigger::Gateway(_) | Trigger::Route(_) => {
            (None, Vec::new())
        }
    };
    let mut host = RecordedHost::new(user_id, rooms, test.is_live).with_app(test.app.take());
    if let Some(gateway) = gateway {
        host = host.of_gateway(gateway);
    }
    let host = host.with_sockets(std::mem::take(&mut test.sockets));
    match test.events.clone() {
        Some(events) => host.with_events(Box::new(move |path, event| {
            events.get(path).is_some_and(|gateway| gateway.handler(event).is_some())
        })),
        None => host,
    }
}

/// The id of the request, and what started it.
fn origin_of(trigger: Trigger, host: &Arc<RecordedHost>) -> (Uuid, Origin) {
    let origin = match trigger {
        Trigger::Socket { gateway, .. } => Origin::Socket { gateway: gateway.into(), socket: host.clone() },
        Trigger::Admission(gateway) => Origin::Admission { gateway: gateway.into(), socket: host.clone() },
        Trigger::Gateway(gateway) => Origin::Gateway(gateway.into()),
        Trigger::Route(request) => Origin::Route(request),
        Trigger::Job { gateway, id, attempt, rooms } => {
            let socket_id = rooms.map(|_| Socket::id(&**host).into());
            let app = Socket::app(&**host);
            let job = JobOrigin { id, attempt, fence: None, attempts: Default::default(), socket_id, app };
            return (id, Origin::Job { gateway: gateway.into(), job: Arc::new(job) });
        }
    };
    (new_id(), origin)
}

fn not_run(failure: Failure) -> TestOutcome {
    TestOutcome {
        result: Err(failure),
        response: HttpResponse::default(),
        logs: Json::Array(Vec::new()),
        emitted: Vec::new(),
        duration: Duration::ZERO,
        operations: 0,
        writes: Vec::new(),
        later: Vec::new(),
        retry_after: None,
        failed_jobs: Vec::new(),
        rows: BTreeMap::new(),
    }
}
