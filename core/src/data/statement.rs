//! From rows and questions to SQL statements and back. Identifiers come from checked definitions
//! and are quoted; values only ever travel as bound parameters.

use sea_orm::sea_query::{
    self, Alias, Asterisk, Cond, DynIden, Expr, ExprTrait, Func, IntoIden, OnConflict, Query,
    ReturningClause, SelectStatement, SimpleExpr, Value,
};
use sea_orm::{DbBackend, QueryResult, Statement, StatementBuilder, TryGetable};
use serde_json::Value as Json;
use uuid::Uuid;

use super::column::{Column, ColumnKind};
use super::order::Sorting;
use super::table::{Change, ID, Operator, Row, RowChange, Table};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::store::{Time, parse_time, time_text};

/// What a statement calls the row whose rank is asked for; `gw_` keeps it away from an admin's tables.
const ASKED: &str = "gw_asked";

/// What rows are asked for.
#[derive(Debug, Clone, Default)]
pub struct Find {
    /// Which rows; none: all.
    pub filter: Option<Filter>,
    /// What besides the filter they have to meet, because of who asks; counts do not see beyond it.
    pub scope: Option<Filter>,
    /// Only these columns; none: all.
    pub fields: Option<Vec<String>>,
    /// Field names with commas, `-` before one for descending; none: as they were made.
    pub sort: Option<String>,
    /// Rows of a page.
    pub limit: u64,
    /// Whether to read one row more than those of the page, which tells that there are more.
    pub looks_ahead: bool,
    /// Counts from 1.
    pub page: u64,
    /// Whether to count all rows and those that match.
    pub with_counts: bool,
    /// Whether nobody else may change them until the transaction ends.
    pub locks: bool,
}

/// Which rows a write is about.
#[derive(Debug, Clone)]
pub enum Selector {
    /// The row with this id.
    Id(String),
    /// The rows that meet a filter.
    Filter(Filter),
}

impl Selector {
    /// The filter that says the same.
    pub fn filter(&self) -> Filter {
        match self {
            Self::Id(id) => Filter::by_id(ID, id),
            Self::Filter(filter) => filter.clone(),
        }
    }
}

/// A statement on a table.
pub(super) fn build(table: &Table, statement: &impl StatementBuilder, backend: DbBackend) -> Statement {
    table.into.for_layout(backend.build(statement))
}

/// The rows of `scope` and `filter` together.
pub(super) fn condition(table: &Table, filters: [Option<&Filter>; 2], backend: DbBackend) -> Cond {
    let filters = filters.into_iter().flatten();
    filters.fold(Cond::all(), |all, filter| all.add(filter.condition(&table.fields, backend)))
}

/// The rows that `find` asks for, not only those of its page.
pub(super) fn select(
    table: &Table,
    find: &Find,
    columns: &[&Column],
    backend: DbBackend,
) -> Result<SelectStatement> {
    let mut select = Query::select();
    select
        .columns(columns.iter().map(|column| column.iden()))
        .from(table.iden.clone())
        .cond_where(condition(table, [find.scope.as_ref(), find.filter.as_ref()], backend));
    Sorting::of(table, find.sort.as_deref(), backend)?.apply(&mut select);
    Ok(select)
}

/// A page of what is selected. Its numbers stand in the text: SQLite plans a statement anew whenever a
/// parameter of its LIMIT is bound, which takes longer than to find a row.
pub(super) fn page(table: &Table, select: &SelectStatement, find: &Find, backend: DbBackend) -> Statement {
    let mut statement = backend.build(select);
    statement.sql.push_str(&format!(" LIMIT {}", find.limit + u64::from(find.looks_ahead)));
    match find.page.saturating_sub(1) * find.limit {
        0 => {}
        skipped => statement.sql.push_str(&format!(" OFFSET {skipped}")),
    }
    table.into.for_layout(statement)
}

/// How many rows meet these filters.
pub(super) fn count(table: &Table, filters: [Option<&Filter>; 2], backend: DbBackend) -> SelectStatement {
    Query::select()
        .expr(Func::count(Expr::col(Asterisk)))
        .from(table.iden.clone())
        .cond_where(condition(table, filters, backend))
        .to_owned()
}

