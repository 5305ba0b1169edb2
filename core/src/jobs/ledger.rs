//! Commits what happens to jobs: all that waits is one transaction, so that many share what a commit costs. Nobody is
//! told of anything before it is committed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sea_orm::DbBackend;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::job::{Attempt, Attempts, ClientEvent, End, EndState, now_ms};
use super::order::{Accepted, Hold, Start, Step};
use super::sql::{self, BY_INDEX, ClaimRow, EndRow, EventIdRow, NewRow, RetryRow};
use super::status::JobStatus;
use super::{Begun, Ended, Jobs, Settled, ends};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::store::{Transaction, code_of};

/// What one transaction commits, at most.
const GROUP_MAX: usize = 256;
/// SQLite has no room for what a commit writes, so that there is no commit: `SQLITE_FULL` and `SQLITE_IOERR_WRITE`.
const NO_ROOM: [&str; 2] = ["13", "778"];
/// How long what must not get lost waits to be tried again where the database fails.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How long PostgreSQL keeps the locks of a transaction whose process hangs: less than a lease.
pub(super) const IDLE_MAX: &str = "SET LOCAL idle_in_transaction_session_timeout = '3s'";
/// How long a transaction may take in all before it is given up.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(10);

/// What became of an event that was to be stored.
#[derive(Debug)]
pub enum Stored {
    /// It is, and will be handled.
    Yes,
    /// It was before, under another id.
    Before {
        /// The request id that it has.
        request_id: Uuid,
        /// What has become of it.
        status: JobStatus,
    },
    /// It is not.
    No(Failure),
    /// Nobody knows: the database was lost in the middle of the commit.
    Unknown,
}

/// Hears what became of an event that was to be stored.
pub type OnStored = Box<dyn FnOnce(Stored) + Send + Sync>;
/// Hears what became of the end of a job.
pub(super) type OnEnd = Box<dyn FnOnce(Ended) + Send + Sync>;

/// Something that happens to a job.
pub(super) enum Op {
    /// An event of a socket is stored.
    Store { event: ClientEvent, shard: i32, accepted: Accepted, hold: Option<Hold>, told: OnStored },
    /// The next attempt begins.
    Claim { key: Arc<str>, claim: ClaimRow },
    /// An attempt is the last.
    End { start: Start, end: End, told: OnEnd },
    /// An attempt failed, and another is to be made.
    Retry { start: Start, due_at: i64, attempts: Attempts },
}

impl Op {
    /// Whether it is tried again until it is committed: what is stored is refused instead.
    fn must_not_get_lost(&self) -> bool {
        !matches!(self, Self::Store { .. })
    }
}

/// What a transaction has done, to be told when it is committed.
#[derive(Default)]
pub(super) struct Done {
    stored: HashMap<Uuid, i64>,
    before: HashMap<Uuid, (Uuid, JobStatus)>,
    /// Numbers of attempts that were begun, ended or are to be made again.
    pub changed: HashSet<i64>,
    /// Numbers of attempts that could not be ended, because the database refused the rows that they made.
    pub refused: HashMap<i64, Failure>,
    /// Of those that were stored, the ones whose attempt has begun.
    begun: HashSet<Uuid>,
    /// The job of the same key that has begun with the end of another.
    next: HashMap<i64, i64>,
}

/// Why a transaction is not committed.
enum Refused {
    /// It is not.
    Failed(Error),
    /// It may be.
    Unknown(Error),
}

impl Jobs {
    /// Commits what comes, as long as this is asked.
    pub(super) async fn keep_ledger(self: Arc<Self>, mut ops: mpsc::UnboundedReceiver<Op>) {
        while let Some(first) = ops.recv().await {
            let mut group = vec![first];
            while group.len() < GROUP_MAX
                && let Ok(next) = ops.try_recv()
            {
                group.push(next);
            }
            self.commit_all(group).await;
        }
    }

