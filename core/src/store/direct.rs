//! SQLite's connections for rows, without a pool. A pool asks a connection whether it lives before
//! and after every statement, and takes it back in a task of its own: three more switches between
//! threads for a statement of some microseconds. An SQLite file always lives, so these are just kept.

use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;
use parking_lot::Mutex;
use prometheus::Histogram;
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection};
use sea_orm::{DatabaseConnection, DbBackend, DbErr, QueryResult, RuntimeErr, Statement, Values};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Result;

/// Connections to one SQLite file, opened when they are wanted.
#[derive(Debug)]
pub(crate) struct Direct {
    options: Arc<SqliteConnectOptions>,
    idle: Mutex<Vec<SqliteConnection>>,
    places: Arc<Semaphore>,
    seconds: Histogram,
}

/// One of the connections; it goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct DirectConnection {
    all: Arc<Direct>,
    /// Always there until this is dropped.
    connection: Option<SqliteConnection>,
    place: Option<OwnedSemaphorePermit>,
    /// Whether nothing runs on it and it may be used again.
    is_reusable: bool,
}

impl Direct {
    /// At most so many connections to the file of a pool, with its settings.
    pub(super) fn new(pool: &DatabaseConnection, connections: usize, seconds: Histogram) -> Arc<Self> {
        Arc::new(Self {
            options: pool.get_sqlite_connection_pool().connect_options(),
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(connections)),
            seconds,
        })
    }

    /// A connection; waits while all are in use.
    pub(crate) async fn connection(self: &Arc<Self>) -> Result<DirectConnection, DbErr> {
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| DbErr::Custom("the database is closed".to_owned()))?;
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.map_err(failed)?,
        };
        let (connection, place) = (Some(connection), Some(place));
        Ok(DirectConnection { all: self.clone(), connection, place, is_reusable: true })
    }

    /// Closes what is not in use; there is none from now on.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        for connection in idle {
            connection.close().await.map_err(failed)?;
        }
        Ok(())
    }
}

impl DirectConnection {
    /// Runs a statement; how many rows it touched.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, DbErr> {
        let (start, on) = self.start();
        let done = query(statement).execute(on).await;
        self.end(start, done).map(|done| done.rows_affected())
    }

    /// Runs a statement without parameters.
    pub(crate) async fn execute_unprepared(&mut self, sql: &'static str) -> Result<(), DbErr> {
        self.execute(Statement::from_string(DbBackend::Sqlite, sql)).await.map(drop)
    }

    /// The only row that a statement gives, or its first.
    pub(crate) async fn one(&mut self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (start, on) = self.start();
        let done = query(statement).fetch_optional(on).await;
        self.end(start, done).map(|row| row.map(QueryResult::from))
    }

    /// The rows that a statement gives.
    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (start, on) = self.start();
        let done = query(statement).fetch_all(on).await;
        Ok(self.end(start, done)?.into_iter().map(QueryResult::from).collect())
    }

    /// Gives each row to `take`, until that is an error.
    pub(crate) async fn each(
        &mut self,
        statement: Statement,
        mut take: impl FnMut(&QueryResult) -> Result<()>,
    ) -> Result<()> {
        let (start, on) = self.start();
        let mut rows = query(statement).fetch(on);
        let (mut taken, mut done) = (Ok(()), Ok(()));
        while taken.is_ok() {
            match rows.try_next().await {
                Ok(Some(row)) => taken = take(&row.into()),
                Ok(None) => break,
                Err(error) => {
                    done = Err(error);
                    break;
                }
            }
        }
        drop(rows);
        self.end(start, done)?;
        taken
    }

    /// Has the connection closed instead of used again, and undone what it has not committed.
    pub(crate) fn discard(mut self) {
        self.is_reusable = false;
    }

    /// Who does not come to the end leaves the connection to be closed, as what it runs may go on.
    fn start(&mut self) -> (Instant, &mut SqliteConnection) {
        self.is_reusable = false;
        (Instant::now(), self.connection.as_mut().expect("it is there until this is dropped"))
    }

    fn end<T>(&mut self, start: Instant, done: Result<T, sqlx::Error>) -> Result<T, DbErr> {
        self.is_reusable = matches!(done, Ok(_) | Err(sqlx::Error::Database(_)));
        self.all.seconds.observe(start.elapsed().as_secs_f64());
        done.map_err(failed)
    }
}

impl Drop for DirectConnection {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if self.is_reusable {
            self.all.idle.lock().push(connection);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let place = self.place.take();
            runtime.spawn(async move {
                // Waits for what it still does.
                let _ = connection.close().await;
                drop(place);
            });
        }
    }
}

fn query(statement: Statement) -> Query<'static, Sqlite, SqlxValues> {
    let values = statement.values.unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values))
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
