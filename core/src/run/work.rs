//! Work of requests on the worker threads: scripts never run on async threads.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Job, Runner};
use crate::error::{ErrorCode, Failure};
use crate::queue::{Group, Refusal};

/// What a piece of work holds besides what its maker counts, about.
const WORK_BYTES: usize = 256;

/// One piece of work, which tells its own outcome.
pub struct Work {
    run: Box<dyn FnOnce() + Send>,
    bytes: usize,
}

impl Work {
    /// Work that holds so many bytes while it waits, about.
    pub fn new(bytes: usize, run: impl FnOnce() + Send + 'static) -> Self {
        Self { run: Box::new(run), bytes }
    }

    pub(super) fn run(self) {
        (self.run)();
    }

    pub(super) fn bytes(&self) -> usize {
        WORK_BYTES + self.bytes
    }
}

impl Runner {
    /// Does a piece of work of a gateway on a worker thread, in a lane of its own, whatever else waits.
    pub(super) fn work_for(&self, gateway: &Arc<str>, work: Work) {
        let lane = self.queue.lane(&self.group(gateway));
        lane.push_last(Job::Work(work));
        lane.open(None);
    }

    /// Does a piece of work on a worker thread, in its turn beside the jobs of sockets, and gives
    /// back what came of it. Each piece is a lane of its own; all share the group of HTTP.
    /// `bytes`: what the work holds while it waits, about. It is done even if nobody waits for the
    /// outcome any more.
    ///
    /// Must not be waited for on a worker thread: all of them might.
    ///
    /// # Errors
    /// `QUEUE_FULL`, `SHUTTING_DOWN`, and `INTERNAL_ERROR` when the work panics.
    pub(super) async fn on_worker<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.on_worker_of(&self.http, bytes, work).await
    }

    /// The same in another group.
    pub(super) async fn on_worker_of<T: Send + 'static>(
        &self,
        group: &Group<Job>,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (done, outcome) = oneshot::channel();
        let run = Box::new(move || {
            // The receiver is gone only when nobody waits for the outcome any more.
            let _ = done.send(work());
        });
        let lane = self.queue.lane(group);
        lane.push(Job::Work(Work { run, bytes }), || {}).map_err(|(refusal, _)| refused(refusal))?;
        lane.open(None);
        outcome.await.map_err(|_| Failure::new(ErrorCode::Internal, "Internal error"))
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Full => Failure::new(ErrorCode::QueueFull, "Too many requests wait; try again in a moment"),
        Refusal::Closed => {
            Failure::new(ErrorCode::ShuttingDown, "The server is stopping; try again in a moment")
        }
    }
}
