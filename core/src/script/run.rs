//! The run that a script thread is in: its inputs, its caps and what it has used of them.
//!
//! Rhai calls our functions on the thread that evaluates, so the run stands in a thread-local;
//! what is checked on every operation stands in cells beside it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, EvalAltResult, Position};
use uuid::Uuid;

use super::failure::{self, Place};
use super::host::Host;
use super::json::{self, Unsendable};
use super::later::Later;
use super::memory::{held_bytes, uncounted};
use super::origin::Origin;
use super::packet::Arguments;
use super::request::HttpResponse;
use super::rows::hooks::{HookRun, WaitingHook};
use crate::auth::User;
use crate::config;
use crate::data::{Session, Write};
use crate::error::{ErrorCode, Failure};
use crate::jobs::{Attempts, Fence};
use crate::moment::from_ms;
use crate::payload::Payload;
use crate::store::{NewRows, Time};

/// Operations between two looks at the clock. One operation takes 2 ms at worst (Rhai's size
/// check of a value with 10,000 elements), so a run ends within 50 ms of its time.
const CLOCK_EVERY: u64 = 16;

/// What a script is run for.
#[derive(Debug, Clone)]
pub struct Call {
    /// What started it.
    pub origin: Origin,
    /// `@EVENT`.
    pub event: Arc<str>,
    /// `@REQUEST_ID`.
    pub request_id: Uuid,
    /// `@BODY` is the first, `@ARGS` all.
    pub arguments: Arguments,
    /// `@USER`.
    pub user: Option<CallUser>,
    /// The time of the run.
    pub timeout: Duration,
    /// What makes it a test run, whose writes are recorded; none: a live run.
    pub test: Option<TestInputs>,
}

/// What a test run has besides a live one.
#[derive(Clone)]
pub struct TestInputs {
    /// Its work with rows; none where there are no tables.
    pub session: Option<Arc<Session>>,
    /// `@OLD`.
    pub old: serde_json::Value,
    /// The time that stands still, in milliseconds.
    pub clock_ms: Option<i64>,
    /// The jobs that wait already.
    pub waiting: Vec<Later>,
}

impl std::fmt::Debug for TestInputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestInputs").field("old", &self.old).finish_non_exhaustive()
    }
}

/// Who a script runs for.
#[derive(Debug, Clone)]
pub enum CallUser {
    /// The user's row.
    Row(Arc<User>),
    /// What a test run was given.
    Given(Arc<serde_json::Value>),
}

