//! One caller's work with rows: statement by statement, or within a transaction.
//!
//! A session belongs to one run or request. What it has begun and not committed is undone when it
//! is dropped. The session of a test run undoes everything.

use std::sync::Arc;

use parking_lot::Mutex;
use sea_orm::{DbBackend, DbErr, Statement, StatementBuilder};
use serde::Serialize;
use uuid::Uuid;

use super::reads::ROWS_BYTES_MAX;
use super::statement::{self, Selector};
use super::table::{ID, Row, RowChange, Table, row_bytes};
use super::{Data, refusal};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::jobs::{Jobs, LaterJob};
use crate::store::{NewRows, Transaction, Wanted, Written, is_unique_violation, run_write, sessions_changed};

/// Rows that one update may touch, and one read give.
pub const ROWS_MAX: u64 = 1000;
/// How often a job for later is stored whose name another takes at the same moment.
const NAME_TRIES: usize = 5;
/// Parameters of one statement; both databases take at least so many.
const PARAMETERS_MAX: usize = 30_000;

/// One written row, as a test run shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// The table.
    pub table: String,
    /// `create`, `update` or `delete`.
    pub operation: &'static str,
    /// The row as it is then; as it was, for `delete`.
    pub row: Row,
    /// Whether there is no more of the row than its id, or nothing of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// What becomes of a session's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They stay.
    Writes,
    /// They are one transaction, from the first on, which [`Session::commit_if`] ends; what is written later stays.
    Together,
    /// They are undone at its end.
    Nothing,
}

/// One caller's work with rows.
pub struct Session {
    data: Arc<Data>,
    keep: Mutex<Keep>,
    open: Mutex<Option<Open>>,
    /// Of [`Keep::Together`]: what is to be inserted, as long as there is no transaction.
    new_rows: Mutex<NewRows>,
}

/// An open transaction.
struct Open {
    /// None once the database has not answered: what was done in it is undone, and nothing more can
    /// be, until whoever began it has ended it.
    transaction: Option<Arc<Transaction>>,
    /// Savepoints within it.
    savepoints: usize,
}

impl Drop for Session {
    fn drop(&mut self) {
        // A connection goes back to its pool by a task.
        let _in_runtime = self.data.runtime().enter();
        self.open.get_mut().take();
    }
}

impl Session {
    pub(super) fn new(data: Arc<Data>, keep: Keep) -> Self {
        Self { data, keep: Mutex::new(keep), open: Mutex::default(), new_rows: Mutex::default() }
    }

    /// The tables and where they are.
    pub fn data(&self) -> &Arc<Data> {
        &self.data
    }

    /// Whether what was written so far can still be undone.
    pub fn is_in_transaction(&self) -> bool {
        let base = usize::from(self.keep() == Keep::Nothing);
        self.has_new_rows() || self.open.lock().as_ref().is_some_and(|open| open.savepoints + 1 > base)
    }

    fn keep(&self) -> Keep {
        *self.keep.lock()
    }

    fn has_new_rows(&self) -> bool {
        !self.new_rows.lock().is_empty()
    }

    /// Keeps rows of [`Keep::Together`], whose ids are new, for whoever ends the job; false where they have to be inserted
    /// at once. Nothing refuses them later but the database's own failures.
    pub(crate) fn keep_new_rows(&self, table: &Table, rows: &[Row]) -> bool {
        let mut waiting = self.new_rows.lock();
        let is_possible = self.keep() == Keep::Together
            && table.takes_any_row()
            && self.open.lock().is_none()
            && waiting.have_room(rows.len(), rows.iter().map(row_bytes).sum());
        if is_possible {
            for row in rows {
                waiting.add(&table.into, statement::values(table, row, self.backend()), row_bytes(row));
            }
        }
        is_possible
    }

    /// The same of a job for later. Where another job takes its name at the same moment, the database refuses it.
    fn keep_new_job(&self, later: &LaterJob) -> bool {
        let bytes = later.job.payload.len() + later.job.attachments.iter().map(Vec::len).sum::<usize>();
        let mut waiting = self.new_rows.lock();
        let is_possible =
            self.keep() == Keep::Together && self.open.lock().is_none() && waiting.have_room(1, bytes);
        if is_possible {
            let (frees_name, stores) = Jobs::later(self.backend(), later);
            waiting.add_job(frees_name.into_iter().chain([stores]), bytes);
        }
        is_possible
    }

