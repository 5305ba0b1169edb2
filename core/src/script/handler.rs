//! A live script: compiled, with its schema, its time and its record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use prometheus::{Histogram, IntCounter};
use serde_json::Value as Json;
use uuid::Uuid;

use super::engine::{CompileError, Script, ScriptEngine};
use super::library::{Libraries, Within};
use super::log_rate::LogRate;
use super::packet::Arguments;
use super::run::RunOutput;
use super::schema::Schema;
use crate::error::{ErrorCode, Failure};
use crate::metrics::Metrics;
use crate::store::Time;

/// The name of an event's or a route's script.
pub const SCRIPT_EVENT: &str = "sourceCode";
/// The name of a gateway's connection script.
pub const SCRIPT_CONNECTION: &str = "connectionScript";
/// The name of a gateway's disconnection script.
pub const SCRIPT_DISCONNECTION: &str = "disconnectionScript";
/// The name of a gateway's admission script.
pub const SCRIPT_ADMISSION: &str = "admissionScript";

/// What a handler is made of.
#[derive(Debug)]
pub struct HandlerSource<'a> {
    /// The row that has it.
    pub owner: Uuid,
    /// Which of its owner's scripts it is.
    pub script: &'static str,
    /// The version of its owner's row: another one is another handler.
    pub version: Time,
    /// The path of its gateway, or `routes`.
    pub gateway: &'a str,
    /// The event's name, `admission`, `connection` or `disconnection`, or a route's method and path.
    pub name: &'a str,
    /// The script.
    pub source: &'a str,
    /// The pack that it belongs to, whose libraries it finds first.
    pub pack: Option<&'a str>,
    /// A JSON Schema of its payload.
    pub schema: Option<&'a Json>,
    /// The time of one run.
    pub timeout: Duration,
    /// How its events are kept in the database; none: they are not.
    pub durable: Option<Durable>,
}

/// How durable events of a handler are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Whether those of a user keep their order, not those of a socket.
    pub is_of_user: bool,
    /// How often one is tried, the first time included.
    pub attempts: u32,
    /// Whether those behind one that was given up wait for what becomes of it.
    pub stops_key: bool,
}

/// A live script.
pub struct Handler {
    /// The event, the gateway or the route.
    pub owner: Uuid,
    /// Which of its owner's scripts it is.
    pub script_name: &'static str,
    version: Time,
    /// The path of its gateway, or `routes`.
    pub gateway: Arc<str>,
    /// The event's name, `admission`, `connection` or `disconnection`, or a route's method and path.
    pub name: Arc<str>,
    /// The time of one run.
    pub timeout: Duration,
    /// How its events are kept in the database; none: they are not.
    pub durable: Option<Durable>,
    script: Result<Script, CompileError>,
    pack: Option<Arc<str>>,
    /// The libraries with which it did not compile.
    refused_with: Option<Arc<Libraries>>,
    schema: Option<Schema>,
    left_behind_bytes: AtomicU64,
    suspended: RwLock<Option<String>>,
    seconds: Histogram,
    succeeded: IntCounter,
    failed: AtomicU64,
    log_rate: LogRate,
    metrics: Arc<Metrics>,
}

impl Handler {
    /// Compiles a handler. A saved script that does not compile (any more) makes a suspended one.
    pub fn new(
        from: &HandlerSource<'_>,
        libraries: &Arc<Libraries>,
        engine: &ScriptEngine,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let pack: Option<Arc<str>> = from.pack.map(Arc::from);
        let within = Within { libraries: libraries.clone(), pack: pack.clone() };
        let script = engine.compile(from.source, &within);
        let suspended = script.as_ref().err().map(|error| format!("the script does not compile: {error}"));
        if let Some(reason) = &suspended {
            tracing::error!(gateway = from.gateway, event = from.name, reason, "handler suspended");
        }
        Self {
            owner: from.owner,
            script_name: from.script,
            version: from.version,
            gateway: from.gateway.into(),
            name: from.name.into(),
            timeout: from.timeout,
            durable: from.durable,
            refused_with: script.is_err().then(|| libraries.clone()),
            script,
            pack,
            schema: from.schema.and_then(|schema| Schema::new(schema).ok()),
            left_behind_bytes: AtomicU64::new(0),
            suspended: RwLock::new(suspended),
            seconds: metrics.handler_seconds.with_label_values(&[from.gateway, from.name]),
            succeeded: metrics.events.with_label_values(&[from.gateway, from.name, "ok"]),
            failed: AtomicU64::new(0),
            log_rate: LogRate::new(),
            metrics: metrics.clone(),
        }
    }

