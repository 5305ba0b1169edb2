//! Jobs: events that outlive the process, jobs for later and those of schedules. All are rows of one table in the
//! product's own database, because only there can a job end in the transaction of the rows that its script wrote.
//!
//! - [`Jobs`] is what a node has of them; `order.rs` says which one of each key is next.
//! - `ledger.rs` commits what happens to jobs, many in one transaction: stored, begun, ended, to be tried again.
//! - `loader.rs` reads what the database has: what a node has left behind, what is due, what others have stored.
//! - `schedules.rs` makes jobs when the clock says so; `times.rs` says when that is.
//! - `leases.rs` divides the jobs among the nodes on one PostgreSQL; SQLite has one node.
//!
//! This module must not know scripts or sockets: [`RunJobs`] runs what it begins.

mod counts;
mod ends;
mod job;
mod leases;
mod ledger;
mod loader;
mod nodes;
mod order;
mod prune;
mod review;
mod schedules;
mod scope;
mod sql;
mod status;
mod times;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::config::Config;
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::metrics::Metrics;
use crate::store::{SHARDS, Store, Transaction};

pub use counts::{JobCount, JobCounts};
pub use job::{
    Attempt, Attempts, Caller, ClientEvent, End, EndState, Fence, ForeignUser, Job, JobError, LaterJob,
};
pub use ledger::{OnStored, Stored};
pub use nodes::Node;
pub use order::Hold;
pub use review::{JobFilter, JobView, Selected};
pub use status::JobStatus;
pub use times::Times;

pub(crate) use job::now_ms;
use leases::Leases;
use ledger::Op;
use order::{Accepted, Keys, Start, Step};
pub(crate) use schedules::SKIP;

/// Runs the jobs that have begun: a border, since what runs scripts stands above this module.
pub trait RunJobs: Send + Sync {
    /// The paths of the gateways whose jobs wait.
    fn paused(&self) -> Vec<String>;
    /// Whether the jobs of this gateway wait.
    fn is_paused(&self, gateway: &str) -> bool;
    /// Runs a job. Must not wait.
    fn run(&self, begun: Begun);
    /// Gives a job up with which too many nodes were lost. Must not wait.
    fn give_up(&self, begun: Begun);
}

/// The jobs of one database, as one node has them.
pub struct Jobs {
    store: Store,
    metrics: Arc<Metrics>,
    settings: crate::config::Jobs,
    /// This process, unlike all others and all before.
    node: String,
    keys: Mutex<Keys>,
    leases: Leases,
    ops: mpsc::UnboundedSender<Op>,
    /// Taken by the task that commits.
    waiting_ops: Mutex<Option<mpsc::UnboundedReceiver<Op>>>,
    /// Tells the loader to look now.
    look: Notify,
    /// Tells the clockwork of the schedules to look now.
    schedules_changed: Notify,
    /// Keys that the loader is to read.
    refills: Mutex<Vec<Arc<str>>>,
    /// Whether what was read of the database may lack something, so that it has to be read from its beginning.
    is_stale: AtomicBool,
    /// Whether all that the database has is in memory, or known to be behind what is.
    is_caught_up: AtomicBool,
    /// Whether nothing new is to begin.
    is_draining: AtomicBool,
    runs: OnceLock<Weak<dyn RunJobs>>,
}

/// An attempt at a job that has begun. Dropped without a word, it is to be made again.
pub struct Begun {
    jobs: Arc<Jobs>,
    start: Option<Start>,
}

impl Jobs {
    /// The jobs of this database. Nothing happens to them until [`Self::keep`].
    ///
    /// # Errors
    /// When PostgreSQL may forget what it has committed.
    pub async fn open(store: Store, config: &Config, metrics: Arc<Metrics>) -> Result<Arc<Self>> {
        check_commits(&store).await?;
        let (ops, waiting_ops) = mpsc::unbounded_channel();
        let lease = Duration::from_millis(config.jobs.lease_ms);
        Ok(Arc::new(Self {
            leases: Leases::new(store.db().get_database_backend(), lease),
            store,
            metrics,
            settings: config.jobs.clone(),
            node: Uuid::new_v4().to_string(),
            keys: Mutex::default(),
            ops,
            waiting_ops: Mutex::new(Some(waiting_ops)),
            look: Notify::new(),
            schedules_changed: Notify::new(),
            refills: Mutex::default(),
            is_stale: AtomicBool::new(false),
            is_caught_up: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            runs: OnceLock::new(),
        }))
    }

