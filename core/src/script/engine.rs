//! Compiles and runs scripts.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rhai::packages::{
    BasicArrayPackage, BasicBlobPackage, BasicMapPackage, BasicMathPackage, BitFieldPackage, CorePackage,
    LogicPackage, MoreStringPackage, Package,
};
use rhai::{AST, Dynamic, Engine, Scope};

use super::host::{Host, Payload};
use super::memory::{counted, held_bytes, uncounted};
use super::request::HttpResponse;
use super::run::{self, Call, Run, RunOutput};
use super::{failure, helpers, hints, json, macros, socket_api, strings, throw};
use crate::auth::Secret;
use crate::config;
use crate::error::{ErrorCode, Failure};

/// Compiles and runs scripts under the configured caps. One for the whole process; threads share
/// it without locks.
pub struct ScriptEngine {
    engine: Engine,
    limits: Arc<config::Scripts>,
}

/// A compiled script.
#[derive(Debug, Clone)]
pub struct Script {
    ast: AST,
}

/// Why a script does not compile, for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct CompileError {
    /// What is wrong and, where it is known, what to write instead.
    pub message: String,
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
    /// An engine with these caps, whose scripts sign tokens with a key derived from `secret`.
    pub fn new(limits: &config::Scripts, secret: Arc<Secret>) -> Self {
        let limits = Arc::new(limits.clone());
        let mut engine = Engine::new_raw();
        register_packages(&mut engine);
        set_caps(&mut engine, &limits);
        strings::register(&mut engine, limits.string_bytes);
        macros::register(&mut engine);
        socket_api::register(&mut engine);
        throw::register(&mut engine);
        helpers::register(&mut engine, &limits, secret);
        super::cache::register(&mut engine);
        Self { engine, limits }
    }

    /// Compiles a script. Takes a deep stack: call it on a script thread.
    ///
    /// # Errors
    /// With the position in the author's text.
    pub fn compile(&self, source: &str) -> Result<Script, CompileError> {
        if source.len() > self.limits.source_bytes {
            let message = format!("The script has more than {} bytes", self.limits.source_bytes);
            return Err(CompileError { message, line: 0, column: 0 });
        }
        match self.engine.compile(source) {
            Ok(ast) => Ok(Script { ast }),
            Err(error) => Err(hints::compile_error(&error, source)),
        }
    }

    /// Runs a script to its end, whatever it does. Call it on a script thread.
    pub fn run(&self, script: &Script, call: &Call, host: Arc<dyn Host>) -> RunOutput {
        let start = Instant::now();
        let held_before = held_bytes();
        let timeout = call.timeout;
        let (outcome, response, logs, operations) = counted(|| {
            let value = catch_unwind(AssertUnwindSafe(|| {
                self.enter(call, host, start + timeout)?;
                let mut scope = Scope::new();
                self.engine
                    .eval_ast_with_scope::<Dynamic>(&mut scope, &script.ast)
                    .map_err(|error| failure::of_error(*error))
                    .and_then(|value| self.payload(&value))
            }));
            self.leave(value)
        });
        let left_behind_bytes = (held_bytes() - held_before).max(0) as u64;
        RunOutput { outcome, response, logs, operations, duration: start.elapsed(), left_behind_bytes }
    }

    fn enter(&self, call: &Call, host: Arc<dyn Host>, deadline: Instant) -> Result<(), Failure> {
        let mut arguments = call.arguments.read().map_err(|_| {
            Failure::new(ErrorCode::InvalidPayload, "The payload is not JSON, or nests too deep")
        })?;
        let has_body = !arguments.is_empty();
        let body = if has_body { arguments.remove(0) } else { rhai::Map::new().into() };
        let run = Run {
            gateway: call.gateway.clone(),
            event: call.event.clone(),
            request_id: call.request_id,
            body: body.into_shared(),
            has_body,
            other_args: arguments,
            user: call.user.clone(),
            user_value: None,
            request: call.request.clone(),
            response: HttpResponse::default(),
            host,
            limits: self.limits.clone(),
            emits: 0,
            logs: String::new(),
            ended: None,
        };
        run::enter(run, deadline);
        Ok(())
    }

    /// Takes the thread out of the run and drops all that was the run's.
    fn leave(
        &self,
        value: std::thread::Result<Result<Payload, Failure>>,
    ) -> (Result<Payload, Failure>, HttpResponse, Cow<'static, str>, u64) {
        let left = run::leave();
        let outcome = value.unwrap_or_else(|_panic| {
            uncounted(|| {
                tracing::error!("a call of a script panicked; the run is ended");
                Err(Failure::new(ErrorCode::Internal, "Internal error"))
            })
        });
        let Some((mut run, operations)) = left else { return (outcome, HttpResponse::default(), NO_LOGS, 0) };
        let logs = match uncounted(|| std::mem::take(&mut run.logs)) {
            logs if logs.is_empty() => NO_LOGS,
            logs => uncounted(|| format!("[{logs}]").into()),
        };
        let (ended, response) = (run.ended.take(), std::mem::take(&mut run.response));
        drop(run);
        let outcome = ended.map_or(outcome, Err);
        (outcome.map_err(moved_out), response, logs, operations)
    }

    /// The result as it leaves the run: made uncounted, since another thread frees it.
    fn payload(&self, value: &Dynamic) -> Result<Payload, Failure> {
        uncounted(|| {
            json::to_payload(value, self.limits.value_depth, self.limits.result_bytes).map_err(|reason| {
                let (code, message) = run::unsendable_reason("the result", reason);
                Failure::new(code, message)
            })
        })
    }
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
        .set_max_modules(0)
        .set_strict_variables(true)
        .disable_symbol("eval")
        .disable_symbol("import")
        .disable_symbol("export")
        .disable_symbol("debug")
        .on_progress(|operations| run::must_end(operations).then_some(Dynamic::UNIT))
        .on_print(|text| {
            // A full log ends the run at its next operation.
            let _ = run::log(&Dynamic::from(text.to_owned()));
        });
}