/// How many rows there are, counted to `most` and one further.
pub(super) fn count_up_to(table: &Table, most: u64) -> SelectStatement {
    let some = Query::select()
        .column(column_iden(ID))
        .from(table.iden.clone())
        .limit(most.saturating_add(1))
        .to_owned();
    Query::select().expr(Func::count(Expr::col(Asterisk))).from_subquery(some, Alias::new(ASKED)).to_owned()
}

/// One number: how many rows that meet these filters stand before the one with this id, where it meets them too.
pub(super) fn rows_before(
    table: &Table,
    filters: [Option<&Filter>; 2],
    sorting: &Sorting,
    id: &str,
    backend: DbBackend,
) -> SelectStatement {
    let before = Query::select()
        .expr(Func::count(Expr::col(Asterisk)))
        .from(table.iden.clone())
        .cond_where(condition(table, filters, backend).add(sorting.before(ASKED)))
        .to_owned();
    let asked = Filter::by_id(ID, id);
    Query::select()
        .expr(SimpleExpr::SubQuery(None, Box::new(before.into())))
        .from_as(table.iden.clone(), Alias::new(ASKED))
        .cond_where(condition(table, filters, backend).add(condition(table, [Some(&asked), None], backend)))
        .to_owned()
}

/// The values of a new row, which is complete and in its normal form.
pub(super) fn values(table: &Table, row: &Row, backend: DbBackend) -> Vec<Value> {
    let value = |column: &Column| {
        bound(column.kind, row.get(&column.name).unwrap_or(&Json::Null), column.form(backend))
    };
    table.columns.iter().map(value).collect()
}

/// New rows, each complete and in its normal form.
pub(super) fn insert(table: &Table, rows: &[Row], backend: DbBackend) -> Statement {
    table.into.rows(rows.iter().map(|row| values(table, row, backend)), backend)
}

/// A change of the rows that meet a condition; gives back the rows as they are then.
pub(super) fn update(
    table: &Table,
    change: &RowChange,
    condition: Cond,
    backend: DbBackend,
) -> sea_query::UpdateStatement {
    let mut update = Query::update();
    update.table(table.iden.clone()).cond_where(condition);
    for (column, value) in changed(table, change, backend) {
        update.value(column, value);
    }
    update.returning(returned(table));
    update
}

/// Adds a row, or changes the one that has its values in the columns of `key`; gives back the row as it is then.
pub(super) fn upsert(
    table: &Table,
    key: &[String],
    row: &Row,
    change: &RowChange,
    backend: DbBackend,
) -> sea_query::InsertStatement {
    let mut conflict = OnConflict::columns(key.iter().map(Alias::new));
    conflict.values(changed(table, change, backend));
    let mut insert = Query::insert();
    insert
        .into_table(table.iden.clone())
        .columns(table.columns.iter().map(Column::iden))
        .values_panic(values(table, row, backend).into_iter().map(Expr::value))
        .on_conflict(conflict)
        .returning(returned(table));
    insert
}

fn returned(table: &Table) -> ReturningClause {
    Query::returning().columns(table.columns.iter().map(Column::iden))
}

/// What columns are set to.
fn changed(table: &Table, change: &RowChange, backend: DbBackend) -> Vec<(DynIden, SimpleExpr)> {
    let mut changed = Vec::with_capacity(change.columns.len());
    for (name, change) in &change.columns {
        let Some(column) = table.column(name) else { continue };
        let (kind, backend, iden) = (column.kind, column.form(backend), column.iden());
        // With its table, since an upsert has another row beside.
        let present = || Expr::col((table.iden.clone(), iden.clone()));
        let value = match change {
            Change::To(value) => SimpleExpr::Value(bound(kind, value, backend)),
            Change::By(Operator::Add, by) => {
                let zero = if kind == ColumnKind::Float { Value::from(0.0) } else { Value::from(0_i64) };
                let present = Func::coalesce([present(), Expr::val(zero)]);
                Expr::from(present).add(bound(kind, by, backend))
            }
            Change::By(operator, by) => {
                let present = Func::coalesce([present(), Expr::val(bound(kind, by, backend))]);
                // SQLite's functions of one argument are aggregates, those of two are not (sqlite.org/lang_corefunc.html).
                let function = match (operator, backend) {
                    (Operator::Max, DbBackend::Sqlite) => "MAX",
                    (Operator::Max, _) => "GREATEST",
                    (_, DbBackend::Sqlite) => "MIN",
                    _ => "LEAST",
                };
                Func::cust(function).arg(present).arg(Expr::val(bound(kind, by, backend))).into()
            }
        };
        changed.push((iden, value));
    }
    changed
}

