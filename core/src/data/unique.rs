//! What is unique in a table: single columns, and groups of columns together.

use std::collections::BTreeSet;

use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func, Order, Query};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use serde_json::{Value as Json, json};

use super::column::Column;
use super::schema::Altered;
use super::statement::{self, column_iden};
use super::table::{ID, Row, Table};
use crate::error::{ErrorCode, Failure, Result};
use crate::filter::Filter;

/// Groups of one table, and columns of one group, at most.
const GROUPS_MAX: usize = 16;
const GROUP_COLUMNS_MAX: usize = 8;
/// Values that a refusal names.
const NAMED_MAX: u64 = 3;
/// Characters of each.
const NAMED_CHARS_MAX: usize = 100;

/// Refuses groups that make no sense for a table with these columns.
pub(super) fn check_groups(groups: &[Vec<String>], own: &[Column]) -> Result<()> {
    let refuse = |message: String| Err(Failure::invalid("unique", message).into());
    if groups.len() > GROUPS_MAX {
        return refuse(format!("has more than {GROUPS_MAX} groups"));
    }
    let mut known = BTreeSet::new();
    for group in groups {
        let named = group.join(", ");
        if !(2..=GROUP_COLUMNS_MAX).contains(&group.len()) {
            return refuse(format!(
                "takes groups of 2 to {GROUP_COLUMNS_MAX} columns; [{named}] is none. A single column is unique by itself"
            ));
        }
        for name in group {
            match own.iter().find(|column| column.name == *name) {
                None => return refuse(format!("names {name:?}, which is no column of this table")),
                Some(column) if !column.kind.can_be_indexed() => {
                    return refuse(format!(
                        "{name} has no index, since its type is {}",
                        column.kind.as_str()
                    ));
                }
                Some(_) => {}
            }
        }
        let set: BTreeSet<_> = group.iter().collect();
        if set.len() < group.len() {
            return refuse(format!("names a column twice in [{named}]"));
        }
        if !known.insert(set) {
            return refuse(format!("has the group [{named}] twice"));
        }
    }
    Ok(())
}

impl Table {
    /// The columns that are unique, each alone or together.
    fn keys(&self) -> impl Iterator<Item = Vec<&str>> {
        let single = self.own_columns().iter().filter(|column| column.unique);
        let single = single.map(|column| vec![column.name.as_str()]);
        single.chain(self.unique.iter().map(|group| group.iter().map(String::as_str).collect()))
    }

    /// The row that has the values which `data` has in the columns of `key`.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` where these columns are not unique, or a value is missing.
    pub(crate) fn by_key(&self, key: &[String], data: &Row) -> Result<Filter> {
        let wanted: BTreeSet<_> = key.iter().map(String::as_str).collect();
        if !self
            .keys()
            .any(|known| known.len() == wanted.len() && known.iter().all(|name| wanted.contains(name)))
        {
            let known: Vec<_> = self.keys().map(|key| format!("[{}]", key.join(", "))).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!(
                "[{}] is not unique in {}, so it names no single row; unique are: {known}",
                key.join(", "),
                self.name
            );
            return Err(Failure::invalid("key", message).into());
        }
        let mut values = Row::new();
        for name in wanted {
            let value = data.get(name).filter(|value| !value.is_null());
            let value = value.ok_or_else(|| Failure::invalid(name, "is missing: it is of the key"))?;
            self.check_value(name, value)?;
            values.insert(name.to_owned(), json!({ "_eq": value }));
        }
        self.filter(&Json::Object(values))
    }
}

/// That what is to be unique is, where it was not before; says which values are not.
pub(super) async fn refuse_duplicates(
    on: &DatabaseTransaction,
    old: &Table,
    new: &Table,
    columns: &[Altered],
) -> Result<()> {
    match duplicates(on, old, new, columns, 1).await?.pop() {
        Some((key, message)) => {
            let failure = Failure::new(ErrorCode::DuplicateResource, message);
            Err(failure.with_details(json!({ "fields": key })).into())
        }
        None => Ok(()),
    }
}

/// The first so many groups of columns that would be unique and are not, and which values are not.
pub(super) async fn duplicates(
    on: &DatabaseTransaction,
    old: &Table,
    new: &Table,
    columns: &[Altered],
    most: usize,
) -> Result<Vec<(Vec<String>, String)>> {
    let mut duplicates = Vec::new();
    for key in new.keys() {
        let before = |name: &&str| {
            let altered =
                columns.iter().find(|altered| altered.after.name == **name && altered.keeps_values())?;
            altered.before.as_ref()
        };
        // Columns that are new have no values yet; what their defaults make of them is seen to when they are set.
        let Some(before) = key.iter().map(before).collect::<Option<Vec<&Column>>>() else { continue };
        let was = |known: Vec<&str>| {
            known.len() == before.len() && before.iter().all(|c| known.contains(&&*c.name))
        };
        if old.keys().any(was) {
            continue;
        }
        if let Some(message) = duplicates_of(on, old, &before, &key).await? {
            duplicates.push((key.iter().map(|name| (*name).to_owned()).collect(), message));
        }
        if duplicates.len() >= most {
            break;
        }
    }
    Ok(duplicates)
}

async fn duplicates_of(
    on: &DatabaseTransaction,
    table: &Table,
    columns: &[&Column],
    names: &[&str],
) -> Result<Option<String>> {
    let mut select = Query::select();
    select.from(table.iden.clone());
    for column in columns {
        let iden = || Expr::col(column_iden(&column.name));
        select.column(column_iden(&column.name)).and_where(iden().is_not_null()).add_group_by([iden()]);
    }
    let rows = || Func::count(Expr::col(Asterisk));
    select.expr(rows()).and_having(Expr::expr(rows()).gt(1)).limit(NAMED_MAX);
    select.order_by_expr(Expr::expr(Func::min(Expr::col(column_iden(ID)).cast_as("text"))), Order::Asc);
    let backend = on.get_database_backend();
    let mut told = Vec::new();
    for found in on.query_all(&select).await? {
        let row = statement::row(&found, columns, backend)?;
        let values = columns.iter().map(|column| shown(row.get(&column.name).unwrap_or(&Json::Null)));
        let count: i64 = found.try_get_by_index(columns.len())?;
        told.push(format!("{count} rows have {}", values.collect::<Vec<_>>().join(", ")));
    }
    if told.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "{} cannot be unique in {}: {}; change or delete the others first",
        names.join(", "),
        table.name,
        told.join("; ")
    )))
}

fn shown(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(NAMED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
