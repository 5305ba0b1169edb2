//! Which job of each key is next, among those that are in memory. Jobs of one key run one after the other, in the
//! order in which they were committed. A key that waits for another attempt, or for what becomes of a job that was given up,
//! keeps its others waiting, in memory or in the database.
//!
//! Nothing here waits or asks the database: whoever calls does what a [`Step`] says.

mod key;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::job::{Attempts, Fence, Job};
use super::scope::StoredJob;
use super::sql::ClaimRow;
use key::{Key, State, Waiting};

/// Jobs of one key that are held in memory; those behind them stay in the database.
const OF_KEY_MAX: usize = 64;
/// Nodes that may be lost with one job, one after the other, before it is given up.
const LOST_MAX: i32 = 3;

/// What keeps a socket's later events waiting until it is dropped.
pub type Hold = Box<dyn Send + Sync>;

/// What is to be done for a key.
#[derive(Debug)]
pub(super) enum Step {
    /// Begin the next attempt at its first job.
    Claim(ClaimRow),
    /// Run its first job, whose attempt has begun.
    Start(Start),
    /// Give its first job up: too many nodes were lost with it.
    GiveUp(Start),
    /// Read what the database has of it.
    Refill,
}

/// An attempt that has begun.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub job: Arc<Job>,
    pub shard: i32,
    pub fence: Fence,
    pub attempts: Attempts,
}

/// How an event of a socket stands to the others of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// None is before it: it begins when it is stored.
    First,
    /// It waits for others.
    Behind,
    /// It is not held in memory: others of its key wait in the database.
    Elsewhere,
}

/// The jobs in memory, by key.
#[derive(Default)]
pub(super) struct Keys {
    keys: HashMap<Arc<str>, Key>,
    /// The numbers of all of them.
    loaded: HashSet<i64>,
    /// While the database is read, the numbers of those that have ended or were put off since: what is read may have
    /// them as they were.
    over: Option<HashSet<i64>>,
    /// The job that may be the one that servers are lost with: one at a time, so that no other is taken for it.
    suspect: Option<i64>,
    /// Keys whose first job may be one too.
    suspects: VecDeque<Arc<str>>,
}

impl Keys {
    /// Adds an event of a socket that is about to be stored. `is_known`: whether all that the database has of its key
    /// is known here; else it goes there too, and comes back in its order.
    pub(super) fn accept(
        &mut self,
        job: &Arc<Job>,
        shard: i32,
        is_known: bool,
        is_reached: bool,
        hold: &mut Option<Hold>,
    ) -> Accepted {
        let key = self.keys.entry(job.key.clone()).or_insert_with(|| Key::new(shard));
        if !is_known || key.has_more || key.elsewhere > 0 || key.state.is_blocked() {
            key.elsewhere += 1;
            return Accepted::Elsewhere;
        }
        let is_first = key.jobs.is_empty() && key.state == State::Free && is_reached;
        key.jobs.push_back(Waiting {
            job: job.clone(),
            seq: None,
            attempt: i32::from(is_first),
            lost: 0,
            attempts: Attempts::default(),
            is_begun: is_first,
            is_reached,
            hold: hold.take(),
        });
        if is_first { Accepted::First } else { Accepted::Behind }
    }

    /// Notes that all that came before an event from its socket is done; where the event is gone, of the next.
    pub(super) fn reached(&mut self, key: &str, id: Uuid) -> Option<Step> {
        let jobs = &mut self.keys.get_mut(key)?.jobs;
        let place = jobs.iter().position(|one| one.job.id == id);
        let place = place.or_else(|| jobs.iter().position(|one| !one.is_reached))?;
        jobs[place].is_reached = true;
        self.advance(key)
    }

