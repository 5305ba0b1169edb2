//! The last runs, for `GET /admin/logs`: in memory, bounded, one ring per thread so that workers
//! do not wait for each other.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::totals::{PARTS, part};
use crate::auth::UserId;
use crate::error::{ErrorCode, Failure};
use crate::script::Place;
use crate::store::Time;

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
    /// The socket that triggered it.
    pub socket_id: Option<Arc<str>>,
    /// When it ended.
    pub at: Time,
    /// How it failed; none: it did not.
    pub failure: Option<RunFailure>,
    /// From start to end, in microseconds.
    pub duration_us: u64,
    /// From acceptance to start, in microseconds.
    pub queued_us: u64,
    /// Of that, what it waited for the database, in microseconds.
    pub database_us: u64,
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
    pub socket_id: Option<String>,
    pub is_failed: Option<bool>,
    pub code: Option<String>,
    pub slower_than_us: Option<u64>,
}

/// The last runs.
pub struct RunLog {
    rings: Vec<Mutex<Ring>>,
    per_ring_max: usize,
}

#[derive(Default)]
struct Ring {
    runs: VecDeque<RunRecord>,
    /// How many were ever added: the number of the next.
    added: u64,
}

/// How far somebody has read: the number of the next run, for each ring.
#[derive(Debug, Clone)]
pub struct RunCursor([u64; PARTS]);

/// What came since a cursor.
#[derive(Debug)]
pub struct NewRuns {
    /// The newest that match, newest last.
    pub runs: Vec<RunRecord>,
    /// How many were left out, or may have been: what the rings no longer have is not looked at.
    pub dropped: u64,
    /// Where to go on.
    pub cursor: RunCursor,
}

/// Runs that a reader looks at while it holds a ring.
const LOOKED_AT_ONCE: u64 = 64;

impl RunLog {
    /// A log of about so many runs.
    pub fn new(runs_max: usize) -> Self {
        Self { rings: (0..PARTS).map(|_| Mutex::default()).collect(), per_ring_max: runs_max.div_ceil(4) }
    }

    /// Adds a run; the oldest of this thread goes.
    pub fn add(&self, record: RunRecord) {
        if self.per_ring_max == 0 {
            return;
        }
        let mut ring = self.rings[part()].lock();
        if ring.runs.len() >= self.per_ring_max {
            ring.runs.pop_front();
        }
        ring.runs.push_back(record);
        ring.added += 1;
    }

    /// Where to read from on for what comes from now on.
    pub fn follow(&self) -> RunCursor {
        RunCursor(std::array::from_fn(|number| self.rings[number].lock().added))
    }

    /// What came since then and matches, at most so many. Workers wait for a few looks at most.
    pub fn since(&self, from: &RunCursor, filter: &RunFilter, most: usize) -> NewRuns {
        let mut new = NewRuns { runs: Vec::new(), dropped: 0, cursor: from.clone() };
        for (ring, next) in self.rings.iter().zip(&mut new.cursor.0) {
            *next = read_back(ring, *next, filter, most, &mut new.runs, &mut new.dropped);
        }
        new.runs.sort_by_key(|run| (run.at, run.request_id));
        let older = new.runs.len().saturating_sub(most);
        new.runs.drain(..older);
        new.dropped += older as u64;
        new
    }

    /// The runs that match, newest first.
    pub fn find(&self, filter: &RunFilter) -> Vec<RunRecord> {
        let mut found: Vec<_> = self
            .rings
            .iter()
            .flat_map(|ring| {
                ring.lock().runs.iter().filter(|run| filter.matches(run)).cloned().collect::<Vec<_>>()
            })
            .collect();
        found.sort_by_key(|run| std::cmp::Reverse(run.request_id));
        found
    }
}

/// Reads a ring backwards as far as `from`, in pieces between which its worker may go on; the number of
/// the next run.
fn read_back(
    ring: &Mutex<Ring>,
    from: u64,
    filter: &RunFilter,
    most: usize,
    found: &mut Vec<RunRecord>,
    dropped: &mut u64,
) -> u64 {
    let to = ring.lock().added;
    let (mut next, full) = (to, found.len() + most);
    while next > from {
        let ring = ring.lock();
        let oldest = ring.added - ring.runs.len() as u64;
        if next <= oldest {
            *dropped += next - from;
            break;
        }
        let first = next.saturating_sub(LOOKED_AT_ONCE).max(from).max(oldest);
        let piece = ring.runs.range((first - oldest) as usize..(next - oldest) as usize);
        for run in piece.rev().filter(|run| filter.matches(run)) {
            if found.len() < full {
                found.push(run.clone());
            } else {
                *dropped += 1;
            }
        }
        next = first;
    }
    to
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
            && self.socket_id.as_deref().is_none_or(|socket| run.socket_id.as_deref() == Some(socket))
            && self.slower_than_us.is_none_or(|us| run.duration_us > us)
            && self.is_failed.is_none_or(|failed| run.failure.is_some() == failed)
            && self
                .code
                .as_deref()
                .is_none_or(|code| run.failure.as_ref().is_some_and(|failure| failure.code.as_str() == code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::new_id;
    use crate::store::now;

    fn run(name: &str) -> RunRecord {
        RunRecord {
            request_id: new_id(),
            kind: RunKind::Event,
            gateway: "/g".into(),
            event_name: name.into(),
            user_id: None,
            socket_id: None,
            at: now(),
            failure: None,
            duration_us: 1500,
            queued_us: 0,
            database_us: 0,
            operations: 0,
            logs: None,
        }
    }

    fn names(new: &NewRuns) -> Vec<&str> {
        new.runs.iter().map(|run| &*run.event_name).collect()
    }

    #[test]
    fn log_is_followed() {
        let log = RunLog::new(4000);
        log.add(run("before"));
        let cursor = log.follow();
        assert!(log.since(&cursor, &RunFilter::default(), 10).runs.is_empty());
        (0..200).for_each(|number| log.add(run(&number.to_string())));
        let new = log.since(&cursor, &RunFilter::default(), 3);
        assert_eq!((names(&new), new.dropped), (vec!["197", "198", "199"], 197));
        assert!(log.since(&new.cursor, &RunFilter::default(), 3).runs.is_empty());
        let filter = RunFilter { event_name: Some("7".to_owned()), ..RunFilter::default() };
        let new = log.since(&cursor, &filter, 3);
        assert_eq!((names(&new), new.dropped), (vec!["7"], 0), "what does not match is not left out");
        let slow = RunFilter { slower_than_us: Some(1500), ..RunFilter::default() };
        assert!(log.since(&cursor, &slow, 3).runs.is_empty());
    }

    #[test]
    fn log_tells_what_nobody_read_in_time() {
        let log = RunLog::new(40);
        let cursor = log.follow();
        (0..100).for_each(|number| log.add(run(&number.to_string())));
        let new = log.since(&cursor, &RunFilter::default(), 20);
        assert_eq!((names(&new)[0], new.runs.len(), new.dropped), ("90", 10, 90));
    }
}
