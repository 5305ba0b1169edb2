//! Reads what the database has of the jobs that are this node's: what is due, what others have stored, and what a
//! node that is gone has left.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Jobs;
use super::job::{Attempt, now_ms};
use super::leases::Changed;
use super::scope::{Scope, StoredJob};
use super::sql;
use crate::error::{ErrorCode, Failure, Result};

/// How often the database is looked at where nothing says that there is something.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Jobs that are read at once.
const PAGE: usize = 1000;
/// Jobs of one key that are read at once.
const PAGE_OF_KEY: usize = 64;

/// How often keys are looked at that wait for another attempt at a job, and the most of the time that this may take: one
/// part of so many.
const RETRIED_EVERY: Duration = Duration::from_secs(1);
const RETRIED_PARTS: u32 = 20;

/// How often it is looked whether there is room for more.
const ROOM_EVERY: Duration = Duration::from_millis(10);

/// Whether there may be more that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MoreDue {
    /// All is in memory.
    No,
    /// As much as was read now.
    New,
    /// It stands behind what is in memory and has not begun.
    Behind,
}

/// How far the database was read.
#[derive(Default)]
struct Read {
    /// The last number of each shard.
    cursors: BTreeMap<i32, i64>,
    renewed: Option<Instant>,
    /// The numbers of those that were due.
    due: Vec<i64>,
    /// When keys are looked at next that wait for another attempt.
    retried_at: Option<Instant>,
}

