//! What a change makes of a table's columns, and whether the present rows allow it.

use sea_orm::sea_query::{Asterisk, Cond, Expr, ExprTrait, Func, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter, Statement,
};
use serde_json::Value as Json;

use super::column::{Column, ColumnKind};
use super::schema::Altered;
use super::statement::{bound, column_iden};
use super::table::Table;
use super::tables::{TableChange, as_details, check_columns};
use crate::error::{ErrorCode, Failure, Result};
use crate::store::{self, hook};

/// In the condition of a hook: the columns of which one has to have changed.
pub const HOOK_CHANGED: &str = "_changed";

/// The columns of a table before and after a change.
pub(super) struct Alteration {
    /// Those that are there afterwards, in order.
    pub columns: Vec<Altered>,
    /// Names of those that are not.
    pub dropped: Vec<String>,
}

impl Alteration {
    /// What `change` makes of the columns of `table`: first names, then what goes, what is
    /// replaced and what comes.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a column that is not there, or that would be there twice.
    pub(super) fn new(table: &Table, change: &TableChange) -> Result<Self> {
        let mut columns: Vec<Altered> = table
            .own_columns()
            .iter()
            .map(|column| Altered { before: Some(column.clone()), after: column.clone() })
            .collect();
        let missing = |name: &str| {
            let known = table.own_columns().iter().map(|column| column.name.as_str()).collect::<Vec<_>>();
            Failure::invalid("columns", format!("there is no column {name}; known: {}", known.join(", ")))
        };
        let place = |columns: &[Altered], name: &str| {
            let is_it = |altered: &Altered| altered.before.as_ref().is_some_and(|before| before.name == name);
            columns.iter().position(is_it).ok_or_else(|| missing(name))
        };
        for (from, to) in &change.rename {
            let index = place(&columns, from)?;
            super::name::check_column_name(to)?;
            columns[index].after.name.clone_from(to);
        }
        for name in &change.drop {
            let index = place(&columns, name)?;
            columns.remove(index);
        }
        if let Some(wanted) = &change.columns {
            let mut all = Vec::with_capacity(wanted.len());
            for spec in wanted {
                let present = columns.iter().position(|altered| altered.after.name == spec.name);
                let before = present.and_then(|index| columns.swap_remove(index).before);
                all.push(Altered { before, after: spec.read()? });
            }
            columns = all;
        }
        for spec in &change.add {
            columns.push(Altered { before: None, after: spec.read()? });
        }
        check_columns(columns.iter().map(|altered| &altered.after))?;
        let is_kept = |name: &str| {
            columns.iter().any(|altered| altered.before.as_ref().is_some_and(|before| before.name == name))
        };
        let names = table.own_columns().iter().map(|column| column.name.clone());
        let dropped = names.filter(|name| !is_kept(name)).collect();
        Ok(Self { columns, dropped })
    }

    /// The table as it is then, still with its present name.
    pub(super) fn table(&self, before: &Table, change: &TableChange, backend: DbBackend) -> Result<Table> {
        let columns: Vec<Column> = self.columns.iter().map(|altered| altered.after.clone()).collect();
        let mut access = change.access.clone().unwrap_or_else(|| before.access.clone());
        if let Some(owner) = &mut access.owner_column
            && let Some(name) = change.rename.get(owner)
        {
            owner.clone_from(name);
        }
        let mut unique = change.unique.clone().unwrap_or_else(|| before.unique.clone());
        if change.unique.is_none() {
            for name in unique.iter_mut().flatten() {
                if let Some(to) = change.rename.get(name) {
                    name.clone_from(to);
                }
            }
        }
        Table::new(before.id, &before.name, &columns, &unique, access, backend == DbBackend::Sqlite)
    }
}

/// What the present rows do not allow of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The column, by its new name.
    pub column: String,
    /// How many rows stand in the way; 0: not known.
    pub rows: u64,
    /// What is wrong with them, and what to do.
    pub message: String,
}

/// How many values of which columns would be lost.
///
/// # Errors
/// `VALIDATION_ERROR` for what the present rows do not allow.
pub(super) async fn losses(
    on: &DatabaseTransaction,
    table: &Table,
    alteration: &Alteration,
) -> Result<Vec<(String, u64)>> {
    if let Some(problem) = problems(on, table, alteration, 1).await?.first() {
        let message = format!("{} rows {}", problem.rows, problem.message);
        return Err(Failure::invalid(&problem.column, message).into());
    }
    lost_values(on, table, alteration).await
}

/// The same, whatever the present rows allow.
pub(super) async fn lost_values(
    on: &DatabaseTransaction,
    table: &Table,
    alteration: &Alteration,
) -> Result<Vec<(String, u64)>> {
    let mut losses = Vec::new();
    for name in &alteration.dropped {
        losses.push((name.clone(), count_rows(on, table, Some(is_set(name))).await?));
    }
    for altered in alteration.columns.iter().filter(|altered| !altered.keeps_values()) {
        if let Some(before) = &altered.before {
            losses.push((before.name.clone(), count_rows(on, table, Some(is_set(&before.name))).await?));
        }
    }
    losses.retain(|(_, values)| *values > 0);
    Ok(losses)
}