    /// Commits a group. Where the database refuses one of it, each by itself.
    async fn commit_all(self: &Arc<Self>, mut group: Vec<Op>) {
        let start = Instant::now();
        match self.commit(&group).await {
            Ok(done) => {
                self.metrics.job_commit_rows.observe(group.len() as f64);
                self.metrics.job_commit_seconds.observe(start.elapsed().as_secs_f64());
                group.drain(..).for_each(|op| self.tell(op, &done));
            }
            Err(Refused::Failed(Error::Database(error))) if group.len() > 1 && code_of(&error).is_some() => {
                tracing::warn!(%error, jobs = group.len(), "a group of jobs could not be committed; each is by itself");
                for op in group {
                    let one = vec![op];
                    match self.commit(&one).await {
                        Ok(done) => one.into_iter().for_each(|op| self.tell(op, &done)),
                        Err(refused) => self.refuse(one, refused),
                    }
                }
            }
            Err(refused) => self.refuse(group, refused),
        }
    }

    async fn commit(&self, group: &[Op]) -> Result<Done, Refused> {
        let work = async {
            let on = self.store.begin_durable().await.map_err(Refused::Failed)?;
            let done = self.write(&on, group).await.map_err(Refused::Failed)?;
            on.commit().await.map_err(not_committed)?;
            Ok(done)
        };
        let late = || Refused::Unknown(Error::Internal("a commit of jobs took too long".to_owned()));
        tokio::time::timeout(COMMIT_MAX, work).await.unwrap_or_else(|_| Err(late()))
    }

    async fn write(&self, on: &Transaction, group: &[Op]) -> Result<Done> {
        let backend = self.backend();
        let owned = self.lock_shards(on, group).await?;
        let (mut done, mut ended, mut retries, mut claims) =
            (Done::default(), Vec::new(), Vec::new(), Vec::new());
        let now = now_ms();
        for op in group {
            match op {
                Op::End { start, end, .. } => ended.push((EndRow::new(start.fence, end, now), &end.new_rows)),
                Op::Retry { start, due_at, attempts } => {
                    retries.push(RetryRow::new(start.fence, *due_at, attempts))
                }
                Op::Claim { claim, .. } => claims.push(*claim),
                Op::Store { .. } => {}
            }
        }
        if !ended.is_empty() {
            ends::end(on, &ended, &mut done).await?;
        }
        if !retries.is_empty() {
            done.changed.extend(sql::retry(on, backend, &retries).await?);
        }
        self.store_events(on, group, owned.as_ref(), &mut done).await?;
        self.claim(on, group, claims, owned.as_ref(), &mut done).await?;
        Ok(done)
    }

    /// Holds the leases of the shards that a group stores or begins jobs in until it is committed; those that are this
    /// node's. None on SQLite, which has one node.
    async fn lock_shards(&self, on: &Transaction, group: &[Op]) -> Result<Option<HashSet<i32>>> {
        if self.backend() == DbBackend::Sqlite {
            return Ok(None);
        }
        on.execute(&format!("{IDLE_MAX}; {BY_INDEX}")).await?;
        let shards: HashSet<_> = group
            .iter()
            .filter_map(|op| match op {
                Op::Store { shard, .. } => Some(*shard),
                Op::Claim { claim, .. } => Some(claim.shard),
                Op::End { start, .. } => Some(start.shard),
                Op::Retry { .. } => None,
            })
            .collect();
        if shards.is_empty() {
            return Ok(Some(HashSet::new()));
        }
        let shards: Vec<_> = shards.into_iter().collect();
        Ok(Some(sql::lock_shards(on, &shards, &self.node).await?.into_iter().collect()))
    }

    async fn store_events(
        &self,
        on: &Transaction,
        group: &[Op],
        owned: Option<&HashSet<i32>>,
        done: &mut Done,
    ) -> Result<()> {
        let events: Vec<_> = group
            .iter()
            .filter_map(|op| match op {
                Op::Store { event, shard, accepted, .. } => Some((event, *shard, *accepted)),
                _ => None,
            })
            .collect();
        if events.is_empty() {
            return Ok(());
        }
        self.find_stored_before(on, events.iter().map(|(event, ..)| *event), done).await?;
        let rows: Vec<_> = events
            .iter()
            .enumerate()
            .filter(|(_, (event, ..))| !done.before.contains_key(&event.job.id))
            .map(|(n, (event, shard, accepted))| {
                let row = NewRow::new(n, &event.job, *shard);
                let begins = *accepted == Accepted::First && owned.is_none_or(|owned| owned.contains(shard));
                if begins { (row.begun_by(&self.node), Some(event.job.id)) } else { (row, None) }
            })
            .collect();
        let (rows, begun): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        if rows.is_empty() {
            return Ok(());
        }
        let stored = on.all(sql::insert(self.backend(), &rows)).await?;
        done.stored = sql::inserted(&stored)?.into_iter().map(|(seq, id)| (id, seq)).collect();
        done.begun = begun.into_iter().flatten().collect();
        Ok(())
    }

