//! Writes of requests to tables, with their hooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Runner;
use crate::auth::{User, UserChanged};
use crate::data::{Actor, Row, USERS, UserWrite, row_bytes};
use crate::error::Failure;
use crate::id::new_id;
use crate::script::{Arguments, Call, CallUser, Origin, RowsChange, RowsWrite};

/// What a write without values holds while it waits, about.
const WRITE_BYTES: usize = 256;

/// A write that a request wants.
pub struct RowsCall {
    /// The table's name.
    pub table: String,
    /// What the rules of the table take the caller for.
    pub actor: Actor,
    /// What is to be done.
    pub change: RowsChange,
    /// `@USER` of hooks.
    pub user: Option<Arc<User>>,
    /// How long it may take with its hooks; none: as long as a script may.
    pub timeout: Option<Duration>,
}

impl Runner {
    /// Writes rows with their hooks. Gives back the id of the run, and the row as JSON.
    pub async fn write_rows(self: &Arc<Self>, call: RowsCall) -> (Uuid, Result<String, Failure>) {
        let (runner, request_id, accepted_at) = (self.clone(), new_id(), Instant::now());
        let bytes = bytes(&call.change);
        let write = move || runner.write(call, request_id, accepted_at.elapsed());
        let done = self.on_worker(bytes, write).await;
        (request_id, done.and_then(|outcome| outcome))
    }

    /// Runs the hooks of a user that was made, changed or deleted, once a worker is free.
    pub(super) fn tell_of_user(self: &Arc<Self>, changed: &UserChanged) {
        if !self.catalog.engine().has_hooks(USERS) {
            return;
        }
        let (runner, write) = (self.clone(), UserWrite::from(changed));
        let rows = write.old.iter().chain(&write.new);
        let bytes = WRITE_BYTES + rows.map(row_bytes).sum::<usize>();
        self.runtime.spawn(async move {
            let of_worker = runner.clone();
            let done = runner.on_worker(bytes, move || of_worker.run_user_hooks(&write)).await;
            if let Err(failure) = done {
                tracing::warn!(code = %failure.code, "the hooks of a changed user did not run");
            }
        });
    }

    fn run_user_hooks(&self, write: &UserWrite) {
        let call = Call {
            origin: Origin::Data,
            event: USERS.into(),
            request_id: new_id(),
            arguments: Arguments::one(&serde_json::Value::Null),
            user: None,
            timeout: Duration::from_millis(self.config.scripts.timeout_ms),
            test: None,
        };
        let output = self.catalog.engine().tell_of_user(write, &call, self.host.clone());
        self.record_hooks(&call, &output);
        self.look_for_later(&output);
    }

    fn write(&self, call: RowsCall, request_id: Uuid, queued: Duration) -> Result<String, Failure> {
        let RowsCall { table, actor, change, user, timeout } = call;
        let script_call = Call {
            origin: Origin::Data,
            event: format!("{} {table}", change.name()).into(),
            request_id,
            arguments: Arguments::one(&serde_json::Value::Null),
            user: user.map(CallUser::Row),
            timeout: timeout.unwrap_or(Duration::from_millis(self.config.scripts.timeout_ms)),
            test: None,
        };
        let write = RowsWrite { table, actor, change };
        let output = self.catalog.engine().write(&write, &script_call, self.host.clone());
        self.record_write(&script_call, &output, queued);
        self.look_for_later(&output);
        output.outcome.map(|payload| payload.json)
    }
}

fn bytes(change: &RowsChange) -> usize {
    let values = |row: &Row| -> usize {
        row.iter().map(|(name, value)| name.len() + value.to_string().len()).sum::<usize>() + WRITE_BYTES
    };
    WRITE_BYTES + change.rows().map(values).sum::<usize>()
}
