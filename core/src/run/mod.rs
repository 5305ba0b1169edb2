//! Runs scripts: events of sockets, routes, writes over `/data` with their hooks, and tests. All that
//! is run goes through the queue, under the caps, and on record.
//!
//! [`Runner`] has what that takes. This module must not know what carries a socket's packets, nor
//! how requests come and go; a socket is a [`Client`] here.

mod host;
mod job;
mod log;
mod record;
mod route;
mod rows;
mod test;
mod work;

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;
use crate::cache::MemoryCache;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::error::{ErrorCode, Failure};
use crate::metrics::Metrics;
use crate::queue::{Group, Queue};
use crate::script::{Call, Handler, Origin, RunOutput};

pub use job::{Client, Job, JobKind, OnChecked, SocketJob};
pub use log::{RunFailure, RunFilter, RunKind, RunLog, RunRecord};
pub use route::{RouteAnswer, RouteCall};
pub use rows::RowsCall;
pub use test::{TestCall, TestOutcome, Trigger, run_test};

use host::LiveHost;

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
    host: Arc<LiveHost>,
    /// What the work of requests is counted as.
    http: Group<Job>,
}

impl Runner {
    /// A runner with its worker threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        config: Arc<Config>,
        catalog: Arc<Catalog>,
        metrics: Arc<Metrics>,
        broker: Arc<dyn Broker>,
    ) -> std::io::Result<Arc<Self>> {
        let queue = Queue::start(&config.queue)?;
        let host = Arc::new(LiveHost {
            catalog: catalog.clone(),
            broker: broker.clone(),
            cache: MemoryCache::new(config.cache.bytes),
            metrics: metrics.clone(),
        });
        let log = Arc::new(RunLog::new(config.logs.runs));
        Ok(Arc::new(Self { http: queue.group(), catalog, config, metrics, broker, queue, log, host }))
    }

    /// Runs a handler's script and puts the run on record. `queued`: how long it waited. Call it on a
    /// script thread.
    fn run(&self, handler: &Handler, kind: RunKind, call: &Call, queued: Duration) -> RunOutput {
        let output = match handler.script() {
            Some(script) => self.catalog.engine().run(script, call, self.host.clone()),
            None => RunOutput::refused(suspended(&call.origin)),
        };
        self.record(handler, kind, call, &output, queued);
        output
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
