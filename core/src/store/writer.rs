//! SQLite has one writer: statements that wait for it share a transaction, so that they also
//! share its cost on the disk. Each gets its own outcome.
//!
//! A statement that fails (a taken unique value) undoes itself alone and leaves the transaction
//! usable: SQLite's default conflict resolution, ABORT, says so (sqlite.org/lang_conflict.html).

use std::sync::Arc;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, ExecResult, QueryResult, Statement,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

/// Statements of one transaction, at most: what waits behind them waits so long.
const GROUP_MAX: usize = 256;
/// Statements that wait, at most; who comes then waits for a place.
const WAITING_MAX: usize = 4096;

/// What a write is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// How many rows it touched.
    Count,
    /// The rows that it gives back.
    Rows,
}

/// What came of a write.
#[derive(Debug)]
pub(crate) enum Written {
    /// See [`Wanted::Count`].
    Count(ExecResult),
    /// See [`Wanted::Rows`].
    Rows(Vec<QueryResult>),
}

#[derive(Debug)]
struct Request {
    statement: Statement,
    wanted: Wanted,
    reply: oneshot::Sender<Result<Written, DbErr>>,
}

/// The one writer of an SQLite database.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    requests: mpsc::Sender<Request>,
    /// A pool of one connection.
    connection: DatabaseConnection,
    /// Whose turn it is with the connection, also between its statements.
    turn: Arc<Mutex<()>>,
}

/// The writer's connection, for as long as this lives.
pub(crate) struct Turn {
    pub connection: DatabaseConnection,
    guard: OwnedMutexGuard<()>,
}

/// A transaction of the writer; who drops it undoes it.
pub(crate) struct WriterTransaction {
    pub transaction: DatabaseTransaction,
    _guard: OwnedMutexGuard<()>,
}

impl Writer {
    /// Starts the writer on a pool of one connection; it ends when the last clone is dropped.
    pub(crate) fn start(connection: DatabaseConnection) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let turn = Arc::new(Mutex::new(()));
        tokio::spawn(work(connection.clone(), turn.clone(), waiting));
        Self { requests, connection, turn }
    }

    /// Runs one statement.
    pub(crate) async fn run(&self, statement: Statement, wanted: Wanted) -> Result<Written, DbErr> {
        let (reply, answer) = oneshot::channel();
        let gone = || DbErr::Custom("the writer has stopped".to_owned());
        self.requests.send(Request { statement, wanted, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Waits for the connection itself, for what no transaction may hold.
    pub(crate) async fn turn(&self) -> Turn {
        Turn { connection: self.connection.clone(), guard: self.turn.clone().lock_owned().await }
    }

    /// Closes the connection.
    pub(crate) async fn close(self) -> Result<(), DbErr> {
        self.connection.close().await
    }

    /// Begins a transaction of its own.
    pub(crate) async fn begin(&self) -> Result<WriterTransaction, DbErr> {
        self.turn().await.begin().await
    }
}

impl Turn {
    /// A transaction that takes the turn with it.
    pub(crate) async fn begin(self) -> Result<WriterTransaction, DbErr> {
        let transaction = begin_writing(&self.connection).await?;
        Ok(WriterTransaction { transaction, _guard: self.guard })
    }
}

/// A transaction that holds SQLite's writer lock from its beginning.
pub(crate) async fn begin_writing(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    connection.begin_with_options(options).await
}

async fn work(connection: DatabaseConnection, turn: Arc<Mutex<()>>, mut waiting: mpsc::Receiver<Request>) {
    while let Some(first) = waiting.recv().await {
        let _turn = turn.lock().await;
        match begin_writing(&connection).await {
            Ok(transaction) => run_group(transaction, first, &mut waiting).await,
            // Whoever asked has gone when this does not arrive.
            Err(error) => drop(first.reply.send(Err(error))),
        }
    }
}

async fn run_group(transaction: DatabaseTransaction, first: Request, waiting: &mut mpsc::Receiver<Request>) {
    let mut done = Vec::new();
    let mut next = Some(first);
    while let Some(request) = next {
        // Who has stopped waiting was told that the database failed: then it must not be done.
        if !request.reply.is_closed() {
            let outcome = run_write(&transaction, request.statement, request.wanted).await;
            done.push((request.reply, outcome));
        }
        next = if done.len() < GROUP_MAX { waiting.try_recv().ok() } else { None };
    }
    let committed = transaction.commit().await;
    for (reply, outcome) in done {
        let outcome = match &committed {
            Ok(()) => outcome,
            Err(error) => Err(DbErr::Custom(format!("commit: {error}"))),
        };
        // Whoever asked has gone when this does not arrive.
        let _ = reply.send(outcome);
    }
}

/// Runs one statement on whatever connection or transaction.
pub(crate) async fn run_write(
    on: &impl ConnectionTrait,
    statement: Statement,
    wanted: Wanted,
) -> Result<Written, DbErr> {
    match wanted {
        Wanted::Count => on.execute_raw(statement).await.map(Written::Count),
        Wanted::Rows => on.query_all_raw(statement).await.map(Written::Rows),
    }
}