    /// Notes that an event is stored. `is_begun`: whether the attempt that was to begin with it has.
    pub(super) fn stored(&mut self, key: &str, id: Uuid, seq: i64, is_begun: bool) -> Option<Step> {
        let jobs = &mut self.keys.get_mut(key)?.jobs;
        let Some(one) = jobs.iter_mut().find(|one| one.job.id == id) else {
            return self.stored_elsewhere(key, true);
        };
        one.seq = Some(seq);
        if one.is_begun && !is_begun {
            (one.is_begun, one.attempt) = (false, 0);
        }
        self.loaded.insert(seq);
        self.advance(key)
    }

    /// Forgets an event that is not stored, or not known to be.
    pub(super) fn not_stored(&mut self, key: &str, id: Uuid) -> Option<Step> {
        let jobs = &mut self.keys.get_mut(key)?.jobs;
        let Some(place) = jobs.iter().position(|one| one.job.id == id) else {
            return self.stored_elsewhere(key, false);
        };
        let gone = jobs.remove(place)?;
        if let Some(next) = jobs.get_mut(place) {
            next.is_reached &= gone.is_reached;
        }
        self.advance(key)
    }

    /// Notes what became of an event that is not held in memory.
    pub(super) fn stored_elsewhere(&mut self, name: &str, is_stored: bool) -> Option<Step> {
        let key = self.keys.get_mut(name)?;
        key.elsewhere = key.elsewhere.saturating_sub(1);
        if is_stored {
            key.has_got_more();
        }
        self.advance(name)
    }

    /// Notes that the database is read from now on, or no more.
    pub(super) fn reads(&mut self, begins: bool) {
        self.over = begins.then(HashSet::new);
    }

    /// Adds a job that the database has; false: it has to wait there, no longer for its time.
    pub(super) fn load(&mut self, stored: StoredJob) -> bool {
        // Behind what the database has, or is about to have, of its key, it is read with that.
        let is_behind = |key: &Key| key.has_more || key.elsewhere > 0;
        self.load_unless(stored, is_behind)
    }

    fn load_unless(&mut self, stored: StoredJob, is_behind: impl FnOnce(&Key) -> bool) -> bool {
        if self.is_over(stored.seq) || self.loaded.contains(&stored.seq) {
            return true;
        }
        let key = self.keys.entry(stored.job.key.clone()).or_insert_with(|| Key::new(stored.shard));
        if key.jobs.iter().any(|one| one.seq.is_none() && one.job.id == stored.job.id) {
            // It is committed, and will be told of in a moment.
            return true;
        }
        let is_awaited = key.state == State::Blocked(Some(stored.seq));
        let is_due = stored.due_at.is_some();
        let is_full = key.jobs.len() >= OF_KEY_MAX;
        if !is_awaited
            && stored.attempt == 0
            && (key.state.is_blocked() || is_full || (!is_due && is_behind(key)))
        {
            key.has_got_more();
            return !is_due;
        }
        if is_awaited {
            key.state = State::Free;
        }
        self.loaded.insert(stored.seq);
        key.insert(stored);
        true
    }

    /// Notes that what the database has of a key is read from now on, for [`Self::refill`].
    pub(super) fn refills(&mut self, name: &str) {
        self.keys.get_mut(name).into_iter().for_each(Key::is_read);
    }

    /// Takes over what the database has of a key that [`Step::Refill`] named; `is_all`: and it has no more.
    pub(super) fn refill(&mut self, name: &str, stored: Vec<StoredJob>, is_all: bool) -> Option<Step> {
        self.keys.get_mut(name)?.was_read(is_all);
        for one in stored {
            self.load_unless(one, |_| false);
        }
        self.advance(name)
    }

