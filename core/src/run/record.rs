//! Puts runs on record: the log of runs, the metrics, and a line in the server's log for those that
//! failed.

use std::sync::Arc;
use std::time::Duration;

use super::Runner;
use super::log::{RunFailure, RunKind, RunRecord, one_line};
use crate::auth::UserId;
use crate::error::Failure;
use crate::script::{Call, CallUser, Handler, HookRun, Place, RunOutput};
use crate::store::now;

impl Runner {
    /// Puts a finished run of a handler on record, and the hooks of its writes.
    pub(super) fn record(
        &self,
        handler: &Handler,
        kind: RunKind,
        call: &Call,
        output: &RunOutput,
        queued: Duration,
    ) {
        handler.record(output, self.config.scripts.left_behind_bytes);
        if let Err(failure) = &output.outcome {
            warn(handler, call, failure, output.place.as_ref());
        }
        self.metrics.queue_wait.observe(queued.as_secs_f64());
        self.history.add_run(output.duration.as_micros() as u64, output.outcome.is_err());
        let of = (handler.gateway.clone(), handler.name.clone());
        self.log.add(record_of(kind, of, call, output, queued));
        self.record_hooks(call, output);
    }

    /// Puts a finished write over `/data` on record, and its hooks. That it failed is no line in the
    /// log: what a request may not do is its sender's business.
    pub(super) fn record_write(&self, call: &Call, output: &RunOutput, queued: Duration) {
        self.metrics.queue_wait.observe(queued.as_secs_f64());
        self.history.add_run(output.duration.as_micros() as u64, output.outcome.is_err());
        let of = (call.origin.gateway_or_word().into(), call.event.clone());
        self.log.add(record_of(RunKind::Data, of, call, output, queued));
        self.record_hooks(call, output);
    }

    /// Puts the hooks of a run on record.
    pub(super) fn record_hooks(&self, call: &Call, output: &RunOutput) {
        for HookRun { handler, failure, place, duration, database, operations } in &output.hooks {
            if let Some(failure) = failure {
                warn(handler, call, failure, place.as_ref());
            }
            self.log.add(RunRecord {
                request_id: call.request_id,
                kind: RunKind::Hook,
                gateway: handler.gateway.clone(),
                event_name: handler.name.clone(),
                user_id: user_id_of(call),
                socket_id: socket_id_of(call),
                at: now(),
                failure: failure.as_ref().map(|failure| RunFailure::new(failure, place.clone())),
                duration_us: duration.as_micros() as u64,
                queued_us: 0,
                database_us: database.as_micros() as u64,
                operations: *operations,
                logs: None,
            });
        }
    }
}

/// The record of a run; `of`: the gateway, or the word for it, and the name.
fn record_of(
    kind: RunKind,
    of: (Arc<str>, Arc<str>),
    call: &Call,
    output: &RunOutput,
    queued: Duration,
) -> RunRecord {
    let failure = output.outcome.as_ref().err();
    RunRecord {
        request_id: call.request_id,
        kind,
        gateway: of.0,
        event_name: of.1,
        user_id: user_id_of(call),
        socket_id: socket_id_of(call),
        at: now(),
        failure: failure.map(|failure| RunFailure::new(failure, output.place.clone())),
        duration_us: output.duration.as_micros() as u64,
        queued_us: queued.as_micros() as u64,
        database_us: output.database.as_micros() as u64,
        operations: output.operations,
        logs: (output.logs != "[]").then(|| (*output.logs).into()),
    }
}

/// One line for a failure, unless its script fails all the time.
fn warn(handler: &Handler, call: &Call, failure: &Failure, place: Option<&Place>) {
    let Some(not_logged) = handler.may_log() else { return };
    // The message may repeat what the client sent, which is in no log.
    let reason = one_line(&call.arguments.masked(&failure.message));
    tracing::warn!(
        request_id = %call.request_id, gateway = %handler.gateway, event = %handler.name,
        user_id = user_id_of(call).as_ref().map(UserId::as_str),
        socket_id = call.origin.socket().map(|socket| socket.id()), code = %failure.code,
        reason, library = place.and_then(|place| place.library.as_deref()), line = place.map(|place| place.line),
        not_logged = (not_logged > 0).then_some(not_logged), "a script failed"
    );
}

fn user_id_of(call: &Call) -> Option<UserId> {
    match &call.user {
        Some(CallUser::Row(user)) => Some(user.id.clone()),
        _ => None,
    }
}

fn socket_id_of(call: &Call) -> Option<Arc<str>> {
    call.origin.socket()?.recorded_id()
}
