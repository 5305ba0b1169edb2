//! Jobs for later that are kept in memory only: what may be lost with the process costs no database.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::work::Work;
use super::{Job, RunKind, Runner};
use crate::error::{ErrorCode, Failure};
use crate::jobs::{LaterJob, now_ms};
use crate::queue::Lane;
use crate::script::{Arguments, Call, CallUser, JobOrigin, Origin};

/// Jobs that may wait at once.
const WAITING_MAX: usize = 100_000;
/// Bytes of a job that waits, besides its payload, about.
const JOB_BYTES: usize = 512;

/// The jobs for later in memory.
#[derive(Default)]
pub(super) struct LaterJobs {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<Uuid, Waiting>,
    /// The one that waits under each name.
    names: HashMap<String, Uuid>,
    /// Jobs of one key run one after the other.
    lanes: HashMap<Arc<str>, Weak<Lane<Job>>>,
}

struct Waiting {
    unique_name: Option<String>,
    timer: AbortHandle,
}

impl LaterJobs {
    /// Keeps a job until it is due; the one that waits under its name is gone then.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when too many wait.
    pub(super) fn add(&self, runner: &Arc<Runner>, later: LaterJob) -> Result<(), Failure> {
        let (id, due_at, unique_name) = (later.job.id, later.due_at, later.unique_name.clone());
        let mut state = self.state.lock();
        let replaced = unique_name.as_ref().and_then(|name| state.names.get(name).copied());
        replaced.map(|before| state.remove(before));
        if state.waiting.len() >= WAITING_MAX {
            let message = format!("{WAITING_MAX} jobs wait in memory already; leave out durable: false");
            return Err(Failure::new(ErrorCode::ServiceUnavailable, message));
        }
        let of_timer = Arc::downgrade(runner);
        let timer = runner.runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis((due_at - now_ms()).max(0) as u64)).await;
            if let Some(runner) = of_timer.upgrade() {
                runner.later.begin(&runner, later);
            }
        });
        if let Some(name) = &unique_name {
            state.names.insert(name.clone(), id);
        }
        state.waiting.insert(id, Waiting { unique_name, timer: timer.abort_handle() });
        Ok(())
    }

    /// Takes a job back; false when it does not wait.
    pub(super) fn cancel(&self, id: Uuid) -> bool {
        self.state.lock().remove(id)
    }

    fn begin(&self, runner: &Arc<Runner>, later: LaterJob) {
        let mut state = self.state.lock();
        // The timer of one that was taken back may be on its way.
        if !state.remove(later.job.id) {
            return;
        }
        let lane = state.lane(runner, &later);
        drop(state);
        let bytes = JOB_BYTES + later.job.payload.len();
        let of_work = runner.clone();
        lane.push_last(Job::Work(Work::new(bytes, move || of_work.run_later(&later))));
        lane.open(None);
    }
}

impl State {
    fn remove(&mut self, id: Uuid) -> bool {
        let Some(gone) = self.waiting.remove(&id) else { return false };
        gone.timer.abort();
        if let Some(name) = gone.unique_name {
            self.names.remove(&name);
        }
        true
    }

    fn lane(&mut self, runner: &Runner, later: &LaterJob) -> Arc<Lane<Job>> {
        if let Some(lane) = self.lanes.get(&later.job.key).and_then(Weak::upgrade) {
            return lane;
        }
        self.lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = runner.queue.lane(&runner.group(&later.job.gateway));
        self.lanes.insert(later.job.key.clone(), Arc::downgrade(&lane));
        lane
    }
}

impl Runner {
    fn run_later(self: &Arc<Self>, later: &LaterJob) {
        let job = &later.job;
        let Some(handler) = self.catalog.handler(&job.gateway, &job.event) else {
            tracing::warn!(gateway = %job.gateway, event = %job.event, "a job for later has no handler any more");
            return;
        };
        let user = match self.user_of(&job.caller) {
            Ok(user) => user.map(CallUser::Row),
            Err(failure) => return handler.count(failure.code),
        };
        let origin = JobOrigin {
            id: job.id,
            attempt: 1,
            fence: None,
            attempts: Default::default(),
            socket_id: None,
            app: job.caller.app.clone(),
        };
        let call = Call {
            origin: Origin::Job { gateway: handler.gateway.clone(), job: Arc::new(origin) },
            event: job.event.clone(),
            request_id: job.id,
            arguments: Arguments::from_packet(&job.payload, job.attachments.clone()),
            user,
            timeout: handler.timeout,
            test: None,
        };
        let late = Duration::from_millis((now_ms() - later.due_at).max(0) as u64);
        // It is on record; nobody waits for its result.
        self.run(&handler, RunKind::Job, &call, late);
    }
}