    /// What is next for a key, if that can be done now.
    pub(super) fn advance(&mut self, name: &str) -> Option<Step> {
        let key = self.keys.get_mut(name)?;
        if key.state != State::Free {
            return None;
        }
        let Some(first) = key.jobs.front() else {
            if key.has_more {
                return Some(Step::Refill);
            }
            if key.elsewhere == 0 {
                self.keys.remove(name);
            }
            return None;
        };
        let seq = first.seq.filter(|_| first.is_reached)?;
        let shard = key.shard;
        let step = if first.is_begun {
            Step::Start(first.start(shard, seq))
        } else if first.lost >= LOST_MAX {
            Step::GiveUp(first.start(shard, seq))
        } else if first.lost + 1 == LOST_MAX && self.suspect.is_some_and(|suspect| suspect != seq) {
            self.suspects.push_back(name.into());
            return None;
        } else {
            if first.lost + 1 == LOST_MAX {
                self.suspect = Some(seq);
            }
            Step::Claim(ClaimRow { shard, seq, attempt: first.attempt, lost: first.lost })
        };
        key.state = State::Busy;
        Some(step)
    }

    /// The next key whose first job waits for another that was run when servers were lost, once that has ended.
    pub(super) fn next_suspect(&mut self) -> Option<Arc<str>> {
        if self.suspect.is_some_and(|suspect| self.loaded.contains(&suspect)) {
            return None;
        }
        self.suspect = None;
        self.suspects.pop_front()
    }

    /// The job that will be the first of its key once the present one has ended, to be begun with that end.
    pub(super) fn next_after(&self, name: &str) -> Option<ClaimRow> {
        let key = self.keys.get(name)?;
        let next = key.jobs.get(1).filter(|next| next.is_reached && next.lost == 0)?;
        Some(ClaimRow { shard: key.shard, seq: next.seq?, attempt: next.attempt, lost: 0 })
    }

    /// Notes that an attempt has begun; none: the key's first job is another by now.
    pub(super) fn begun(&mut self, name: &str, seq: i64) -> Option<Start> {
        let key = self.keys.get_mut(name)?;
        let first = key.jobs.front_mut().filter(|first| first.seq == Some(seq))?;
        first.begin();
        Some(first.start(key.shard, seq))
    }

    /// Notes that the first job of a key has ended, or is another's. `next`: the one behind it, if it has begun with
    /// that.
    pub(super) fn ended(&mut self, name: &str, seq: i64, next: Option<i64>) -> Option<Step> {
        let key = self.keys.get_mut(name)?;
        if let Some(next) = key.jobs.iter_mut().find(|one| next.is_some() && one.seq == next) {
            next.begin();
        }
        // One that stops its key was taken out when it was given up.
        self.take_first(name, seq)?;
        self.over.iter_mut().for_each(|over| _ = over.insert(seq));
        self.keys.get_mut(name)?.state = State::Free;
        self.advance(name)
    }

    /// Notes that the first job of a key waits for another attempt (`Some`), or was given up and stops its key.
    pub(super) fn block(&mut self, name: &str, seq: i64, waits_for: Option<i64>) {
        self.take_first(name, seq);
        self.over.iter_mut().for_each(|over| _ = over.insert(seq));
        if let Some(key) = self.keys.get_mut(name) {
            key.state = State::Blocked(waits_for);
            // They wait for long: what comes after them from their sockets does not.
            key.jobs.iter_mut().for_each(|one| one.hold = None);
        }
    }

    /// Notes of a key that is not in memory, or of one that is free, that it waits.
    pub(super) fn block_at_start(&mut self, name: &str, shard: i32, waits_for: Option<i64>) {
        // Of one that has begun since, or ended, the database was read too early.
        let is_here = |seq| self.loaded.contains(&seq) || self.is_over(seq);
        if waits_for.is_some_and(is_here) {
            return;
        }
        let key = self.keys.entry(name.into()).or_insert_with(|| Key::new(shard));
        if key.state == State::Free {
            key.state = State::Blocked(waits_for);
        }
    }

    /// The keys that wait: for the job of this number to be tried again, or for what becomes of one that was given up.
    pub(super) fn waiting(&self) -> Vec<(Arc<str>, Option<i64>)> {
        let waits_for = |key: &Key| match key.state {
            State::Blocked(waits_for) => Some(waits_for),
            State::Free | State::Busy => None,
        };
        self.keys.iter().filter_map(|(name, key)| Some((name.clone(), waits_for(key)?))).collect()
    }

