//! Captures: payloads of a handler's runs, and what the runs said and wrote, for as long as an admin wants to see
//! them. Everything is in memory and bounded, and gone when the capture ends.
//!
//! While nothing is captured, a run pays one look at a flag.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::RunKind;
use super::captured::{CapturedRun, Capturing};
use crate::error::{ErrorCode, Failure};
use crate::id::new_id;
use crate::script::{Call, Handler, Host, RunOutput};
use crate::store::{Time, now};

/// Captures at once.
const CAPTURES_MAX: usize = 20;
/// Bytes of all captured runs together, as JSON; past it the oldest go.
const BYTES_MAX: usize = 16 << 20;
/// What a run holds besides its JSON, about.
const RUN_BYTES: usize = 128;

/// What is to be captured.
#[derive(Debug, Clone, Copy)]
pub struct CaptureOptions {
    /// When it ends, from now on; at least a minute, and at most [`Captures::MINUTES_MAX`].
    pub minutes: u32,
    /// Runs that are kept; past it the oldest go. At most [`Captures::RUNS_MAX`].
    pub runs_max: usize,
    /// Whether only runs that fail are kept.
    pub errors_only: bool,
}

/// A capture that is on.
#[derive(Debug, Clone)]
pub struct CaptureStatus {
    /// Its id.
    pub id: Uuid,
    /// The path of the handler's gateway, or `routes`.
    pub gateway: Arc<str>,
    /// The handler's name, as runs have it.
    pub event_name: Arc<str>,
    /// What was asked for.
    pub options: CaptureOptions,
    /// When it began.
    pub started_at: Time,
    /// When it ends by itself.
    pub ends_at: Time,
    /// Runs that are kept.
    pub count: usize,
    /// Bytes that they take, about.
    pub bytes: usize,
    /// Runs that were kept and had to go.
    pub dropped: u64,
}

/// The captures that are on.
#[derive(Default)]
pub struct Captures {
    is_on: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    captures: Vec<Capture>,
    bytes: usize,
}

struct Capture {
    /// The row that has the script, and which of its scripts it is: a save keeps both.
    of: (Uuid, &'static str),
    status: CaptureStatus,
    /// Oldest first.
    runs: VecDeque<Kept>,
    timer: AbortHandle,
}

struct Kept {
    request_id: Uuid,
    at: Time,
    json: Box<str>,
    sent: Option<Duration>,
}

impl Captures {
    /// Minutes of one capture, at most.
    pub const MINUTES_MAX: u32 = 60;
    /// Runs of one capture, at most.
    pub const RUNS_MAX: usize = 1000;

