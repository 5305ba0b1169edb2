//! Reading and writing rows from a script thread: the rules of who may, the hooks around writes,
//! and the order of all that within transactions.
//!
//! A thread waits for its own statements alone, and never longer than its run may take. All of
//! this is work of the server: it is called uncounted, and only the hooks count again.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rhai::{Dynamic, Engine, EvalAltResult};
use serde_json::Value as Json;

use super::hooks::{Hooks, HooksOfWrite, WaitingHook};
use super::json::{self, Unsendable};
use super::run::{self, time_left, with_run};
use super::throw::raise;
use crate::data::{
    Action, Actor, CREATED_AT, Data, Find, Found, Grant, ID, Keep, ROWS_MAX, Row, Selector, Session, Table,
    UPDATED_AT, Write,
};
use crate::error::{Error, ErrorCode, Failure};

/// What a run keeps of its time to tell that the database did not answer.
const TIME_TO_TELL: Duration = Duration::from_millis(100);
/// How long an end of a transaction may take when the time of the run is up.
const END_MAX: Duration = Duration::from_secs(1);
/// What is given to the database at once; a row is bounded more closely by its table.
const VALUE_BYTES_MAX: usize = 2 * crate::data::ROW_BYTES_MAX;
const VALUE_DEPTH_MAX: usize = 64;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The operation of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete].into_iter().find(|operation| operation.as_str() == name)
    }
}

/// A write of a request.
#[derive(Debug, Clone)]
pub struct RowsWrite {
    /// The table's name.
    pub table: String,
    /// Who asks.
    pub actor: Actor,
    /// What is to be done; its result is the row, the rows, or nothing.
    pub change: RowsChange,
}

/// What a request does to rows.
#[derive(Debug, Clone)]
pub enum RowsChange {
    /// Makes one.
    Create(Row),
    /// Changes the one with this id.
    Update(String, Row),
    /// Deletes the one with this id.
    Delete(String),
}

/// Where a transaction begins within a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    waiting_hooks: usize,
}

/// The tables with their hooks.
pub(super) struct Rows {
    data: Arc<Data>,
    hooks: ArcSwap<Hooks>,
}

impl Rows {
    pub(super) fn new(data: Arc<Data>) -> Self {
        Self { data, hooks: ArcSwap::default() }
    }

    pub(super) fn data(&self) -> &Arc<Data> {
        &self.data
    }

    pub(super) fn set_hooks(&self, hooks: Hooks) {
        self.hooks.store(Arc::new(hooks));
    }

    /// Does what a request wants.
    pub(super) fn write(&self, engine: &Engine, write: &RowsWrite) -> Outcome<Dynamic> {
        let RowsWrite { table, actor, change } = write;
        match change {
            RowsChange::Create(data) => {
                let rows = self.create(engine, table, vec![data.clone()], actor)?;
                Ok(rhai::serde::to_dynamic(rows.first())?)
            }
            RowsChange::Update(id, data) => {
                let rows = self.update(engine, table, &Selector::Id(id.clone()), data, actor)?;
                Ok(rhai::serde::to_dynamic(rows.first())?)
            }
            RowsChange::Delete(id) => match self.delete(engine, table, &Selector::Id(id.clone()), actor)? {
                0 => Err(raise(Failure::not_found("row", id))),
                _ => Ok(Dynamic::UNIT),
            },
        }
    }

    /// One page of rows.
    pub(super) fn find(&self, table: &str, mut find: Find, actor: &Actor) -> Outcome<Found> {
        let table = self.table(table)?;
        find.scope = granted(&table, Action::Read, actor)?.filter().cloned();
        self.wait(async |session| session.find(&table, &find).await)
    }

    /// How many rows meet a filter.
    pub(super) fn count(&self, table: &str, filter: Option<Json>, actor: &Actor) -> Outcome<u64> {
        let table = self.table(table)?;
        let grant = granted(&table, Action::Read, actor)?;
        self.wait(async |session| session.count(&table, [grant.filter(), filter.as_ref()]).await)
    }

    /// Makes rows: all or none.
    pub(super) fn create(
        &self,
        engine: &Engine,
        table: &str,
        data: Vec<Row>,
        actor: &Actor,
    ) -> Outcome<Vec<Row>> {
        let table = self.table(table)?;
        let grant = granted(&table, Action::Create, actor)?;
        if data.is_empty() {
            return Ok(Vec::new());
        }
        if data.len() as u64 > ROWS_MAX {
            let message = format!("createMany takes at most {ROWS_MAX} rows at once");
            return Err(raise(Failure::new(ErrorCode::Validation, message)));
        }
        let hooks = self.hooks_of(&table, Operation::Create);
        let rows = self.in_transaction_if(!hooks.before.is_empty(), engine, || {
            let mut rows = Vec::with_capacity(data.len());
            for mut data in data {
                table.access.own(&mut data, actor);
                let row = table.new_row(&data).map_err(refused)?;
                let row = before_create(engine, &table, &hooks, row)?;
                check_covered(&grant, &row, &table)?;
                rows.push(row);
            }
            self.wait(async |session| session.insert(&table, &rows).await)?;
            Ok(rows)
        })?;
        self.after(engine, &table, Operation::Create, &hooks, rows.iter().map(|row| (row, None)))?;
        Ok(rows)
    }