    /// Lets a key go on that waited for this.
    pub(super) fn let_go_on(&mut self, name: &str, waited_for: Option<i64>) -> Option<Step> {
        let key = self.keys.get_mut(name)?;
        if key.state == State::Blocked(waited_for) {
            key.state = State::Free;
            key.has_got_more();
        }
        self.advance(name)
    }

    /// Forgets an event that may be stored, or not: whatever waits behind it is read again, in its order.
    pub(super) fn unknown(&mut self, name: &str, id: Uuid) -> Option<Step> {
        let jobs = &mut self.keys.get_mut(name)?.jobs;
        match jobs.iter().position(|one| one.job.id == id) {
            Some(place) => drop(jobs.remove(place)),
            None => return self.stored_elsewhere(name, true),
        }
        self.read_anew(name)
    }

    /// Notes that the attempt at the first job of a key has not begun: the database has it otherwise than it is here.
    pub(super) fn not_begun(&mut self, name: &str, seq: i64) -> Option<Step> {
        self.take_first(name, seq)?;
        self.keys.get_mut(name)?.state = State::Free;
        self.read_anew(name)
    }

    fn read_anew(&mut self, name: &str) -> Option<Step> {
        let key = self.keys.get_mut(name)?;
        key.forget_waiting(&mut self.loaded);
        key.has_got_more();
        self.advance(name)
    }

    /// Forgets what waits for its turn, of keys that are to be forgotten; the database has it. What runs stays.
    pub(super) fn unload(&mut self, is_meant: impl Fn(&str, i32) -> bool) {
        let loaded = &mut self.loaded;
        self.keys.retain(|name, key| {
            if !is_meant(name, key.shard) {
                return true;
            }
            key.forget_waiting(loaded);
            key.state == State::Busy || key.elsewhere > 0
        });
    }

    /// The same of the jobs of these gateways.
    pub(super) fn unload_gateways(&mut self, paths: &[String]) {
        let is_meant = |key: &Key| {
            key.jobs.front().is_some_and(|one| paths.iter().any(|path| **path == *one.job.gateway))
        };
        let names: HashSet<_> =
            self.keys.iter().filter(|(_, key)| is_meant(key)).map(|(name, _)| name.clone()).collect();
        self.unload(|name, _| names.contains(name));
    }

    /// Forgets what waits for its turn and keeps no socket waiting; the database has it.
    pub(super) fn unload_what_nobody_waits_for(&mut self) {
        let is_held = |key: &Key| key.jobs.iter().any(|one| one.hold.is_some());
        let names: HashSet<_> =
            self.keys.iter().filter(|(_, key)| !is_held(key)).map(|(name, _)| name.clone()).collect();
        self.unload(|name, _| names.contains(name));
    }

    /// How many of these are in memory.
    pub(super) fn loaded_of(&self, seqs: &[i64]) -> usize {
        seqs.iter().filter(|seq| self.loaded.contains(seq)).count()
    }

    /// How many jobs are in memory.
    pub(super) fn len(&self) -> usize {
        self.loaded.len()
    }

    /// How many keys wait, and not for their turn.
    pub(super) fn blocked(&self) -> usize {
        self.keys.values().filter(|key| key.state.is_blocked()).count()
    }

    /// Whether a job of this shard has begun.
    pub(super) fn is_busy(&self, shard: i32) -> bool {
        self.keys.values().any(|key| key.shard == shard && (key.state == State::Busy || !key.jobs.is_empty()))
    }

    fn is_over(&self, seq: i64) -> bool {
        self.over.as_ref().is_some_and(|over| over.contains(&seq))
    }

    fn take_first(&mut self, name: &str, seq: i64) -> Option<Waiting> {
        let jobs = &mut self.keys.get_mut(name)?.jobs;
        jobs.front().filter(|first| first.seq == Some(seq))?;
        self.loaded.remove(&seq);
        jobs.pop_front()
    }
}

#[cfg(test)]
mod tests;
