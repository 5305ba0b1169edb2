//! The time of a test, moved on: the jobs that are due by then run, each at its own time.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::test::{Stage, TestOutcome};
use crate::catalog::LiveGateways;
use crate::error::{ErrorCode, Failure};
use crate::script::{Arguments, Call, CallUser, JobOrigin, Later, Origin, RunOutput, TestInputs};

/// Runs of jobs in one test.
const RUNS_MAX: usize = 1000;

/// How far the time of a test is moved on.
#[derive(Debug, Clone, Copy)]
pub struct MoveOn {
    /// In milliseconds.
    pub ms: i64,
    /// How often a job is tried whose event does not say.
    pub attempts: u32,
}

/// A job that did not end well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailedJob {
    /// The gateway's path.
    pub gateway: String,
    /// The event's name.
    pub event: String,
    /// The code.
    pub error: &'static str,
    /// Why, for its author.
    pub message: String,
}

/// What is known of the jobs besides those that wait.
struct Clock<'a> {
    stage: &'a Stage<'a>,
    events: &'a LiveGateways,
    user: Option<CallUser>,
    now: i64,
    /// The attempts at jobs that asked for another.
    attempts: HashMap<Uuid, i32>,
    /// Keys that wait for another attempt: at which job, and until when.
    held: HashMap<Arc<str>, (Uuid, i64)>,
}

/// Runs the jobs that are due when so much time has passed, and those that they leave, in the order of their times.
pub(super) fn run_due(
    stage: &Stage<'_>,
    events: &LiveGateways,
    user: Option<CallUser>,
    from: i64,
    by: MoveOn,
    outcome: &mut TestOutcome,
) {
    let until = from.saturating_add(by.ms);
    let mut clock = Clock { stage, events, user, now: from, attempts: HashMap::new(), held: HashMap::new() };
    for _ in 0..RUNS_MAX {
        let Some(next) = clock.take_next(&mut outcome.later, until) else { return };
        clock.run(next, by.attempts, outcome);
    }
    let message = format!("More than {RUNS_MAX} jobs ran: they leave each other without an end");
    let failure = Failure::new(ErrorCode::ScriptOutputLimit, message);
    outcome.failed_jobs.extend(outcome.later.first().map(|later| failed(later, &failure)));
}

impl Clock<'_> {
    fn take_next(&mut self, all: &mut Vec<Later>, until: i64) -> Option<Later> {
        let due = |later: &Later| match self.held.get(&later.job.job.key) {
            Some((id, at)) if *id != later.job.job.id => later.job.due_at.max(*at),
            _ => later.job.due_at,
        };
        let next = all.iter().enumerate().min_by_key(|(index, later)| (due(later), *index));
        let (index, due_at) =
            next.map(|(index, later)| (index, due(later))).filter(|(_, at)| *at <= until)?;
        // What is due already runs now.
        self.now = self.now.max(due_at);
        Some(all.remove(index))
    }

    fn run(&mut self, later: Later, most: u32, outcome: &mut TestOutcome) {
        let job = &later.job.job;
        let attempt = self.attempts.get(&job.id).copied().unwrap_or(1);
        self.held.remove(&job.key);
        let handler = self.events.get(&job.gateway).and_then(|gateway| gateway.handler(&job.event));
        let Some((handler, script)) = handler.and_then(|handler| Some((handler, handler.script()?))) else {
            let failure = Failure::new(ErrorCode::NoHandler, "No handler takes it");
            return outcome.failed_jobs.push(failed(&later, &failure));
        };
        let origin = JobOrigin {
            id: job.id,
            attempt,
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
            user: self.user.clone(),
            timeout: handler.timeout,
            test: Some(TestInputs {
                session: self.stage.session.clone(),
                old: Json::Null,
                clock_ms: Some(self.now),
                waiting: std::mem::take(&mut outcome.later),
            }),
        };
        let mut output = self.stage.run(script, &call);
        outcome.later = std::mem::take(&mut output.later);
        let most = handler.durable.map_or(most, |durable| durable.attempts);
        match self.fate(&later, &output, attempt < i32::try_from(most).unwrap_or(i32::MAX)) {
            // Before all others of its key.
            Some(again) => outcome.later.insert(0, again),
            None => {
                outcome.failed_jobs.extend(output.outcome.as_ref().err().map(|error| failed(&later, error)))
            }
        }
        add(outcome, output);
    }

    /// The job again, if its script asked for another attempt and has one.
    fn fate(&mut self, later: &Later, output: &RunOutput, may_again: bool) -> Option<Later> {
        let after = output.retry_after.filter(|_| may_again)?;
        let job = &later.job.job;
        *self.attempts.entry(job.id).or_insert(1) += 1;
        let mut again = later.clone();
        again.job.due_at = self.now.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
        // Whoever takes its name does not take its place any more.
        again.job.unique_name = None;
        self.held.insert(job.key.clone(), (job.id, again.job.due_at));
        Some(again)
    }
}

/// Adds what a job did to what is seen of the test.
fn add(outcome: &mut TestOutcome, output: RunOutput) {
    let logs: Vec<Json> = serde_json::from_str(&output.logs).unwrap_or_default();
    outcome.logs.as_array_mut().into_iter().for_each(|all| all.extend(logs.iter().cloned()));
    outcome.writes.extend(output.writes);
    outcome.duration += output.duration;
    outcome.operations += output.operations;
}

fn failed(later: &Later, failure: &Failure) -> FailedJob {
    let job = &later.job.job;
    FailedJob {
        gateway: job.gateway.to_string(),
        event: job.event.to_string(),
        error: failure.code.as_str(),
        message: failure.message.to_string(),
    }
}
