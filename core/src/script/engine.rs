//! Compiles and runs scripts.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rhai::packages::{
    BasicArrayPackage, BasicBlobPackage, BasicMapPackage, BasicMathPackage, BitFieldPackage, CorePackage,
    LogicPackage, MoreStringPackage, Package,
};
use rhai::{AST, Dynamic, Engine, EvalAltResult, Scope};

use super::calls::{self, Functions};
use super::failure::Place;
use super::host::Host;
use super::later::Later;
use super::library::{IMPORTS_MAX, Libraries, Own, OwnImports, Within, with_own};
use super::memory::{counted, held_bytes, uncounted};
use super::outside::from_outside;
use super::own_pack::Mounts;
use super::reference::Context;
use super::request::HttpResponse;
use super::rows::Rows;
use super::rows::hooks::{HookRun, Hooks};
use super::rows::requests::RowsWrite;
use super::run::{self, Call, JobEnd, Run, RunOutput, Shared};
use super::{attachment, hints, json, macros, outside, require, strings};
use crate::auth::Secret;
use crate::config;
use crate::data::{Data, UserWrite, Write};
use crate::error::{ErrorCode, Failure};
use crate::jobs::End;
use crate::payload::Payload;

/// Compiles and runs scripts under the configured caps. One for the whole process; threads share
/// it without locks.
pub struct ScriptEngine {
    engine: Engine,
    limits: Arc<config::Scripts>,
    rows: Option<Arc<Rows>>,
    mounts: Arc<ArcSwap<Mounts>>,
    /// All that a script can call, once one is checked.
    functions: OnceLock<Functions>,
}

/// A compiled script.
#[derive(Clone)]
pub struct Script {
    ast: AST,
    own: Own,
}

impl Script {
    /// Evaluates it within the run that this thread is in.
    pub(super) fn evaluate(&self, engine: &Engine) -> Result<Dynamic, Box<EvalAltResult>> {
        with_own(&self.own, || engine.eval_ast_with_scope(&mut Scope::new(), &self.ast))
    }

    /// Whether it would be the same if it were compiled with these libraries, as a script of this pack.
    pub fn is_of(&self, libraries: &Libraries, pack: Option<&str>) -> bool {
        libraries.are_same(&self.own.imports, pack)
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("ast", &self.ast).finish_non_exhaustive()
    }
}

/// Why a script does not compile, for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct CompileError {
    /// What is wrong and, where it is known, what to write instead.
    pub message: String,
    /// What to write instead: the end of the message.
    pub hint: Option<String>,
    /// From 1; 0 when the error concerns the script as a whole.
    pub line: usize,
    /// From 1; 0 when unknown.
    pub column: usize,
}

impl From<CompileError> for Failure {
    fn from(error: CompileError) -> Self {
        let details = serde_json::json!({ "line": error.line, "column": error.column });
        Self::new(ErrorCode::ScriptCompile, error.to_string()).with_details(details)
    }
}

impl ScriptEngine {
    /// An engine with these caps, whose scripts sign tokens with a key derived from `secret` and
    /// work with the tables of `data`; without any, a script that names a table compiles and fails
    /// when it gets there.
    pub fn new(limits: &config::Scripts, secret: Arc<Secret>, data: Option<Arc<Data>>) -> Self {
        let limits = Arc::new(limits.clone());
        let mut engine = Engine::new_raw();
        register_packages(&mut engine);
        set_caps(&mut engine, &limits);
        engine.set_module_resolver(OwnImports);
        strings::register(&mut engine, limits.string_bytes, limits.elements);
        require::register(&mut engine);
        attachment::register(&mut engine);
        outside::register(&mut engine);
        let rows = data.map(|data| Arc::new(Rows::new(data)));
        let mounts = Arc::<ArcSwap<Mounts>>::default();
        macros::register(&mut engine, &limits, secret, rows.clone(), mounts.clone());
        Self { engine, limits, rows, mounts, functions: OnceLock::new() }
    }

