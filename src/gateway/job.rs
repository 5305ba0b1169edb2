//! What waits in the queue: the work of HTTP requests, and the jobs of sockets, which are the
//! connection script, the events and the disconnection script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gatewright_core::auth::UserId;
use gatewright_core::catalog::{RunFailure, RunRecord, one_line};
use gatewright_core::script::{Arguments, Call, CallUser, Handler, Place, RunOutput};
use gatewright_core::store::now;
use gatewright_core::{ErrorCode, Failure, queue};
use socketioxide::extract::AckSender;
use uuid::Uuid;

use super::connection::{Connection, Stage};
use super::events::tell_refused;
use super::hub::Hub;
use super::packets::{self, Ack, ErrorPacket, Outgoing, ResultPacket, raw};
use super::work::Work;

/// What a job holds besides its payload, about.
const JOB_BYTES: usize = 256;

/// What waits in the queue.
pub enum Job {
    /// A script of a socket.
    Socket(SocketJob),
    /// Work of an HTTP request.
    Work(Work),
}

/// One script to run for a socket.
pub struct SocketJob {
    pub connection: Arc<Connection>,
    pub kind: JobKind,
    pub handler: Arc<Handler>,
    /// `@EVENT`: what the client sent, or `connection` or `disconnection`.
    pub event: Arc<str>,
    pub request_id: Uuid,
    pub arguments: Arguments,
    /// What has to be done before the event is accepted.
    pub unchecked: Option<Unchecked>,
    pub accepted_at: Instant,
}

/// An event whose payload takes long to check against its schema: it is accepted or refused by the
/// worker, before its script.
pub struct Unchecked {
    pub ack: Option<AckSender>,
}

/// When the script runs, and what its outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Lets the socket in or rejects it.
    Connect,
    /// Ends as a result or an error.
    Event,
    /// Its outcome is only logged.
    Disconnect,
}

impl queue::Job for Job {
    fn run(self) {
        match self {
            Self::Socket(job) => job.run(),
            Self::Work(work) => work.run(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Socket(job) => JOB_BYTES + job.arguments.bytes(),
            Self::Work(work) => work.bytes(),
        }
    }
}

impl SocketJob {
    fn run(self) {
        let stage = self.connection.stage();
        // What came before the connection script was to be let in by it.
        if self.kind != JobKind::Connect && stage != Stage::Open {
            return;
        }
        let queued = self.accepted_at.elapsed();
        let Self { connection, kind, handler, event, request_id, arguments, unchecked, .. } = self;
        let start = Instant::now();
        if let Some(Unchecked { ack }) = unchecked {
            let memory_bytes = connection.hub().config.scripts.memory_bytes;
            if let Err(failure) = handler.check_payload(&arguments, memory_bytes) {
                handler.count(failure.code);
                return tell_refused(&connection, request_id, &event, &failure, ack);
            }
            if let Some(ack) = ack {
                connection.acknowledge(ack, &Ack::new(request_id, &event, None));
            }
        }
        let call = Call {
            gateway: connection.namespace.path.clone(),
            event,
            request_id,
            arguments,
            user: connection.user().map(CallUser::Row),
            request: None,
            timeout: handler.timeout.saturating_sub(start.elapsed()),
            test: None,
        };
        let output = match handler.script() {
            Some(script) => connection.hub().catalog.engine().run(script, &call, connection.clone()),
            None => RunOutput::refused(Failure::new(ErrorCode::NoHandler, "The handler is suspended")),
        };
        record(connection.hub(), &handler, &call, &output, queued, Some(&connection.id_text));
        match kind {
            JobKind::Connect => finish_connect(&connection, &call, &output),
            JobKind::Event => tell(&connection, &call, &output),
            JobKind::Disconnect => {}
        }
    }
}

/// Puts a finished run on record. `socket_id`: whose job it was, if it was a socket's.
pub(super) fn record(
    hub: &Hub,
    handler: &Handler,
    call: &Call,
    output: &RunOutput,
    queued: Duration,
    socket_id: Option<&str>,
) {
    handler.record(output, hub.config.scripts.left_behind_bytes);
    hub.metrics.queue_wait.observe(queued.as_secs_f64());
    let user_id = user_id_of(call);
    let failure = output.outcome.as_ref().err();
    if let Some(failure) = failure {
        warn(handler, call, failure, output.place, socket_id);
    }
    hub.runs.add(RunRecord {
        request_id: call.request_id,
        gateway: handler.gateway.clone(),
        event_name: handler.name.clone(),
        user_id,
        at: now(),
        failure: failure.map(|failure| RunFailure::new(failure, output.place)),
        duration_us: output.duration.as_micros() as u64,
        queued_us: queued.as_micros() as u64,
        operations: output.operations,
        logs: (output.logs != "[]").then(|| (*output.logs).into()),
    });
    record_hooks(hub, call, output, socket_id);
}

/// Puts the hooks that failed in a run on record.
pub(super) fn record_hooks(hub: &Hub, call: &Call, output: &RunOutput, socket_id: Option<&str>) {
    for failed in &output.failed_hooks {
        warn(&failed.handler, call, &failed.failure, failed.place, socket_id);
        hub.runs.add(RunRecord {
            request_id: call.request_id,
            gateway: failed.handler.gateway.clone(),
            event_name: failed.handler.name.clone(),
            user_id: user_id_of(call),
            at: now(),
            failure: Some(RunFailure::new(&failed.failure, failed.place)),
            duration_us: failed.duration.as_micros() as u64,
            queued_us: 0,
            operations: 0,
            logs: None,
        });
    }
}

/// One line for a failure, unless its script fails all the time.
fn warn(handler: &Handler, call: &Call, failure: &Failure, place: Option<Place>, socket_id: Option<&str>) {
    let Some(not_logged) = handler.may_log() else { return };
    // The message may repeat what the client sent, which is in no log.
    let reason = one_line(&call.arguments.masked(&failure.message));
    tracing::warn!(
        request_id = %call.request_id, gateway = %handler.gateway, event = %handler.name,
        user_id = user_id_of(call).as_ref().map(UserId::as_str), socket_id, code = %failure.code,
        reason, line = place.map(|place| place.line),
        not_logged = (not_logged > 0).then_some(not_logged), "a script failed"
    );
}

fn user_id_of(call: &Call) -> Option<UserId> {
    match &call.user {
        Some(CallUser::Row(user)) => Some(user.id.clone()),
        _ => None,
    }
}

fn finish_connect(connection: &Connection, call: &Call, output: &RunOutput) {
    if output.outcome.is_ok() {
        connection.set_stage(Stage::Open);
    } else {
        connection.set_stage(Stage::Rejected);
        tell(connection, call, output);
        connection.end();
    }
}

/// The result or the error, to the sender.
fn tell(connection: &Connection, call: &Call, output: &RunOutput) {
    let logs = raw(&output.logs);
    match &output.outcome {
        Ok(result) => {
            let packet = ResultPacket {
                request_id: call.request_id,
                event_name: &call.event,
                success: true,
                result: Outgoing::new(result),
                logs,
            };
            connection.send_or_end(packets::RESULT, &packet);
        }
        Err(failure) => {
            let packet = ErrorPacket::new(call.request_id, &call.event, failure, logs);
            connection.send_or_end(packets::ERROR, &packet);
        }
    }
}
