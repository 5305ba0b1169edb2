//! What a session reads.

use sea_orm::sea_query::SelectStatement;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};

use super::session::{ROWS_MAX, Session};
use super::statement::{self, Find, Selector};
use super::table::{Row, Table};
use crate::error::{ErrorCode, Failure, Result};
use crate::filter::Filter;
use crate::store;

/// Bytes of all rows of one read or one change, as JSON, about.
pub(super) const ROWS_BYTES_MAX: usize = 16 << 20;

/// One page of rows.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The rows.
    pub rows: Vec<Row>,
    /// All rows and those that match, if asked for.
    pub counts: Option<(u64, u64)>,
}

impl Session {
    /// One page of rows.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for an unknown field or operator, a wrong value or too much at once.
    pub async fn find(&self, table: &Table, find: &Find) -> Result<Found> {
        let columns = table.selected(find.fields.as_deref())?;
        let mut select = statement::select(table, find, &columns, self.backend())?;
        if find.locks {
            self.begin_to_lock().await?;
            statement::lock(&mut select, self.backend());
        }
        let counts = if find.with_counts {
            let total = self.count(table, [find.scope.as_ref(), None]).await?;
            Some((total, self.count(table, [find.scope.as_ref(), find.filter.as_ref()]).await?))
        } else {
            None
        };
        Ok(Found { rows: self.read(table, &select, find, &columns).await?, counts })
    }

    /// How many rows meet these filters.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn count(&self, table: &Table, filters: [Option<&Filter>; 2]) -> Result<u64> {
        let select = self.build(table, &statement::count(table, filters, self.backend()));
        let found = match self.transaction().await? {
            Some(transaction) => transaction.one(select).await?,
            None => self.data().rows().query_one_raw(select).await?,
        };
        let count: i64 = found.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
        Ok(count.unsigned_abs())
    }

    /// The rows that a write is about, locked until the transaction ends.
    ///
    /// # Errors
    /// As [`Self::find`]; `VALIDATION_ERROR` for more than [`ROWS_MAX`].
    pub async fn rows_to_write(
        &self,
        table: &Table,
        selector: &Selector,
        scope: Option<&Filter>,
    ) -> Result<Vec<Row>> {
        let find = Find {
            filter: Some(selector.filter()),
            scope: scope.cloned(),
            limit: ROWS_MAX + 1,
            page: 1,
            ..Find::default()
        };
        let columns = table.selected(None)?;
        let mut select = statement::select(table, &find, &columns, self.backend())?;
        statement::lock(&mut select, self.backend());
        let rows = self.read(table, &select, &find, &columns).await?;
        if rows.len() as u64 > ROWS_MAX {
            let message = format!("The filter meets more than {ROWS_MAX} rows; narrow it and go on in parts");
            return Err(Failure::new(ErrorCode::Validation, message).into());
        }
        Ok(rows)
    }

    /// The rows of the page.
    async fn read(
        &self,
        table: &Table,
        select: &SelectStatement,
        find: &Find,
        columns: &[&super::Column],
    ) -> Result<Vec<Row>> {
        let select = statement::page(table, select, find, self.backend());
        let mut read = Read { columns, backend: self.backend(), rows: Vec::new(), bytes: 0 };
        match (self.transaction().await?, self.data().rows().readers()) {
            (Some(transaction), _) => transaction.each(select, |row| read.take(row)).await?,
            (None, None) => store::each(self.data().rows(), select, |row| read.take(row)).await?,
            (None, Some(readers)) => {
                let mut on = readers.connection().await?;
                if find.limit == 1 {
                    on.one(select).await?.map_or(Ok(()), |row| read.take(&row))?;
                } else {
                    on.each(select, |row| read.take(row)).await?;
                }
            }
        }
        Ok(read.rows)
    }
}

/// Rows as they arrive, until they are too many bytes.
struct Read<'a> {
    columns: &'a [&'a super::Column],
    backend: DbBackend,
    rows: Vec<Row>,
    bytes: usize,
}

impl Read<'_> {
    fn take(&mut self, row: &QueryResult) -> Result<()> {
        let row = statement::row(row, self.columns, self.backend)?;
        self.bytes += row.values().map(bytes_of).sum::<usize>();
        if self.bytes > ROWS_BYTES_MAX {
            let message = format!(
                "The rows have more than {ROWS_BYTES_MAX} bytes together; ask for fewer, or for fewer of their fields"
            );
            return Err(Failure::new(ErrorCode::Validation, message).into());
        }
        self.rows.push(row);
        Ok(())
    }
}

/// What a value takes, about.
fn bytes_of(value: &serde_json::Value) -> usize {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(bytes_of).sum::<usize>() + 8,
        Json::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() + bytes_of(value)).sum::<usize>() + 8
        }
        _ => 8,
    }
}