impl Jobs {
    /// Keeps what there is to do in memory, as long as this is asked.
    pub(super) async fn keep_loaded(self: Arc<Self>) {
        let mut read = Read::default();
        loop {
            self.keys.lock().reads(true);
            let looked = self.look_once(&mut read).await;
            self.keys.lock().reads(false);
            let wait = match looked {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "jobs could not be read; trying again");
                    LOOK_EVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.look.notified() => {}
            }
        }
    }

    /// Looks once; how long it may be until the next time.
    async fn look_once(self: &Arc<Self>, read: &mut Read) -> Result<Duration> {
        self.follow_leases(read).await?;
        if self.is_draining.load(Ordering::SeqCst) {
            return Ok(LOOK_EVERY);
        }
        let scope = Scope { backend: self.backend(), shards: self.leases.shards(), paused: self.paused() };
        if scope.shards.is_empty() {
            self.keys.lock().unload(|_, _| true);
            read.cursors.clear();
            return Ok(LOOK_EVERY);
        }
        self.unload_what_is_not_ours(&scope);
        if self.is_stale.swap(false, Ordering::SeqCst) {
            read.cursors.clear();
            read.retried_at = None;
        }
        let is_new = read.cursors.len() < scope.shards.len();
        read.cursors.retain(|shard, _| scope.shards.contains(shard));
        if is_new {
            self.is_caught_up.store(false, Ordering::SeqCst);
            self.block_what_waits(&scope).await?;
            scope.shards.iter().for_each(|shard| _ = read.cursors.entry(*shard).or_insert(0));
        }
        let more_due = self.load_due(&scope, read).await?;
        self.free_what_waits_for_nothing(&scope, read).await?;
        let has_more = self.load_ready(&scope, read).await?;
        self.load_refills(&scope).await?;
        if !has_more && !self.is_stale.load(Ordering::SeqCst) {
            self.is_caught_up.store(true, Ordering::SeqCst);
        }
        if more_due == MoreDue::New || has_more {
            return Ok(if self.has_room() { Duration::ZERO } else { ROOM_EVERY });
        }
        if more_due == MoreDue::Behind {
            return Ok(ROOM_EVERY);
        }
        let next_due = scope.next_due(self.store.db(), now_ms()).await?;
        let until_due =
            next_due.map_or(LOOK_EVERY, |due| Duration::from_millis((due - now_ms()).max(1) as u64));
        Ok(until_due.min(LOOK_EVERY))
    }

    /// Has the loader look when something is due, if that is before it would.
    pub(super) fn look_at(&self, due_at: i64) {
        if due_at - now_ms() < LOOK_EVERY.as_millis() as i64 {
            self.look();
        }
    }

    async fn follow_leases(self: &Arc<Self>, read: &mut Read) -> Result<()> {
        let Some(every) = self.leases.renew_every() else { return Ok(()) };
        if read.renewed.is_some_and(|renewed| renewed.elapsed() < every) {
            return Ok(());
        }
        let began = Instant::now();
        let Changed { gained, lost, taken_over, is_short } = self.renew_leases().await?;
        read.renewed = (!is_short).then_some(began);
        if !gained.is_empty() || !lost.is_empty() {
            tracing::info!(gained = gained.len(), lost = lost.len(), taken_over, "the jobs are divided anew");
        }
        self.metrics.job_shards_taken_over.inc_by(taken_over as u64);
        for shard in gained.iter().chain(&lost) {
            read.cursors.remove(shard);
        }
        self.keys.lock().unload(|_, shard| lost.contains(&shard));
        Ok(())
    }

    /// Jobs of gateways that were paused, or of shards that are another's, wait in the database.
    fn unload_what_is_not_ours(&self, scope: &Scope) {
        if !scope.paused.is_empty() {
            self.keys.lock().unload_gateways(&scope.paused);
        }
    }

    /// Notes which keys wait for another attempt or for an admin.
    async fn block_what_waits(self: &Arc<Self>, scope: &Scope) -> Result<()> {
        let retrying = scope.retrying(self.store.db()).await?;
        let stopped = scope.stopped(self.store.db()).await?;
        let mut keys = self.keys.lock();
        for (seq, key, shard) in retrying {
            keys.block_at_start(&key, shard, Some(seq));
        }
        for (key, shard) in stopped {
            keys.block_at_start(&key, shard, None);
        }
        Ok(())
    }

    /// Keys go on whose job an admin has retried or discarded, here or by another process.
    async fn free_what_waits_for_nothing(self: &Arc<Self>, scope: &Scope, read: &mut Read) -> Result<()> {
        let waiting = self.keys.lock().waiting();
        let (stopped, retried): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, seq)| seq.is_none());
        let mut gone = Vec::new();
        if !stopped.is_empty() {
            let still = scope.stopped(self.store.db()).await?;
            let still: HashSet<_> = still.iter().map(|(key, _)| key.as_str()).collect();
            gone.extend(stopped.into_iter().filter(|(key, _)| !still.contains(&**key)));
        }
        // Most are tried again by themselves: these are not looked at each time.
        if !retried.is_empty() && read.retried_at.is_none_or(|at| Instant::now() >= at) {
            let start = Instant::now();
            let still = scope.retrying(self.store.db()).await?;
            let still: HashSet<_> = still.iter().map(|(seq, ..)| Some(*seq)).collect();
            gone.extend(retried.into_iter().filter(|(_, seq)| !still.contains(seq)));
            read.retried_at = Some(start + RETRIED_EVERY.max(start.elapsed() * RETRIED_PARTS));
        }
        for (key, seq) in gone {
            let step = self.keys.lock().let_go_on(&key, seq);
            self.take(&key, step);
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.keys.lock().len() < self.settings.loaded
    }

    /// Loads what is due.
    async fn load_due(self: &Arc<Self>, scope: &Scope, read: &mut Read) -> Result<MoreDue> {
        // The same would be read again: they are due until they begin.
        let stands_in_the_way = read.due.len() == PAGE && self.keys.lock().loaded_of(&read.due) > PAGE / 2;
        if stands_in_the_way || !self.has_room() {
            return Ok(MoreDue::Behind);
        }
        let due = scope.due(self.store.db(), now_ms(), PAGE).await?;
        let is_full = due.len() == PAGE;
        read.due = due.iter().map(|due| due.seq).collect();
        let (waiting, loaded) = self.load(due);
        if !waiting.is_empty() {
            sql::no_longer_due(self.store.db(), scope.backend, &waiting).await?;
        }
        Ok(match is_full {
            false => MoreDue::No,
            true if loaded > 0 || !waiting.is_empty() => MoreDue::New,
            true => MoreDue::Behind,
        })
    }

    /// Loads what waits for nothing; whether there is more.
    async fn load_ready(self: &Arc<Self>, scope: &Scope, read: &mut Read) -> Result<bool> {
        if !self.has_room() {
            return Ok(true);
        }
        let cursors: Vec<_> = read.cursors.iter().map(|(shard, seq)| (*shard, *seq)).collect();
        let (ready, has_more) = scope.ready(self.store.db(), &cursors, PAGE).await?;
        match ready.last().map(|last| last.seq) {
            // On SQLite what is committed later has a higher number, whatever its shard.
            Some(last) if scope.backend == sea_orm::DbBackend::Sqlite => {
                read.cursors.values_mut().for_each(|cursor| *cursor = last);
            }
            _ => {
                for stored in &ready {
                    let cursor = read.cursors.entry(stored.shard).or_default();
                    *cursor = stored.seq.max(*cursor);
                }
            }
        }
        self.load(ready);
        Ok(has_more)
    }

    /// Puts jobs into memory; the numbers of those that are due and have to wait for others, and how many are new.
    fn load(self: &Arc<Self>, all: Vec<StoredJob>) -> (Vec<i64>, usize) {
        let (mut waiting, mut names) = (Vec::new(), Vec::new());
        let mut keys = self.keys.lock();
        let before = keys.len();
        for mut stored in all {
            self.note_lost(&mut stored);
            let (seq, key) = (stored.seq, stored.job.key.clone());
            if !keys.load(stored) {
                waiting.push(seq);
            }
            names.push(key);
        }
        let loaded = keys.len() - before;
        drop(keys);
        for key in names {
            let step = self.keys.lock().advance(&key);
            self.take(&key, step);
        }
        (waiting, loaded)
    }

    /// Notes that the node that had begun a job is gone.
    fn note_lost(&self, stored: &mut StoredJob) {
        let Some(node) = stored.node.take().filter(|node| *node != self.node) else { return };
        stored.lost += 1;
        let lost = Failure::new(ErrorCode::WorkerLost, "The server that ran it was lost");
        stored.attempts = stored.attempts.with(Attempt::failed(stored.attempt, &node, &lost));
    }

    async fn load_refills(self: &Arc<Self>, scope: &Scope) -> Result<()> {
        let names = std::mem::take(&mut *self.refills.lock());
        let mut names = names.into_iter();
        while let Some(key) = names.next() {
            self.keys.lock().refills(&key);
            match scope.of_key(self.store.db(), &key, PAGE_OF_KEY).await {
                Ok(mut stored) => {
                    let is_all = stored.len() < PAGE_OF_KEY;
                    stored.iter_mut().for_each(|one| self.note_lost(one));
                    let step = self.keys.lock().refill(&key, stored, is_all);
                    self.take(&key, step);
                }
                Err(error) => {
                    // Asked for again.
                    self.refills.lock().extend(std::iter::once(key).chain(names));
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
