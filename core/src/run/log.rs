//! The last runs, for `GET /admin/logs`: in memory, bounded, one ring per thread so that workers
//! do not wait for each other.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::auth::UserId;
use crate::error::{ErrorCode, Failure};
use crate::script::Place;
use crate::store::Time;

/// Rings: threads beyond share.
const RINGS: usize = 16;
/// Of a failure's message.
const MESSAGE_CHARACTERS_MAX: usize = 500;

/// One finished run.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// The event's request id; a UUID v7, so it tells the time too.
    pub request_id: Uuid,
    /// What was run.
    pub kind: RunKind,
    /// The gateway's path, or `routes`, `hooks` or `data`.
    pub gateway: Arc<str>,
    /// The event's name as its row has it, `admission`, `connection` or `disconnection`, a route's method and path,
    /// when and for what a hook runs, or what was done to which table.
    pub event_name: Arc<str>,
    /// Who sent it.
    pub user_id: Option<UserId>,
    /// When it ended.
    pub at: Time,
    /// How it failed; none: it did not.
    pub failure: Option<RunFailure>,
    /// From start to end, in microseconds.
    pub duration_us: u64,
    /// From acceptance to start, in microseconds.
    pub queued_us: u64,
    /// Rhai operations.
    pub operations: u64,
    /// A JSON array; none: nothing was logged.
    pub logs: Option<Box<str>>,
}

/// What was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RunKind {
    Connection,
    Event,
    Disconnection,
    Route,
    /// A write over `/data`, for its hooks.
    Data,
    Hook,
    /// A durable event, or a job for later.
    Job,
    Admission,
}

impl RunKind {
    /// All of them, in lower case.
    pub const WORDS: [&str; 8] =
        ["connection", "event", "disconnection", "route", "data", "hook", "job", "admission"];

    /// In lower case.
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// How a run failed, for the script's author.
#[derive(Debug, Clone)]
pub struct RunFailure {
    /// What programs switch on.
    pub code: ErrorCode,
    /// What it says, cut short: it may hold what a client sent.
    pub message: Box<str>,
    /// Where in the script, if that is known.
    pub place: Option<Place>,
}

impl RunFailure {
    /// The record of a failure.
    pub fn new(failure: &Failure, place: Option<Place>) -> Self {
        Self { code: failure.code, message: one_line(&failure.message).into(), place }
    }
}

/// A message as one line of a bounded length, whatever it holds.
pub(super) fn one_line(message: &str) -> String {
    let shown = message.chars().take(MESSAGE_CHARACTERS_MAX);
    shown.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What runs to look for; none: any.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields of a run")]
pub struct RunFilter {
    pub request_id: Option<Uuid>,
    pub kind: Option<String>,
    pub gateway: Option<String>,
    pub event_name: Option<String>,
    pub user_id: Option<String>,
    pub is_failed: Option<bool>,
    pub code: Option<String>,
}

/// The last runs.
pub struct RunLog {
    rings: Vec<Mutex<VecDeque<RunRecord>>>,
    per_ring_max: usize,
}

thread_local! {
    static RING: Cell<Option<usize>> = const { Cell::new(None) };
}
static NEXT_RING: AtomicUsize = AtomicUsize::new(0);

impl RunLog {
    /// A log of about so many runs.
    pub fn new(runs_max: usize) -> Self {
        Self { rings: (0..RINGS).map(|_| Mutex::default()).collect(), per_ring_max: runs_max.div_ceil(4) }
    }

    /// Adds a run; the oldest of this thread goes.
    pub fn add(&self, record: RunRecord) {
        if self.per_ring_max == 0 {
            return;
        }
        let number = RING.get().unwrap_or_else(|| {
            let number = NEXT_RING.fetch_add(1, Ordering::Relaxed) % RINGS;
            RING.set(Some(number));
            number
        });
        let mut ring = self.rings[number].lock();
        if ring.len() >= self.per_ring_max {
            ring.pop_front();
        }
        ring.push_back(record);
    }

    /// The runs that match, newest first.
    pub fn find(&self, filter: &RunFilter) -> Vec<RunRecord> {
        let mut found: Vec<_> = self
            .rings
            .iter()
            .flat_map(|ring| {
                ring.lock().iter().filter(|run| filter.matches(run)).cloned().collect::<Vec<_>>()
            })
            .collect();
        found.sort_by_key(|run| std::cmp::Reverse(run.request_id));
        found
    }
}

impl RunFilter {
    fn matches(&self, run: &RunRecord) -> bool {
        fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, found: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        is(self.request_id.as_ref(), &run.request_id)
            && is(self.kind.as_deref(), run.kind.as_str())
            && is(self.gateway.as_deref(), &run.gateway)
            && is(self.event_name.as_deref(), &run.event_name)
            && self
                .user_id
                .as_deref()
                .is_none_or(|user| run.user_id.as_ref().is_some_and(|id| id.as_str() == user))
            && self.is_failed.is_none_or(|failed| run.failure.is_some() == failed)
            && self
                .code
                .as_deref()
                .is_none_or(|code| run.failure.as_ref().is_some_and(|failure| failure.code.as_str() == code))
    }
}