/// The first so many columns whose rows do not allow a change.
pub(super) async fn problems(
    on: &DatabaseTransaction,
    table: &Table,
    alteration: &Alteration,
    most: usize,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for altered in &alteration.columns {
        for (condition, message) in conflicts(altered) {
            let rows = count_rows(on, table, Some(condition)).await?;
            if rows > 0 {
                let (column, message) = (altered.after.name.clone(), message.to_owned());
                problems.push(Problem { column, rows, message });
            }
            if problems.len() >= most {
                return Ok(problems);
            }
        }
    }
    Ok(problems)
}

/// Which present rows a column would not take as it is to be, and what is wrong with them.
fn conflicts(altered: &Altered) -> Vec<(Cond, &'static str)> {
    let after = &altered.after;
    let wants_value = after.required && after.default.is_none();
    let Some(before) = altered.before.as_ref().filter(|_| altered.keeps_values()) else {
        let all = || (Cond::all(), "would have no value; give the column a default");
        return if wants_value { vec![all()] } else { Vec::new() };
    };
    let mut conflicts = Vec::new();
    if wants_value && !before.required {
        let nulls = Cond::all().add(Expr::col(column_iden(&before.name)).is_null());
        conflicts.push((nulls, "have no value; give the column a default"));
    }
    if after.kind == ColumnKind::Enum {
        let known = after.values.iter().map(String::as_str);
        let others = Cond::all().add(Expr::col(column_iden(&before.name)).is_not_in(known));
        conflicts.push((others, "have another value than those listed"));
    }
    conflicts
}

/// Refuses what would lose values.
pub(super) fn refuse_losses(losses: &[(String, u64)]) -> Result<()> {
    if losses.is_empty() {
        return Ok(());
    }
    let message = format!("This would lose {}; confirm: true does it", losses_text(losses));
    Err(Failure::new(ErrorCode::Validation, message).with_details(as_details(losses)).into())
}

/// For people: `likes (3 values)`.
pub(super) fn losses_text(losses: &[(String, u64)]) -> String {
    let losses = losses.iter().map(|(column, values)| format!("{column} ({values} values)"));
    losses.collect::<Vec<_>>().join(", ")
}

fn is_set(column: &str) -> Cond {
    Cond::all().add(Expr::col(column_iden(column)).is_not_null())
}

/// How many rows meet a condition.
pub(super) async fn count_rows(
    on: &DatabaseTransaction,
    table: &Table,
    condition: Option<Cond>,
) -> Result<u64> {
    let select = Query::select()
        .expr(Func::count(Expr::col(Asterisk)))
        .from(table.iden.clone())
        .cond_where(condition.unwrap_or_else(Cond::all))
        .to_owned();
    let found = on.query_one(&select).await?;
    let count: i64 = found.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    Ok(count.unsigned_abs())
}

/// Gives present rows the defaults of columns that are new to them, or required of them now.
pub(super) async fn fill_defaults(
    on: &DatabaseTransaction,
    table: &Table,
    alteration: &Alteration,
) -> Result<()> {
    for altered in &alteration.columns {
        let column = &altered.after;
        let is_new = !altered.keeps_values();
        let is_newly_required =
            altered.before.as_ref().is_some_and(|before| !before.required) && column.required;
        let default = if is_new || is_newly_required { column.default_value(store::now())? } else { None };
        let Some(default) = default else { continue };
        let backend = on.get_database_backend();
        let value = match column.has_fresh_default() {
            true => Expr::cust(fresh_uuid(backend)),
            false => Expr::val(bound(column.kind, &default, backend)),
        };
        let update = Query::update()
            .table(table.iden.clone())
            .value(column_iden(&column.name), value)
            .and_where(Expr::col(column_iden(&column.name)).is_null())
            .to_owned();
        on.execute(&update).await.map_err(|error| super::refusal(error, table))?;
    }
    Ok(())
}

/// That each reference still names a row, where the database did not see to it.
pub(super) async fn check_kept_references(on: &DatabaseTransaction, table: &Table) -> Result<()> {
    if on.get_database_backend() != DbBackend::Sqlite {
        return Ok(());
    }
    let check = format!("PRAGMA foreign_key_check(\"{}\")", table.name);
    let broken = on.query_one_raw(Statement::from_string(DbBackend::Sqlite, check)).await?;
    match broken {
        None => Ok(()),
        Some(_) => {
            let message = "A reference would name a row that does not exist";
            Err(Failure::new(ErrorCode::Validation, message).into())
        }
    }
}

/// That the conditions of its hooks can still be asked.
pub(super) async fn check_hooks(on: &DatabaseTransaction, table: &Table) -> Result<()> {
    for hook in hook::Entity::find().filter(hook::Column::Table.eq(&table.name)).all(on).await? {
        let Some(Json::Object(mut filter)) = hook.condition else { continue };
        let changed = filter.remove(HOOK_CHANGED).unwrap_or_default();
        let changed = changed.as_array().into_iter().flatten().filter_map(Json::as_str);
        let names_what_is_gone = changed.into_iter().any(|name| table.column(name).is_none());
        if names_what_is_gone || table.filter(&Json::Object(filter)).is_err() {
            let message =
                format!("The condition of the hook {} needs a column as it is; change it first", hook.id);
            return Err(Failure::new(ErrorCode::DuplicateResource, message).into());
        }
    }
    Ok(())
}

/// Another UUID for each row.
fn fresh_uuid(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => {
            "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) \
             || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"
        }
        _ => "gen_random_uuid()",
    }
}
