//! A key, and the jobs of it that wait in memory.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::{Hold, Start};
use crate::jobs::job::{Attempts, Fence, Job};
use crate::jobs::scope::StoredJob;

pub(super) struct Key {
    pub(super) shard: i32,
    pub(super) jobs: VecDeque<Waiting>,
    pub(super) state: State,
    /// Whether the database has more that wait for nothing.
    pub(super) has_more: bool,
    /// Whether it may have got some since it was last read.
    is_newer: bool,
    /// Events that are about to be there too.
    pub(super) elsewhere: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its first job may begin.
    Free,
    /// Its first job has begun, or is about to.
    Busy,
    /// It waits: for the job of this number to be due, or for what becomes of one that was given up.
    Blocked(Option<i64>),
}

/// A job that waits for its turn, or has it.
pub(super) struct Waiting {
    pub(super) job: Arc<Job>,
    /// None until it is stored.
    pub(super) seq: Option<i64>,
    /// Attempts that were begun.
    pub(super) attempt: i32,
    pub(super) lost: i32,
    pub(super) attempts: Attempts,
    /// Whether the attempt is begun already.
    pub(super) is_begun: bool,
    /// Whether all that came before it from its socket is done.
    pub(super) is_reached: bool,
    /// What it keeps from overtaking it.
    pub(super) hold: Option<Hold>,
}

impl State {
    pub(super) fn is_blocked(self) -> bool {
        matches!(self, Self::Blocked(_))
    }
}

impl Key {
    pub(super) fn new(shard: i32) -> Self {
        let (jobs, state) = (VecDeque::new(), State::Free);
        Self { shard, jobs, state, has_more: false, is_newer: false, elsewhere: 0 }
    }

    /// Notes that the database has more, which what is being read of it may lack.
    pub(super) fn has_got_more(&mut self) {
        (self.has_more, self.is_newer) = (true, true);
    }

    /// Notes that what the database has of it is read from now on.
    pub(super) fn is_read(&mut self) {
        self.is_newer = false;
    }

    /// Notes that what was read of it is here; `is_all`: the database had no more then.
    pub(super) fn was_read(&mut self, is_all: bool) {
        self.has_more = self.is_newer || !is_all;
    }

    /// Forgets what waits for its turn.
    pub(super) fn forget_waiting(&mut self, loaded: &mut HashSet<i64>) {
        let runs = usize::from(self.state == State::Busy).min(self.jobs.len());
        for one in self.jobs.split_off(runs) {
            match one.seq {
                Some(seq) => {
                    loaded.remove(&seq);
                    self.has_got_more();
                }
                // It is about to be stored.
                None => self.elsewhere += 1,
            }
        }
    }

    /// Adds a job in its place: those of later attempts by their number, others behind all.
    pub(super) fn insert(&mut self, stored: StoredJob) {
        let is_first_attempt = stored.attempt == 0;
        let goes_after = |one: &Waiting| one.seq.is_some_and(|seq| seq < stored.seq);
        let begun = usize::from(self.state == State::Busy);
        let place = match (is_first_attempt && stored.due_at.is_some(), begun) {
            (true, _) => self.jobs.len(),
            (false, begun) => {
                let before = self.jobs.iter().skip(begun).take_while(|one| goes_after(one)).count();
                (begun + before).min(self.jobs.len())
            }
        };
        let waiting = Waiting {
            job: Arc::new(stored.job),
            seq: Some(stored.seq),
            attempt: stored.attempt,
            lost: stored.lost,
            attempts: stored.attempts,
            is_begun: false,
            is_reached: true,
            hold: None,
        };
        self.jobs.insert(place, waiting);
    }
}

impl Waiting {
    pub(super) fn begin(&mut self) {
        self.is_begun = true;
        self.attempt += 1;
    }

    pub(super) fn start(&self, shard: i32, seq: i64) -> Start {
        let fence = Fence { seq, attempt: self.attempt };
        Start { job: self.job.clone(), shard, fence, attempts: self.attempts.clone() }
    }
}
