//! How many jobs there are, for the admins who watch that: counted beside the feed, so that a database that is slow holds up
//! nothing else that they are told.

use std::sync::Arc;
use std::time::Duration;

use gatewright_admin_api::JobCountsView;
use gatewright_core::run::raw;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::admin::{AdminSocket, JOBS};
use super::admin_feed::Text;
use super::hub::Hub;

/// How often jobs are counted, at most.
const EVERY: Duration = Duration::from_secs(1);
/// What takes long is done less often, so that this part of the time is all that it takes.
const SHARE: u32 = 10;

/// When jobs are counted.
#[derive(Default)]
pub(super) struct JobsFeed {
    /// Gives how long it took.
    under_way: Option<JoinHandle<Duration>>,
    next: Option<Instant>,
}

impl JobsFeed {
    /// Begins to count, where somebody watches and it is time to.
    pub(super) async fn tick(&mut self, hub: &Arc<Hub>, sockets: &[Arc<AdminSocket>]) {
        if let Some(done) = self.under_way.take_if(|task| task.is_finished()) {
            let took = done.await.unwrap_or_default();
            self.next = Some(Instant::now() + EVERY.max(took * SHARE));
        }
        let watches = sockets.iter().any(|admin| admin.topics.lock().jobs);
        let is_time = self.next.is_none_or(|next| next <= Instant::now());
        if watches && is_time && self.under_way.is_none() {
            self.under_way = Some(tokio::spawn(tell(hub.clone())));
        }
    }
}

/// Counts jobs and tells all who watch.
async fn tell(hub: Arc<Hub>) -> Duration {
    let began = Instant::now();
    match hub.runner.jobs.counts().await {
        Ok(counts) => {
            let text = serde_json::to_string(&JobCountsView::from(counts)).unwrap_or_default();
            for admin in hub.admins.sockets() {
                if admin.topics.lock().jobs {
                    // The next are newer: for who does not keep up these are as good as none.
                    let _ = admin.offer(JOBS, &Text(raw(&text)));
                }
            }
        }
        Err(error) => tracing::warn!(%error, "jobs could not be counted; trying again"),
    }
    began.elapsed()
}
