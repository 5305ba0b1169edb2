//! Where a list of rows goes on: behind which row, as text that who asks gives back. What is made or deleted in between
//! moves no other row, and the millionth page costs what the first does.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sea_orm::DbBackend;
use serde_json::Value as Json;

use super::order::Sorting;
use super::statement::Find;
use super::table::{Row, Table};
use super::{Part, Session};
use crate::error::{Failure, Result};

impl Session {
    /// The rows that `find` asks for behind a cursor, and the cursor of those behind them; none: there are no more.
    ///
    /// # Errors
    /// As [`Session::find`]; `VALIDATION_ERROR` for a cursor of another list.
    pub async fn rows_behind(
        &self,
        table: &Table,
        find: &Find,
        cursor: Option<&str>,
    ) -> Result<(Vec<Row>, Option<String>)> {
        let last = cursor.map(|cursor| last_row(table, find.sort.as_deref(), cursor)).transpose()?;
        let Part { rows, is_followed } = self.part(table, find, last.as_ref()).await?;
        let next = match rows.last() {
            Some(last) if is_followed => Some(cursor_of(table, find.sort.as_deref(), last)?),
            _ => None,
        };
        Ok((rows, next))
    }
}

/// The values of a row by which it stands in its place.
fn cursor_of(table: &Table, sort: Option<&str>, row: &Row) -> Result<String> {
    let sorting = Sorting::of(table, sort, DbBackend::Sqlite)?;
    let values = sorting.names().map(|name| row.get(name).cloned().unwrap_or_default());
    Ok(BASE64_URL_SAFE_NO_PAD.encode(Json::from_iter(values).to_string()))
}

fn last_row(table: &Table, sort: Option<&str>, cursor: &str) -> Result<Row> {
    let wrong = || Failure::invalid("cursor", "is of another list: begin without one");
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    let values: Vec<Json> = serde_json::from_slice(&text).map_err(|_| wrong())?;
    let sorting = Sorting::of(table, sort, DbBackend::Sqlite)?;
    let names: Vec<_> = sorting.names().collect();
    if names.len() != values.len() {
        return Err(wrong().into());
    }
    let mut row = Row::new();
    for (name, value) in names.into_iter().zip(values) {
        if !value.is_null() {
            table.check_value(name, &value).map_err(|_| wrong())?;
        }
        row.insert(name.to_owned(), value);
    }
    Ok(row)
}
