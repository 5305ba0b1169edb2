//! Work with rows from a script thread: reading, transactions, and waiting for the database. What
//! writes them is in `writes.rs`.
//!
//! A thread waits for its own statements alone, and never longer than its run may take. All of
//! this is work of the server: it is called uncounted, and only the hooks count again.

pub(crate) mod hooks;
pub(crate) mod requests;
mod upsert;
pub(crate) mod writes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rhai::{Dynamic, Engine, EvalAltResult};
use serde_json::Value as Json;
use uuid::Uuid;

use self::hooks::Hooks;
use crate::data::{Action, Actor, Data, Find, Found, Grant, Keep, Part, Row, Session, Table};
use crate::error::{Error, ErrorCode, Failure};
use crate::filter::Filter;
use crate::jobs::{self, End, Fence, LaterJob};
use crate::queue;
use crate::script::failure::raise;
use crate::script::json::{self, Unsendable};
use crate::script::later::Later;
use crate::script::run::{self, JobEnd, time_left, with_run};

/// What a run keeps of its time to tell that the database did not answer.
const TIME_TO_TELL: Duration = Duration::from_millis(100);
/// How long a thread waits for the database before it lets another work meanwhile: a statement that
/// comes soon costs no change of threads.
const SOON: Duration = Duration::from_millis(5);
/// The same for jobs, which wait for SQLite's writer: a thread that gave its place up would have to get one again while
/// it holds the writer, and the others for it.
const SOON_OF_JOB: Duration = Duration::from_millis(100);
/// How long an end of a transaction may take when the time of the run is up.
const END_MAX: Duration = Duration::from_secs(1);
/// What is given to the database at once; a row is bounded more closely by its table.
const VALUE_BYTES_MAX: usize = 2 * crate::data::ROW_BYTES_MAX;
const VALUE_DEPTH_MAX: usize = 64;

pub(crate) type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// Where a transaction begins within a run.
#[derive(Debug)]
pub(crate) struct Mark {
    waiting_hooks: usize,
    writes: usize,
    /// The jobs that wait, in a test run.
    later: Option<Vec<Later>>,
}

/// The tables with their hooks.
pub(crate) struct Rows {
    data: Arc<Data>,
    hooks: ArcSwap<Hooks>,
}

impl Rows {
    pub(crate) fn new(data: Arc<Data>) -> Self {
        Self { data, hooks: ArcSwap::default() }
    }

    pub(crate) fn data(&self) -> &Arc<Data> {
        &self.data
    }

    /// The hooks that are live now.
    pub(crate) fn hooks(&self) -> Arc<Hooks> {
        self.hooks.load_full()
    }

    pub(crate) fn set_hooks(&self, hooks: Hooks) {
        self.hooks.store(Arc::new(hooks));
    }

    /// One page of rows.
    pub(crate) fn find(&self, table: &Table, mut find: Find, actor: &Actor) -> Outcome<Found> {
        find.scope = granted(table, Action::Read, actor)?.filter().cloned();
        self.wait(async |session| session.find(table, &find).await)
    }

    /// The rows behind `last`, as many as are read at once.
    pub(crate) fn part(&self, table: &Table, find: &Find, last: Option<&Row>) -> Outcome<Part> {
        self.wait(async |session| session.part(table, find, last).await)
    }

    /// Where a row stands among those that meet a filter, from 1; none where it is not one of them.
    pub(crate) fn rank(
        &self,
        table: &Table,
        filter: Option<&Filter>,
        sort: Option<&str>,
        id: &str,
        actor: &Actor,
    ) -> Outcome<Option<u64>> {
        let grant = granted(table, Action::Read, actor)?;
        self.wait(async |session| session.rank(table, [grant.filter(), filter], sort, id).await)
    }

    /// How many rows meet a filter.
    pub(crate) fn count(&self, table: &Table, filter: Option<&Filter>, actor: &Actor) -> Outcome<u64> {
        let grant = granted(table, Action::Read, actor)?;
        self.wait(async |session| session.count(table, [grant.filter(), filter]).await)
    }

    /// Runs `work` in a transaction; whoever it fails for has written nothing.
    pub(crate) fn transaction<T>(&self, engine: &Engine, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let mark = self.begin()?;
        match work() {
            Err(error) => {
                self.undo(mark);
                Err(error)
            }
            Ok(done) => {
                self.commit(engine, mark)?;
                Ok(done)
            }
        }
    }

