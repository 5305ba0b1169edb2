//! Connections to the database, and how long anything may wait for one.
//!
//! An SQLite file always answers, in its turn. A PostgreSQL server can be down, or unreachable behind a network
//! that drops every packet: then statements fail within seconds, and work again when it is back.

use std::ops::Deref;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{AssertSqlSafe, Connection, Error as SqlxError, Executor};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, StreamTrait,
};
use sea_orm_migration::async_trait::async_trait;

use super::direct::Direct;
use super::writer::{Wanted, Writer, Written};
use crate::error::Result;
use crate::metrics::Metrics;

/// How long a statement waits for SQLite's writer lock, or for a connection to its file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection to PostgreSQL may take to answer a ping when it comes back to its pool. One that is
/// still busy with a statement that timed out does not answer; it is closed, and another takes its place.
const PING_MAX: Duration = Duration::from_millis(500);
/// How long one statement may take, including its wait for a connection. On PostgreSQL, where rows are
/// streamed, also how long each next row may take.
const STATEMENT_MAX: Duration = Duration::from_secs(5);

/// How often PostgreSQL checks, while a statement runs, that its client is still connected. Versions
/// before 14 cannot check, and run the statement to its end.
const LOOK_FOR_CLIENT: &str = "SET client_connection_check_interval = '500ms'";

/// What a pool is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purpose {
    /// Connections, at most.
    pub connections: u32,
    /// How long anything waits for a connection to PostgreSQL, an attempt to connect included.
    pub acquire: Duration,
    /// How long a transaction on PostgreSQL may be idle. Then PostgreSQL ends it and frees its locks,
    /// even where it has not noticed that our process is gone.
    pub idle_in_transaction: Duration,
    /// Whether SQLite sees to it that what a row names is there; PostgreSQL always does.
    pub enforces_references: bool,
}

/// A pool of connections.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn connect(url: &str, purpose: Purpose, metrics: &Metrics) -> Result<DatabaseConnection> {
    let is_sqlite = url.starts_with("sqlite:");
    let idle_ms = purpose.idle_in_transaction.as_millis();
    let idle: Arc<str> = format!("SET idle_in_transaction_session_timeout = {idle_ms}").into();
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(purpose.connections)
        .acquire_timeout(if is_sqlite { BUSY_TIMEOUT } else { purpose.acquire })
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            // WAL with NORMAL loses nothing when the process dies; see sqlite.org/wal.html.
            options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(purpose.enforces_references)
        })
        .map_sqlx_postgres_pool_opts(move |options| {
            let idle = idle.clone();
            let options = options.after_connect(move |connection, _| {
                let idle = idle.clone();
                Box::pin(async move {
                    connection.execute(AssertSqlSafe(idle)).await?;
                    // See the constant.
                    let _ = connection.execute(LOOK_FOR_CLIENT).await;
                    Ok(())
                })
            });
            // The pool pings every connection that comes back. Without a bound it would wait for a dead
            // one for ever, and the connection would keep its place in the pool.
            options.after_release(|connection, _| {
                Box::pin(async {
                    let answer = tokio::time::timeout(PING_MAX, connection.ping()).await;
                    answer.map_err(|_| SqlxError::PoolTimedOut)?.map(|()| true)
                })
            })
        });
    let mut connection = Database::connect(options).await?;
    let seconds = metrics.db_seconds.clone();
    connection.set_metric_callback(move |statement| seconds.observe(statement.elapsed.as_secs_f64()));
    Ok(connection)
}

/// The file of an SQLite database, unless that is in memory.
///
/// # Errors
/// When the URL cannot be understood.
pub(super) fn sqlite_file(url: &str) -> Result<Option<PathBuf>> {
    let options: SqliteConnectOptions =
        url.parse().map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
    let file = options.get_filename();
    Ok((!url.contains(":memory:") && !url.contains("mode=memory")).then(|| file.to_owned()))
}

/// The database as the rest of the code uses it: a pool whose statements time out, and on SQLite one
/// writer for all writes, since two would only wait for each other. A transaction has a connection of
/// its own, and its statements do not time out. The product's own tables and admins' tables have a
/// pool each, so that sign-in finds a connection however busy the rows are.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    connections: DatabaseConnection,
    /// None on PostgreSQL.
    sqlite: Option<Sqlite>,
}