    /// Bytes that one run may hold.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.limits.memory_bytes
    }

    /// The tables that scripts work with.
    pub fn data(&self) -> Option<&Arc<Data>> {
        self.rows.as_ref().map(|rows| rows.data())
    }

    /// Takes over the hooks that run around writes from now on.
    pub fn set_hooks(&self, hooks: Hooks) {
        if let Some(rows) = &self.rows {
            rows.set_hooks(hooks);
        }
    }

    /// Takes over where the gateways of packs are from now on.
    pub fn set_mounts(&self, mounts: Mounts) {
        self.mounts.store(Arc::new(mounts));
    }

    /// Compiles a script as [`Self::compile`], and refuses calls that do not exist, and tables that are
    /// not among `tables`, where those are known.
    ///
    /// # Errors
    /// With the position in the author's text.
    pub fn check(
        &self,
        source: &str,
        within: &Within,
        tables: Option<&BTreeSet<String>>,
    ) -> Result<Script, CompileError> {
        let script = macros::table::with_known_tables(tables, || self.compile(source, within))?;
        calls::check(&script.ast, &script.own.imports, self.functions())?;
        Ok(script)
    }

    /// All that is wrong with a script as far as it can be told, in its order: of its grammar the first alone. In what
    /// it is for, where that is known, what can do nothing is wrong too. Call it on a script thread.
    pub fn problems(
        &self,
        source: &str,
        within: &Within,
        tables: Option<&BTreeSet<String>>,
        context: Option<Context>,
    ) -> Vec<CompileError> {
        match macros::table::with_known_tables(tables, || self.compile(source, within)) {
            Ok(script) => calls::all_wrong(&script.ast, &script.own.imports, self.functions(), context),
            Err(error) => vec![error],
        }
    }

    /// What is no error in a script and yet hardly meant, in its order.
    pub fn remarks(&self, source: &str) -> Vec<CompileError> {
        hints::remarks(source)
    }

    /// The same as [`Self::check`] of the library of this name among `libraries`.
    ///
    /// # Errors
    /// With the position in its text.
    pub fn check_library(
        &self,
        libraries: &Libraries,
        name: &str,
        tables: Option<&BTreeSet<String>>,
    ) -> Result<(), CompileError> {
        let Some((source, compiled)) = libraries.compiled(name) else { return Ok(()) };
        let compiled = compiled.map_err(Clone::clone)?;
        macros::table::with_known_tables(tables, || self.parse(source))?;
        calls::check(&compiled.ast, &compiled.imports, self.functions())
    }

    fn functions(&self) -> &Functions {
        self.functions.get_or_init(|| Functions::of(&self.engine))
    }

    /// Compiles a script. Takes a deep stack: call it on a script thread.
    ///
    /// # Errors
    /// With the position in the author's text.
    pub fn compile(&self, source: &str, within: &Within) -> Result<Script, CompileError> {
        let ast = self.parse(source)?;
        let imports = within.imports(&ast)?;
        Ok(Script { ast, own: Own { imports, pack: within.pack.clone() } })
    }

    /// Parses a script or a library.
    pub(super) fn parse(&self, source: &str) -> Result<AST, CompileError> {
        if source.len() > self.limits.source_bytes {
            let message = format!("The script has more than {} bytes", self.limits.source_bytes);
            return Err(CompileError { message, hint: None, line: 0, column: 0 });
        }
        self.engine.compile(source).map_err(|error| hints::compile_error(&error, source))
    }

    /// What evaluates.
    pub(super) fn rhai(&self) -> &Engine {
        &self.engine
    }

    /// Runs a script to its end, whatever it does. Call it on a script thread.
    pub fn run(&self, script: &Script, call: &Call, host: Arc<dyn Host>) -> RunOutput {
        self.run_as(call, host, |engine| script.evaluate(engine))
    }

    /// Writes rows as a script would, with the hooks that belong to it. Call it on a script thread.
    pub fn write(&self, write: &RowsWrite, call: &Call, host: Arc<dyn Host>) -> RunOutput {
        self.run_as(call, host, |engine| match &self.rows {
            Some(rows) => rows.write(engine, write),
            None => Err(macros::table::no_tables()),
        })
    }

    /// Runs the hooks after a write of accounts. Call it on a script thread.
    pub fn tell_of_user(&self, write: &UserWrite, call: &Call, host: Arc<dyn Host>) -> RunOutput {
        self.run_as(call, host, |engine| match &self.rows {
            Some(rows) => rows.tell_of_user(engine, write),
            None => Err(macros::table::no_tables()),
        })
    }

    /// Whether any hook stands on a table.
    pub fn has_hooks(&self, table: &str) -> bool {
        self.rows.as_ref().is_some_and(|rows| rows.hooks().contains_key(table))
    }

    fn run_as(
        &self,
        call: &Call,
        host: Arc<dyn Host>,
        work: impl FnOnce(&Engine) -> Result<Dynamic, Box<EvalAltResult>>,
    ) -> RunOutput {
        let start = Instant::now();
        let held_before = held_bytes();
        let (timeout, is_answer) = (call.timeout, call.origin.request().is_some());
        let mut job_end = JobEnd::default();
        let (outcome, left) = counted(|| {
            let value = catch_unwind(AssertUnwindSafe(|| {
                self.enter(call, host, start + timeout)?;
                let payload = work(&self.engine)
                    .map_err(|error| run::failed(&error))
                    .and_then(|value| self.payload(&value, is_answer))?;
                job_end = self.end_job(&payload)?;
                Ok(payload)
            }));
            if !matches!(value, Ok(Ok(_))) {
                self.abandon_job();
            }
            self.leave(value)
        });
        let left_behind_bytes = ((held_bytes() - held_before).max(0) as u64).saturating_sub(left.by_hooks);
        RunOutput {
            outcome,
            response: left.response,
            logs: left.logs,
            operations: left.operations,
            duration: start.elapsed(),
            left_behind_bytes,
            writes: left.writes,
            writes_are_cut: left.writes_are_cut,
            database: left.database,
            place: left.place,
            hooks: left.hooks,
            later: left.later,
            has_later: left.has_later,
            job_end,
            is_thrown: left.is_thrown,
            retry_after: left.retry_after,
        }
    }

    /// Ends the job that a run is for in the transaction of what it wrote, if it wrote anything.
    fn end_job(&self, payload: &Payload) -> Result<JobEnd, Failure> {
        let (fence, attempts) = run::job_of_run();
        let (Some(fence), Some(rows)) = (fence, &self.rows) else { return Ok(JobEnd::default()) };
        uncounted(|| {
            let end = || End::done(payload, attempts);
            rows.end_job(&self.engine, fence, end).map_err(|error| run::failed(&error))
        })
    }

    /// Undoes what a run for a job wrote that failed.
    fn abandon_job(&self) {
        if let Some(rows) = self.rows.as_ref().filter(|_| run::is_for_job()) {
            uncounted(|| rows.abandon());
        }
    }

    fn enter(&self, call: &Call, host: Arc<dyn Host>, deadline: Instant) -> Result<(), Failure> {
        let mut arguments = call.arguments.read().map_err(not_json)?;
        let has_body = !arguments.is_empty();
        let body = if has_body { arguments.remove(0) } else { rhai::Map::new().into() };
        let notes_writes = call.test.is_some() || host.notes_writes();
        let run = Run {
            origin: call.origin.clone(),
            event: call.event.clone(),
            request_id: call.request_id,
            body: body.into_shared(),
            has_body,
            other_args: arguments,
            user: call.user.clone(),
            user_value: None,
            response: HttpResponse::default(),
            host,
            limits: self.limits.clone(),
            old: call
                .test
                .as_ref()
                .map_or(Ok(Dynamic::UNIT), |test| rhai::serde::to_dynamic(&test.old).map(from_outside))
                .map_err(not_json)?,
            hook_depth: 0,
            shared: Shared {
                session: call.test.as_ref().and_then(|test| test.session.clone()),
                writes: notes_writes.then(Vec::new),
                later: call.test.as_ref().map(|test| test.waiting.clone()),
                ..Shared::default()
            },
            clock_ms: call.test.as_ref().and_then(|test| test.clock_ms),
            retry_after: None,
            ended: None,
            failed_at: None,
            is_thrown: false,
        };
        run::enter(run, deadline);
        Ok(())
    }

    /// Takes the thread out of the run and drops all that was the run's.
    fn leave(
        &self,
        value: std::thread::Result<Result<Payload, Failure>>,
    ) -> (Result<Payload, Failure>, Left) {
        let left = run::leave();
        let outcome = value.unwrap_or_else(|_panic| {
            uncounted(|| {
                tracing::error!("a call of a script panicked; the run is ended");
                Err(Failure::new(ErrorCode::Internal, "Internal error"))
            })
        });
        let Some((mut run, operations)) = left else {
            return (outcome, Left { logs: NO_LOGS, ..Left::default() });
        };
        let logs = match uncounted(|| std::mem::take(&mut run.shared.logs)) {
            logs if logs.is_empty() => NO_LOGS,
            logs => uncounted(|| format!("[{logs}]").into()),
        };
        let left = Left {
            response: std::mem::take(&mut run.response),
            logs,
            operations,
            by_hooks: run.shared.left_by_hooks,
            writes: run.shared.writes.take().unwrap_or_default(),
            writes_are_cut: run.shared.writes_are_cut,
            database: run.shared.database,
            place: uncounted(|| run.failed_at.clone()),
            hooks: std::mem::take(&mut run.shared.hooks),
            later: run.shared.later.take().unwrap_or_default(),
            has_later: run.shared.has_later,
            // What the sandbox ended is none of the script's own.
            is_thrown: run.is_thrown && run.ended.is_none(),
            retry_after: run.retry_after,
        };
        uncounted(|| drop(run.shared.session.take()));
        let ended = run.ended.take();
        drop(run);
        (ended.map_or(outcome, Err).map_err(moved_out), left)
    }

    /// The result as it leaves the run: made uncounted, since another thread frees it. Over HTTP, what
    /// Socket.IO takes for binary data is JSON like any other, and blobs are text in it.
    fn payload(&self, value: &Dynamic, is_answer: bool) -> Result<Payload, Failure> {
        let (depth, bytes) = (self.limits.value_depth, self.limits.result_bytes);
        let payload = uncounted(|| {
            if is_answer {
                json::to_json(value, depth, bytes).map(|json| Payload { json, attachments: Vec::new() })
            } else {
                json::to_payload(value, depth, bytes)
            }
        });
        payload.map_err(|reason| {
            let (code, message) = run::unsendable_reason("the result", reason);
            Failure::new(code, message)
        })
    }
}