    /// Begins a transaction; what [`Self::commit`] and [`Self::undo`] go back to.
    pub(crate) fn begin(&self) -> Outcome<Mark> {
        run::refuse_in_admission("@TRANSACTION")?;
        self.wait(async |session| session.begin().await)?;
        Ok(with_run(|run| Mark {
            waiting_hooks: run.shared.waiting_hooks.len(),
            writes: run.shared.writes.as_ref().map_or(0, Vec::len),
            later: run.shared.later.clone(),
        }))
    }

    /// Keeps what was written since the mark; runs the hooks that waited for it.
    pub(crate) fn commit(&self, engine: &Engine, mark: Mark) -> Outcome<()> {
        if let Err(error) = self.wait(async |session| session.commit().await) {
            self.undo(mark);
            return Err(error);
        }
        self.run_waiting_hooks(engine);
        Ok(())
    }

    /// Undoes what was written since the mark, also when the time of the run is up.
    pub(crate) fn undo(&self, mark: Mark) {
        with_run(|run| {
            run.shared.waiting_hooks.truncate(mark.waiting_hooks);
            run.shared.writes.iter_mut().for_each(|writes| writes.truncate(mark.writes));
            if let (Some(before), Some(now)) = (mark.later, run.shared.later.take()) {
                run.shared.later = Some(Later::undone(before, now));
            }
        });
        self.end(async |session| session.roll_back().await);
    }

    /// Runs the `after` hooks of what is committed. The write stands, whatever becomes of them.
    pub(crate) fn run_waiting_hooks(&self, engine: &Engine) {
        if self.is_in_transaction() {
            return;
        }
        let (waiting, ended) = with_run(|run| {
            run.shared.waiting_bytes = 0;
            (std::mem::take(&mut run.shared.waiting_hooks), run.ended.take())
        });
        for one in &waiting {
            requests::count_by_row();
            if one.hook.run(engine, one.operation, &one.row, one.old.as_ref()).is_err() {
                // It is on record. What ended the hook does not end the run: the cap or the time still
                // does, where it is the run's own.
                with_run(|run| run.ended = None);
            }
        }
        with_run(|run| run.ended = ended);
    }

    /// Ends the job of a run together with what it wrote, and runs the hooks that waited for that. Not where it wrote
    /// nothing but new rows: those are for whoever ends it.
    pub(crate) fn end_job(
        &self,
        engine: &Engine,
        fence: Fence,
        end: impl FnOnce() -> End,
    ) -> Outcome<JobEnd> {
        let (session, has_hooks) =
            with_run(|run| (run.shared.session.clone(), !run.shared.waiting_hooks.is_empty()));
        let Some(session) = session else { return Ok(JobEnd::default()) };
        let new_rows = if has_hooks { None } else { session.take_new_rows() };
        if let Some(new_rows) = new_rows {
            return Ok(JobEnd::Open(new_rows));
        }
        if !session.is_in_transaction() {
            return Ok(JobEnd::default());
        }
        let end = end();
        let ended = self
            .wait(async |session| session.commit_if(async |on| jobs::end_in(on, fence, &end).await).await)?;
        if !ended {
            with_run(|run| run.shared.waiting_hooks.clear());
            return Ok(JobEnd::Elsewhere);
        }
        self.run_waiting_hooks(engine);
        Ok(JobEnd::Committed)
    }

    /// Undoes what a run for a job wrote.
    pub(crate) fn abandon(&self) {
        if with_run(|run| run.shared.session.is_some()) && self.is_in_transaction() {
            self.end(async |session| session.roll_back_all().await);
        }
    }

    /// Stores a job for later.
    pub(crate) fn store_job(&self, later: &LaterJob) -> Outcome<()> {
        with_run(|run| run.shared.has_later = true);
        self.wait(async |session| session.store_job(later).await)
    }

    /// Takes back a job for later that has not begun; whether there was one.
    pub(crate) fn cancel_job(&self, id: Uuid) -> Outcome<bool> {
        self.wait(async |session| session.cancel_job(id).await)
    }

