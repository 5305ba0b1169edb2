//! Writing rows: the rules of who may, the hooks around it, and the order of all that within a
//! transaction.

use rhai::{Dynamic, Engine};
use serde_json::Value as Json;

use super::hooks::{HooksOfWrite, WaitingHook};
use super::{Outcome, Rows, granted, refused};
use crate::data::{
    Action, Actor, CREATED_AT, Grant, ID, ROWS_MAX, Row, RowChange, Selector, Table, UPDATED_AT, USERS,
    UserWrite, Write, missing_reference, row_bytes,
};
use crate::error::{ErrorCode, Failure};
use crate::filter::Filter;
use crate::script::failure::raise;
use crate::script::run::{self, with_run};

/// Bytes of the rows that hooks wait with for the end of a transaction, about: nothing else bounds
/// them, since they are no values of the script.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// What is noted of a live run whose host wants to know: writes, and bytes of their rows.
const WRITES_NOTED_MAX: usize = 200;
const NOTED_BYTES_MAX: usize = 64 << 10;

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

impl Rows {
    /// Makes rows: all or none.
    pub(crate) fn create(
        &self,
        engine: &Engine,
        table: &str,
        data: Vec<Row>,
        actor: &Actor,
    ) -> Outcome<Vec<Row>> {
        run::refuse_in_admission(&format!("#{table}.create"))?;
        let table = self.table(table)?;
        table.check_is_own().map_err(raise)?;
        let grant = granted(&table, Action::Create, actor)?;
        if data.is_empty() {
            return Ok(Vec::new());
        }
        if data.len() as u64 > ROWS_MAX {
            let message = format!("createMany takes at most {ROWS_MAX} rows at once");
            return Err(raise(Failure::new(ErrorCode::Validation, message)));
        }
        let hooks = self.hooks_of(&table, Operation::Create);
        let are_ids_new = data.iter().all(|row| row.get(ID).is_none_or(Json::is_null));
        let make = || {
            let mut rows = Vec::with_capacity(data.len());
            for mut data in data {
                table.access.own(&mut data, actor, &table).map_err(raise)?;
                let row = table.new_row(&data, run::now()).map_err(refused)?;
                self.check_references(&table, &data, actor)?;
                let row = before_create(engine, &table, &hooks, row)?;
                check_covered(&grant, &row)?;
                rows.push(row);
            }
            self.wait(async |session| match are_ids_new && session.keep_new_rows(&table, &rows) {
                true => Ok(()),
                false => session.insert(&table, &rows).await,
            })?;
            Ok(rows)
        };
        let rows = if hooks.before.is_empty() { make()? } else { self.transaction(engine, make)? };
        self.after(engine, &table, Operation::Create, &hooks, rows.iter().map(|row| (row, None)))?;
        Ok(rows)
    }

    /// Changes rows; the rows as they are then.
    pub(crate) fn update(
        &self,
        engine: &Engine,
        table: &str,
        selector: &Selector,
        data: &Row,
        actor: &Actor,
    ) -> Outcome<Vec<Row>> {
        run::refuse_in_admission(&format!("#{table}.update"))?;
        let table = self.table(table)?;
        table.check_change(data).map_err(raise)?;
        let grant = granted(&table, Action::Update, actor)?;
        let hooks = self.hooks_of(&table, Operation::Update);
        let change = table.change(data, run::now()).map_err(refused)?;
        self.check_references(&table, data, actor)?;
        let keeps_owner = table.access.may_change_owner(data, actor);
        let is_simple = hooks.is_empty() && change.is_small(&table) && !keeps_owner;
        if let (Selector::Id(id), true, Grant::All) = (selector, is_simple, &grant) {
            let row = self.wait(async |session| session.update_one(&table, id, &change).await)?;
            let row = row.ok_or_else(|| raise(Failure::not_found("row", id)))?;
            self.tell_of_names(&table, data)?;
            self.after(engine, &table, Operation::Update, &hooks, std::iter::once((&row, None)))?;
            return Ok(vec![row]);
        }
        let pairs = self.transaction(engine, || {
            let old = self.rows_to_write(&table, selector, &grant, Action::Update, actor)?;
            if keeps_owner {
                for old in &old {
                    let new = change.applied_to(&table, old).map_err(refused)?;
                    table.access.check_owner(old, &new).map_err(raise)?;
                }
            }
            let changes = old.iter().map(|old| change_of(engine, &table, &hooks, &grant, &change, old));
            let changes = changes.collect::<Outcome<Vec<_>>>()?;
            let new = self.wait(async |session| {
                if changes.iter().all(|of_row| *of_row == change) {
                    return session.update_rows(&table, &old, &change).await;
                }
                let mut new = Vec::with_capacity(old.len());
                for (old, change) in old.iter().zip(&changes) {
                    new.extend(session.update_one(&table, id_of(old), change).await?);
                }
                Ok(new)
            })?;
            self.tell_of_names(&table, data)?;
            Ok(pairs(old, new))
        })?;
        let both = pairs.iter().map(|(old, new)| (new, Some(old)));
        self.after(engine, &table, Operation::Update, &hooks, both)?;
        Ok(pairs.into_iter().map(|(_, new)| new).collect())
    }