    /// Stores event ids, and finds those that were stored before.
    async fn find_stored_before<'a>(
        &self,
        on: &Transaction,
        events: impl Iterator<Item = &'a ClientEvent>,
        done: &mut Done,
    ) -> Result<()> {
        let with_id = events.enumerate().filter_map(|(n, event)| {
            Some(EventIdRow {
                n,
                gateway: &event.job.gateway,
                whose: event.whose(),
                event_id: event.event_id.as_deref()?,
                request_id: event.job.id,
                stored_at: event.job.accepted_at,
            })
        });
        let with_id: Vec<_> = with_id.collect();
        if with_id.is_empty() {
            return Ok(());
        }
        let new: HashSet<_> =
            sql::insert_event_ids(on, self.backend(), &with_id).await?.into_iter().collect();
        for row in with_id.iter().filter(|row| !new.contains(&row.request_id)) {
            let first = sql::first_request(on, self.backend(), row).await?;
            let first = first.ok_or_else(|| Error::Internal("an event id came and went".to_owned()))?;
            // One of this very group is not in the table yet.
            let status = self.status_on(on, first).await?.map_or(JobStatus::WAITING, |found| found.status);
            done.before.insert(row.request_id, (first, status));
        }
        Ok(())
    }

    /// Begins attempts in shards that are this node's. With the end of a job the next of its key begins, unless that
    /// end was another node's.
    async fn claim(
        &self,
        on: &Transaction,
        group: &[Op],
        mut claims: Vec<ClaimRow>,
        owned: Option<&HashSet<i32>>,
        done: &mut Done,
    ) -> Result<()> {
        let mut next_of = Vec::new();
        for op in group {
            if let Op::End { start, end, .. } = op
                && done.changed.contains(&start.fence.seq)
                && !end.stops_key
                && let Some(next) = self.keys.lock().next_after(&start.job.key)
            {
                next_of.push((start.fence.seq, next.seq));
                claims.push(next);
            }
        }
        claims.retain(|claim| owned.is_none_or(|owned| owned.contains(&claim.shard)));
        if claims.is_empty() {
            return Ok(());
        }
        let begun = sql::claim(on, self.backend(), &claims, &self.node).await?;
        done.changed.extend(begun);
        done.next = next_of.into_iter().filter(|(_, next)| done.changed.contains(next)).collect();
        Ok(())
    }

    /// Tells what a committed transaction did to a job.
    fn tell(self: &Arc<Self>, op: Op, done: &Done) {
        match op {
            Op::Store { event, accepted, hold, told, .. } => {
                let (id, key) = (event.job.id, event.job.key.clone());
                if let Some((request_id, status)) = done.before.get(&id) {
                    told(Stored::Before { request_id: *request_id, status: status.clone() });
                    self.forget(&key, id, accepted, hold, false);
                    return;
                }
                told(Stored::Yes);
                self.metrics.jobs_stored.inc();
                let Some(seq) = done.stored.get(&id) else { return };
                if accepted == Accepted::Elsewhere {
                    drop(hold);
                    self.look();
                    let step = self.keys.lock().stored_elsewhere(&key, true);
                    return self.take(&key, step);
                }
                let step = self.keys.lock().stored(&key, id, *seq, done.begun.contains(&id));
                self.take(&key, step);
            }
            Op::Claim { key, claim } => {
                if done.changed.contains(&claim.seq) {
                    let start = self.keys.lock().begun(&key, claim.seq);
                    self.take(&key, start.map(Step::Start));
                } else {
                    // Another has done it, or taken it back; or what is in memory is not as it is in the database.
                    self.is_stale.store(true, Ordering::SeqCst);
                    let step = self.keys.lock().not_begun(&key, claim.seq);
                    self.take(&key, step);
                }
            }
            Op::End { start, end, told } => self.tell_ended(start, &end, told, done),
            Op::Retry { start, due_at, .. } => {
                if done.changed.contains(&start.fence.seq) {
                    self.metrics.job_retries.inc();
                    let waits_for = Some(start.fence.seq);
                    self.keys.lock().block(&start.job.key, start.fence.seq, waits_for);
                    self.look_at(due_at);
                } else {
                    self.metrics.jobs_fenced.inc();
                    let step = self.keys.lock().ended(&start.job.key, start.fence.seq, None);
                    self.take(&start.job.key, step);
                }
            }
        }
    }

    fn tell_ended(self: &Arc<Self>, start: Start, end: &End, told: OnEnd, done: &Done) {
        if let Some(failure) = done.refused.get(&start.fence.seq) {
            let begun = Begun { jobs: self.clone(), start: Some(start) };
            return told(Ended::Refused(begun, failure.clone()));
        }
        let is_ended = done.changed.contains(&start.fence.seq);
        if !is_ended {
            self.metrics.jobs_fenced.inc();
        } else if end.state == EndState::Dead {
            self.metrics.jobs_dead.inc();
        }
        if is_ended && end.stops_key {
            self.keys.lock().block(&start.job.key, start.fence.seq, None);
        }
        let next = done.next.get(&start.fence.seq).copied();
        let settled = Settled { jobs: self.clone(), start, next };
        told(if is_ended { Ended::Here(settled) } else { Ended::Elsewhere(settled) });
    }

    /// Takes note that an event is not stored, by this op; or that nobody knows whether it is.
    fn forget(
        self: &Arc<Self>,
        key: &str,
        id: Uuid,
        accepted: Accepted,
        hold: Option<Hold>,
        may_be_stored: bool,
    ) {
        drop(hold);
        let mut keys = self.keys.lock();
        let step = match accepted {
            Accepted::Elsewhere => keys.stored_elsewhere(key, may_be_stored),
            Accepted::First | Accepted::Behind if may_be_stored => keys.unknown(key, id),
            Accepted::First | Accepted::Behind => keys.not_stored(key, id),
        };
        drop(keys);
        self.take(key, step);
    }

    /// Refuses events that are not stored; what must not get lost is tried again.
    fn refuse(self: &Arc<Self>, group: Vec<Op>, refused: Refused) {
        let (error, is_unknown) = match refused {
            Refused::Failed(error) => (error, false),
            Refused::Unknown(error) => (error, true),
        };
        tracing::warn!(%error, is_unknown, jobs = group.len(), "jobs could not be committed");
        if is_unknown {
            self.read_again();
        }
        let (again, refused): (Vec<_>, Vec<_>) = group.into_iter().partition(Op::must_not_get_lost);
        for op in refused {
            if let Op::Store { event, accepted, hold, told, .. } = op {
                told(if is_unknown { Stored::Unknown } else { Stored::No(unavailable()) });
                self.forget(&event.job.key, event.job.id, accepted, hold, is_unknown);
            }
        }
        if !again.is_empty() {
            let jobs = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(AGAIN_AFTER).await;
                again.into_iter().for_each(|op| jobs.send(op));
            });
        }
    }

    /// Has an attempt that failed made again.
    pub(super) fn send_retry(&self, start: Start, after: Duration, failure: &Failure) {
        let due_at = now_ms() + i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 2);
        let attempts = start.attempts.with(Attempt::failed(start.fence.attempt, &self.node, failure));
        self.send(Op::Retry { start, due_at, attempts });
    }

    pub(super) fn backend(&self) -> DbBackend {
        use sea_orm::ConnectionTrait;
        self.store.db().get_database_backend()
    }
}

/// Whether a commit that failed may have happened.
fn not_committed(error: Error) -> Refused {
    let code = if let Error::Database(error) = &error { code_of(error) } else { None };
    match code.is_some_and(|code| NO_ROOM.contains(&&*code)) {
        true => Refused::Failed(error),
        false => Refused::Unknown(error),
    }
}

fn unavailable() -> Failure {
    Failure::new(ErrorCode::Unavailable, "The event could not be stored; send it again in a moment")
}
