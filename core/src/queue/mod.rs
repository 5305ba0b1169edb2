//! The job queue: in process, bounded, in order per lane, parallel and fair across lanes.
//!
//! A **lane** is the jobs of one socket: they run one at a time, in the order they were pushed. A
//! **group** is the lanes of one gateway: it holds at most three quarters of the workers, and
//! groups take turns, as do the lanes of a group. This module must not know what a job does.
//!
//! A group has *tickets*: each lets one worker serve it. A group with waiting lanes has up to its
//! share of tickets in the one channel that all workers wait on; that channel is the only thing
//! they share. A script that waits gives its ticket and its worker's place up meanwhile.

mod lane;
mod waiting;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::config;

use lane::Group as LaneGroup;
pub use lane::{Hold, Lane};
pub use waiting::wait;

/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(2);

/// The stack of a thread that runs scripts, in bytes: reserved, not committed. Rhai drops, clones,
/// compares and prints values recursively; with the caps on elements and memory no value nests
/// deeper than this holds.
pub(crate) const SCRIPT_STACK_BYTES: usize = 256 << 20;

/// A piece of work. It must tell its own outcome, also when it panics.
pub trait Job: Send + 'static {
    /// Does the work, on a script thread.
    fn run(self);
    /// Roughly the bytes that it holds in memory while it waits.
    fn bytes(&self) -> usize;
}

/// Why a job is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The lane's, the group's or the whole queue's bound is reached.
    Full,
    /// The queue drains.
    Closed,
}

/// A queue with its worker threads.
pub struct Queue<J: Job> {
    shared: Arc<Shared<J>>,
    workers: usize,
}

/// What lanes and workers see of the queue.
pub(crate) struct Shared<J: Job> {
    tickets: Sender<Ticket<J>>,
    waiting_tickets: Receiver<Ticket<J>>,
    is_open: AtomicBool,
    jobs: AtomicUsize,
    bytes: AtomicUsize,
    /// Threads that wait.
    waiting: AtomicUsize,
    spares: waiting::Spares,
    /// Tickets that one group may have.
    group_share: usize,
    settings: config::Queue,
}

/// What a worker waits for.
enum Ticket<J: Job> {
    /// Serve a lane of this group.
    Serve(Arc<LaneGroup<J>>),
    /// End.
    Stop,
}

/// The lanes of one gateway. See the module's documentation.
pub struct Group<J: Job>(Arc<LaneGroup<J>>);

impl<J: Job> Clone for Group<J> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<J: Job> Queue<J> {
    /// Starts the workers.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(settings: &config::Queue) -> std::io::Result<Self> {
        let workers = worker_count(settings.workers);
        let (tickets, waiting_tickets) = crossbeam_channel::unbounded();
        let shared = Arc::new(Shared {
            tickets,
            waiting_tickets,
            is_open: AtomicBool::new(true),
            jobs: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            spares: waiting::Spares::default(),
            group_share: (workers * 3 / 4).max(1),
            settings: settings.clone(),
        });
        (0..workers).try_for_each(|_| worker::start(&shared))?;
        Ok(Self { shared, workers })
    }

    /// A group for the lanes of one gateway.
    pub fn group(&self) -> Group<J> {
        Group(Arc::new(LaneGroup::new(self.shared.clone())))
    }

    /// A lane of this group. It holds its jobs back until [`Lane::open`].
    pub fn lane(&self, group: &Group<J>) -> Arc<Lane<J>> {
        Lane::new(group.0.clone())
    }

    /// The jobs that wait or run.
    pub fn depth(&self) -> usize {
        self.shared.jobs.load(Ordering::Relaxed)
    }

    /// Whether jobs are taken.
    pub fn is_open(&self) -> bool {
        self.shared.is_open.load(Ordering::Relaxed)
    }

    /// Takes no more jobs.
    pub fn close(&self) {
        self.shared.is_open.store(false, Ordering::SeqCst);
    }

    /// Waits until all jobs are done; false when `timeout` was not enough.
    pub async fn drained(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.depth() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        true
    }

    /// Ends the workers when they are done with the work that they have begun.
    pub fn stop(&self) {
        self.close();
        (0..self.workers).for_each(|_| self.shared.send(Ticket::Stop));
    }
}

/// The configured number of workers; 0: two for each core (scripts may wait), at least four, so
/// that a quarter is left beside any one gateway.
fn worker_count(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, usize::from).saturating_mul(2).max(4)
}
