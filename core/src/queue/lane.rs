//! Lanes and groups: which job runs next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::waiting::NextPlace;
use super::{Job, Refusal, Shared, Ticket};

/// One gateway may have a fourth of the threads that wait.
const WAITING_PARTS: usize = 4;

/// Whether all that was pushed before is done, or will be with the hold before.
type IsReached = bool;

/// The jobs of one socket, in order.
pub struct Lane<J: Job> {
    group: Arc<Group<J>>,
    state: Mutex<LaneState<J>>,
}

struct LaneState<J> {
    entries: VecDeque<Entry<J>>,
    bytes: usize,
    /// False until [`Lane::open`]: jobs wait, because the first one is still to come.
    is_open: bool,
    /// Whether it is in the group's list or with a worker.
    is_scheduled: bool,
}

/// What stands in a lane.
enum Entry<J> {
    Job(J),
    /// What is behind it waits until it is dropped.
    Hold {
        is_dropped: Arc<AtomicBool>,
        bytes: usize,
    },
}

impl<J> Entry<J> {
    /// Whether something waits for it.
    fn is_hold(&self) -> bool {
        matches!(self, Self::Hold { is_dropped, .. } if !is_dropped.load(Ordering::Acquire))
    }
}

/// Keeps what is pushed to a lane after it from being run, until it is dropped.
pub struct Hold<J: Job> {
    lane: Arc<Lane<J>>,
    is_dropped: Arc<AtomicBool>,
}

impl<J: Job> Drop for Hold<J> {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Release);
        let state = self.lane.state.lock();
        self.lane.wake(state);
    }
}

/// The lanes of one gateway that have something to do, and its threads that wait.
pub(super) struct Group<J: Job> {
    pub(super) shared: Arc<Shared<J>>,
    /// Its jobs that wait or run, and the bytes of those that wait.
    jobs: AtomicUsize,
    bytes: AtomicUsize,
    ready: Mutex<Ready<J>>,
}

struct Ready<J: Job> {
    /// Threads that are done waiting and want a worker's place.
    returning: VecDeque<Arc<NextPlace>>,
    lanes: VecDeque<Arc<Lane<J>>>,
    /// Tickets in the channel or with a worker.
    tickets: usize,
    /// Threads that wait.
    waiting: usize,
}

/// What a worker does next for a group.
pub(super) enum Next<J: Job> {
    /// A lane's turn.
    Serve(Arc<Lane<J>>),
    /// A thread that has waited gets the worker's place and its ticket.
    GiveWay(Arc<NextPlace>),
}

impl<J: Job> Lane<J> {
    pub(super) fn new(group: Arc<Group<J>>) -> Arc<Self> {
        let state = LaneState { entries: VecDeque::new(), bytes: 0, is_open: false, is_scheduled: false };
        Arc::new(Self { group, state: Mutex::new(state) })
    }

    /// How many jobs wait in it.
    pub fn waiting(&self) -> usize {
        self.state.lock().entries.iter().filter(|entry| matches!(entry, Entry::Job(_))).count()
    }

    /// Adds a job at the end. `accepted` is called when it is taken, before it can run; it must be
    /// quick, since the lane waits for it.
    ///
    /// # Errors
    /// When a bound is reached or the queue drains; the job comes back.
    pub fn push(self: &Arc<Self>, job: J, accepted: impl FnOnce()) -> Result<(), (Refusal, J)> {
        let bytes = job.bytes();
        let mut state = match self.place_for(bytes) {
            Ok(state) => state,
            Err(refusal) => return Err((refusal, job)),
        };
        self.add(&mut state, Entry::Job(job), bytes);
        accepted();
        self.wake(state);
        Ok(())
    }

