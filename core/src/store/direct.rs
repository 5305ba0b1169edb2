//! SQLite's connections for rows, without a pool. A pool pings a connection before and after every
//! statement, and takes it back in a task of its own: three more switches between threads for a
//! statement of some microseconds. A connection to a file does not die, so these are just kept open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::TryStreamExt;
use parking_lot::Mutex;
use prometheus::Histogram;
use sea_orm::sqlx::query::Query;
use sea_orm::sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection};
use sea_orm::{DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Values};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Result;

/// How many instructions SQLite's virtual machine runs between two checks of whether the statement is
/// to be interrupted: some tens of microseconds.
const LOOK_EVERY: i32 = 1000;

/// Interrupts the statement that runs on a connection. The connection is not used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(super) fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Connections to one SQLite file, opened when they are wanted.
#[derive(Debug)]
pub(crate) struct Direct {
    options: Arc<SqliteConnectOptions>,
    idle: Mutex<Vec<(SqliteConnection, Interrupt)>>,
    /// One permit for each connection.
    places: Arc<Semaphore>,
    connections: u32,
    seconds: Histogram,
}

/// One of the connections; it goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct DirectConnection {
    all: Arc<Direct>,
    /// Always there until this is dropped.
    connection: Option<SqliteConnection>,
    place: Option<OwnedSemaphorePermit>,
    interrupt: Interrupt,
    /// Whether no statement runs on it, so that it may be used again.
    is_reusable: bool,
    /// Whether a transaction is open on it.
    is_in_transaction: bool,
}

impl Direct {
    /// At most so many connections to the file of a pool, with its settings.
    pub(super) fn new(pool: &DatabaseConnection, connections: u32, seconds: Histogram) -> Arc<Self> {
        Arc::new(Self {
            options: pool.get_sqlite_connection_pool().connect_options(),
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(connections as usize)),
            connections,
            seconds,
        })
    }

    /// One connection to the same file whose commits are on the disk when they return, whatever happens to the
    /// machine: in WAL mode NORMAL may lose the last ones with the power (sqlite.org/pragma.html#pragma_synchronous).
    pub(super) fn durable(pool: &DatabaseConnection, seconds: Histogram) -> Arc<Self> {
        let options = (*pool.get_sqlite_connection_pool().connect_options()).clone();
        Arc::new(Self {
            options: Arc::new(options.synchronous(SqliteSynchronous::Full)),
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(1)),
            connections: 1,
            seconds,
        })
    }

    /// A connection; waits while all are in use.
    pub(crate) async fn connection(self: &Arc<Self>) -> Result<DirectConnection, DbErr> {
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|_| DbErr::Custom("the database is closed".to_owned()))?;
        let idle = self.idle.lock().pop();
        let (connection, interrupt) = match idle {
            Some(idle) => idle,
            None => self.connect().await.map_err(failed)?,
        };
        Ok(DirectConnection {
            all: self.clone(),
            connection: Some(connection),
            place: Some(place),
            interrupt,
            is_reusable: true,
            is_in_transaction: false,
        })
    }

    async fn connect(&self) -> Result<(SqliteConnection, Interrupt), sqlx::Error> {
        let mut connection = SqliteConnection::connect_with(&self.options).await?;
        let interrupt = Interrupt::default();
        let seen = interrupt.clone();
        connection.lock_handle().await?.set_progress_handler(LOOK_EVERY, move || !seen.is_set());
        Ok((connection, interrupt))
    }

    /// Waits until no connection is in use and closes them all. From now on there is none to be had.
    pub(super) async fn close(&self) -> Result<(), DbErr> {
        let all = self.places.acquire_many(self.connections).await;
        self.places.close();
        drop(all);
        let idle = std::mem::take(&mut *self.idle.lock());
        for (connection, _) in idle {
            connection.close().await.map_err(failed)?;
        }
        Ok(())
    }
}