impl CallUser {
    /// The user's id.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::Row(user) => Some(user.id.to_string()),
            Self::Given(user) => user.get("id").and_then(|id| id.as_str()).map(str::to_owned),
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct RunOutput {
    /// The result as JSON, with blobs beside it, or why there is none.
    pub outcome: Result<Payload, Failure>,
    /// What a script that answers a request set of its answer.
    pub response: HttpResponse,
    /// What was logged, as a JSON array.
    pub logs: Cow<'static, str>,
    /// Rhai operations.
    pub operations: u64,
    /// From start to end.
    pub duration: Duration,
    /// Bytes that the run left allocated after its scope and result were dropped.
    pub left_behind_bytes: u64,
    /// What a test run wrote, or one whose host wants to know.
    pub writes: Vec<Write>,
    /// Whether it wrote more than that.
    pub writes_are_cut: bool,
    /// How long it waited for the database.
    pub database: Duration,
    /// Where the script failed, if it did and that is known.
    pub place: Option<Place>,
    /// The hooks of its writes, whatever became of the run; not all of very many.
    pub hooks: Vec<HookRun>,
    /// The jobs for later that wait after a test run.
    pub later: Vec<Later>,
    /// Whether there are jobs for later.
    pub has_later: bool,
    /// What became of the job that it ran for.
    pub job_end: JobEnd,
    /// Whether it failed by what its script itself threw.
    pub is_thrown: bool,
    /// Its script asked for another attempt after this time.
    pub retry_after: Option<Duration>,
}

/// What a run has done about the end of its job.
#[derive(Debug)]
pub enum JobEnd {
    /// Nothing: it wrote nothing but new rows, which are to be inserted with its end; or it failed, or ran for no job.
    Open(NewRows),
    /// It is committed, with all that the run wrote.
    Committed,
    /// Another has ended the job, or will; what the run wrote is undone.
    Elsewhere,
}

impl Default for JobEnd {
    fn default() -> Self {
        Self::Open(NewRows::default())
    }
}

impl RunOutput {
    /// The outcome of a run that never was.
    pub fn refused(failure: Failure) -> Self {
        Self {
            outcome: Err(failure),
            response: HttpResponse::default(),
            logs: "[]".into(),
            operations: 0,
            duration: Duration::ZERO,
            left_behind_bytes: 0,
            writes: Vec::new(),
            writes_are_cut: false,
            database: Duration::ZERO,
            place: None,
            hooks: Vec::new(),
            later: Vec::new(),
            has_later: false,
            job_end: JobEnd::default(),
            is_thrown: false,
            retry_after: None,
        }
    }
}

/// The run that this thread is in.
pub(super) struct Run {
    pub origin: Origin,
    pub event: Arc<str>,
    pub request_id: Uuid,
    pub body: Dynamic,
    /// Whether the body was sent; a missing one is an empty object.
    pub has_body: bool,
    /// All arguments but the first, which is the body.
    pub other_args: rhai::Array,
    pub user: Option<CallUser>,
    pub user_value: Option<Dynamic>,
    pub response: HttpResponse,
    pub host: Arc<dyn Host>,
    pub limits: Arc<config::Scripts>,
    /// The row before the write, in a hook.
    pub old: Dynamic,
    /// Hooks that led here, each by a write of the one before; 0: the script itself.
    pub hook_depth: usize,
    /// What it has in common with the hooks of its writes.
    pub shared: Shared,
    /// The time that stands still, in a test.
    pub clock_ms: Option<i64>,
    /// Its script asked for another attempt after this time.
    pub retry_after: Option<Duration>,
    /// Why the run has to end at its next operation.
    pub ended: Option<Failure>,
    /// Where it failed.
    pub failed_at: Option<Place>,
    /// Whether it failed by what its script itself threw.
    pub is_thrown: bool,
}

/// What a run and the hooks of its writes use together.
#[derive(Default)]
pub(super) struct Shared {
    pub emits: usize,
    /// Bytes of all payloads emitted.
    pub emit_bytes: usize,
    pub logs: String,
    pub database_calls: usize,
    /// How long it waited for the database.
    pub database: Duration,
    /// Operations of hooks that have ended.
    pub hook_operations: u64,
    /// Bytes that hooks have left behind; theirs, not the script's.
    pub left_by_hooks: u64,
    /// Its work with rows, once there is any.
    pub session: Option<Arc<Session>>,
    /// Hooks that wait for the end of the transaction.
    pub waiting_hooks: Vec<WaitingHook>,
    /// Bytes of the rows that they wait with, about.
    pub waiting_bytes: usize,
    /// Whether it does the writes of a batch.
    pub is_batch: bool,
    /// What was written, in a test run and in one that is captured.
    pub writes: Option<Vec<Write>>,
    /// Bytes of those, about, and whether more was written.
    pub write_bytes: usize,
    pub writes_are_cut: bool,
    /// The jobs for later, in a test run.
    pub later: Option<Vec<Later>>,
    /// Whether there are jobs for later.
    pub has_later: bool,
    /// Hooks that ran, for the record.
    pub hooks: Vec<HookRun>,
}

thread_local! {
    static RUN: RefCell<Option<Run>> = const { RefCell::new(None) };
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    static HELD_BYTES_MAX: Cell<i64> = const { Cell::new(i64::MAX) };
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Enters a run on this thread.
pub(super) fn enter(run: Run, deadline: Instant) {
    HELD_BYTES_MAX.set(held_bytes().saturating_add(run.limits.memory_bytes as i64));
    DEADLINE.set(Some(deadline));
    OPERATIONS.set(0);
    RUN.set(Some(run));
}

/// Leaves the run; gives it back with its operations.
pub(super) fn leave() -> Option<(Run, u64)> {
    HELD_BYTES_MAX.set(i64::MAX);
    DEADLINE.set(None);
    RUN.take().map(|run| {
        let operations = OPERATIONS.get() + run.shared.hook_operations;
        (run, operations)
    })
}

/// Runs `work` as a run of its own within this thread's run, which it shares caps and time with.
pub(super) fn nested<T>(make: impl FnOnce(&Run) -> Run, work: impl FnOnce() -> T) -> T {
    let mut outer = RUN.take().expect("a nested run stands in another");
    let mut inner = make(&outer);
    inner.shared = std::mem::take(&mut outer.shared);
    let operations = OPERATIONS.replace(0);
    RUN.set(Some(inner));
    let done = work();
    if let Some(mut inner) = RUN.take() {
        inner.shared.hook_operations += OPERATIONS.get();
        outer.shared = std::mem::take(&mut inner.shared);
        outer.ended = outer.ended.take().or(inner.ended.take());
    }
    OPERATIONS.set(operations);
    RUN.set(Some(outer));
    done
}

/// The run that this thread is in.
///
/// # Panics
/// Outside a run: macros are only evaluated inside one.
pub(super) fn with_run<T>(work: impl FnOnce(&mut Run) -> T) -> T {
    RUN.with_borrow_mut(|run| work(run.as_mut().expect("macros are only evaluated inside a run")))
}

/// The host of this thread's run, without holding the run.
pub(super) fn host() -> Arc<dyn Host> {
    with_run(|run| run.host.clone())
}

/// The attempt at a job that this thread's run is, with those before; none where it is for no job.
pub(super) fn job_of_run() -> (Option<Fence>, Attempts) {
    RUN.with_borrow(|run| {
        let job = run.as_ref().and_then(|run| run.origin.job());
        job.map_or_else(Default::default, |job| (job.fence, job.attempts.clone()))
    })
}

/// Whether this thread's run is for a job that the database has.
pub(super) fn is_for_job() -> bool {
    RUN.with_borrow(|run| run.as_ref().is_some_and(|run| run.origin.fence().is_some()))
}

/// Whether this thread's run is a test run.
pub(super) fn is_test() -> bool {
    with_run(|run| run.shared.later.is_some())
}

/// The time for this thread's run, in milliseconds.
pub(super) fn now_ms() -> i64 {
    with_run(|run| run.clock_ms).unwrap_or_else(crate::jobs::now_ms)
}

/// The same as a time.
pub(super) fn now() -> Time {
    with_run(|run| run.clock_ms).and_then(from_ms).unwrap_or_else(crate::store::now)
}

/// The time that is left to this thread's run.
pub(super) fn time_left() -> Duration {
    DEADLINE.get().map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// Refuses what changes something in a script that may only read. `what`: as it is written.
pub(super) fn refuse_in_admission(what: &str) -> Result<(), Box<EvalAltResult>> {
    if !with_run(|run| matches!(run.origin, Origin::Admission { .. })) {
        return Ok(());
    }
    let message = "does not exist in an admission script, which can only read, throw and log; \
                   the connection script comes after it";
    Err(format!("{what} {message}").into())
}

/// Whether the run must end; called by Rhai on every operation.
#[inline]
pub(super) fn must_end(operations: u64) -> bool {
    OPERATIONS.set(operations);
    if held_bytes() > HELD_BYTES_MAX.get() {
        end(ErrorCode::ScriptMemoryLimit, "The script holds more memory than it may");
        return true;
    }
    if operations.is_multiple_of(CLOCK_EVERY)
        && DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline)
    {
        end_for_time();
        return true;
    }
    RUN.with_borrow(|run| run.as_ref().is_some_and(|run| run.ended.is_some()))
}

/// Notes that the time is up.
pub(super) fn end_for_time() {
    end(ErrorCode::ScriptTimeout, "The script took longer than it may");
}

/// Notes why the run ends; the first reason counts.
pub(super) fn end(code: ErrorCode, message: impl Into<Cow<'static, str>>) {
    RUN.with_borrow_mut(|run| {
        if let Some(run) = run {
            run.ended.get_or_insert_with(|| uncounted(|| Failure::new(code, message)));
        }
    });
}

/// Ends the run at once: an error that no script can catch.
pub(super) fn terminate(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Box<EvalAltResult> {
    end(code, message);
    EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into()
}

/// The failure of this thread's run, whose place is noted.
pub(super) fn failed(error: &EvalAltResult) -> Failure {
    let place = failure::place_of(error);
    RUN.with_borrow_mut(|run| {
        if let Some(run) = run {
            run.failed_at = place;
            run.is_thrown = failure::is_own(error);
        }
    });
    failure::of_error(error)
}

/// Adds one entry to the logs of this thread's run.
pub(super) fn log(value: &Dynamic) -> Result<(), Box<EvalAltResult>> {
    let full = with_run(|run| {
        uncounted(|| {
            let left = run.limits.log_bytes.saturating_sub(run.shared.logs.len() + 1);
            match json::to_json(value, run.limits.value_depth, left) {
                Ok(entry) => {
                    tracing::debug!(
                        gateway = run.origin.gateway_or_word(), event = %run.event, request_id = %run.request_id,
                        user_id = run.user.as_ref().and_then(CallUser::id),
                        socket_id = run.origin.socket().map(|socket| socket.id()), entry, "script log"
                    );
                    if !run.shared.logs.is_empty() {
                        run.shared.logs.push(',');
                    }
                    run.shared.logs.push_str(&entry);
                    None
                }
                Err(reason) => Some(reason),
            }
        })
    });
    full.map_or(Ok(()), |reason| Err(unsendable("a log entry", reason)))
}

/// The end of a run whose value cannot leave it.
pub(super) fn unsendable(what: &str, reason: Unsendable) -> Box<EvalAltResult> {
    let (code, message) = unsendable_reason(what, reason);
    terminate(code, message)
}

/// Why a value cannot leave a run, for the script's author.
pub(super) fn unsendable_reason(what: &str, reason: Unsendable) -> (ErrorCode, String) {
    match reason {
        Unsendable::TooDeep => (ErrorCode::ScriptOutputLimit, format!("{what} nests deeper than it may")),
        Unsendable::TooLarge => (ErrorCode::ScriptOutputLimit, format!("{what} is larger than it may be")),
        Unsendable::NoJson => (
            ErrorCode::ScriptExecution,
            format!("{what} holds a function or another value without a JSON form"),
        ),
        Unsendable::Placeholder => (
            ErrorCode::ScriptExecution,
            format!("{what} has the key `_placeholder`, which stands for binary data; send the blob itself"),
        ),
    }
}