    /// The rows that wait for the end of the job, if they are all that was written.
    pub(crate) fn take_new_rows(&self) -> Option<NewRows> {
        let is_all = self.open.lock().is_none();
        is_all.then(|| std::mem::take(&mut *self.new_rows.lock()))
    }

    /// Ends the transaction of [`Keep::Together`]: commits it if `last`, which is its last statement, says so, else undoes it.
    /// Whether it was committed.
    ///
    /// # Errors
    /// Those of the database; what was written is undone then, unless the database was lost in the middle of the commit.
    pub(crate) async fn commit_if(
        &self,
        last: impl AsyncFnOnce(&Transaction) -> Result<bool>,
    ) -> Result<bool> {
        self.transaction().await?;
        let transaction = self.take()?.ok_or_else(lost)?;
        let commits = last(&transaction).await?;
        if commits {
            transaction.commit().await?;
            *self.keep.lock() = Keep::Writes;
        } else {
            transaction.roll_back().await?;
        }
        Ok(commits)
    }

    /// Undoes all that was written and is not committed.
    pub(crate) async fn roll_back_all(&self) -> Result<()> {
        *self.new_rows.lock() = NewRows::default();
        self.set_savepoints(0);
        self.roll_back().await
    }

    /// Begins a part of a test that can be undone as a whole. It is none of the transactions that its scripts know of.
    pub(crate) async fn begin_part(&self) -> Result<()> {
        if self.transaction().await?.is_none() {
            self.open_transaction().await?;
        }
        self.transaction().await?.ok_or_else(lost)?.execute("SAVEPOINT gw_part").await?;
        Ok(())
    }

    /// Ends such a part.
    pub(crate) async fn end_part(&self, keeps: bool) -> Result<()> {
        let transaction = self.transaction().await?.ok_or_else(lost)?;
        if !keeps {
            transaction.execute("ROLLBACK TO SAVEPOINT gw_part").await?;
        }
        transaction.execute("RELEASE SAVEPOINT gw_part").await?;
        Ok(())
    }

    /// Stores a job for later. The waiting job of its name, if it has one, is gone then.
    pub(crate) async fn store_job(&self, later: &LaterJob) -> Result<()> {
        if self.keep_new_job(later) {
            return Ok(());
        }
        for _ in 1..NAME_TRIES {
            match self.try_store_job(later).await {
                // Another job took the name in between.
                Err(Error::Database(error)) if is_unique_violation(&error) => {}
                stored => return stored,
            }
        }
        self.try_store_job(later).await
    }

    async fn try_store_job(&self, later: &LaterJob) -> Result<()> {
        let (frees_name, stores) = Jobs::later(self.backend(), later);
        if let Some(frees_name) = frees_name {
            self.write(frees_name, Wanted::Count).await?;
        }
        self.write(stores, Wanted::Rows).await.map(drop)
    }

    /// Takes back a job for later that has not begun; whether there was one.
    pub(crate) async fn cancel_job(&self, id: Uuid) -> Result<bool> {
        match self.write(Jobs::cancel(self.backend(), id), Wanted::Count).await? {
            Written::Count(done) => Ok(done.rows_affected() > 0),
            Written::Rows(rows) => Ok(!rows.is_empty()),
        }
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.data.backend()
    }

    /// The open transaction, in which is all that was written so far.
    pub(super) async fn transaction(&self) -> Result<Option<Arc<Transaction>>> {
        if self.has_new_rows() {
            self.open_transaction().await?;
            let new_rows = std::mem::take(&mut *self.new_rows.lock());
            if let Some(transaction) = self.open()? {
                let inserted = NewRows::insert(std::iter::once(&new_rows), &transaction).await;
                inserted.inspect_err(|_| self.lose())?;
            }
        }
        Ok(self.open()?)
    }

    fn open(&self) -> Result<Option<Arc<Transaction>>, DbErr> {
        match &*self.open.lock() {
            None => Ok(None),
            Some(open) => open.transaction.clone().map(Some).ok_or_else(lost),
        }
    }

    /// Gives a transaction up whose statement was not waited for. It is undone at once, and all that
    /// is tried in it from now on fails.
    pub fn lose(&self) {
        let lost = self.open.lock().as_mut().and_then(|open| open.transaction.take());
        // As in `drop`.
        let _in_runtime = self.data.runtime().enter();
        drop(lost);
    }