    /// Changes rows; the rows as they are then.
    pub(super) fn update(
        &self,
        engine: &Engine,
        table: &str,
        selector: &Selector,
        data: &Row,
        actor: &Actor,
    ) -> Outcome<Vec<Row>> {
        let table = self.table(table)?;
        let grant = granted(&table, Action::Update, actor)?;
        let hooks = self.hooks_of(&table, Operation::Update);
        let change = table.change(data).map_err(refused)?;
        if let (Selector::Id(id), true, Grant::All) = (selector, hooks.is_empty(), &grant) {
            let row = self.wait(async |session| session.update_one(&table, id, None, &change).await)?;
            let row = row.ok_or_else(|| raise(Failure::not_found("row", id)))?;
            self.after(engine, &table, Operation::Update, &hooks, std::iter::once((&row, None)))?;
            return Ok(vec![row]);
        }
        let pairs = self.in_transaction_if(true, engine, || {
            let old = self.rows_to_write(&table, selector, &grant, Action::Update, actor)?;
            let mut is_one_change = true;
            let mut changes = Vec::with_capacity(old.len());
            for old in &old {
                let mut change = change.clone();
                let row = change.applied_to(&table, old).map_err(refused)?;
                let returned = before_update(engine, &table, &hooks, &row, old)?;
                if !returned.is_empty() {
                    change = change.with(&table, &returned).map_err(refused)?;
                    is_one_change = false;
                }
                check_covered(&grant, &change.applied_to(&table, old).map_err(refused)?, &table)?;
                changes.push(change);
            }
            let new = if is_one_change {
                self.wait(async |session| session.update_rows(&table, &old, &change).await)?
            } else {
                self.wait(async |session| {
                    let mut new = Vec::with_capacity(old.len());
                    for (old, change) in old.iter().zip(&changes) {
                        new.extend(session.update_one(&table, id_of(old), None, change).await?);
                    }
                    Ok(new)
                })?
            };
            Ok(pairs(old, new))
        })?;
        let both = pairs.iter().map(|(old, new)| (new, Some(old)));
        self.after(engine, &table, Operation::Update, &hooks, both)?;
        Ok(pairs.into_iter().map(|(_, new)| new).collect())
    }

    /// Deletes rows; how many.
    pub(super) fn delete(
        &self,
        engine: &Engine,
        table: &str,
        selector: &Selector,
        actor: &Actor,
    ) -> Outcome<u64> {
        let table = self.table(table)?;
        let grant = granted(&table, Action::Delete, actor)?;
        let hooks = self.hooks_of(&table, Operation::Delete);
        let is_recorded = with_run(|run| run.shared.writes.is_some());
        if let (Grant::All, true, false) = (&grant, hooks.is_empty(), is_recorded) {
            return self.wait(async |session| session.delete(&table, selector, None).await);
        }
        let old = self.in_transaction_if(true, engine, || {
            let old = self.rows_to_write(&table, selector, &grant, Action::Delete, actor)?;
            for row in &old {
                for hook in &hooks.before {
                    if hook.applies(&table, row, None).map_err(raise)? {
                        hook.run(engine, Operation::Delete, row, Some(row))?;
                    }
                }
            }
            self.wait(async |session| session.delete_rows(&table, &old).await)?;
            Ok(old)
        })?;
        self.after(engine, &table, Operation::Delete, &hooks, old.iter().map(|row| (row, Some(row))))?;
        Ok(old.len() as u64)
    }

    /// Runs `work` in a transaction; whoever it fails for has written nothing.
    fn transaction<T>(&self, engine: &Engine, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let mark = self.begin()?;
        match work() {
            Err(error) => {
                self.undo(mark);
                Err(error)
            }
            Ok(done) => {
                self.commit(engine, mark)?;
                Ok(done)
            }
        }
    }

    /// Begins a transaction; what [`Self::commit`] and [`Self::undo`] go back to.
    pub(super) fn begin(&self) -> Outcome<Mark> {
        self.wait(async |session| session.begin().await)?;
        Ok(Mark { waiting_hooks: with_run(|run| run.shared.waiting_hooks.len()) })
    }