    /// From now on jobs are run.
    pub fn attach(&self, runs: Weak<dyn RunJobs>) {
        // A node attaches what runs its jobs once, when it starts.
        let _ = self.runs.set(runs);
    }

    /// Keeps jobs stored, begun and ended until `stopped` comes; then gives up what this node holds.
    pub async fn keep(self: Arc<Self>, stopped: impl Future<Output = ()>) {
        let Some(ops) = self.waiting_ops.lock().take() else { return };
        // Before anything ends: what ends on a day is in the part of that day.
        self.prepare_days().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().keep_ledger(ops));
        tasks.spawn(self.clone().keep_loaded());
        tasks.spawn(self.clone().keep_pruned());
        tasks.spawn(self.clone().keep_scheduled());
        stopped.await;
        tasks.shutdown().await;
        self.release_leases().await;
    }

    /// Stores an event of a socket and has it run in its turn. `told` hears what became of it; `hold` is dropped when
    /// the next events of the socket may run. `is_reached`: whether all that came before it from the socket is done; when
    /// it comes to be, that is set first and then told by [`Self::reached`]. `shard`: where its key is the socket's own, that of [`Self::shard_for_socket`].
    pub fn accept(
        self: &Arc<Self>,
        event: ClientEvent,
        shard: Option<i32>,
        is_reached: &AtomicBool,
        hold: Hold,
        told: OnStored,
    ) {
        let (job, mut hold) = (event.job.clone(), Some(hold));
        let is_paused = self.runs().is_none_or(|runs| runs.is_paused(&job.gateway));
        let mut keys = self.keys.lock();
        // Read while the keys are locked: who sets it afterwards finds the event.
        let is_reached = is_reached.load(Ordering::SeqCst);
        // What another node, or this one later, will run is read from the database, in its order there.
        let is_known =
            |shard| !is_paused && self.is_caught_up.load(Ordering::SeqCst) && self.leases.owns(shard);
        let accepted = match shard {
            Some(shard) => keys.accept(&job, shard, is_known(shard), is_reached, &mut hold),
            None => Accepted::Elsewhere,
        };
        let shard = shard.unwrap_or_else(|| Self::shard_of(&job.key));
        // Sent while the keys are locked: jobs are stored in the order in which they wait.
        self.send(Op::Store { event, shard, accepted, hold, told });
    }

    /// Notes that all that came before an event from its socket is done.
    pub fn reached(self: &Arc<Self>, key: &str, id: Uuid) {
        let step = self.keys.lock().reached(key, id);
        self.take(key, step);
    }

    /// The shard for the events of a socket: one of this node's, so that it runs them itself.
    pub fn shard_for_socket(&self) -> i32 {
        self.leases.any()
    }

    /// The shard for a key that several sockets, or none, may use.
    pub fn shard_of(key: &str) -> i32 {
        // FNV-1a: the same on every node, whatever its version.
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash % SHARDS as u64) as i32
    }

    /// The statements that store a job for later, in a transaction of whoever calls, or alone: that which frees its name and
    /// the one that stores it.
    pub(crate) fn later(backend: DbBackend, later: &LaterJob) -> (Option<Statement>, Statement) {
        let row = sql::NewRow::new(0, &later.job, Self::shard_of(&later.job.key));
        let row = row.due(later.due_at, later.unique_name.as_deref());
        let frees = later.unique_name.as_deref().map(|name| sql::forget_named(backend, name));
        (frees, sql::insert(backend, &[row]))
    }

    /// The statement that takes a job back that has not begun.
    pub(crate) fn cancel(backend: DbBackend, id: Uuid) -> Statement {
        sql::forget(backend, id)
    }

    /// Begins nothing more but what sockets of this node wait for: the rest is for the next process.
    pub fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        self.keys.lock().unload_what_nobody_waits_for();
        self.look();
    }

    /// Has what is due looked at now.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Has everything read from the database again: what was paused is not any more, say.
    pub fn read_again(&self) {
        self.is_stale.store(true, Ordering::SeqCst);
        self.is_caught_up.store(false, Ordering::SeqCst);
        self.look();
    }

    /// What runs jobs.
    fn runs(&self) -> Option<Arc<dyn RunJobs>> {
        self.runs.get()?.upgrade()
    }

    /// The paths of the gateways whose jobs wait.
    fn paused(&self) -> Vec<String> {
        self.runs().map_or_else(Vec::new, |runs| runs.paused())
    }

    fn send(&self, op: Op) {
        // The receiver goes when the process does: what is stored then is tried again by the next.
        let _ = self.ops.send(op);
    }

    /// Does what is next for a key, and for those that waited for it.
    fn take(self: &Arc<Self>, key: &str, step: Option<Step>) {
        self.take_step(key, step);
        loop {
            let mut keys = self.keys.lock();
            let Some(key) = keys.next_suspect() else { return };
            let step = keys.advance(&key);
            drop(keys);
            self.take_step(&key, step);
        }
    }

    fn take_step(self: &Arc<Self>, key: &str, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Claim(claim)) => self.send(Op::Claim { key: key.into(), claim }),
            Some(Step::Start(start)) => self.hand_over(start, |runs, begun| runs.run(begun)),
            Some(Step::GiveUp(start)) => self.hand_over(start, |runs, begun| runs.give_up(begun)),
            Some(Step::Refill) => {
                self.refills.lock().push(key.into());
                self.look();
            }
        }
    }

    fn hand_over(self: &Arc<Self>, start: Start, to: impl FnOnce(&dyn RunJobs, Begun)) {
        let begun = Begun { jobs: self.clone(), start: Some(start) };
        match self.runs() {
            Some(runs) => to(&*runs, begun),
            None => drop(begun),
        }
    }
}

