//! Making a row, or changing the one that is there: one statement where nobody else has a say in it, and
//! otherwise a look, with the hooks of what it comes to.

use rhai::Engine;

use super::hooks::HooksOfWrite;
use super::writes::{Operation, note};
use super::{Outcome, Rows, granted, refused};
use crate::data::{Action, Actor, CREATED_AT, Grant, ID, Row, RowChange, Selector, Table, UPDATED_AT};
use crate::error::ErrorCode;
use crate::filter::Filter;
use crate::script::failure::{of_error, raise};
use crate::script::run;

impl Rows {
    /// Changes the row that has the values of `data` in the columns of `key`, or makes it.
    pub(crate) fn upsert(
        &self,
        engine: &Engine,
        table: &str,
        key: &[String],
        data: &Row,
        actor: &Actor,
    ) -> Outcome<Vec<Row>> {
        let of = self.table(table)?;
        of.check_is_own().map_err(raise)?;
        let filter = of.by_key(key, data).map_err(refused)?;
        let mut set = data.clone();
        set.retain(|name, _| !key.contains(name));
        let change = of.change(&set, run::now()).map_err(refused)?;
        if self.is_alone(&of, &change, actor)? {
            let row = of.new_row(data, run::now()).map_err(refused)?;
            let row = self.wait(async |session| session.upsert(&of, key, &row, &change).await)?;
            if let Some(row) = &row {
                let is_new = row.get(CREATED_AT) == row.get(UPDATED_AT);
                note(&of, if is_new { Operation::Create } else { Operation::Update }, row);
            }
            return Ok(row.into_iter().collect());
        }
        self.transaction(engine, || self.find_or_make(engine, &of, (&filter, &set), data, actor))
    }

    /// Whether no hook, no rule and no record wants to know what becomes of it.
    fn is_alone(&self, table: &Table, change: &RowChange, actor: &Actor) -> Outcome<bool> {
        let grants = [granted(table, Action::Create, actor)?, granted(table, Action::Update, actor)?];
        let hooks = self.hooks();
        let has_hooks = [Operation::Create, Operation::Update]
            .into_iter()
            .any(|operation| !HooksOfWrite::of(&hooks, table, operation).is_empty());
        let is_recorded = run::is_test();
        let is_trusted = matches!(actor, Actor::Trusted) && grants.iter().all(|grant| *grant == Grant::All);
        Ok(is_trusted && !has_hooks && !is_recorded && change.is_small(table))
    }

    fn find_or_make(
        &self,
        engine: &Engine,
        table: &Table,
        (filter, set): (&Filter, &Row),
        data: &Row,
        actor: &Actor,
    ) -> Outcome<Vec<Row>> {
        let scope = granted(table, Action::Update, actor)?;
        let selector = Selector::Filter(filter.clone());
        let change_it = || -> Outcome<Option<Vec<Row>>> {
            let found =
                self.wait(async |session| session.rows_to_write(table, &selector, scope.filter()).await)?;
            let Some(id) = found.first().and_then(|row| row.get(ID)?.as_str()) else { return Ok(None) };
            // It is locked, so it is still there.
            self.update(engine, &table.name, &Selector::Id(id.to_owned()), set, actor).map(Some)
        };
        if let Some(changed) = change_it()? {
            return Ok(changed);
        }
        match self.create(engine, &table.name, vec![data.clone()], actor) {
            // Another has made it in between; if not, what is taken is something else.
            Err(error) if of_error(&error).code == ErrorCode::DuplicateResource => change_it()?.ok_or(error),
            done => done,
        }
    }
}