    /// Keeps what was written since the mark; runs the hooks that waited for it.
    pub(super) fn commit(&self, engine: &Engine, mark: Mark) -> Outcome<()> {
        if let Err(error) = self.wait(async |session| session.commit().await) {
            self.undo(mark);
            return Err(error);
        }
        self.run_waiting_hooks(engine);
        Ok(())
    }

    /// Undoes what was written since the mark, also when the time of the run is up.
    pub(super) fn undo(&self, mark: Mark) {
        with_run(|run| run.shared.waiting_hooks.truncate(mark.waiting_hooks));
        self.end(async |session| session.roll_back().await);
    }

    fn in_transaction_if<T>(
        &self,
        is_needed: bool,
        engine: &Engine,
        work: impl FnOnce() -> Outcome<T>,
    ) -> Outcome<T> {
        if is_needed { self.transaction(engine, work) } else { work() }
    }

    /// The rows that a write is about; the one that is named has to be there.
    fn rows_to_write(
        &self,
        table: &Table,
        selector: &Selector,
        grant: &Grant,
        action: Action,
        actor: &Actor,
    ) -> Outcome<Vec<Row>> {
        let rows = self.wait(async |session| session.rows_to_write(table, selector, grant.filter()).await)?;
        let Selector::Id(id) = selector else { return Ok(rows) };
        if !rows.is_empty() || (action == Action::Delete && matches!(actor, Actor::Trusted)) {
            return Ok(rows);
        }
        // A row that may be read but not written is refused; one that may not be read is not there.
        let may_read = table.access.grant(Action::Read, actor).ok();
        let is_seen = match (grant, may_read) {
            (Grant::Where(_), Some(read)) => {
                let filter = serde_json::json!({ ID: id });
                self.wait(async |session| session.count(table, [read.filter(), Some(&filter)]).await)? > 0
            }
            _ => false,
        };
        Err(raise(if is_seen {
            Failure::new(ErrorCode::Authorization, "You may not do this with this row")
        } else {
            Failure::not_found("row", id)
        }))
    }

    fn hooks_of(&self, table: &Table, operation: Operation) -> HooksOfWrite {
        HooksOfWrite::of(&self.hooks.load(), table, operation)
    }

    /// Records what was written, and runs the `after` hooks now or when it is committed.
    fn after<'a>(
        &self,
        engine: &Engine,
        table: &Table,
        operation: Operation,
        hooks: &HooksOfWrite,
        rows: impl Iterator<Item = (&'a Row, Option<&'a Row>)>,
    ) -> Outcome<()> {
        for (row, old) in rows {
            with_run(|run| {
                {
                    if let Some(writes) =
                        run.shared.writes.as_mut().filter(|writes| writes.len() < ROWS_MAX as usize)
                    {
                        writes.push(Write {
                            table: table.name.clone(),
                            operation: operation.as_str(),
                            row: row.clone(),
                        });
                    }
                };
            });
            for hook in &hooks.after {
                let before = old.filter(|_| operation == Operation::Update);
                if !hook.applies(table, row, before).map_err(raise)? {
                    continue;
                }
                with_run(|run| {
                    {
                        run.shared.waiting_hooks.push(WaitingHook {
                            hook: hook.clone(),
                            operation,
                            row: row.clone(),
                            old: old.cloned(),
                        });
                    };
                });
            }
        }
        self.run_waiting_hooks(engine);
        Ok(())
    }

    /// Runs the `after` hooks of what is committed. The write stands, whatever becomes of them.
    fn run_waiting_hooks(&self, engine: &Engine) {
        if self.session().is_in_transaction() {
            return;
        }
        let waiting = with_run(|run| std::mem::take(&mut run.shared.waiting_hooks));
        for one in &waiting {
            let done = one.hook.run(engine, one.operation, &one.row, one.old.as_ref());
            if let Err(error) = done {
                {
                    let failure = super::failure::of_error(*error);
                    tracing::warn!(hook = %one.hook.handler.name, code = %failure.code, message = %failure.message,
                        "a hook after a write failed; the write stands");
                };
            }
        }
        drop(waiting);
    }

    fn table(&self, name: &str) -> Outcome<Arc<Table>> {
        self.data.table(name).map_err(raise)
    }

    /// The session of this thread's run.
    fn session(&self) -> Arc<Session> {
        with_run(|run| {
            let new = || Arc::new(self.data.session(Keep::Writes));
            run.shared.session.get_or_insert_with(new).clone()
        })
    }

    /// Waits for the database, as long as the run's time allows.
    fn wait<T>(&self, work: impl AsyncFnOnce(&Session) -> crate::Result<T>) -> Outcome<T> {
        let is_over = with_run(|run| {
            run.shared.database_calls += 1;
            run.shared.database_calls > run.limits.database_calls
        });
        if is_over {
            let message = "The script calls the database more often than it may";
            return Err(run::terminate(ErrorCode::ScriptOutputLimit, message));
        }
        let left = time_left();
        let patience = left.saturating_sub(TIME_TO_TELL.min(left / 5));
        let session = self.session();
        let done =
            { self.data.runtime().block_on(async { tokio::time::timeout(patience, work(&session)).await }) };
        match done {
            Ok(done) => done.map_err(refused),
            Err(_) => {
                let message = "The database did not answer in time. Try again later";
                Err(raise(Failure::new(ErrorCode::Database, message)))
            }
        }
    }

    /// Ends a transaction, also when the time of the run is up.
    fn end(&self, work: impl AsyncFnOnce(&Session) -> crate::Result<()>) {
        let session = self.session();
        let ended =
            { self.data.runtime().block_on(async { tokio::time::timeout(END_MAX, work(&session)).await }) };
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "a transaction could not be undone; its connection is dropped");
        }
    }
}

