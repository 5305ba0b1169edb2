//! Transactions of rows on SQLite's one writer. Nothing else is written meanwhile, so a transaction
//! that keeps others waiting for too long is rolled back, and a statement that it runs interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{QueryResult, Statement};
use tokio::sync::{Mutex, MutexGuard};

use super::direct::{DirectConnection, Interrupt};
use super::turns::Turn;
use super::writer::{Wanted, Written, run_directly};
use crate::error::{Error, ErrorCode, Failure, Result};

/// How long a transaction may keep others waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without a statement.
    pub idle: Duration,
    /// In all.
    pub whole: Duration,
}

impl Patience {
    /// For what is short by itself.
    pub(super) const ENDLESS: Self = Self { idle: Duration::MAX, whole: Duration::MAX };
}

/// A transaction of the writer. If dropped before it is committed, it is rolled back.
#[derive(Debug)]
pub(crate) struct WriterTransaction(Arc<Open>);

/// The state of a transaction, shared with those who wait for its end.
#[derive(Debug)]
pub(super) struct Open {
    /// None once it has ended. Locked while a statement runs.
    held: Mutex<Option<Held>>,
    began: Instant,
    patience: Patience,
    interrupt: Interrupt,
    is_overdue: AtomicBool,
}

#[derive(Debug)]
struct Held {
    connection: DirectConnection,
    used: Instant,
    /// Dropped after the connection: the next transaction begins when this one has ended.
    _turn: Turn,
}

impl WriterTransaction {
    /// Begins one, which has the turn until it ends.
    pub(super) async fn begin(
        turn: Turn,
        mut connection: DirectConnection,
        patience: Patience,
    ) -> Result<Self> {
        connection.begin().await?;
        let now = Instant::now();
        let open = Arc::new(Open {
            interrupt: connection.interrupt(),
            held: Mutex::default(),
            began: now,
            patience,
            is_overdue: AtomicBool::new(false),
        });
        turn.belongs_to(&open);
        *open.held.lock().await = Some(Held { connection, used: now, _turn: turn });
        Ok(Self(open))
    }

    /// Runs a statement.
    pub(crate) async fn run(&self, statement: Statement, wanted: Wanted) -> Result<Written> {
        let mut held = self.0.held.lock().await;
        let done = run_directly(self.0.connection(&mut held)?, statement, wanted).await;
        self.0.leave(held, done.map_err(Error::from))
    }

    /// The only row that a statement gives, or its first.
    pub(crate) async fn one(&self, statement: Statement) -> Result<Option<QueryResult>> {
        let mut held = self.0.held.lock().await;
        let done = self.0.connection(&mut held)?.one(statement).await;
        self.0.leave(held, done.map_err(Error::from))
    }

    /// Gives each row to `take`, until that is an error.
    pub(crate) async fn each(
        &self,
        statement: Statement,
        take: impl FnMut(&QueryResult) -> Result<()>,
    ) -> Result<()> {
        let mut held = self.0.held.lock().await;
        let done = self.0.connection(&mut held)?.each(statement, take).await;
        self.0.leave(held, done)
    }

    /// Keeps what was done.
    pub(crate) async fn commit(self) -> Result<()> {
        self.end("COMMIT").await
    }

    /// Undoes what was done.
    pub(crate) async fn roll_back(self) -> Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(self, how: &'static str) -> Result<()> {
        let held = self.0.held.lock().await.take();
        let Some(mut held) = held else { return Err(self.0.gone()) };
        Ok(held.connection.end_transaction(how).await?)
    }
}

impl Open {
    fn connection<'a>(&self, held: &'a mut MutexGuard<'_, Option<Held>>) -> Result<&'a mut DirectConnection> {
        match &mut **held {
            Some(held) => Ok(&mut held.connection),
            None => Err(self.gone()),
        }
    }

    /// Ends a statement; one that was interrupted ends the transaction.
    fn leave<T>(&self, mut held: MutexGuard<'_, Option<Held>>, done: Result<T>) -> Result<T> {
        if self.is_overdue.load(Ordering::SeqCst) {
            held.take();
            return Err(self.gone());
        }
        if let Some(held) = &mut *held {
            held.used = Instant::now();
        }
        done
    }

    /// Ends the transaction, if it keeps others waiting for too long.
    pub(super) fn end_if_overdue(&self) {
        let is_over = self.began.elapsed() >= self.patience.whole;
        match self.held.try_lock() {
            Ok(mut held) => {
                let is_idle = |held: &mut Held| held.used.elapsed() >= self.patience.idle;
                if held.as_mut().is_some_and(|held| is_over || is_idle(held)) {
                    self.is_overdue.store(true, Ordering::SeqCst);
                    held.take();
                }
            }
            Err(_) if is_over => {
                self.is_overdue.store(true, Ordering::SeqCst);
                self.interrupt.interrupt();
            }
            Err(_) => {}
        }
    }

    fn gone(&self) -> Error {
        if self.is_overdue.load(Ordering::SeqCst) {
            return overdue().into();
        }
        Error::Internal("a transaction is used after its end".to_owned())
    }
}

/// What is told of a transaction that was ended because it made others wait.
pub(crate) fn overdue() -> Failure {
    let message = "The transaction kept others from writing for too long, so it is undone. Do what takes time before \
                   it or after it; a test run is one transaction from its first write on, unless it commits";
    Failure::new(ErrorCode::ScriptTimeout, message)
}