impl DirectConnection {
    /// Runs a statement.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (start, on) = self.start();
        let done = query(statement).execute(on).await;
        self.end(start, done).map(ExecResult::from)
    }

    /// Runs a statement without parameters.
    pub(crate) async fn execute_unprepared(&mut self, sql: &'static str) -> Result<(), DbErr> {
        self.execute(Statement::from_string(DbBackend::Sqlite, sql)).await.map(drop)
    }

    /// Begins a transaction that writes. A connection that is dropped in it is closed, which undoes it.
    pub(super) async fn begin(&mut self) -> Result<(), DbErr> {
        self.is_in_transaction = true;
        self.execute_unprepared("BEGIN IMMEDIATE").await
    }

    /// Ends a transaction by `COMMIT` or `ROLLBACK`.
    pub(super) async fn end_transaction(&mut self, how: &'static str) -> Result<(), DbErr> {
        self.execute_unprepared(how).await?;
        self.is_in_transaction = false;
        Ok(())
    }

    /// The handle that interrupts its statements.
    pub(super) fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
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

    /// If dropped before the end, the connection is closed, not reused: its statement may still run.
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
        if self.is_reusable && !self.is_in_transaction && !self.interrupt.is_set() {
            self.all.idle.lock().push((connection, self.interrupt.clone()));
            return;
        }
        self.interrupt.interrupt();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let place = self.place.take();
            runtime.spawn(async move {
                // Waits for the statement that still runs; it has been interrupted.
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::config::Config;
    use crate::error::Failure;
    use crate::metrics::Metrics;
    use crate::store::Store;

    /// Hours, if it is not interrupted.
    const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000000000) \
                        SELECT COUNT(*) FROM n";

    fn sql(text: &str) -> Statement {
        Statement::from_string(DbBackend::Sqlite, text)
    }

    async fn count(on: &mut DirectConnection, from: &str) -> Result<i64, DbErr> {
        let row = on.one(sql(&format!("SELECT COUNT(*) FROM {from}"))).await?;
        row.expect("a count is one row").try_get_by_index(0)
    }

    /// Works with the one connection of a database with the table `t` of unique numbers.
    fn with_one(work: impl AsyncFnOnce(Arc<Direct>)) {
        let folder = folder_of_its_own();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = Config { data_dir: folder.clone(), ..Config::defaults() };
            let store = Store::open(&config, &Metrics::new()).await.unwrap();
            let direct = Direct::new(&store.db, 1, Metrics::new().db_seconds);
            let mut on = direct.connection().await.unwrap();
            on.execute_unprepared("CREATE TABLE t (n INTEGER UNIQUE)").await.unwrap();
            drop(on);
            work(direct.clone()).await;
            direct.close().await.unwrap();
            store.close().await.unwrap();
        });
        let _ = std::fs::remove_dir_all(&folder);
    }

    fn folder_of_its_own() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("gatewright-test-{}", crate::id::new_id()))
    }

    #[test]
    fn a_connection_is_used_again_after_a_refused_statement() {
        with_one(async |direct| {
            let mut on = direct.connection().await.unwrap();
            on.execute_unprepared("CREATE TEMP TABLE mine (n)").await.unwrap();
            assert_eq!(on.execute(sql("INSERT INTO t VALUES (1), (2)")).await.unwrap().rows_affected(), 2);
            assert!(on.execute(sql("INSERT INTO t VALUES (1)")).await.is_err());
            drop(on);
            let mut on = direct.connection().await.unwrap();
            assert_eq!(count(&mut on, "mine").await.unwrap(), 0);
            assert_eq!(on.all(sql("SELECT n FROM t")).await.unwrap().len(), 2);
        });
    }

    #[test]
    fn a_statement_that_is_given_up_costs_the_connection_and_no_place() {
        with_one(async |direct| {
            let mut on = direct.connection().await.unwrap();
            on.execute_unprepared("CREATE TEMP TABLE mine (n)").await.unwrap();
            assert!(on.one(sql(LONG)).now_or_never().is_none());
            drop(on);
            let mut on = direct.connection().await.unwrap();
            assert!(count(&mut on, "mine").await.is_err());
        });
    }

    #[test]
    fn a_transaction_that_is_dropped_is_undone() {
        with_one(async |direct| {
            let mut on = direct.connection().await.unwrap();
            on.begin().await.unwrap();
            on.execute(sql("INSERT INTO t VALUES (1)")).await.unwrap();
            drop(on);
            let mut on = direct.connection().await.unwrap();
            assert_eq!(count(&mut on, "t").await.unwrap(), 0);
        });
    }

    #[test]
    fn rows_are_taken_until_one_is_refused() {
        with_one(async |direct| {
            let mut on = direct.connection().await.unwrap();
            on.execute(sql("INSERT INTO t VALUES (1), (2), (3)")).await.unwrap();
            let mut taken = 0;
            let refused = on.each(sql("SELECT n FROM t ORDER BY n"), |_| {
                taken += 1;
                if taken < 2 { Ok(()) } else { Err(Failure::invalid("n", "is enough").into()) }
            });
            assert!(refused.await.is_err());
            assert_eq!(taken, 2);
            let mut taken = 0;
            let count = on.each(sql("SELECT n FROM t"), |_| {
                taken += 1;
                Ok(())
            });
            count.await.unwrap();
            assert_eq!(taken, 3);
        });
    }
}