/// Runs the `before` hooks of a new row; the row with what they changed.
fn before_create(engine: &Engine, table: &Table, hooks: &HooksOfWrite, mut row: Row) -> Outcome<Row> {
    for hook in &hooks.before {
        if !hook.applies(table, &row, None).map_err(raise)? {
            continue;
        }
        if let Some(returned) = hook.run(engine, Operation::Create, &row, None)? {
            row = {
                for (name, value) in returned {
                    if name != CREATED_AT && name != UPDATED_AT {
                        row.insert(name, value);
                    }
                }
                row.remove(CREATED_AT);
                row.remove(UPDATED_AT);
                table.new_row(&row)
            }
            .map_err(refused)?;
        }
    }
    Ok(row)
}

/// Runs the `before` hooks of a changed row; the fields that they set otherwise.
fn before_update(engine: &Engine, table: &Table, hooks: &HooksOfWrite, row: &Row, old: &Row) -> Outcome<Row> {
    let (mut row, mut set) = (row.clone(), Row::new());
    for hook in &hooks.before {
        if !hook.applies(table, &row, Some(old)).map_err(raise)? {
            continue;
        }
        for (name, value) in hook.run(engine, Operation::Update, &row, Some(old))?.unwrap_or_default() {
            if ![ID, CREATED_AT, UPDATED_AT].contains(&name.as_str()) && row.get(&name) != Some(&value) {
                row.insert(name.clone(), value.clone());
                set.insert(name, value);
            }
        }
    }
    Ok(set)
}

/// Which rows this is allowed for.
fn granted(table: &Table, action: Action, actor: &Actor) -> Outcome<Grant> {
    table.access.grant(action, actor).map_err(raise)
}

fn check_covered(grant: &Grant, row: &Row, table: &Table) -> Outcome<()> {
    if grant.covers(row, table).map_err(refused)? {
        return Ok(());
    }
    Err(raise(Failure::new(ErrorCode::Authorization, "You may not make this of a row")))
}

/// Old rows with what became of each.
fn pairs(old: Vec<Row>, new: Vec<Row>) -> Vec<(Row, Row)> {
    let mut by_id: std::collections::HashMap<String, Row> =
        new.into_iter().map(|row| (id_of(&row).to_owned(), row)).collect();
    old.into_iter()
        .filter_map(|old| {
            let new = by_id.remove(id_of(&old))?;
            Some((old, new))
        })
        .collect()
}

fn id_of(row: &Row) -> &str {
    row.get(ID).and_then(Json::as_str).unwrap_or_default()
}

/// A value on its way to the database.
pub(super) fn to_value(what: &str, value: &Dynamic) -> Outcome<Json> {
    let message = match json::to_json(value, VALUE_DEPTH_MAX, VALUE_BYTES_MAX) {
        Ok(text) => return serde_json::from_str(&text).map_err(|error| error.to_string().into()),
        Err(Unsendable::TooDeep) => format!("{what} nests deeper than {VALUE_DEPTH_MAX}"),
        Err(Unsendable::TooLarge) => format!("{what} has more than {VALUE_BYTES_MAX} bytes"),
        Err(Unsendable::NoJson) => format!("{what} holds a function or another value without a JSON form"),
    };
    Err(raise(Failure::new(ErrorCode::Validation, message)))
}

/// A map on its way to the database.
pub(super) fn to_row(what: &str, value: &Dynamic) -> Outcome<Row> {
    match to_value(what, value)? {
        Json::Object(row) => Ok(row),
        _ => {
            Err(raise(Failure::new(ErrorCode::Validation, format!("{what} is written #{{ field: value }}"))))
        }
    }
}

fn refused(error: Error) -> Box<EvalAltResult> {
    raise(error.into_failure())
}