/// What SQLite's statements run on. PostgreSQL reads and writes side by side, on its pool.
#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    pub writer: Writer,
    pub readers: Arc<Direct>,
}

impl Pool {
    /// A pool; statements outside transactions go to `sqlite` instead, where there is one.
    pub(super) fn new(connections: DatabaseConnection, sqlite: Option<Sqlite>) -> Self {
        Self { connections, sqlite }
    }

    /// SQLite's writer.
    pub(crate) fn writer(&self) -> Option<&Writer> {
        self.sqlite.as_ref().map(|sqlite| &sqlite.writer)
    }

    /// SQLite's connections for reading.
    pub(crate) fn readers(&self) -> Option<&Arc<Direct>> {
        self.sqlite.as_ref().map(|sqlite| &sqlite.readers)
    }

    /// Closes all connections.
    pub(super) async fn close(self) -> Result<(), DbErr> {
        if let Some(Sqlite { writer, readers }) = self.sqlite {
            readers.close().await?;
            writer.close().await?;
        }
        self.connections.close().await
    }

    /// The writer, if this statement is for it.
    fn writer_of(&self, statement: &Statement) -> Option<&Writer> {
        const READS: &[u8] = b"SELECT";
        let begins = statement.sql.as_bytes().get(..READS.len());
        let reads = begins.is_some_and(|begins| begins.eq_ignore_ascii_case(READS));
        self.writer().filter(|_| !reads)
    }

    async fn in_time<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        tokio::time::timeout(STATEMENT_MAX, statement).await.unwrap_or_else(|_| Err(no_answer()))
    }
}

fn no_answer() -> DbErr {
    let message = format!("no answer within {} s", STATEMENT_MAX.as_secs());
    DbErr::Conn(RuntimeErr::Internal(message))
}

impl Deref for Pool {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.connections
    }
}

#[async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.connections.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        match self.writer_of(&statement) {
            Some(writer) => match self.in_time(writer.run(statement, Wanted::Count)).await? {
                Written::Count(done) => Ok(done),
                Written::Rows(_) => Err(DbErr::Custom("a count was wanted".to_owned())),
            },
            None => self.in_time(self.connections.execute_raw(statement)).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.in_time(self.connections.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self.writer_of(&statement) {
            Some(_) => Ok(self.query_all_raw(statement).await?.into_iter().next()),
            None => match self.readers() {
                Some(readers) => {
                    self.in_time(async { readers.connection().await?.one(statement).await }).await
                }
                None => self.in_time(self.connections.query_one_raw(statement)).await,
            },
        }
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self.writer_of(&statement) {
            Some(writer) => match self.in_time(writer.run(statement, Wanted::Rows)).await? {
                Written::Rows(rows) => Ok(rows),
                Written::Count(_) => Ok(Vec::new()),
            },
            None => match self.readers() {
                Some(readers) => {
                    self.in_time(async { readers.connection().await?.all(statement).await }).await
                }
                None => self.in_time(self.connections.query_all_raw(statement)).await,
            },
        }
    }
}

impl StreamTrait for Pool {
    type Stream<'a> = Pin<Box<dyn Stream<Item = Result<QueryResult, DbErr>> + Send + 'a>>;

    fn get_database_backend(&self) -> DbBackend {
        self.connections.get_database_backend()
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Self::Stream<'a>, DbErr>> + Send + 'a>> {
        Box::pin(async move {
            let rows = self.in_time(self.connections.stream_raw(statement)).await?;
            if self.sqlite.is_some() {
                return Ok(Box::pin(rows) as Self::Stream<'a>);
            }
            let rows = futures_util::stream::unfold(Some(rows), async |rows| {
                let mut rows = rows?;
                match tokio::time::timeout(STATEMENT_MAX, rows.next()).await {
                    Ok(row) => Some((row?, Some(rows))),
                    Err(_) => Some((Err(no_answer()), None)),
                }
            });
            Ok(Box::pin(rows) as Self::Stream<'a>)
        })
    }
}
