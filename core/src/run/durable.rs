//! Runs jobs: durable events, those for later and those of schedules. What a run says to sockets leaves when its end
//! is committed.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::packets::{ERROR, ErrorPacket, RESULT, ResultPacket, raw};
use super::work::Work;
use super::{RunKind, Runner};
use crate::auth::{User, UserId};
use crate::broker::{Action, Presence, Publication, Target};
use crate::cache::Cache;
use crate::error::{ErrorCode, Failure};
use crate::jobs::{self, Begun, Caller, End, EndState, Ended, LaterJob, RunJobs, now_ms};
use crate::payload::Payload;
use crate::queue;
use crate::script::{
    Arguments, Call, CallUser, Durable, Handler, Host, JobEnd, JobOrigin, Origin, RunOutput,
};

/// Bytes of a job that runs, besides its payload, about.
const JOB_BYTES: usize = 512;
/// How long the account of a job's user may take to be read.
const USER_MAX: Duration = Duration::from_secs(3);
/// What the next attempt waits for at most, as a part of what it waits for in any case.
const JITTER: f64 = 0.5;

/// A host whose emits wait for a commit.
struct WaitingHost {
    inner: Arc<dyn Host>,
    waiting: Mutex<Vec<Publication>>,
}

/// Runs jobs for as long as there is a runner.
pub(super) struct JobsOfRunner(pub Weak<Runner>);

impl RunJobs for JobsOfRunner {
    fn paused(&self) -> Vec<String> {
        self.0.upgrade().map_or_else(Vec::new, |runner| runner.catalog.paused_gateways())
    }

    fn is_paused(&self, gateway: &str) -> bool {
        self.0.upgrade().is_none_or(|runner| runner.catalog.is_paused(gateway))
    }

    fn run(&self, begun: Begun) {
        let Some(runner) = self.0.upgrade() else { return };
        let (gateway, bytes) = (begun.job().gateway.clone(), JOB_BYTES + begun.job().payload.len());
        let of_run = runner.clone();
        runner.work_for(&gateway, Work::new(bytes, move || of_run.run_job(begun)));
    }

    fn give_up(&self, begun: Begun) {
        let Some(runner) = self.0.upgrade() else { return };
        let message = "The server was lost each time that it ran this; look at its handler, then retry it";
        runner.give_up(begun, Failure::new(ErrorCode::WorkerLost, message));
    }
}

impl Host for WaitingHost {
    fn check_gateway(&self, path: &str) -> Result<(), Failure> {
        self.inner.check_gateway(path)
    }

    fn check_event(&self, path: &str, event: &str) -> Result<(), Failure> {
        self.inner.check_event(path, event)
    }

    fn later(&self, later: LaterJob) -> Result<(), Failure> {
        self.inner.later(later)
    }

    fn cancel(&self, id: uuid::Uuid) -> bool {
        self.inner.cancel(id)
    }

    fn publish(&self, publication: Publication) -> Result<(), Failure> {
        self.waiting.lock().push(publication);
        Ok(())
    }

    fn presence(&self) -> &dyn Presence {
        self.inner.presence()
    }