    /// Has what is pushed later wait until what comes back is dropped; `bytes` is what it waits for. The job of
    /// `reached` is run when all that was pushed before is done; none where that is so already, or as soon as the hold is
    /// dropped that was pushed last.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn hold(
        self: &Arc<Self>,
        bytes: usize,
        reached: impl FnOnce() -> J,
    ) -> Result<(Hold<J>, IsReached), Refusal> {
        let mut state = self.place_for(bytes)?;
        let is_idle = state.entries.is_empty() && state.is_open && !state.is_scheduled;
        let is_behind_hold = state.entries.back().is_some_and(Entry::is_hold);
        let is_reached = is_idle || is_behind_hold;
        if !is_reached {
            let job = reached();
            let bytes = job.bytes();
            self.add(&mut state, Entry::Job(job), bytes);
        }
        let is_dropped = Arc::new(AtomicBool::new(false));
        self.add(&mut state, Entry::Hold { is_dropped: is_dropped.clone(), bytes }, bytes);
        self.wake(state);
        Ok((Hold { lane: self.clone(), is_dropped }, is_reached))
    }

    /// Has what is behind the job that calls this, and runs in this lane, wait until what comes back is dropped; `bytes` is
    /// what it waits for.
    pub fn hold_now(self: &Arc<Self>, bytes: usize) -> Hold<J> {
        let mut state = self.state.lock();
        let is_dropped = Arc::new(AtomicBool::new(false));
        self.add(&mut state, Entry::Hold { is_dropped: is_dropped.clone(), bytes }, bytes);
        state.entries.rotate_right(1);
        Hold { lane: self.clone(), is_dropped }
    }

    /// Locks the lane, if there is room for a job of so many bytes.
    fn place_for(&self, bytes: usize) -> Result<MutexGuard<'_, LaneState<J>>, Refusal> {
        let (group, shared) = (&self.group, &self.group.shared);
        if !shared.is_open.load(Ordering::Relaxed) {
            return Err(Refusal::Closed);
        }
        let settings = &shared.settings;
        if shared.jobs.load(Ordering::Relaxed) >= settings.jobs
            || shared.bytes.load(Ordering::Relaxed) + bytes > settings.bytes
            || group.jobs.load(Ordering::Relaxed) >= settings.jobs_per_gateway
            || group.bytes.load(Ordering::Relaxed) + bytes > settings.bytes_per_gateway
        {
            return Err(Refusal::Full);
        }
        let state = self.state.lock();
        if state.entries.len() >= settings.jobs_per_socket || state.bytes + bytes > settings.bytes_per_socket
        {
            return Err(Refusal::Full);
        }
        Ok(state)
    }

    /// Adds a job that the product itself needs done, ignoring the bounds. A lane gets one at most.
    pub fn push_last(self: &Arc<Self>, job: J) {
        let mut state = self.state.lock();
        let bytes = job.bytes();
        self.add(&mut state, Entry::Job(job), bytes);
        self.wake(state);
    }

    /// Lets the jobs run, `first` before those that already wait.
    pub fn open(self: &Arc<Self>, first: Option<J>) {
        let mut state = self.state.lock();
        if let Some(job) = first {
            let bytes = job.bytes();
            self.add(&mut state, Entry::Job(job), bytes);
            state.entries.rotate_right(1);
        }
        state.is_open = true;
        self.wake(state);
    }

    /// Unlocks the lane, and schedules it if it has a job to run.
    fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, LaneState<J>>) {
        self.take_dropped_holds(&mut state);
        let wakes = state.wants_worker();
        drop(state);
        if wakes {
            self.group.make_ready(self.clone());
        }
    }

    /// Takes out the holds that nothing waits for any more.
    fn take_dropped_holds(&self, state: &mut LaneState<J>) {
        while let Some(Entry::Hold { is_dropped, bytes }) = state.entries.front()
            && is_dropped.load(Ordering::Acquire)
        {
            let bytes = *bytes;
            state.entries.pop_front();
            state.bytes -= bytes;
            self.group.subtract(1, bytes);
        }
    }

    fn add(&self, state: &mut LaneState<J>, entry: Entry<J>, bytes: usize) {
        state.entries.push_back(entry);
        state.bytes += bytes;
        self.group.add(1, bytes);
    }

    /// The next job; none: the lane is no longer scheduled.
    pub(super) fn next(&self) -> Option<J> {
        let mut state = self.state.lock();
        self.take_dropped_holds(&mut state);
        let job = match state.entries.pop_front() {
            Some(Entry::Job(job)) => job,
            other => {
                // A hold that is dropped later schedules the lane again.
                other.into_iter().for_each(|hold| state.entries.push_front(hold));
                state.is_scheduled = false;
                return None;
            }
        };
        let bytes = job.bytes();
        state.bytes -= bytes;
        drop(state);
        self.group.subtract(0, bytes);
        Some(job)
    }

    /// Notes that the job that [`Self::next`] gave is done.
    pub(super) fn done(&self) {
        self.group.subtract(1, 0);
    }
}

