//! Hooks: scripts that run around the writes of a table, whoever writes.
//!
//! A hook runs on the thread of the write, within its run: it shares the time, the caps and, if it
//! is a `before` hook, the transaction. A chain of hooks and writes is cut at a depth.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, Engine, EvalAltResult};
use serde_json::Value as Json;

use super::to_row;
use super::writes::Operation;
use crate::data::{ID, Row, Table};
use crate::error::{ErrorCode, Failure};
use crate::filter::Filter;
use crate::script::failure::raise;
use crate::script::failure::{self, Place};
use crate::script::handler::Handler;
use crate::script::memory::{counted, held_bytes, uncounted};
use crate::script::outside::from_outside;
use crate::script::request::HttpResponse;
use crate::script::run::{self, Run, Shared, with_run};

/// Hooks in a chain: a write that the last of them makes runs no more.
const DEPTH_MAX: usize = 8;
/// Hooks of one run that are put on record, and as many again that failed: a loop of writes that go
/// alike says no more.
const ON_RECORD_MAX: usize = 16;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookWhen {
    /// Within the transaction; may change the row or refuse it.
    Before,
    /// Once the write is committed.
    After,
}

/// A live hook.
pub struct Hook {
    /// When it runs.
    pub when: HookWhen,
    /// For which writes.
    pub on: Vec<Operation>,
    /// For which rows.
    pub condition: HookCondition,
    /// The script.
    pub handler: Arc<Handler>,
}

/// For which rows a hook runs; the default: for all.
#[derive(Debug, Default)]
pub struct HookCondition {
    /// What the new row has to meet.
    pub filter: Option<Filter>,
    /// Columns of which one has to have changed; empty: no matter.
    pub changed: Vec<String>,
}

/// A hook that ran, for the record.
#[derive(Clone)]
pub struct HookRun {
    /// Its script.
    pub handler: Arc<Handler>,
    /// How it failed; none: it did not.
    pub failure: Option<Failure>,
    /// Where in its script it failed.
    pub place: Option<Place>,
    /// From start to end.
    pub duration: Duration,
    /// Of that, what it waited for the database.
    pub database: Duration,
    /// Rhai operations, those of its own hooks among them.
    pub operations: u64,
}

impl std::fmt::Debug for HookRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookRun").field("name", &self.handler.name).field("failure", &self.failure).finish()
    }
}

/// All hooks by table, in the order in which they run.
pub type Hooks = HashMap<String, Vec<Arc<Hook>>>;

/// An `after` hook that waits for the end of a transaction.
pub(crate) struct WaitingHook {
    pub hook: Arc<Hook>,
    pub operation: Operation,
    pub row: Row,
    pub old: Option<Row>,
}

/// The hooks of one write.
pub(crate) struct HooksOfWrite {
    pub before: Vec<Arc<Hook>>,
    pub after: Vec<Arc<Hook>>,
}

