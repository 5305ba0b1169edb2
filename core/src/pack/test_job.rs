//! Jobs of script tests: the one that a test runs, those that wait, and the time that stands still.

use serde::Deserialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::jobs::{Caller, Job, LaterJob};
use crate::moment::{parse_time, to_ms};
use crate::script::Later;

/// The job that a test runs.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RunJob {
    /// `@JOB.id`.
    pub id: Option<Uuid>,
    /// `@JOB.attempt`, from 1.
    pub attempt: Option<i32>,
}

/// A job for later that waits when a test begins.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WaitingJob {
    id: Option<Uuid>,
    /// The gateway's path; may be left out where the pack has one gateway.
    pub gateway: Option<String>,
    event: String,
    payload: Option<Json>,
    /// When it is due, in milliseconds from the time of the test.
    #[serde(default)]
    after: i64,
    key: Option<String>,
    unique: Option<String>,
    #[serde(default = "yes")]
    durable: bool,
}

fn yes() -> bool {
    true
}

impl WaitingJob {
    /// The job, for a gateway, in a test of this time.
    pub(super) fn later(self, gateway: &str, now_ms: i64) -> Later {
        let id = self.id.unwrap_or_else(crate::id::new_id);
        let key = self.key.map_or_else(|| format!("job {id}"), |key| Later::key(gateway, &key));
        let payload = json!([null, self.payload.unwrap_or_else(|| json!({}))]);
        let job = Job {
            id,
            key: key.into(),
            gateway: gateway.into(),
            event: self.event.into(),
            caller: Caller::default(),
            payload: payload.to_string().into(),
            attachments: Vec::new(),
            accepted_at: now_ms,
        };
        let unique_name = self.unique.map(|name| Later::unique_name(gateway, &name));
        let due_at = now_ms.saturating_add(self.after);
        Later { job: LaterJob { job, due_at, unique_name }, is_durable: self.durable }
    }
}

/// The time that a test names, in milliseconds; without one, it is the present time that stands still.
pub(super) fn clock(now: Option<&str>) -> Result<i64, String> {
    let Some(text) = now else { return Ok(crate::jobs::now_ms()) };
    let time = parse_time(text);
    let time = time.ok_or_else(|| format!("now is no time: {text}; write 2026-01-31T12:00:00Z"))?;
    Ok(to_ms(time))
}
