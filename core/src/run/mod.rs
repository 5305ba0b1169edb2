//! Runs scripts: events of sockets, routes, writes over `/data` with their hooks, and tests. All that
//! is run goes through the queue, under the caps, and on record.
//!
//! [`Runner`] has what that takes. This module must not know what carries a socket's packets, nor
//! how requests come and go; a socket is a [`Client`] here.

mod admission;
mod captured;
mod captures;
mod durable;
mod history;
mod host;
mod job;
mod later;
mod log;
mod moved_on;
mod packets;
mod record;
mod route;
mod rows;
mod sockets;
mod test;
mod totals;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::auth::{Accounts, User};
use crate::broker::Broker;
use crate::cache::MemoryCache;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::error::{ErrorCode, Failure};
use crate::jobs::{Jobs, RunJobs};
use crate::metrics::Metrics;
use crate::queue::{Group, Queue};
use crate::script::{Call, Handler, Host, Origin, RunOutput, Script};

pub use captured::CapturedRun;
pub use captures::{CaptureOptions, CaptureStatus, Captures};
pub use history::{History, Point, STEPS, Sample, Times};
pub use job::{Client, Job, JobKind, OnChecked, SocketJob};
pub use log::{NewRuns, RunCursor, RunFailure, RunFilter, RunKind, RunLog, RunRecord};
pub use moved_on::{FailedJob, MoveOn};
pub use packets::{ERROR, ErrorPacket, RESULT, ResultPacket, raw};
pub use route::{RouteAnswer, RouteCall};
pub use rows::RowsCall;
pub use test::{TestCall, TestOutcome, Trigger, run_test};
pub use work::Work;

use durable::JobsOfRunner;
use host::LiveHost;
use later::LaterJobs;

/// Users of jobs that are kept in memory, and for how long: a change by another process is noticed as soon as
/// sockets notice it.
const USERS_MAX: u64 = 10_000;
const USER_LIFE: Duration = Duration::from_millis(250);

/// Runs scripts.
pub struct Runner {
    /// Whose scripts.
    pub catalog: Arc<Catalog>,
    /// Under which caps.
    pub config: Arc<Config>,
    /// Where runs are counted.
    pub metrics: Arc<Metrics>,
    /// What reaches sockets.
    pub broker: Arc<dyn Broker>,
    /// What waits to be run.
    pub queue: Queue<Job>,
    /// The last runs.
    pub log: Arc<RunLog>,
    /// Whose payloads are kept for a while.
    pub captures: Arc<Captures>,
    /// How the server has fared.
    pub history: Arc<History>,
    /// Durable events, and jobs for later.
    pub jobs: Arc<Jobs>,
    /// Whose jobs run.
    accounts: Arc<Accounts>,
    /// The users of jobs, for a moment; none: one that may not sign in.
    users: moka::sync::Cache<String, Option<Arc<User>>>,
    /// Jobs for later that are in memory only.
    later: LaterJobs,
    /// What runs the jobs that have begun.
    jobs_of_runner: Arc<JobsOfRunner>,
    /// For what a worker waits for.
    runtime: tokio::runtime::Handle,
    host: Arc<LiveHost>,
    /// What the jobs of each gateway are counted as.
    groups: Mutex<HashMap<Arc<str>, Group<Job>>>,
    /// What the work of requests is counted as.
    http: Group<Job>,
}

impl Runner {
    /// A runner with its worker threads. Call it within a runtime.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        config: Arc<Config>,
        catalog: Arc<Catalog>,
        metrics: Arc<Metrics>,
        broker: Arc<dyn Broker>,
        accounts: Arc<Accounts>,
        jobs: Arc<Jobs>,
    ) -> std::io::Result<Arc<Self>> {
        let queue = Queue::start(&config.queue)?;
        let log = Arc::new(RunLog::new(config.logs.runs));
        let runner = Arc::new_cyclic(|this: &Weak<Self>| {
            let host = Arc::new(LiveHost {
                runner: this.clone(),
                catalog: catalog.clone(),
                broker: broker.clone(),
                cache: MemoryCache::new(config.cache.bytes),
                metrics: metrics.clone(),
            });
            Self {
                http: queue.group(),
                groups: Mutex::default(),
                runtime: tokio::runtime::Handle::current(),
                jobs_of_runner: Arc::new(JobsOfRunner(this.clone())),
                later: LaterJobs::default(),
                users: moka::sync::Cache::builder().max_capacity(USERS_MAX).time_to_live(USER_LIFE).build(),
                catalog,
                config,
                metrics,
                broker,
                queue,
                log,
                captures: Arc::default(),
                history: Arc::new(History::new()),
                jobs,
                accounts,
                host,
            }
        });
        runner.follow_changes();
        let runs: Weak<dyn RunJobs> = Arc::<JobsOfRunner>::downgrade(&runner.jobs_of_runner) as _;
        runner.jobs.attach(runs);
        Ok(runner)
    }

    /// What the jobs of a gateway are counted as, those of its sockets among them.
    pub fn group(&self, gateway: &Arc<str>) -> Group<Job> {
        self.groups.lock().entry(gateway.clone()).or_insert_with(|| self.queue.group()).clone()
    }

    /// Forgets gateways that have gone, and looks at jobs that may have waited for what changed.
    fn follow_changes(self: &Arc<Self>) {
        let users = self.users.clone();
        self.accounts.on_change(move || users.invalidate_all());
        let this = Arc::downgrade(self);
        self.accounts.on_user_change(move |changed| {
            if let Some(runner) = this.upgrade() {
                runner.tell_of_user(changed);
            }
        });
        let this = Arc::downgrade(self);
        self.catalog.on_change(move || {
            let Some(runner) = this.upgrade() else { return };
            let live = runner.catalog.live();
            runner.groups.lock().retain(|path, _| live.contains_key(path));
            runner.jobs.read_again();
            runner.jobs.note_schedules();
        });
    }

    /// Runs a handler's script and puts the run on record. `queued`: how long it waited. Call it on a
    /// script thread.
    fn run(&self, handler: &Handler, kind: RunKind, call: &Call, queued: Duration) -> RunOutput {
        let output = match handler.script() {
            Some(script) => self.run_captured(handler, script, (kind, call), || self.host.clone()),
            None => RunOutput::refused(suspended(&call.origin)),
        };
        self.record(handler, kind, call, &output, queued);
        self.look_for_later(&output);
        output
    }

    /// Runs a script, and keeps what it was given and did if its handler is captured.
    fn run_captured(
        &self,
        handler: &Handler,
        script: &Script,
        (kind, call): (RunKind, &Call),
        host: impl Fn() -> Arc<dyn Host>,
    ) -> RunOutput {
        let engine = self.catalog.engine();
        let Some(capturing) = self.captures.begin(handler, call, &host) else {
            return engine.run(script, call, host());
        };
        let output = engine.run(script, call, capturing.host());
        self.captures.keep(capturing, kind, call, &output);
        output
    }

    /// Has jobs for later looked at that a run has left.
    fn look_for_later(&self, output: &RunOutput) {
        if output.has_later {
            self.jobs.look();
        }
    }
}

/// The refusal of a run whose script is suspended.
fn suspended(origin: &Origin) -> Failure {
    match origin {
        Origin::Route(_) => {
            Failure::new(ErrorCode::ServiceUnavailable, "The script of this route is suspended; ask an admin")
        }
        _ => Failure::new(ErrorCode::NoHandler, "The handler is suspended"),
    }
}
