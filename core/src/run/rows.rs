//! Writes of requests to tables, with their hooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Runner;
use crate::auth::User;
use crate::data::Actor;
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

    fn write(&self, call: RowsCall, request_id: Uuid, queued: Duration) -> Result<String, Failure> {
        let RowsCall { table, actor, change, user } = call;
        let script_call = Call {
            origin: Origin::Data,
            event: format!("{} {table}", change.operation().as_str()).into(),
            request_id,
            arguments: Arguments::one(&serde_json::Value::Null),
            user: user.map(CallUser::Row),
            timeout: Duration::from_millis(self.config.scripts.timeout_ms),
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
    WRITE_BYTES
        + match change {
            RowsChange::Create(row) | RowsChange::Update(_, row) => {
                row.iter().map(|(name, value)| name.len() + value.to_string().len()).sum()
            }
            RowsChange::Delete(_) => 0,
        }
}
