//! An open transaction, on either database.

use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement, StreamTrait};

use super::code_of;
use super::writer::{Wanted, Written, run_write};
use super::writer_transaction::{WriterTransaction, overdue};
use crate::error::{Error, Result};

/// PostgreSQL's code for a transaction that it has ended because nothing was done in it.
const IDLE_IN_TRANSACTION: &str = "25P03";

pub(crate) enum Transaction {
    OfWriter(WriterTransaction),
    OfPool(DatabaseTransaction),
}

impl Transaction {
    /// The kind of its database.
    pub(crate) fn backend(&self) -> DbBackend {
        match self {
            Self::OfWriter(_) => DbBackend::Sqlite,
            Self::OfPool(_) => DbBackend::Postgres,
        }
    }

    /// Runs a statement that writes. One that fails undoes itself alone, on PostgreSQL too, where it
    /// would otherwise end the whole transaction.
    pub(crate) async fn write(&self, statement: Statement, wanted: Wanted) -> Result<Written> {
        match self {
            Self::OfWriter(transaction) => transaction.run(statement, wanted).await,
            Self::OfPool(transaction) => {
                self.execute("SAVEPOINT gw_statement").await?;
                let written = run_write(transaction, statement, wanted).await;
                let end = if written.is_ok() { "RELEASE" } else { "ROLLBACK TO" };
                self.execute(&format!("{end} SAVEPOINT gw_statement")).await?;
                Ok(written?)
            }
        }
    }

    /// Runs a statement without parameters.
    pub(crate) async fn execute(&self, sql: &str) -> Result<()> {
        match self {
            Self::OfWriter(transaction) => {
                let statement = Statement::from_string(sea_orm::DbBackend::Sqlite, sql);
                transaction.run(statement, Wanted::Count).await.map(drop)
            }
            Self::OfPool(transaction) => transaction.execute_unprepared(sql).await.map(drop).map_err(failed),
        }
    }

    /// Runs a statement and takes the rows that it gives. On PostgreSQL one that fails ends the transaction.
    pub(crate) async fn all(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        match self {
            Self::OfWriter(transaction) => match transaction.run(statement, Wanted::Rows).await? {
                Written::Rows(rows) => Ok(rows),
                Written::Count(_) => Ok(Vec::new()),
            },
            Self::OfPool(transaction) => transaction.query_all_raw(statement).await.map_err(failed),
        }
    }

    /// The only row that a statement gives, or its first.
    pub(crate) async fn one(&self, statement: Statement) -> Result<Option<QueryResult>> {
        match self {
            Self::OfWriter(transaction) => transaction.one(statement).await,
            Self::OfPool(transaction) => transaction.query_one_raw(statement).await.map_err(failed),
        }
    }

    /// Gives each row to `take`, until that is an error.
    pub(crate) async fn each(
        &self,
        statement: Statement,
        take: impl FnMut(&QueryResult) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::OfWriter(transaction) => transaction.each(statement, take).await,
            Self::OfPool(transaction) => each(transaction, statement, take).await,
        }
    }

    /// Keeps what was done.
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::OfWriter(transaction) => transaction.commit().await,
            Self::OfPool(transaction) => transaction.commit().await.map_err(failed),
        }
    }

    /// Undoes what was done.
    pub(crate) async fn roll_back(self) -> Result<()> {
        match self {
            Self::OfWriter(transaction) => transaction.roll_back().await,
            Self::OfPool(transaction) => Ok(transaction.rollback().await?),
        }
    }
}

/// Gives each row of a statement to `take`, until that is an error.
pub(crate) async fn each(
    on: &(impl ConnectionTrait + StreamTrait),
    statement: Statement,
    mut take: impl FnMut(&QueryResult) -> Result<()>,
) -> Result<()> {
    let mut found = std::pin::pin!(on.stream_raw(statement).await.map_err(failed)?);
    while let Some(row) = found.try_next().await? {
        take(&row)?;
    }
    Ok(())
}

fn failed(error: DbErr) -> Error {
    if code_of(&error).as_deref() == Some(IDLE_IN_TRANSACTION) { overdue().into() } else { error.into() }
}