/// The rows with these ids.
pub(super) fn with_ids(table: &Table, ids: impl Iterator<Item = String>) -> Cond {
    let as_text = table.fields.first().is_some_and(|field| field.is_stored_as_text);
    let ids = ids.filter_map(|id| {
        let id = Uuid::parse_str(&id).ok()?;
        Some(if as_text { Value::from(id.to_string()) } else { Value::from(id) })
    });
    Cond::all().add(Expr::col(Alias::new(ID)).is_in(ids))
}

/// Deletes the rows that meet a condition.
pub(super) fn delete(table: &Table, condition: Cond) -> sea_query::DeleteStatement {
    Query::delete().from_table(table.iden.clone()).cond_where(condition).to_owned()
}

/// A value in its normal form as a parameter.
pub(super) fn bound(kind: ColumnKind, value: &Json, backend: DbBackend) -> Value {
    let is_sqlite = backend == DbBackend::Sqlite;
    let text = value.as_str();
    match kind {
        ColumnKind::String | ColumnKind::Text | ColumnKind::Enum => Value::String(text.map(str::to_owned)),
        ColumnKind::Integer => Value::BigInt(value.as_i64()),
        ColumnKind::Float => Value::Double(value.as_f64()),
        ColumnKind::Boolean if is_sqlite => Value::BigInt(value.as_bool().map(i64::from)),
        ColumnKind::Boolean => Value::Bool(value.as_bool()),
        ColumnKind::Datetime | ColumnKind::Uuid if is_sqlite => Value::String(text.map(str::to_owned)),
        ColumnKind::Datetime => Value::TimeDateTimeWithTimeZone(text.and_then(parse_time)),
        ColumnKind::Uuid => Value::Uuid(text.and_then(|text| Uuid::parse_str(text).ok())),
        ColumnKind::Json if is_sqlite => Value::String((!value.is_null()).then(|| value.to_string())),
        ColumnKind::Json => Value::Json((!value.is_null()).then(|| Box::new(value.clone()))),
    }
}

/// A row that a statement gave back, with these columns in this order.
pub(super) fn row(found: &QueryResult, columns: &[&Column], backend: DbBackend) -> Result<Row> {
    columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            Ok((column.name.clone(), value(found, index, column.kind, column.form(backend))?))
        })
        .collect()
}

fn value(found: &QueryResult, index: usize, kind: ColumnKind, backend: DbBackend) -> Result<Json> {
    fn get<T: TryGetable>(found: &QueryResult, index: usize) -> Result<Option<T>> {
        Ok(found.try_get_by_index::<Option<T>>(index)?)
    }
    let is_sqlite = backend == DbBackend::Sqlite;
    Ok(match kind {
        ColumnKind::String | ColumnKind::Text | ColumnKind::Enum => get::<String>(found, index)?.into(),
        ColumnKind::Integer => get::<i64>(found, index)?.into(),
        ColumnKind::Float => get::<f64>(found, index)?.into(),
        ColumnKind::Boolean if is_sqlite => get::<i64>(found, index)?.map(|number| number != 0).into(),
        ColumnKind::Boolean => get::<bool>(found, index)?.into(),
        ColumnKind::Datetime | ColumnKind::Uuid if is_sqlite => get::<String>(found, index)?.into(),
        ColumnKind::Datetime => get::<Time>(found, index)?.map(time_text).into(),
        ColumnKind::Uuid => get::<Uuid>(found, index)?.map(|id| id.to_string()).into(),
        ColumnKind::Json if is_sqlite => match get::<String>(found, index)? {
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| Error::Internal(format!("a stored value is no JSON: {error}")))?,
            None => Json::Null,
        },
        ColumnKind::Json => get::<Json>(found, index)?.unwrap_or_default(),
    })
}

/// For `SELECT … FOR UPDATE`, where the database has it; SQLite's writer is alone anyway.
pub(super) fn lock(select: &mut SelectStatement, backend: DbBackend) {
    if backend == DbBackend::Postgres {
        select.lock_exclusive();
    }
}

/// The name of a column as an identifier.
pub(super) fn column_iden(name: &str) -> sea_query::DynIden {
    Alias::new(name).into_iden()
}