    /// Whether this handler still is what `from` says, with these libraries.
    pub fn is_from(&self, from: &HandlerSource<'_>, libraries: &Arc<Libraries>) -> bool {
        let compiles_alike = match &self.script {
            Ok(script) => script.is_of(libraries, from.pack),
            Err(_) => self.refused_with.as_ref().is_some_and(|before| before.is_same(libraries)),
        };
        compiles_alike
            && self.version == from.version
            && self.pack.as_deref() == from.pack
            && self.timeout == from.timeout
            && self.durable == from.durable
            && &*self.gateway == from.gateway
    }

    /// The compiled script; none while it is suspended.
    pub fn script(&self) -> Option<&Script> {
        if self.suspended.read().is_some() {
            return None;
        }
        self.script.as_ref().ok()
    }

    /// Why the handler is suspended, if it is.
    pub fn suspended(&self) -> Option<String> {
        self.suspended.read().clone()
    }

    /// Lets a suspended handler run again; what it left behind counts from 0.
    pub fn resume(&self) {
        if self.script.is_ok() {
            self.left_behind_bytes.store(0, Ordering::Relaxed);
            *self.suspended.write() = None;
        }
    }

    /// Checks a payload against the event's schema, if that is done in a moment; none: it takes
    /// [`Self::check_payload`].
    pub fn check_payload_briefly(&self, arguments: &Arguments) -> Option<Result<(), Failure>> {
        let Some(schema) = &self.schema else { return Some(Ok(())) };
        match arguments.payload() {
            Ok(payload) => schema.check_briefly(&payload),
            Err(_) => Some(Err(not_json())),
        }
    }

    /// Checks a payload against the event's schema, within the time of a run and so many bytes of
    /// memory. Call it on a script thread.
    ///
    /// # Errors
    /// `INVALID_PAYLOAD`, whose message names the JSON pointer; `SCRIPT_TIMEOUT` and
    /// `SCRIPT_MEMORY_LIMIT` past the bounds.
    pub fn check_payload(&self, arguments: &Arguments, memory_bytes: usize) -> Result<(), Failure> {
        let Some(schema) = &self.schema else { return Ok(()) };
        let payload = arguments.payload().map_err(|_| not_json())?;
        schema.check(&payload, self.timeout, memory_bytes)
    }

    /// Takes a finished run into the record; suspends a handler that has left too much behind.
    pub fn record(&self, output: &RunOutput, left_behind_bytes_max: u64) {
        let code = output.outcome.as_ref().err().map(|failure| failure.code);
        self.metrics.script_operations.inc_by(output.operations);
        self.note(code, output.duration, output.left_behind_bytes, left_behind_bytes_max);
    }

    /// Takes one run, or one hook of a run, into the record.
    pub(super) fn note(
        &self,
        code: Option<ErrorCode>,
        duration: Duration,
        left_behind_bytes: u64,
        left_behind_bytes_max: u64,
    ) {
        self.seconds.observe(duration.as_secs_f64());
        match code {
            None => self.succeeded.inc(),
            Some(code) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.count(code);
            }
        }
        if left_behind_bytes > 0 {
            let before = self.left_behind_bytes.fetch_add(left_behind_bytes, Ordering::Relaxed);
            if before + left_behind_bytes >= left_behind_bytes_max {
                self.suspend(format!(
                    "its runs left {} bytes allocated, most likely by a closure that holds itself; save it again or resume it",
                    before + left_behind_bytes
                ));
            }
        }
    }

    /// Whether a failure may be a line in the log now; with it, how many were none since the last.
    pub fn may_log(&self) -> Option<u64> {
        self.log_rate.take(Instant::now())
    }

    /// Counts an event that ended, or was refused, with a code.
    pub fn count(&self, code: ErrorCode) {
        self.metrics.events.with_label_values(&[&*self.gateway, &*self.name, code.as_str()]).inc();
    }

    /// Runs so far, and how many of them failed.
    pub fn counts(&self) -> (u64, u64) {
        let failed = self.failed.load(Ordering::Relaxed);
        (self.succeeded.get() + failed, failed)
    }

    /// A quantile of its time, in seconds.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        crate::metrics::quantile(&self.seconds, quantile)
    }

    fn suspend(&self, reason: String) {
        let mut suspended = self.suspended.write();
        if suspended.is_none() {
            tracing::error!(gateway = %self.gateway, event = %self.name, reason, "handler suspended");
            *suspended = Some(reason);
        }
    }
}

fn not_json() -> Failure {
    Failure::new(ErrorCode::InvalidPayload, "The payload is no JSON")
}
