//! Writes of HTTP requests to tables: on a worker, since hooks are scripts, with the hub as their
//! host.

use std::sync::Arc;
use std::time::Duration;

use gatewright_core::Failure;
use gatewright_core::auth::User;
use gatewright_core::data::Actor;
use gatewright_core::id::new_id;
use gatewright_core::script::{Arguments, Call, CallUser, RowsChange, RowsWrite};
use uuid::Uuid;

use super::hub::Hub;
use super::hub_host::HubHost;
use super::job::record_hooks;

/// `@GATEWAY` of the hooks of such a write.
const DATA: &str = "data";
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

impl Hub {
    /// Writes rows with their hooks. Gives back the id of the run, and the row as JSON.
    pub async fn write_rows(self: &Arc<Self>, call: RowsCall) -> (Uuid, Result<String, Failure>) {
        let (hub, request_id) = (self.clone(), new_id());
        let done = self.run_on_worker(bytes(&call.change), move || write(&hub, call, request_id)).await;
        (request_id, done.and_then(|outcome| outcome))
    }
}

fn write(hub: &Arc<Hub>, call: RowsCall, request_id: Uuid) -> Result<String, Failure> {
    let RowsCall { table, actor, change, user } = call;
    let script_call = Call {
        gateway: DATA.into(),
        event: table.as_str().into(),
        request_id,
        arguments: Arguments::one(&serde_json::Value::Null),
        user: user.map(CallUser::Row),
        request: None,
        timeout: Duration::from_millis(hub.config.scripts.timeout_ms),
        test: None,
    };
    let write = RowsWrite { table, actor, change };
    let host = Arc::new(HubHost(hub.clone()));
    let output = hub.catalog.engine().write(&write, &script_call, host);
    record_hooks(hub, &script_call, &output, None);
    output.outcome.map(|payload| payload.json)
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