fn not_json<E>(_: E) -> Failure {
    Failure::new(ErrorCode::InvalidPayload, "The payload is not JSON, or nests too deep")
}

/// What is left of a run besides its outcome.
#[derive(Default)]
struct Left {
    response: HttpResponse,
    logs: Cow<'static, str>,
    operations: u64,
    /// Bytes that hooks have left behind, which are not the script's.
    by_hooks: u64,
    writes: Vec<Write>,
    writes_are_cut: bool,
    database: Duration,
    place: Option<Place>,
    hooks: Vec<HookRun>,
    later: Vec<Later>,
    has_later: bool,
    is_thrown: bool,
    retry_after: Option<Duration>,
}

/// The JSON of a run that logged nothing.
const NO_LOGS: Cow<'static, str> = Cow::Borrowed("[]");

/// A failure as it leaves the run: its copy is not counted, the original is given back.
fn moved_out(failure: Failure) -> Failure {
    uncounted(|| failure.clone())
}

/// Rhai's standard library without its clock (`timestamp`) and its debugger.
fn register_packages(engine: &mut Engine) {
    CorePackage::new().register_into_engine(engine);
    BitFieldPackage::new().register_into_engine(engine);
    LogicPackage::new().register_into_engine(engine);
    BasicMathPackage::new().register_into_engine(engine);
    BasicArrayPackage::new().register_into_engine(engine);
    BasicBlobPackage::new().register_into_engine(engine);
    BasicMapPackage::new().register_into_engine(engine);
    MoreStringPackage::new().register_into_engine(engine);
}

fn set_caps(engine: &mut Engine, limits: &config::Scripts) {
    engine
        .set_max_operations(limits.operations)
        .set_max_call_levels(limits.call_depth)
        .set_max_expr_depths(limits.expression_depth, limits.expression_depth)
        .set_max_array_size(limits.elements)
        .set_max_map_size(limits.elements)
        .set_max_string_size(limits.string_bytes)
        .set_max_modules(IMPORTS_MAX)
        .set_strict_variables(true)
        .disable_symbol("eval")
        .disable_symbol("debug")
        .on_progress(|operations| run::must_end(operations).then_some(Dynamic::UNIT))
        .on_print(|text| {
            // A full log ends the run at its next operation.
            let _ = run::log(&Dynamic::from(text.to_owned()));
        });
}