    /// Begins a transaction; within one, a part of it that can be undone by itself.
    pub async fn begin(&self) -> Result<()> {
        if self.keep() != Keep::Writes && self.transaction().await?.is_none() {
            self.open_transaction().await?;
        }
        let Some(transaction) = self.transaction().await? else { return self.open_transaction().await };
        let number = self.savepoints() + 1;
        transaction.execute(&format!("SAVEPOINT gw_{number}")).await?;
        self.set_savepoints(number);
        Ok(())
    }

    /// Sees to it that what is locked stays so: a job has a transaction of its own, others begin one.
    pub(super) async fn begin_to_lock(&self) -> Result<()> {
        if self.transaction().await?.is_some() {
            return Ok(());
        }
        if self.keep() == Keep::Writes {
            let message = "locks a row until the transaction ends: put it into a @TRANSACTION block";
            return Err(Failure::invalid("lock", message).into());
        }
        self.open_transaction().await
    }

    async fn open_transaction(&self) -> Result<()> {
        let transaction = match self.data.rows().writer() {
            Some(writer) => Transaction::OfWriter(writer.begin().await?),
            None => Transaction::OfPool(sea_orm::TransactionTrait::begin(&**self.data.rows()).await?),
        };
        *self.open.lock() = Some(Open { transaction: Some(Arc::new(transaction)), savepoints: 0 });
        Ok(())
    }

    /// Keeps what was done since the last [`Self::begin`]. Where that fails, it can still be undone.
    pub async fn commit(&self) -> Result<()> {
        let number = self.savepoints();
        if number > 0 {
            let transaction = self.transaction().await?.ok_or_else(lost)?;
            transaction.execute(&format!("RELEASE SAVEPOINT gw_{number}")).await?;
            self.set_savepoints(number - 1);
            return Ok(());
        }
        match self.take()? {
            Some(transaction) => transaction.commit().await,
            None => Ok(()),
        }
    }

    /// Undoes what was done since the last [`Self::begin`]. Where that fails, all is undone that the
    /// transaction did.
    pub async fn roll_back(&self) -> Result<()> {
        let number = self.savepoints();
        if number > 0 {
            self.set_savepoints(number - 1);
            let Ok(Some(transaction)) = self.open() else { return Ok(()) };
            let undone = match transaction.execute(&format!("ROLLBACK TO SAVEPOINT gw_{number}")).await {
                Ok(()) => transaction.execute(&format!("RELEASE SAVEPOINT gw_{number}")).await,
                Err(error) => Err(error),
            };
            return undone.inspect_err(|_| self.lose());
        }
        match self.take() {
            Ok(Some(transaction)) => transaction.roll_back().await,
            // One that is lost is undone already.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn savepoints(&self) -> usize {
        self.open.lock().as_ref().map_or(0, |open| open.savepoints)
    }

    fn set_savepoints(&self, savepoints: usize) {
        if let Some(open) = self.open.lock().as_mut() {
            open.savepoints = savepoints;
        }
    }

    /// The transaction itself, which nobody else holds: a session does one thing at a time.
    fn take(&self) -> Result<Option<Transaction>, DbErr> {
        let Some(open) = self.open.lock().take() else { return Ok(None) };
        open.transaction.and_then(Arc::into_inner).map(Some).ok_or_else(lost)
    }

    /// A statement on a table.
    pub(super) fn build(&self, table: &Table, statement: &impl StatementBuilder) -> Statement {
        statement::build(table, statement, self.backend())
    }

    /// Adds rows that [`Table::new_row`] has made: all or none.
    ///
    /// # Errors
    /// `DUPLICATE_RESOURCE` for a taken unique value, `VALIDATION_ERROR` for a reference to a row
    /// that does not exist.
    pub async fn insert(&self, table: &Table, rows: &[Row]) -> Result<()> {
        let per_statement = (PARAMETERS_MAX / table.columns.len()).max(1);
        let is_one = rows.len() <= per_statement;
        if !is_one {
            self.begin().await?;
        }
        for part in rows.chunks(per_statement) {
            let insert = statement::insert(table, part, self.backend());
            if let Err(error) = self.write(insert, Wanted::Count).await {
                if !is_one {
                    self.roll_back().await?;
                }
                return Err(refusal(error, table));
            }
        }
        if !is_one {
            self.commit().await?;
        }
        Ok(())
    }

    /// Changes the row with this id, if there is one; the row as it is then.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub async fn update_one(&self, table: &Table, id: &str, change: &RowChange) -> Result<Option<Row>> {
        let filter = Selector::Id(id.to_owned()).filter();
        let condition = statement::condition(table, [Some(&filter), None], self.backend());
        Ok(self.update(table, change, condition).await?.pop())
    }