    /// Deletes rows; how many.
    pub(crate) fn delete(
        &self,
        engine: &Engine,
        table: &str,
        selector: &Selector,
        actor: &Actor,
    ) -> Outcome<u64> {
        run::refuse_in_admission(&format!("#{table}.delete"))?;
        let table = self.table(table)?;
        table.check_is_own().map_err(raise)?;
        let grant = granted(&table, Action::Delete, actor)?;
        let hooks = self.hooks_of(&table, Operation::Delete);
        let is_recorded = run::is_test();
        if let (Grant::All, true, false) = (&grant, hooks.is_empty(), is_recorded) {
            let delete = || {
                let deleted = self.wait(async |session| session.delete(&table, selector).await)?;
                note_unread(&table, Operation::Delete, selector);
                Ok(deleted)
            };
            // What may take long is no statement of the writer's: those share a transaction.
            return match selector {
                Selector::Id(_) => delete(),
                Selector::Filter(_) => self.transaction(engine, delete),
            };
        }
        let old = self.transaction(engine, || {
            let old = self.rows_to_write(&table, selector, &grant, Action::Delete, actor)?;
            for row in &old {
                for hook in &hooks.before {
                    if hook.applies(row, None) {
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

    /// Has `@USER` of whoever is connected read anew where users got other names.
    fn tell_of_names(&self, table: &Table, data: &Row) -> Outcome<()> {
        if table.is_of_users && data.contains_key("name") {
            self.wait(async |session| session.users_changed().await)?;
        }
        Ok(())
    }

    /// Runs the hooks after a write of accounts.
    pub(crate) fn tell_of_user(&self, engine: &Engine, write: &UserWrite) -> Outcome<Dynamic> {
        let table = self.table(USERS)?;
        let (operation, row) = match write {
            UserWrite { old: None, new: Some(new) } => (Operation::Create, new),
            UserWrite { new: Some(new), .. } => (Operation::Update, new),
            UserWrite { old: Some(old), .. } => (Operation::Delete, old),
            UserWrite { .. } => return Ok(Dynamic::UNIT),
        };
        if table.is_of_users {
            let hooks = self.hooks_of(&table, operation);
            self.after(engine, &table, operation, &hooks, std::iter::once((row, write.old.as_ref())))?;
        }
        Ok(Dynamic::UNIT)
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
        let may_read = table.grant(Action::Read, actor).ok();
        let is_seen = match (grant, may_read) {
            (Grant::Where(_), Some(read)) => {
                let row = selector.filter();
                self.wait(async |session| session.count(table, [read.filter(), Some(&row)]).await)? > 0
            }
            _ => false,
        };
        Err(raise(if is_seen {
            Failure::new(ErrorCode::Authorization, "You may not do this with this row")
        } else {
            Failure::not_found("row", id)
        }))
    }

    /// Refuses references to rows that the actor may not read, as if they were not there.
    fn check_references(&self, table: &Table, data: &Row, actor: &Actor) -> Outcome<()> {
        if matches!(actor, Actor::Trusted) {
            return Ok(());
        }
        for column in table.own_columns() {
            let (Some(to), Some(id)) = (&column.references, data.get(&column.name)) else { continue };
            if id.is_null() {
                continue;
            }
            let to = self.table(to)?;
            let may_read = to.grant(Action::Read, actor).ok();
            let filter = Filter::by_id(ID, id.as_str().unwrap_or_default());
            let is_seen = match may_read {
                Some(read) => {
                    self.wait(async |session| session.count(&to, [read.filter(), Some(&filter)]).await)? > 0
                }
                None => false,
            };
            if !is_seen {
                return Err(raise(missing_reference(table)));
            }
        }
        Ok(())
    }

    pub(super) fn hooks_of(&self, table: &Table, operation: Operation) -> HooksOfWrite {
        HooksOfWrite::of(&self.hooks(), table, operation)
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
            note(table, operation, row);
            for hook in &hooks.after {
                let before = old.filter(|_| operation == Operation::Update);
                if !hook.applies(row, before) {
                    continue;
                }
                let waiting =
                    WaitingHook { hook: hook.clone(), operation, row: row.clone(), old: old.cloned() };
                let bytes = row_bytes(row) + old.map_or(0, row_bytes);
                with_run(|run| {
                    run.shared.waiting_bytes += bytes;
                    run.shared.waiting_hooks.push(waiting);
                });
            }
        }
        if with_run(|run| run.shared.waiting_bytes) > WAITING_BYTES_MAX && self.is_in_transaction() {
            let message = "The transaction writes more rows than their hooks can wait with";
            return Err(run::terminate(ErrorCode::ScriptMemoryLimit, message));
        }
        self.run_waiting_hooks(engine);
        Ok(())
    }
}

/// Records what a test run has written, or one whose host wants to know; of the latter not more than so many bytes.
pub(super) fn note(table: &Table, operation: Operation, row: &Row) {
    let is_test = run::is_test();
    with_run(|run| {
        let Some(writes) = run.shared.writes.as_mut() else { return };
        let (table, operation) = (table.name.clone(), operation.as_str());
        if is_test {
            if writes.len() < ROWS_MAX as usize {
                writes.push(Write { table, operation, row: row.clone(), is_cut: false });
            }
            return;
        }
        let bytes = row_bytes(row);
        if writes.len() >= WRITES_NOTED_MAX {
            run.shared.writes_are_cut = true;
        } else if run.shared.write_bytes + bytes > NOTED_BYTES_MAX {
            run.shared.writes_are_cut = true;
            let id = row.get(ID).map(|id| (ID.to_owned(), id.clone()));
            writes.push(Write { table, operation, row: id.into_iter().collect(), is_cut: true });
        } else {
            run.shared.write_bytes += bytes;
            writes.push(Write { table, operation, row: row.clone(), is_cut: false });
        }
    });
}

/// Records for a host that wants to know what was written without a look at the rows.
fn note_unread(table: &Table, operation: Operation, selector: &Selector) {
    with_run(|run| {
        let Some(writes) = run.shared.writes.as_mut() else { return };
        run.shared.writes_are_cut = true;
        if writes.len() < WRITES_NOTED_MAX {
            let id = match selector {
                Selector::Id(id) => Some((ID.to_owned(), Json::from(id.as_str()))),
                Selector::Filter(_) => None,
            };
            let (table, operation) = (table.name.clone(), operation.as_str());
            writes.push(Write { table, operation, row: id.into_iter().collect(), is_cut: true });
        }
    });
}

/// Runs the `before` hooks of a new row; the row with what they changed.
fn before_create(engine: &Engine, table: &Table, hooks: &HooksOfWrite, mut row: Row) -> Outcome<Row> {
    for hook in &hooks.before {
        if !hook.applies(&row, None) {
            continue;
        }
        if let Some(returned) = hook.run(engine, Operation::Create, &row, None)? {
            row.extend(returned);
            // The server sets them anew.
            row.retain(|name, _| name != CREATED_AT && name != UPDATED_AT);
            row = table.new_row(&row, run::now()).map_err(refused)?;
        }
    }
    Ok(row)
}

/// What changes of one row, with what its `before` hooks say.
fn change_of(
    engine: &Engine,
    table: &Table,
    hooks: &HooksOfWrite,
    grant: &Grant,
    change: &RowChange,
    old: &Row,
) -> Outcome<RowChange> {
    let row = change.applied_to(table, old).map_err(refused)?;
    let set = before_update(engine, hooks, &row, old)?;
    if set.is_empty() {
        check_covered(grant, &row)?;
        return Ok(change.clone());
    }
    let change = change.clone().with(table, &set, run::now()).map_err(refused)?;
    check_covered(grant, &change.applied_to(table, old).map_err(refused)?)?;
    Ok(change)
}

/// Runs the `before` hooks of a changed row; the fields that they set otherwise.
fn before_update(engine: &Engine, hooks: &HooksOfWrite, row: &Row, old: &Row) -> Outcome<Row> {
    let (mut row, mut set) = (row.clone(), Row::new());
    for hook in &hooks.before {
        if !hook.applies(&row, Some(old)) {
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

fn check_covered(grant: &Grant, row: &Row) -> Outcome<()> {
    if grant.covers(row) {
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
