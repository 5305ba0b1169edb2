//! Jobs for later as a test knows them: those that wait, and what is to be seen of each.

use serde::Serialize;
use serde_json::Value as Json;

use crate::jobs::LaterJob;
use crate::moment::{from_ms, time_text};
use crate::payload::Payload;

/// A job for later that waits in a test.
#[derive(Debug, Clone)]
pub struct Later {
    /// The job.
    pub job: LaterJob,
    /// Whether the database would keep it.
    pub is_durable: bool,
}

/// A job for later, as a test shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaterView {
    /// The gateway's path.
    pub gateway: String,
    /// The event's name.
    pub event: String,
    /// `@BODY` of its run.
    pub payload: Json,
    /// When it is due.
    pub due_at: String,
    /// The same, in milliseconds from when it was left.
    pub after: i64,
    /// The option `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The option `unique`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<String>,
    /// The option `durable`.
    pub durable: bool,
}

impl Later {
    /// What makes jobs of a gateway run one after the other.
    pub(crate) fn key(gateway: &str, key: &str) -> String {
        format!("key {gateway} {key}")
    }

    /// The name that one waiting job of a gateway has.
    pub(crate) fn unique_name(gateway: &str, name: &str) -> String {
        format!("{gateway} {name}")
    }

    /// Adds a job to those that wait; the one of its name is gone then.
    pub(crate) fn add_to(self, all: &mut Vec<Self>) {
        if let Some(name) = &self.job.unique_name {
            all.retain(|one| one.is_durable != self.is_durable || one.job.unique_name.as_ref() != Some(name));
        }
        all.push(self);
    }

    /// Those that wait when what was done since `before` is undone: what memory keeps is not part of that.
    pub(crate) fn undone(before: Vec<Self>, now: Vec<Self>) -> Vec<Self> {
        let kept = before.into_iter().filter(|later| later.is_durable);
        kept.chain(now.into_iter().filter(|later| !later.is_durable)).collect()
    }

    /// What is to be seen of it.
    pub fn view(&self) -> LaterView {
        let LaterJob { job, due_at, unique_name } = &self.job;
        let sent = Payload { json: job.payload.to_string(), attachments: job.attachments.clone() };
        let without = |text: &str, prefix: String| text.strip_prefix(&prefix).map(str::to_owned);
        LaterView {
            gateway: job.gateway.to_string(),
            event: job.event.to_string(),
            // It is kept as it is sent: an array that begins with a name.
            payload: sent.to_value().get_mut(1).map(Json::take).unwrap_or_default(),
            due_at: from_ms(*due_at).map_or_else(|| due_at.to_string(), time_text),
            after: due_at - job.accepted_at,
            key: without(&job.key, Self::key(&job.gateway, "")),
            unique: unique_name
                .as_deref()
                .and_then(|name| without(name, Self::unique_name(&job.gateway, ""))),
            durable: self.is_durable,
        }
    }
}