impl<J: Job> Drop for Lane<J> {
    fn drop(&mut self) {
        // A lane that was never opened takes its jobs with it.
        let state = self.state.get_mut();
        self.group.subtract(state.entries.len(), state.bytes);
    }
}

impl<J> LaneState<J> {
    /// Whether the lane has to be scheduled now; marks it so.
    fn wants_worker(&mut self) -> bool {
        let has_job = matches!(self.entries.front(), Some(Entry::Job(_)));
        let wants = self.is_open && !self.is_scheduled && has_job;
        self.is_scheduled |= wants;
        wants
    }
}

impl<J: Job> Group<J> {
    pub(super) fn new(shared: Arc<Shared<J>>) -> Self {
        let ready = Ready { returning: VecDeque::new(), lanes: VecDeque::new(), tickets: 0, waiting: 0 };
        Self { shared, jobs: AtomicUsize::new(0), bytes: AtomicUsize::new(0), ready: Mutex::new(ready) }
    }

    /// Puts a scheduled lane at the end of the list, and a ticket into the channel if the group
    /// has one left.
    fn make_ready(self: &Arc<Self>, lane: Arc<Lane<J>>) {
        let mut ready = self.ready.lock();
        ready.lanes.push_back(lane);
        self.send_ticket(ready);
    }

    /// Puts a lane back that has more to do; its worker still has a ticket.
    pub(super) fn put_back(&self, lane: Arc<Lane<J>>) {
        self.ready.lock().lanes.push_back(lane);
    }

    /// What is next; nothing: the ticket is given back.
    pub(super) fn next(&self) -> Option<Next<J>> {
        let mut ready = self.ready.lock();
        if let Some(place) = ready.returning.pop_front() {
            return Some(Next::GiveWay(place));
        }
        if self.may_begin(&ready)
            && let Some(lane) = ready.lanes.pop_front()
        {
            return Some(Next::Serve(lane));
        }
        ready.tickets -= 1;
        None
    }

    /// Passes on the ticket of a thread that begins to wait, or gives it back.
    pub(super) fn begin_waiting(self: &Arc<Self>) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let mut ready = self.ready.lock();
        ready.waiting += 1;
        ready.tickets -= 1;
        self.send_ticket(ready);
    }

    /// Puts a thread that is done waiting before all lanes.
    pub(super) fn end_waiting(self: &Arc<Self>, place: Arc<NextPlace>) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut ready = self.ready.lock();
        ready.waiting -= 1;
        ready.returning.push_back(place);
        self.send_ticket(ready);
    }

    /// Puts a ticket into the channel, if there is something to do and the group has one left.
    fn send_ticket(self: &Arc<Self>, mut ready: MutexGuard<'_, Ready<J>>) {
        let has_work = !ready.returning.is_empty() || (!ready.lanes.is_empty() && self.may_begin(&ready));
        if has_work && ready.tickets < self.shared.group_share {
            ready.tickets += 1;
            drop(ready);
            self.shared.send(Ticket::Serve(self.clone()));
        }
    }

    /// Whether another job may begin: not while as many threads wait as may, since this job may wait
    /// too. A thread that is done waiting wakes the group.
    fn may_begin(&self, ready: &Ready<J>) -> bool {
        let most = self.shared.settings.waiting;
        ready.waiting == 0
            || (ready.waiting < most.div_ceil(WAITING_PARTS)
                && self.shared.waiting.load(Ordering::Relaxed) < most)
    }

    fn add(&self, jobs: usize, bytes: usize) {
        for (count, by) in
            [(&self.jobs, jobs), (&self.shared.jobs, jobs), (&self.bytes, bytes), (&self.shared.bytes, bytes)]
        {
            count.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn subtract(&self, jobs: usize, bytes: usize) {
        for (count, by) in
            [(&self.jobs, jobs), (&self.shared.jobs, jobs), (&self.bytes, bytes), (&self.shared.bytes, bytes)]
        {
            if by > 0 {
                count.fetch_sub(by, Ordering::Relaxed);
            }
        }
    }
}

impl<J: Job> Shared<J> {
    pub(super) fn send(&self, ticket: Ticket<J>) {
        // The receiver lives in `self`, so this cannot fail.
        let _ = self.tickets.send(ticket);
    }
}