    /// Captures the runs of a handler from now on. Call it within a runtime.
    ///
    /// # Errors
    /// `DUPLICATE_RESOURCE` when the handler is captured already, `SERVICE_UNAVAILABLE` when too many are.
    pub fn start(
        self: &Arc<Self>,
        handler: &Handler,
        options: CaptureOptions,
    ) -> Result<CaptureStatus, Failure> {
        let (id, of) = (new_id(), (handler.owner, handler.script_name));
        let mut state = self.state.lock();
        if let Some(before) = state.captures.iter().find(|capture| capture.of == of) {
            let message = format!(
                "{} {} is captured already; delete capture {} first",
                handler.gateway, handler.name, before.status.id
            );
            return Err(Failure::new(ErrorCode::DuplicateResource, message));
        }
        if state.captures.len() >= CAPTURES_MAX {
            let message = format!("{CAPTURES_MAX} captures are on; delete one first");
            return Err(Failure::new(ErrorCode::ServiceUnavailable, message));
        }
        let lasts = Duration::from_secs(60 * u64::from(options.minutes));
        let this = Arc::downgrade(self);
        let timer = tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            if let Some(captures) = this.upgrade() {
                captures.stop(id);
            }
        });
        let started_at = now();
        let status = CaptureStatus {
            id,
            gateway: handler.gateway.clone(),
            event_name: handler.name.clone(),
            options,
            started_at,
            ends_at: started_at + lasts,
            count: 0,
            bytes: 0,
            dropped: 0,
        };
        let timer = timer.abort_handle();
        state.captures.push(Capture { of, status: status.clone(), runs: VecDeque::new(), timer });
        self.is_on.store(true, Ordering::Relaxed);
        Ok(status)
    }

    /// Ends a capture and forgets its runs; false when there is none.
    pub fn stop(&self, id: Uuid) -> bool {
        let mut state = self.state.lock();
        let Some(index) = state.captures.iter().position(|capture| capture.status.id == id) else {
            return false;
        };
        let gone = state.captures.remove(index);
        gone.timer.abort();
        state.bytes -= gone.status.bytes;
        self.is_on.store(!state.captures.is_empty(), Ordering::Relaxed);
        true
    }

    /// The captures that are on, oldest first.
    pub fn list(&self) -> Vec<CaptureStatus> {
        self.state.lock().captures.iter().map(|capture| capture.status.clone()).collect()
    }

    /// The captured run of this request, of several attempts the last.
    pub fn find(&self, request_id: Uuid) -> Option<CapturedRun> {
        let state = self.state.lock();
        let mut runs = state.captures.iter().flat_map(|capture| capture.runs.iter().rev());
        let run = runs.find(|run| run.request_id == request_id)?;
        let (json, sent) = (run.json.clone(), run.sent);
        drop(state);
        let captured: CapturedRun = serde_json::from_str(&json).ok()?;
        Some(CapturedRun { sent, ..captured })
    }

    /// Does what sends the outcome of a run, and keeps how long that took where the run was captured.
    pub(super) fn sending(&self, request_id: Uuid, send: impl FnOnce()) {
        if !self.is_on.load(Ordering::Relaxed) {
            return send();
        }
        let start = Instant::now();
        send();
        let took = start.elapsed();
        let mut state = self.state.lock();
        let mut runs = state.captures.iter_mut().flat_map(|capture| capture.runs.iter_mut().rev());
        if let Some(run) = runs.find(|run| run.request_id == request_id) {
            run.sent = Some(took);
        }
    }

    /// What takes notes of a run that is about to begin; none where its handler is not captured.
    #[inline]
    pub(super) fn begin(
        &self,
        handler: &Handler,
        call: &Call,
        host: impl FnOnce() -> Arc<dyn Host>,
    ) -> Option<Capturing> {
        if !self.is_on.load(Ordering::Relaxed) {
            return None;
        }
        let of = (handler.owner, handler.script_name);
        let is_meant = self.state.lock().captures.iter().any(|capture| capture.of == of);
        is_meant.then(|| Capturing::new(of, call, host()))
    }

    /// Keeps a run that has ended.
    pub(super) fn keep(&self, capturing: Capturing, kind: RunKind, call: &Call, output: &RunOutput) {
        let of = capturing.of;
        let is_wanted = |capture: &Capture| {
            capture.of == of && (!capture.status.options.errors_only || output.outcome.is_err())
        };
        if !self.state.lock().captures.iter().any(is_wanted) {
            return;
        }
        let Ok(json) = serde_json::to_string(&capturing.finished(kind, call, output)) else { return };
        let run = Kept { request_id: call.request_id, at: now(), json: json.into(), sent: None };
        let mut state = self.state.lock();
        // It may have ended meanwhile.
        let Some(index) = state.captures.iter().position(is_wanted) else { return };
        state.add(index, run);
    }
}

impl State {
    fn add(&mut self, index: usize, run: Kept) {
        let capture = &mut self.captures[index];
        let bytes = run.bytes();
        capture.status.bytes += bytes;
        self.bytes += bytes;
        capture.runs.push_back(run);
        capture.status.count = capture.runs.len();
        if capture.runs.len() > capture.status.options.runs_max {
            self.drop_oldest(index);
        }
        while self.bytes > BYTES_MAX {
            let fronts = self.captures.iter().enumerate();
            let oldest = fronts.filter_map(|(index, capture)| Some((capture.runs.front()?.at, index))).min();
            let Some((_, index)) = oldest else { return };
            self.drop_oldest(index);
        }
    }

    fn drop_oldest(&mut self, index: usize) {
        let capture = &mut self.captures[index];
        let Some(gone) = capture.runs.pop_front() else { return };
        capture.status.bytes -= gone.bytes();
        capture.status.count = capture.runs.len();
        capture.status.dropped += 1;
        self.bytes -= gone.bytes();
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        RUN_BYTES + self.json.len()
    }
}