    fn cache(&self) -> &dyn Cache {
        self.inner.cache()
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Runner {
    /// Runs one attempt at a job. Call it on a worker.
    fn run_job(self: &Arc<Self>, begun: Begun) {
        let job = begun.job().clone();
        let handler = self.catalog.handler(&job.gateway, &job.event);
        let Some((handler, script)) = handler.as_ref().and_then(|found| Some((found, found.script()?)))
        else {
            let message =
                format!("{} has no handler for {}; bring it back, then retry this", job.gateway, job.event);
            return self.give_up(begun, Failure::new(ErrorCode::NoHandler, message));
        };
        let user = match self.user_of(&job.caller) {
            Ok(user) => user,
            Err(failure) if failure.code == ErrorCode::AuthInvalid => return self.give_up(begun, failure),
            Err(failure) => return self.try_again(begun, &failure, None),
        };
        let host = Arc::new(WaitingHost { inner: self.host.clone(), waiting: Mutex::default() });
        let call = call_of(&begun, handler, user);
        let started = Instant::now();
        let output = self.run_captured(handler, script, (RunKind::Job, &call), || host.clone());
        let queued = Duration::from_millis(u64::try_from(now_ms() - job.accepted_at).unwrap_or_default());
        self.record(handler, RunKind::Job, &call, &output, queued.saturating_sub(started.elapsed()));
        self.look_for_later(&output);
        let publications = std::mem::take(&mut *host.waiting.lock());
        self.settle(begun, handler, &call, output, publications);
    }

    /// Ends an attempt as its run says.
    fn settle(
        self: &Arc<Self>,
        begun: Begun,
        handler: &Arc<Handler>,
        call: &Call,
        mut output: RunOutput,
        mut publications: Vec<Publication>,
    ) {
        let job_end = std::mem::take(&mut output.job_end);
        let socket = begun.job().caller.socket_id.clone();
        let result = socket.map(|socket| result_of(handler, call, &output, socket));
        let failure = match (&output.outcome, job_end) {
            (_, JobEnd::Elsewhere) => {
                self.metrics.jobs_fenced.inc();
                return begun.ended();
            }
            (Ok(_), JobEnd::Committed) => {
                publications.extend(result);
                self.publish_all(publications);
                return begun.ended();
            }
            (Ok(payload), JobEnd::Open(new_rows)) => {
                publications.extend(result);
                let end = End::done(payload, begun.attempts().clone()).with_new_rows(new_rows);
                return self.end(begun, end, publications);
            }
            (Err(failure), _) => failure,
        };
        match fate_of(failure, &output) {
            Fate::Again => self.try_again(begun, failure, output.retry_after),
            // What it said before it failed was not meant to be said.
            Fate::Failed => {
                let end = End::failed(EndState::Failed, failure, begun.attempts_with(failure), false);
                self.end(begun, end, result.into_iter().collect());
            }
            Fate::Dead => self.give_up(begun, failure.clone()),
        }
    }

    /// Has a job tried again, or gives it up after its last attempt.
    fn try_again(self: &Arc<Self>, begun: Begun, failure: &Failure, after: Option<Duration>) {
        let attempt = u32::try_from(begun.fence().attempt).unwrap_or(1).max(1);
        let most = self.durable_of(&begun).map_or(self.config.jobs.attempts, |durable| durable.attempts);
        // One that an admin has retried has as many again.
        if attempt.is_multiple_of(most) {
            return self.give_up(begun, failure.clone());
        }
        let after = after.unwrap_or_else(|| self.pause_before(attempt % most));
        begun.retry(after, failure);
    }

    /// What the event of a job says of those that are durable.
    fn durable_of(&self, begun: &Begun) -> Option<Durable> {
        self.catalog.handler(&begun.job().gateway, &begun.job().event)?.durable
    }

    /// Gives a job up: it is a dead letter.
    fn give_up(self: &Arc<Self>, begun: Begun, failure: Failure) {
        let job = begun.job().clone();
        let stops_key = self.durable_of(&begun).is_some_and(|durable| durable.stops_key);
        tracing::warn!(request_id = %job.id, gateway = %job.gateway, event = %job.event, code = %failure.code,
            attempt = begun.fence().attempt, "a job was given up; see /admin/jobs");
        let end = End::failed(EndState::Dead, &failure, begun.attempts_with(&failure), stops_key);
        let told = job.caller.socket_id.clone().map(|socket| error_of(&job, &failure, socket));
        self.end(begun, end, told.into_iter().collect());
    }

    /// Ends a job, and says what is to be said then, before the next of its key begins.
    fn end(self: &Arc<Self>, begun: Begun, end: End, publications: Vec<Publication>) {
        let (runner, gateway) = (self.clone(), begun.job().gateway.clone());
        let has_later = end.new_rows.have_jobs();
        begun.end(end, move |ended| match ended {
            Ended::Here(settled) => {
                if has_later {
                    runner.jobs.look();
                }
                if publications.is_empty() {
                    return;
                }
                // On a worker: an emit may be to very many.
                let of_work = runner.clone();
                let publish = move || {
                    of_work.publish_all(publications);
                    drop(settled);
                };
                runner.work_for(&gateway, Work::new(JOB_BYTES, publish));
            }
            Ended::Elsewhere(_) => {}
            Ended::Refused(begun, failure) => runner.try_again(begun, &failure, None),
        });
    }

    fn publish_all(&self, publications: Vec<Publication>) {
        for publication in publications {
            if let Action::Emit { .. } = publication.action {
                self.metrics.emitted.inc();
            }
            if let Err(failure) = self.broker.publish(publication) {
                tracing::warn!(%failure, "an emit of a job was not delivered");
            }
        }
    }

    /// Who a job is for, as they are now.
    pub(super) fn user_of(&self, caller: &Caller) -> Result<Option<Arc<User>>, Failure> {
        let Some(id) = &caller.user_id else { return Ok(None) };
        if let Some(foreign) = &caller.foreign {
            let id = UserId::from(id.as_str());
            let (email, name, role) = (foreign.email.clone(), foreign.name.clone(), foreign.role.clone());
            return Ok(Some(Arc::new(User { id, email, name, role, account: None })));
        }
        let user = match self.users.get(id) {
            Some(user) => user,
            None => {
                let user = self.read_user(id)?.map(Arc::new);
                self.users.insert(id.clone(), user.clone());
                user
            }
        };
        let gone =
            || Failure::new(ErrorCode::AuthInvalid, "Its user is disabled, or has no account any more");
        user.ok_or_else(gone).map(Some)
    }

    fn read_user(&self, id: &str) -> Result<Option<User>, Failure> {
        let read = async {
            let read = tokio::time::timeout(USER_MAX, self.accounts.enabled_user(id)).await;
            read.map_err(|_| Failure::new(ErrorCode::Database, "The database did not answer in time"))?
                .map_err(crate::Error::into_failure)
        };
        queue::wait(|| self.runtime.block_on(read))
    }

    /// How long a job waits that has failed so many times.
    fn pause_before(&self, failed: u32) -> Duration {
        let settings = &self.config.jobs;
        let pause = settings
            .retry_ms
            .saturating_mul(1 << failed.saturating_sub(1).min(30))
            .min(settings.retry_max_ms);
        let jitter = JITTER * rand::random::<f64>();
        Duration::from_millis(pause).mul_f64(1.0 + jitter)
    }
}

/// What becomes of a job whose attempt failed.
enum Fate {
    /// Another attempt may end well.
    Again,
    /// It was refused.
    Failed,
    /// Only a mended script would end well.
    Dead,
}

fn fate_of(failure: &Failure, output: &RunOutput) -> Fate {
    use ErrorCode as C;
    if output.retry_after.is_some() {
        return Fate::Again;
    }
    if output.is_thrown {
        return Fate::Failed;
    }
    match failure.code {
        C::Database | C::ScriptTimeout | C::ServiceUnavailable | C::Internal | C::Unavailable => Fate::Again,
        C::ScriptExecution
        | C::ScriptMemoryLimit
        | C::ScriptOperationLimit
        | C::ScriptOutputLimit
        | C::ScriptCompile
        | C::NoHandler => Fate::Dead,
        _ => Fate::Failed,
    }
}

fn call_of(begun: &Begun, handler: &Handler, user: Option<Arc<User>>) -> Call {
    let job = begun.job();
    Call {
        origin: Origin::Job {
            gateway: handler.gateway.clone(),
            job: Arc::new(JobOrigin {
                id: job.id,
                attempt: begun.fence().attempt,
                fence: Some(begun.fence()),
                attempts: begun.attempts().clone(),
                socket_id: job.caller.socket_id.as_deref().map(Into::into),
                app: job.caller.app.clone(),
            }),
        },
        event: job.event.clone(),
        request_id: job.id,
        arguments: Arguments::from_packet(&job.payload, job.attachments.clone()),
        user: user.map(CallUser::Row),
        timeout: handler.timeout,
        test: None,
    }
}

/// The result or the error, for the socket that sent the event.
fn result_of(handler: &Handler, call: &Call, output: &RunOutput, socket: String) -> Publication {
    let logs = raw(&output.logs);
    let (event, payload) = match &output.outcome {
        Ok(result) => {
            let packet = ResultPacket::new(call.request_id, &call.event, raw(&result.json), logs);
            (RESULT, payload_of(&packet, result.attachments.clone()))
        }
        Err(failure) => {
            let packet = ErrorPacket::new(call.request_id, &call.event, failure, logs);
            (ERROR, payload_of(&packet, Vec::new()))
        }
    };
    to_socket(handler.gateway.clone(), socket, event, payload)
}

fn error_of(job: &jobs::Job, failure: &Failure, socket: String) -> Publication {
    let packet = ErrorPacket::new(job.id, &job.event, failure, raw("[]"));
    to_socket(job.gateway.clone(), socket, ERROR, payload_of(&packet, Vec::new()))
}

fn payload_of(packet: &impl Serialize, attachments: Vec<Vec<u8>>) -> Payload {
    // Its parts are JSON already.
    Payload { json: serde_json::to_string(packet).unwrap_or_default(), attachments }
}

fn to_socket(gateway: Arc<str>, socket: String, event: &str, payload: Payload) -> Publication {
    Publication {
        target: Target::Connection { gateway, socket: socket.into() },
        action: Action::Emit { event: event.into(), payload },
    }
}