    /// Whether what was written can still be undone.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.session().is_in_transaction()
    }

    pub(crate) fn table(&self, name: &str) -> Outcome<Arc<Table>> {
        self.data.table_of_scripts(name).map_err(raise)
    }

    /// The session of this thread's run.
    fn session(&self) -> Arc<Session> {
        with_run(|run| {
            let keep = if run.origin.fence().is_some() { Keep::Together } else { Keep::Writes };
            let new = || Arc::new(self.data.session(keep));
            run.shared.session.get_or_insert_with(new).clone()
        })
    }

    /// Waits for the database, as long as the run's time allows.
    pub(crate) fn wait<T>(&self, work: impl AsyncFnOnce(&Session) -> crate::Result<T>) -> Outcome<T> {
        let is_over = with_run(|run| {
            run.shared.database_calls += 1;
            run.shared.database_calls > run.limits.database_calls
        });
        if is_over {
            let message = "The script calls the database more often than it may";
            return Err(run::terminate(ErrorCode::ScriptOutputLimit, message));
        }
        let left = time_left();
        let patience = left.saturating_sub(TIME_TO_TELL.min(left / 5));
        let session = self.session();
        let began = Instant::now();
        let done = self.block_on(patience, work(&session));
        with_run(|run| run.shared.database += began.elapsed());
        match done {
            Some(done) => done.map_err(refused),
            None => {
                session.lose();
                let message = "The database did not answer in time. Try again later";
                Err(raise(Failure::new(ErrorCode::Database, message)))
            }
        }
    }

    /// Ends a transaction, also when the time of the run is up.
    fn end(&self, work: impl AsyncFnOnce(&Session) -> crate::Result<()>) {
        let session = self.session();
        match self.block_on(END_MAX, work(&session)) {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "a transaction could not be undone; its connection is dropped");
            }
            None => session.lose(),
        }
    }

    /// What comes of the work; none when it does not end in time.
    fn block_on<T>(&self, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
        // Work that is given up takes its leave of the database by a task.
        let _in_runtime = self.data.runtime().enter();
        let mut work = std::pin::pin!(work);
        let mut wait = |time| {
            self.data.runtime().block_on(async { tokio::time::timeout(time, work.as_mut()).await.ok() })
        };
        let is_job = run::is_for_job();
        let soon = patience.min(if is_job { SOON_OF_JOB } else { SOON });
        wait(soon).or_else(|| queue::wait(|| wait(patience - soon)))
    }
}

/// Refuses what makes others wait for a transaction that this thread's run is in. `what`: as it is
/// written.
pub(crate) fn refuse_in_transaction(what: &str) -> Outcome<()> {
    let session = with_run(|run| run.shared.session.clone());
    if !session.is_some_and(|session| session.is_in_transaction()) {
        return Ok(());
    }
    if run::is_for_job() {
        let message = format!(
            "{what} waits, and others for what this job has written: call it before the first write, or in a job of \
             its own, by @JOB.after(0, …)"
        );
        return Err(raise(Failure::new(ErrorCode::ScriptExecution, message)));
    }
    let message = format!(
        "{what} waits, and others for the transaction: call it before or after the @TRANSACTION block. \
         A hook before a write is in one; a hook after it is not"
    );
    Err(raise(Failure::new(ErrorCode::ScriptExecution, message)))
}

/// Which rows this is allowed for.
pub(crate) fn granted(table: &Table, action: Action, actor: &Actor) -> Outcome<Grant> {
    table.grant(action, actor).map_err(raise)
}

/// A value on its way to the database.
pub(crate) fn to_value(what: &str, value: &Dynamic) -> Outcome<Json> {
    let message = match json::to_json(value, VALUE_DEPTH_MAX, VALUE_BYTES_MAX) {
        Ok(text) => return serde_json::from_str(&text).map_err(|error| error.to_string().into()),
        Err(Unsendable::TooDeep) => format!("{what} nests deeper than {VALUE_DEPTH_MAX}"),
        Err(Unsendable::TooLarge) => format!("{what} has more than {VALUE_BYTES_MAX} bytes"),
        Err(Unsendable::NoJson | Unsendable::Placeholder) => {
            format!("{what} holds a function or another value without a JSON form")
        }
    };
    Err(raise(Failure::new(ErrorCode::Validation, message)))
}

/// A map on its way to the database.
pub(crate) fn to_row(what: &str, value: &Dynamic) -> Outcome<Row> {
    match to_value(what, value)? {
        Json::Object(row) => Ok(row),
        _ => {
            Err(raise(Failure::new(ErrorCode::Validation, format!("{what} is written #{{ field: value }}"))))
        }
    }
}

pub(crate) fn refused(error: Error) -> Box<EvalAltResult> {
    raise(error.into_failure())
}
