//! Lanes and groups: who is next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Mutex, MutexGuard};

use super::{Job, Refusal, Shared, Ticket};

/// The jobs of one socket, in order.
pub struct Lane<J: Job> {
    group: Arc<Group<J>>,
    shared: Arc<Shared<J>>,
    state: Mutex<LaneState<J>>,
}

struct LaneState<J> {
    jobs: VecDeque<J>,
    bytes: usize,
    /// Before this, jobs wait: the first has still to come.
    is_open: bool,
    /// In the group's list, or with a worker.
    is_scheduled: bool,
}

/// The lanes of one gateway that have something to do.
pub(super) struct Group<J: Job> {
    share: usize,
    ready: Mutex<Ready<J>>,
}

struct Ready<J: Job> {
    lanes: VecDeque<Arc<Lane<J>>>,
    /// In the channel or with a worker.
    tickets: usize,
}

impl<J: Job> Lane<J> {
    pub(super) fn new(group: Arc<Group<J>>, shared: Arc<Shared<J>>) -> Arc<Self> {
        let state = LaneState { jobs: VecDeque::new(), bytes: 0, is_open: false, is_scheduled: false };
        Arc::new(Self { group, shared, state: Mutex::new(state) })
    }

    /// Adds a job at the end. `accepted` is called when it is taken, before it can run; it must be
    /// quick, since the lane waits for it.
    ///
    /// # Errors
    /// When a bound is reached or the queue drains; the job comes back.
    pub fn push(self: &Arc<Self>, job: J, accepted: impl FnOnce()) -> Result<(), (Refusal, J)> {
        let shared = &self.shared;
        if !shared.is_open.load(Ordering::Relaxed) {
            return Err((Refusal::Closed, job));
        }
        let (settings, bytes) = (&shared.settings, job.bytes());
        if shared.jobs.load(Ordering::Relaxed) >= settings.jobs
            || shared.bytes.load(Ordering::Relaxed) + bytes > settings.bytes
        {
            return Err((Refusal::Full, job));
        }
        let mut state = self.state.lock();
        if state.jobs.len() >= settings.jobs_per_socket || state.bytes + bytes > settings.bytes_per_socket {
            return Err((Refusal::Full, job));
        }
        self.add(&mut state, job, bytes);
        accepted();
        self.wake(state);
        Ok(())
    }

    /// Adds a job that the product itself needs done, whatever the bounds (there is at most one).
    pub fn push_last(self: &Arc<Self>, job: J) {
        let mut state = self.state.lock();
        let bytes = job.bytes();
        self.add(&mut state, job, bytes);
        self.wake(state);
    }

    /// Lets the jobs run, `first` before those that already wait.
    pub fn open(self: &Arc<Self>, first: Option<J>) {
        let mut state = self.state.lock();
        if let Some(job) = first {
            let bytes = job.bytes();
            self.add(&mut state, job, bytes);
            state.jobs.rotate_right(1);
        }
        state.is_open = true;
        self.wake(state);
    }

    /// Lets go of the lane, and has it scheduled if it wants a worker.
    fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, LaneState<J>>) {
        let wakes = state.wants_worker();
        drop(state);
        if wakes {
            self.group.make_ready(self.clone(), &self.shared);
        }
    }

    fn add(&self, state: &mut LaneState<J>, job: J, bytes: usize) {
        state.jobs.push_back(job);
        state.bytes += bytes;
        self.shared.jobs.fetch_add(1, Ordering::Relaxed);
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The next job; none: the lane is no longer scheduled.
    pub(super) fn next(&self) -> Option<J> {
        let mut state = self.state.lock();
        let Some(job) = state.jobs.pop_front() else {
            state.is_scheduled = false;
            return None;
        };
        let bytes = job.bytes();
        state.bytes -= bytes;
        drop(state);
        self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(job)
    }
}

impl<J: Job> Drop for Lane<J> {
    fn drop(&mut self) {
        // A lane that was never opened takes its jobs with it.
        let state = self.state.get_mut();
        self.shared.jobs.fetch_sub(state.jobs.len(), Ordering::Relaxed);
        self.shared.bytes.fetch_sub(state.bytes, Ordering::Relaxed);
    }
}

impl<J> LaneState<J> {
    /// Whether the lane has to be scheduled now; marks it so.
    fn wants_worker(&mut self) -> bool {
        let wants = self.is_open && !self.is_scheduled && !self.jobs.is_empty();
        self.is_scheduled |= wants;
        wants
    }
}

impl<J: Job> Group<J> {
    pub(super) fn new(share: usize) -> Self {
        Self { share, ready: Mutex::new(Ready { lanes: VecDeque::new(), tickets: 0 }) }
    }

    /// Puts a scheduled lane at the end of the list, and a ticket into the channel if the group
    /// has one left.
    pub(super) fn make_ready(self: &Arc<Self>, lane: Arc<Lane<J>>, shared: &Shared<J>) {
        let mut ready = self.ready.lock();
        ready.lanes.push_back(lane);
        if ready.tickets < self.share {
            ready.tickets += 1;
            drop(ready);
            shared.send(Ticket::Serve(self.clone()));
        }
    }

    /// Puts a lane back that has more to do; its worker still has a ticket.
    pub(super) fn put_back(&self, lane: Arc<Lane<J>>) {
        self.ready.lock().lanes.push_back(lane);
    }

    /// The next lane; none: the ticket is given back.
    pub(super) fn next(&self) -> Option<Arc<Lane<J>>> {
        let mut ready = self.ready.lock();
        let lane = ready.lanes.pop_front();
        if lane.is_none() {
            ready.tickets -= 1;
        }
        lane
    }
}

impl<J: Job> Shared<J> {
    pub(super) fn send(&self, ticket: Ticket<J>) {
        // The receiver lives in `self`, so this cannot fail.
        let _ = self.tickets.send(ticket);
    }
}