impl HooksOfWrite {
    /// Those of `hooks` for this operation; none at the end of a chain.
    pub(crate) fn of(hooks: &Hooks, table: &Table, operation: Operation) -> Self {
        let mut of_write = Self { before: Vec::new(), after: Vec::new() };
        let Some(of_table) = hooks.get(&table.name) else { return of_write };
        if with_run(|run| run.hook_depth) >= DEPTH_MAX {
            tracing::warn!(table = table.name, "a chain of hooks is cut: each wrote what runs the next");
            return of_write;
        }
        for hook in of_table.iter().filter(|hook| hook.on.contains(&operation)) {
            match hook.when {
                HookWhen::Before => of_write.before.push(hook.clone()),
                HookWhen::After => of_write.after.push(hook.clone()),
            }
        }
        of_write
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

impl HookCondition {
    /// Whether a hook with it runs for this row. Only an update has an old row here.
    pub fn holds(&self, row: &Row, old: Option<&Row>) -> bool {
        let has_changed = |name: &String| {
            let (new, old) = (row.get(name), old.and_then(|old| old.get(name)));
            new.unwrap_or(&Json::Null) != old.unwrap_or(&Json::Null)
        };
        if !self.changed.is_empty() && !self.changed.iter().any(has_changed) {
            return false;
        }
        self.filter.as_ref().is_none_or(|filter| filter.matches(row))
    }
}

impl Hook {
    /// Whether it runs for this row.
    pub(crate) fn applies(&self, row: &Row, old: Option<&Row>) -> bool {
        self.condition.holds(row, old)
    }

    /// Runs it; the fields that it gave back, if any.
    pub(crate) fn run(
        &self,
        engine: &Engine,
        operation: Operation,
        row: &Row,
        old: Option<&Row>,
    ) -> Result<Option<Row>, Box<EvalAltResult>> {
        let Some(script) = self.handler.script() else {
            let message = format!("The hook {} is suspended; an admin can resume it", self.handler.name);
            let failure = Failure::new(ErrorCode::ServiceUnavailable, message);
            self.note(Some(failure.clone()), None, (Duration::ZERO, Duration::ZERO), 0);
            return Err(raise(failure));
        };
        let (operations_before, database_before) =
            with_run(|run| (run.shared.hook_operations, run.shared.database));
        let (start, held_before) = (Instant::now(), held_bytes());
        let done = counted(|| {
            let body = from_outside(rhai::serde::to_dynamic(row)?).into_shared();
            let old = old.map_or(Ok(Dynamic::UNIT), rhai::serde::to_dynamic)?;
            let old = from_outside(old).into_shared();
            run::nested(
                |outer| hook_run(outer, operation, body, old),
                || {
                    let value = script.evaluate(engine)?;
                    if self.when == HookWhen::After || operation == Operation::Delete {
                        return Ok(None);
                    }
                    uncounted(|| fields(&value, row))
                },
            )
        });
        let failure = done
            .as_ref()
            .err()
            .map(|error| with_run(|run| run.ended.clone()).unwrap_or_else(|| failure::of_error(error)));
        let code = failure.as_ref().map(|failure| failure.code);
        let place = done.as_ref().err().and_then(|error| failure::place_of(error));
        let (operations, database) = with_run(|run| {
            (run.shared.hook_operations - operations_before, run.shared.database - database_before)
        });
        self.note(failure, place, (start.elapsed(), database), operations);
        let left_behind = if code.is_none() { (held_bytes() - held_before).max(0) as u64 } else { 0 };
        let left_behind_max = with_run(|run| {
            run.shared.left_by_hooks += left_behind;
            run.limits.left_behind_bytes
        });
        self.handler.note(code, start.elapsed(), left_behind, left_behind_max);
        done.map_err(failure::elsewhere)
    }

    /// Keeps what came of a run for the record. It is a copy that is not counted.
    pub(crate) fn note(
        &self,
        failure: Option<Failure>,
        place: Option<Place>,
        (duration, database): (Duration, Duration),
        operations: u64,
    ) {
        with_run(|run| {
            let alike = run.shared.hooks.iter().filter(|hook| hook.failure.is_some() == failure.is_some());
            if alike.count() < ON_RECORD_MAX {
                let (handler, place) = (self.handler.clone(), uncounted(|| place.clone()));
                let failure = uncounted(|| failure.clone());
                let hook = HookRun { handler, failure, place, duration, database, operations };
                uncounted(|| run.shared.hooks.push(hook));
            }
        });
    }
}

/// The run of a hook within the run of the write.
fn hook_run(outer: &Run, operation: Operation, body: Dynamic, old: Dynamic) -> Run {
    Run {
        origin: outer.origin.clone(),
        event: uncounted(|| operation.as_str().into()),
        request_id: outer.request_id,
        body,
        has_body: true,
        other_args: rhai::Array::new(),
        user: outer.user.clone(),
        user_value: None,
        response: HttpResponse::default(),
        host: outer.host.clone(),
        limits: outer.limits.clone(),
        old,
        hook_depth: outer.hook_depth + 1,
        shared: Shared::default(),
        clock_ms: outer.clock_ms,
        retry_after: None,
        ended: None,
        failed_at: None,
        is_thrown: false,
    }
}

/// A map that a hook gave back, as the fields of its row; anything else means nothing. The last
/// statement's value counts, which may be the row of another table that the hook wrote.
fn fields(value: &Dynamic, row: &Row) -> Result<Option<Row>, Box<EvalAltResult>> {
    if !value.is_map() {
        return Ok(None);
    }
    let fields = to_row("the row of a hook", value)?;
    match fields.get(ID) {
        Some(id) if row.get(ID) != Some(id) => {
            let message = "A hook gave back another row; one that changes nothing ends with `return;`";
            Err(raise(Failure::new(ErrorCode::Validation, message)))
        }
        _ => Ok(Some(fields)),
    }
}
