//! Rows that are inserted together with the end of the job that made them: many jobs end in one transaction, and what
//! they made of one table is a few statements there.

use std::sync::Arc;

use sea_orm::sea_query::{DynIden, Expr, Query, Value};
use sea_orm::{DbBackend, Statement};

use super::Transaction;
use crate::error::Result;

/// Rows and bytes that wait for the end of a job, at most. A job that makes more has a transaction of its own.
const ROWS_MAX: usize = 64;
const BYTES_MAX: usize = 64 << 10;
/// Rows of one statement: few sizes, so that the database knows the statements already.
const PER_STATEMENT: [usize; 4] = [64, 16, 4, 1];

/// Where rows are inserted.
#[derive(Debug)]
pub(crate) struct InsertInto {
    pub table: DynIden,
    pub columns: Vec<DynIden>,
    /// A letter for the type of each column. PostgreSQL keeps prepared statements by their text, with
    /// the types that they had then, so that a text must not outlive a change of types.
    pub layout: String,
}

impl InsertInto {
    /// The statement that inserts rows, each a value for each column.
    pub(crate) fn rows(&self, rows: impl IntoIterator<Item = Vec<Value>>, backend: DbBackend) -> Statement {
        let mut insert = Query::insert();
        insert.into_table(self.table.clone()).columns(self.columns.clone());
        for row in rows {
            insert.values_panic(row.into_iter().map(Expr::value));
        }
        self.for_layout(backend.build(&insert))
    }

    /// A statement on the table as it is now.
    pub(crate) fn for_layout(&self, mut statement: Statement) -> Statement {
        if statement.db_backend == DbBackend::Postgres {
            statement.sql.push_str(&format!(" /* {} */", self.layout));
        }
        statement
    }
}

/// New rows in the order in which they were made.
#[derive(Debug, Clone, Default)]
pub struct NewRows {
    rows: Vec<(Arc<InsertInto>, Vec<Value>)>,
    /// Statements that leave jobs for later.
    jobs: Vec<Statement>,
    bytes: usize,
}

impl NewRows {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.jobs.is_empty()
    }

    /// Whether so many more, of so many bytes, may wait too.
    pub(crate) fn have_room(&self, rows: usize, bytes: usize) -> bool {
        self.rows.len() + self.jobs.len() + rows <= ROWS_MAX && self.bytes + bytes <= BYTES_MAX
    }

    /// Adds a row of about so many bytes.
    pub(crate) fn add(&mut self, into: &Arc<InsertInto>, row: Vec<Value>, bytes: usize) {
        self.bytes += bytes;
        self.rows.push((into.clone(), row));
    }

    /// Adds a job for later, of about so many bytes, by the statements that leave it.
    pub(crate) fn add_job(&mut self, statements: impl IntoIterator<Item = Statement>, bytes: usize) {
        self.bytes += bytes;
        self.jobs.extend(statements);
    }

    /// Whether jobs for later are among them.
    pub(crate) fn have_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Inserts all of these, table by table, and then the jobs.
    pub(crate) async fn insert<'a>(all: impl Iterator<Item = &'a Self>, on: &Transaction) -> Result<()> {
        let mut by_table: Vec<(&Arc<InsertInto>, Vec<&Vec<Value>>)> = Vec::new();
        let mut jobs = Vec::new();
        for new in all {
            jobs.extend(&new.jobs);
            for (into, row) in &new.rows {
                match by_table.iter_mut().find(|(known, _)| Arc::ptr_eq(known, into)) {
                    Some((_, rows)) => rows.push(row),
                    None => by_table.push((into, vec![row])),
                }
            }
        }
        for (into, rows) in by_table {
            let mut rest = &rows[..];
            for size in PER_STATEMENT {
                while let Some((rows, others)) = rest.split_at_checked(size) {
                    on.all(into.rows(rows.iter().map(|row| (*row).clone()), on.backend())).await?;
                    rest = others;
                }
            }
        }
        for statement in jobs {
            on.all(statement.clone()).await?;
        }
        Ok(())
    }
}