impl Begun {
    fn get(&self) -> &Start {
        self.start.as_ref().expect("there until the attempt ends")
    }

    /// What is to be run.
    pub fn job(&self) -> &Arc<Job> {
        &self.get().job
    }

    /// Which attempt at which job this is.
    pub fn fence(&self) -> Fence {
        self.get().fence
    }

    /// The attempts before that failed.
    pub fn attempts(&self) -> &Attempts {
        &self.get().attempts
    }

    /// Ends the job. `told` hears what became of that when it is committed.
    pub fn end(mut self, end: End, told: impl FnOnce(Ended) + Send + Sync + 'static) {
        if let Some(start) = self.start.take() {
            self.jobs.send(Op::End { start, end, told: Box::new(told) });
        }
    }

    /// Has the job tried again after a time.
    pub fn retry(mut self, after: Duration, failure: &Failure) {
        if let Some(start) = self.start.take() {
            self.jobs.send_retry(start, after, failure);
        }
    }

    /// The attempts that failed, once this one has.
    pub fn attempts_with(&self, failure: &Failure) -> Attempts {
        self.attempts().with(Attempt::failed(self.fence().attempt, &self.jobs.node, failure))
    }

    /// Notes that the run itself has ended the job, in its own transaction.
    pub fn ended(mut self) {
        if let Some(start) = self.start.take() {
            let step = self.jobs.keys.lock().ended(&start.job.key, start.fence.seq, None);
            self.jobs.take(&start.job.key, step);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some(start) = self.start.take() else { return };
        let after = Duration::from_millis(self.jobs.settings.retry_ms);
        self.jobs.send_retry(start, after, &Failure::new(ErrorCode::Internal, "Internal error"));
    }
}

/// What became of the end of a job.
pub enum Ended {
    /// It is committed.
    Here(Settled),
    /// Another node has taken the job over.
    Elsewhere(Settled),
    /// The database refused the rows that its handler made; nothing of the attempt is left.
    Refused(Begun, Failure),
}

/// A job that has ended; when this is dropped, the next of its key begins.
pub struct Settled {
    jobs: Arc<Jobs>,
    start: Start,
    /// The next job of its key, if it has begun with that.
    next: Option<i64>,
}

impl Drop for Settled {
    fn drop(&mut self) {
        let step = self.jobs.keys.lock().ended(&self.start.job.key, self.start.fence.seq, self.next);
        self.jobs.take(&self.start.job.key, step);
    }
}

/// Ends an attempt at a job as the last statement of a transaction; whether it was still there to be ended.
pub(crate) async fn end_in(on: &Transaction, fence: Fence, end: &End) -> Result<bool> {
    let row = sql::EndRow::new(fence, end, now_ms());
    Ok(!sql::end(on, on.backend(), &[&row]).await?.is_empty())
}

/// Refuses a PostgreSQL that says that it has committed before it has.
async fn check_commits(store: &Store) -> Result<()> {
    let backend = store.db().get_database_backend();
    if backend == DbBackend::Sqlite {
        return Ok(());
    }
    let shown = store.db().query_one_raw(Statement::from_string(backend, "SHOW synchronous_commit")).await?;
    let setting: String = shown.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or_default();
    if setting == "off" {
        let message = "PostgreSQL's synchronous_commit is off for this database or role, so it may forget durable \
                       events that were acknowledged; set it to on";
        return Err(Error::Internal(message.to_owned()));
    }
    Ok(())
}