    /// Changes these rows, which the transaction has locked; the rows as they are then.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub async fn update_rows(&self, table: &Table, rows: &[Row], change: &RowChange) -> Result<Vec<Row>> {
        if change.bytes() * rows.len() > ROWS_BYTES_MAX {
            let message =
                format!("The changed rows have more than {ROWS_BYTES_MAX} bytes; change fewer at once");
            return Err(Failure::new(ErrorCode::Validation, message).into());
        }
        self.update(table, change, statement::with_ids(table, ids(rows))).await
    }

    async fn update(
        &self,
        table: &Table,
        change: &RowChange,
        condition: sea_orm::Condition,
    ) -> Result<Vec<Row>> {
        let update = statement::update(table, change, condition, self.backend());
        self.write_rows(table, self.build(table, &update)).await
    }

    /// Adds a row, or changes the one that has its values in the columns of `key`, which are unique; the row as it is
    /// then.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub(crate) async fn upsert(
        &self,
        table: &Table,
        key: &[String],
        row: &Row,
        change: &RowChange,
    ) -> Result<Option<Row>> {
        let upsert = statement::upsert(table, key, row, change, self.backend());
        Ok(self.write_rows(table, self.build(table, &upsert)).await?.pop())
    }

    /// Runs a statement that writes; the rows that it gives back.
    async fn write_rows(&self, table: &Table, statement: Statement) -> Result<Vec<Row>> {
        let written = self.write(statement, Wanted::Rows).await;
        let columns = table.selected(None)?;
        match written.map_err(|error| refusal(error, table))? {
            Written::Rows(rows) => {
                rows.iter().map(|row| statement::row(row, &columns, self.backend())).collect()
            }
            Written::Count(_) => Ok(Vec::new()),
        }
    }

    /// Tells all processes that users changed, once what was written is committed.
    pub(crate) async fn users_changed(&self) -> Result<()> {
        self.write(sessions_changed(self.backend()), Wanted::Count).await.map(drop)
    }

    /// Deletes what is selected; how many rows that were.
    ///
    /// # Errors
    /// `DUPLICATE_RESOURCE` when other rows refer to one of them.
    pub async fn delete(&self, table: &Table, selector: &Selector) -> Result<u64> {
        let condition = statement::condition(table, [Some(&selector.filter()), None], self.backend());
        self.delete_where(table, condition).await
    }

    /// Deletes these rows, which the transaction has locked.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_rows(&self, table: &Table, rows: &[Row]) -> Result<u64> {
        self.delete_where(table, statement::with_ids(table, ids(rows))).await
    }

    async fn delete_where(&self, table: &Table, condition: sea_orm::Condition) -> Result<u64> {
        let delete = self.build(table, &statement::delete(table, condition));
        match self.write(delete, Wanted::Count).await {
            Ok(Written::Count(done)) => Ok(done.rows_affected()),
            Ok(Written::Rows(rows)) => Ok(rows.len() as u64),
            Err(error) => Err(super::failure::refused_delete(error, table)),
        }
    }

    /// Runs a statement that writes. One that fails undoes itself alone.
    async fn write(&self, statement: Statement, wanted: Wanted) -> Result<Written> {
        if self.keep() != Keep::Writes && self.transaction().await?.is_none() {
            self.open_transaction().await?;
        }
        match (self.transaction().await?, self.data.rows().writer()) {
            (Some(transaction), _) => transaction.write(statement, wanted).await,
            (None, Some(writer)) => Ok(writer.run(statement, wanted).await?),
            (None, None) => Ok(run_write(self.data.rows(), statement, wanted).await?),
        }
    }
}

fn lost() -> DbErr {
    DbErr::Custom("the transaction was lost, and what it did is undone".to_owned())
}

fn ids(rows: &[Row]) -> impl Iterator<Item = String> + '_ {
    rows.iter().filter_map(|row| row.get(ID)?.as_str().map(str::to_owned))
}
