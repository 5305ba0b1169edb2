//! Writes of requests: one row, or many in one transaction.

use rhai::{Dynamic, Engine, Map};
use serde_json::json;

use super::writes::Operation;
use super::{Outcome, Rows, refused};
use crate::data::{Actor, ID, ROWS_MAX, Row, Selector};
use crate::error::Failure;
use crate::script::failure::{of_error, raise};
use crate::script::memory::uncounted;
use crate::script::run::with_run;

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
    /// Does several of these: all or none. Its result is `{created: [id], updated, deleted}`.
    Batch(RowsBatch),
}

/// Several writes of one table, done in this order in one transaction.
#[derive(Debug, Clone, Default)]
pub struct RowsBatch {
    /// Rows to make.
    pub create: Vec<Row>,
    /// Rows to change, by id.
    pub update: Vec<(String, Row)>,
    /// Rows to delete, by id. One that is not there is none that was deleted.
    pub delete: Vec<String>,
}

impl RowsChange {
    /// What it does, for the record of its run.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => Operation::Create.as_str(),
            Self::Update(..) => Operation::Update.as_str(),
            Self::Delete(_) => Operation::Delete.as_str(),
            Self::Batch(_) => "batch",
        }
    }

    /// The rows that it comes with.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        let (one, many) = match self {
            Self::Create(row) | Self::Update(_, row) => (Some(row), None),
            Self::Delete(_) => (None, None),
            Self::Batch(batch) => (None, Some(batch)),
        };
        let many = many
            .into_iter()
            .flat_map(|batch| batch.create.iter().chain(batch.update.iter().map(|(_, row)| row)));
        one.into_iter().chain(many)
    }
}

impl Rows {
    /// Does what a request wants.
    pub(crate) fn write(&self, engine: &Engine, write: &RowsWrite) -> Outcome<Dynamic> {
        let RowsWrite { table, actor, change } = write;
        // Of an admin: `#user` is for scripts alone.
        self.data.table(table).map_err(raise)?;
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
            RowsChange::Batch(batch) => {
                with_run(|run| run.shared.is_batch = true);
                // It may be more than a script may hold. What its hooks hold counts.
                uncounted(|| self.transaction(engine, || self.write_batch(engine, table, batch, actor)))
            }
        }
    }

    fn write_batch(
        &self,
        engine: &Engine,
        table: &str,
        batch: &RowsBatch,
        actor: &Actor,
    ) -> Outcome<Dynamic> {
        let of = self.table(table)?;
        let mut created = rhai::Array::new();
        // With hooks one by one, so that it can be told which row they refuse.
        let at_once = if !self.hooks_of(&of, Operation::Create).is_empty() { 1 } else { ROWS_MAX as usize };
        for (part, rows) in batch.create.chunks(at_once).enumerate() {
            let made = each_by_itself(|| self.create(engine, table, rows.to_vec(), actor));
            let index = (rows.len() == 1).then_some(part * at_once);
            let made = made.map_err(|error| at(error, "create", index))?;
            created.extend(
                made.iter().filter_map(|row| row.get(ID)?.as_str().map(|id| Dynamic::from(id.to_owned()))),
            );
        }
        let mut updated = 0_i64;
        for (index, (id, row)) in batch.update.iter().enumerate() {
            let changed =
                each_by_itself(|| self.update(engine, table, &Selector::Id(id.clone()), row, actor));
            updated += changed.map_err(|error| at(error, "update", Some(index)))?.len() as i64;
        }
        let mut deleted = 0_i64;
        for ids in batch.delete.chunks(ROWS_MAX as usize) {
            let filter = of.filter(&json!({ ID: { "_in": ids } })).map_err(refused)?;
            let gone = each_by_itself(|| self.delete(engine, table, &Selector::Filter(filter), actor));
            deleted += gone.map_err(|error| at(error, "delete", None))? as i64;
        }
        let answer = [
            ("created", Dynamic::from_array(created)),
            ("updated", Dynamic::from_int(updated)),
            ("deleted", Dynamic::from_int(deleted)),
        ];
        Ok(Dynamic::from_map(answer.into_iter().map(|(name, value)| (name.into(), value)).collect::<Map>()))
    }
}

/// In a batch, each row with its hooks may call the database as often as a run may.
pub(super) fn count_by_row() {
    with_run(|run| {
        if run.shared.is_batch {
            run.shared.database_calls = 0;
        }
    });
}

fn each_by_itself<T>(write: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    count_by_row();
    write()
}

/// The same refusal, saying which write of the batch it is about.
fn at(error: Box<rhai::EvalAltResult>, operation: &str, index: Option<usize>) -> Box<rhai::EvalAltResult> {
    let failure = of_error(&error);
    if failure.code.status() >= 500 {
        return error;
    }
    let place = index.map_or_else(|| operation.to_owned(), |index| format!("{operation}[{index}]"));
    let mut details = failure.details.clone().unwrap_or_else(|| json!({}));
    if let Some(details) = details.as_object_mut() {
        details.insert("operation".to_owned(), operation.into());
        details.insert("index".to_owned(), json!(index));
    }
    let message = format!("{place}: {}; nothing of the batch was done", failure.message);
    raise(Failure { message: message.into(), details: Some(details), ..failure })
}
