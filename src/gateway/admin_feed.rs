//! What the sockets of `/@admin` are sent: one task for all of them. Who does not keep up is sent less,
//! and told how much was left out; nothing waits for them but what is bounded.

use std::sync::Arc;
use std::time::Duration;

use gatewright_admin_api::{Figures, Live, RunView};
use gatewright_core::run::raw;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::MissedTickBehavior;

use super::admin::{AdminSocket, CATALOG, RUNS, RunsTopic, SOCKETS, STATS, Topics};
use super::admin_jobs::JobsFeed;
use super::hub::Hub;
use super::packets::Packet;

/// How often runs and changes are told.
const EVERY: Duration = Duration::from_millis(250);
/// Of these, how many until the figures are told again: a second.
const STATS_EVERY: u64 = 4;
/// Runs of one batch.
const RUNS_MAX: usize = 200;
/// Bytes of one batch, unless its newest run alone has more.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// Sends admins what they watch. Does nothing while nobody does.
pub(super) async fn feed_admins(hub: &Arc<Hub>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut jobs = JobsFeed::default();
    for number in 0_u64.. {
        if !hub.admins.forget_gone() {
            hub.admins.came.notified().await;
        }
        ticks.tick().await;
        let sockets = hub.admins.sockets();
        for admin in &sockets {
            admin.check_expiry();
            send_runs(hub, admin);
            send_catalog(hub, admin);
            tokio::task::yield_now().await;
        }
        jobs.tick(hub, &sockets).await;
        if number.is_multiple_of(STATS_EVERY) {
            send_figures(hub, &sockets);
        }
    }
}

/// Sends those who watch them the figures of this moment.
pub(super) fn send_figures(hub: &Hub, sockets: &[Arc<AdminSocket>]) {
    send_to(sockets, STATS, |topics| topics.stats, || Figures::of(hub, &hub.runner.history));
    send_to(sockets, SOCKETS, |topics| topics.sockets, || hub.socket_figures());
}

/// Sends those who watch a topic what is made once for all of them.
fn send_to<T: Serialize>(
    sockets: &[Arc<AdminSocket>],
    topic: &str,
    watches: impl Fn(&Topics) -> bool,
    figures: impl FnOnce() -> T,
) {
    let watching: Vec<_> = sockets.iter().filter(|admin| watches(&admin.topics.lock())).collect();
    if watching.is_empty() {
        return;
    }
    let figures = serde_json::to_string(&figures()).unwrap_or_default();
    // The next are newer: for who does not keep up these are as good as none.
    for admin in watching {
        let _ = admin.offer(topic, &Text(raw(&figures)));
    }
}

fn send_runs(hub: &Hub, admin: &AdminSocket) {
    let mut topics = admin.topics.lock();
    let Some(RunsTopic { filter, cursor }) = &mut topics.runs else { return };
    let new = hub.runner.log.since(cursor, filter, RUNS_MAX);
    if new.runs.is_empty() && new.dropped == 0 {
        *cursor = new.cursor;
        return;
    }
    let all = new.runs.len();
    let mut bytes = 0;
    let mut runs = Vec::with_capacity(all);
    for run in new.runs.into_iter().rev() {
        let Ok(text) = serde_json::value::to_raw_value(&RunView::from(run)) else { continue };
        bytes += text.get().len();
        if bytes > BATCH_BYTES_MAX && !runs.is_empty() {
            break;
        }
        runs.push(text);
    }
    runs.reverse();
    let dropped = new.dropped + (all - runs.len()) as u64;
    // Those that could not be sent are read again for the next batch, and left out if they are too many.
    if admin.offer(RUNS, &RunsPacket { bytes, runs, dropped }) {
        *cursor = new.cursor;
    }
}

fn send_catalog(hub: &Hub, admin: &AdminSocket) {
    let now = hub.admins.definitions();
    let mut topics = admin.topics.lock();
    if topics.catalog.is_some_and(|seen| seen != now) && admin.offer(CATALOG, &Text(raw("{}"))) {
        topics.catalog = Some(now);
    }
}

/// `runs`.
#[derive(Serialize)]
struct RunsPacket {
    #[serde(skip)]
    bytes: usize,
    /// Newest last.
    runs: Vec<Box<RawValue>>,
    dropped: u64,
}

impl Packet for RunsPacket {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// JSON as it is.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(pub(super) &'a RawValue);

impl Packet for Text<'_> {
    fn bytes(&self) -> usize {
        self.0.get().len()
    }
}
