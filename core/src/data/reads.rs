//! What a session reads.

use sea_orm::sea_query::SelectStatement;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};

use super::order::Sorting;
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

/// A part of rows that are read one part after the other.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// The rows, with the fields by which they are sorted besides those that were asked for.
    pub rows: Vec<Row>,
    /// Whether there may be more.
    pub is_followed: bool,
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

    /// The rows that `find` asks for behind `last`, at most its limit of them, and no more than may be read at once.
    /// What was changed in between moves no other row.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn part(&self, table: &Table, find: &Find, last: Option<&Row>) -> Result<Part> {
        let sorting = Sorting::of(table, find.sort.as_deref(), self.backend())?;
        let fields = find.fields.as_ref().filter(|names| !names.is_empty() && **names != ["*"]);
        let fields = fields.map(|names| {
            names.iter().map(String::as_str).chain(sorting.names()).map(str::to_owned).collect::<Vec<_>>()
        });
        let columns = table.selected(fields.as_deref())?;
        let mut select = statement::select(table, find, &columns, self.backend())?;
        if let Some(last) = last {
            select.cond_where(sorting.behind(table, last));
        }
        let mut read = Read { ends_early: true, ..Read::new(&columns, self.backend()) };
        self.read_into(&mut read, table, &select, find).await?;
        let is_followed = read.is_full || read.rows.len() as u64 >= find.limit;
        Ok(Part { rows: read.rows, is_followed })
    }

    /// Where the row with this id stands among those that meet these filters, from 1; none where it is not one of them.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn rank(
        &self,
        table: &Table,
        filters: [Option<&Filter>; 2],
        sort: Option<&str>,
        id: &str,
    ) -> Result<Option<u64>> {
        let sorting = Sorting::of(table, sort, self.backend())?;
        let before = statement::rows_before(table, filters, &sorting, id, self.backend());
        Ok(self.number(table, &before).await?.map(|before| before + 1))
    }

    /// How many rows meet these filters.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn count(&self, table: &Table, filters: [Option<&Filter>; 2]) -> Result<u64> {
        let count = statement::count(table, filters, self.backend());
        Ok(self.number(table, &count).await?.unwrap_or_default())
    }

    /// How many rows a table has, counted to `most` and one further: what costs the same however many there are.
    pub async fn count_up_to(&self, table: &Table, most: u64) -> Result<u64> {
        Ok(self.number(table, &statement::count_up_to(table, most)).await?.unwrap_or_default())
    }

    /// The number that a statement gives, if it gives one.
    async fn number(&self, table: &Table, select: &SelectStatement) -> Result<Option<u64>> {
        let select = self.build(table, select);
        let found = match self.transaction().await? {
            Some(transaction) => transaction.one(select).await?,
            None => self.data().rows().query_one_raw(select).await?,
        };
        let number: Option<i64> = found.map(|row| row.try_get_by_index(0)).transpose()?;
        Ok(number.map(i64::unsigned_abs))
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
        let mut read = Read::new(columns, self.backend());
        self.read_into(&mut read, table, select, find).await?;
        Ok(read.rows)
    }

    async fn read_into(
        &self,
        read: &mut Read<'_>,
        table: &Table,
        select: &SelectStatement,
        find: &Find,
    ) -> Result<()> {
        let select = statement::page(table, select, find, self.backend());
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
        Ok(())
    }
}

/// Rows as they arrive, until they are too many bytes.
struct Read<'a> {
    columns: &'a [&'a super::Column],
    backend: DbBackend,
    rows: Vec<Row>,
    bytes: usize,
    /// Whether what is too much is left for another read, and no failure.
    ends_early: bool,
    is_full: bool,
}

impl<'a> Read<'a> {
    fn new(columns: &'a [&'a super::Column], backend: DbBackend) -> Self {
        Self { columns, backend, rows: Vec::new(), bytes: 0, ends_early: false, is_full: false }
    }

    fn take(&mut self, row: &QueryResult) -> Result<()> {
        if self.is_full {
            return Ok(());
        }
        let row = statement::row(row, self.columns, self.backend)?;
        self.bytes += row.values().map(bytes_of).sum::<usize>();
        if self.bytes > ROWS_BYTES_MAX && self.ends_early && !self.rows.is_empty() {
            self.is_full = true;
            return Ok(());
        }
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
