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
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::direct::{Direct, DirectConnection};
use super::turns::{self, Turns, Whose};
use super::writer_transaction::{Patience, WriterTransaction};
use crate::error::Result;

/// Statements of one transaction, at most. The statements behind them wait until it is committed.
const GROUP_MAX: usize = 256;
/// Statements that wait, at most. The sender of one more waits for a place.
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

/// A handle to the one writer of an SQLite database, for one kind of writes.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    whose: Whose,
    requests: mpsc::Sender<Request>,
    /// A pool of one connection, for what alters tables.
    connection: DatabaseConnection,
    /// One connection, for statements and transactions of rows.
    statements: Arc<Direct>,
    /// One connection, for what has to be on the disk when it is committed.
    durable: Arc<Direct>,
    /// Whose turn it is with either connection, also between its statements.
    turns: Arc<Turns>,
    patience: Patience,
}

/// The writer's connection, for as long as this lives.
pub(crate) struct WriterTurn {
    pub connection: DatabaseConnection,
    _turn: turns::Turn,
}

impl Writer {
    /// Starts the writer on a pool of one connection and one beside it, for the product's own tables
    /// and for rows; it ends when the last clone is dropped. Each has a thread of its own, which hands
    /// over to the connection's thread and back with fewer switches than a task.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start(
        connection: DatabaseConnection,
        statements: Arc<Direct>,
        durable: Arc<Direct>,
        patience: Patience,
    ) -> std::io::Result<[Self; 2]> {
        let turns = Arc::new(Turns::default());
        let start = |whose, name: &str| -> std::io::Result<Self> {
            let (requests, waiting) = mpsc::channel(WAITING_MAX);
            let (runtime, work) =
                (Handle::current(), work(whose, statements.clone(), turns.clone(), waiting));
            std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work))?;
            let (connection, turns) = (connection.clone(), turns.clone());
            let (statements, durable) = (statements.clone(), durable.clone());
            Ok(Self { whose, requests, connection, statements, durable, turns, patience })
        };
        Ok([start(Whose::Own, "own-writer")?, start(Whose::Rows, "rows-writer")?])
    }

    /// Runs one statement.
    pub(crate) async fn run(&self, statement: Statement, wanted: Wanted) -> Result<Written, DbErr> {
        let (reply, answer) = oneshot::channel();
        let gone = || DbErr::Custom("the writer has stopped".to_owned());
        self.requests.send(Request { statement, wanted, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Waits for the connection itself, for what no transaction may hold.
    pub(crate) async fn turn(&self) -> WriterTurn {
        WriterTurn { connection: self.connection.clone(), _turn: self.turns.take(self.whose).await }
    }

    /// Closes the connections.
    pub(crate) async fn close(self) -> Result<(), DbErr> {
        self.statements.close().await?;
        self.durable.close().await?;
        self.connection.close().await
    }

    /// Begins a transaction of its own.
    pub(crate) async fn begin(&self) -> Result<WriterTransaction> {
        let turn = self.turns.take(self.whose).await;
        WriterTransaction::begin(turn, self.statements.connection().await?, self.patience).await
    }

    /// Begins a transaction that is on the disk when it is committed. Whoever begins it sees to it that it is short.
    pub(super) async fn begin_durable(&self) -> Result<WriterTransaction> {
        let turn = self.turns.take(Whose::Jobs).await;
        WriterTransaction::begin(turn, self.durable.connection().await?, Patience::ENDLESS).await
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

async fn work(whose: Whose, writer: Arc<Direct>, turns: Arc<Turns>, mut waiting: mpsc::Receiver<Request>) {
    while let Some(first) = waiting.recv().await {
        let _turn = turns.take(whose).await;
        match writer.connection().await {
            Ok(connection) => match waiting.try_recv().ok() {
                None => run_alone(connection, first).await,
                Some(second) => run_group(connection, [first, second], &mut waiting).await,
            },
            Err(error) => first.answer(Err(error)),
        }
    }
}

/// A statement that waits alone is run without a transaction, which saves `BEGIN` and `COMMIT`.
async fn run_alone(mut connection: DirectConnection, request: Request) {
    if !request.is_given_up() {
        let outcome = run_directly(&mut connection, request.statement, request.wanted).await;
        answer(request.reply, outcome);
    }
}

async fn run_group(
    mut connection: DirectConnection,
    first: [Request; 2],
    waiting: &mut mpsc::Receiver<Request>,
) {
    if let Err(error) = connection.begin().await {
        let reason = error.to_string();
        return first.into_iter().for_each(|request| request.answer(Err(DbErr::Custom(reason.clone()))));
    }
    let mut done = Vec::new();
    let mut first = first.into_iter();
    let mut next = first.next();
    while let Some(request) = next {
        if !request.is_given_up() {
            let outcome = run_directly(&mut connection, request.statement, request.wanted).await;
            done.push((request.reply, outcome));
        }
        next = match first.next() {
            None if done.len() < GROUP_MAX => waiting.try_recv().ok(),
            next => next,
        };
    }
    let committed = connection.end_transaction("COMMIT").await;
    for (reply, outcome) in done {
        answer(
            reply,
            match &committed {
                Ok(()) => outcome,
                Err(error) => Err(DbErr::Custom(format!("commit: {error}"))),
            },
        );
    }
}

impl Request {
    /// A sender that stopped waiting was told that the database failed, so the statement must not run.
    fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    fn answer(self, outcome: Result<Written, DbErr>) {
        answer(self.reply, outcome);
    }
}

fn answer(reply: oneshot::Sender<Result<Written, DbErr>>, outcome: Result<Written, DbErr>) {
    // Fails when the sender no longer waits, which is fine.
    let _ = reply.send(outcome);
}

/// Runs one statement on a connection of SQLite.
pub(super) async fn run_directly(
    on: &mut DirectConnection,
    statement: Statement,
    wanted: Wanted,
) -> Result<Written, DbErr> {
    match wanted {
        Wanted::Count => on.execute(statement).await.map(Written::Count),
        Wanted::Rows => on.all(statement).await.map(Written::Rows),
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use sea_orm::DbBackend;

    use super::*;
    use crate::config::Config;
    use crate::metrics::Metrics;
    use crate::store::Store;

    fn sql(text: String) -> Statement {
        Statement::from_string(DbBackend::Sqlite, text)
    }

    /// Works with a store that has the table `t` of unique numbers.
    fn with_store(work: impl AsyncFnOnce(&Store)) {
        let folder: PathBuf = std::env::temp_dir().join(format!("gatewright-test-{}", crate::id::new_id()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = Config { data_dir: folder.clone(), ..Config::defaults() };
            let store = Store::open(&config, &Metrics::new()).await.unwrap();
            store.db().execute_unprepared("CREATE TABLE t (n INTEGER UNIQUE)").await.unwrap();
            work(&store).await;
            store.close().await.unwrap();
        });
        let _ = std::fs::remove_dir_all(&folder);
    }

    /// Has so many statements wait, every third for a number that is taken; how many were refused.
    async fn refused_of(store: &Store, count: usize) -> usize {
        let writer = store.db().writer().unwrap();
        let turn = writer.turn().await;
        let statements = (0..count).map(|at| {
            let number = if at % 3 == 2 { 0 } else { at };
            writer.run(sql(format!("INSERT INTO t VALUES ({number})")), Wanted::Count)
        });
        let all = futures_util::future::join_all(statements);
        let (outcomes, ()) = tokio::join!(all, async {
            tokio::task::yield_now().await;
            drop(turn);
        });
        outcomes.iter().filter(|outcome| outcome.is_err()).count()
    }

    async fn rows(store: &Store) -> i64 {
        let row = store.db().query_one_raw(sql("SELECT COUNT(*) FROM t".to_owned())).await.unwrap();
        row.unwrap().try_get_by_index(0).unwrap()
    }

    #[test]
    fn each_statement_of_a_group_has_its_own_outcome() {
        with_store(async |store| {
            assert_eq!(refused_of(store, 9).await, 3);
            assert_eq!(rows(store).await, 6);
        });
    }

    #[test]
    fn a_few_statements_have_their_own_outcomes() {
        with_store(async |store| {
            assert_eq!(refused_of(store, 3).await, 1);
            assert_eq!(rows(store).await, 2);
        });
    }

    #[test]
    fn a_statement_is_never_beside_a_transaction() {
        with_store(async |store| {
            let writer = store.db().writer().unwrap();
            writer.run(sql("INSERT INTO t VALUES (1)".to_owned()), Wanted::Count).await.unwrap();
            let transaction = writer.begin().await.unwrap();
            let second = sql("INSERT INTO t VALUES (2)".to_owned());
            transaction.run(second, Wanted::Count).await.unwrap();
            let third = writer.run(sql("INSERT INTO t VALUES (3)".to_owned()), Wanted::Count);
            let (third, ()) = tokio::join!(third, async {
                tokio::task::yield_now().await;
                transaction.commit().await.unwrap();
            });
            third.unwrap();
            assert_eq!(rows(store).await, 3);
        });
    }
}
