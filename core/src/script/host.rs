//! What a script can do to the world, and to the socket that triggered it: one of the trait borders of
//! the product. Live ones stand where the runs are ([`crate::run`]) and at the edge, those of test runs
//! beside this file.

use std::sync::Arc;

use serde_json::Value as Json;
use uuid::Uuid;

use crate::broker::{Presence, Publication};
use crate::cache::Cache;
use crate::error::Failure;
use crate::filter::Filter;
use crate::jobs::LaterJob;
use crate::payload::Payload;

/// What any script can do to the world. Calls come from a script thread and may block it.
/// A failure ends the run with its code, unless the script catches it.
pub trait Host: Send + Sync {
    /// That there is a gateway with this path.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    fn check_gateway(&self, path: &str) -> Result<(), Failure>;
    /// Does something to sockets. A gateway that is gone by now has none.
    ///
    /// # Errors
    /// What the broker says.
    fn publish(&self, publication: Publication) -> Result<(), Failure>;
    /// Who is connected.
    fn presence(&self) -> &dyn Presence;
    /// That this event of this gateway is handled.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    fn check_event(&self, path: &str, event: &str) -> Result<(), Failure>;
    /// Keeps a job for later in memory.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when there are too many.
    fn later(&self, later: LaterJob) -> Result<(), Failure>;
    /// Takes back a job that waits in memory; false when there is none.
    fn cancel(&self, id: Uuid) -> bool;
    /// What `@CACHE` reads and writes.
    fn cache(&self) -> &dyn Cache;
    /// Takes note of a call of `@SOCKET` that acts, as the script made it; a live host takes none.
    fn note(&self, _method: &'static str, _args: &dyn Fn() -> Vec<Json>) {}
    /// Whether what its runs write is wanted, as that of test runs is.
    fn notes_writes(&self) -> bool {
        false
    }
    /// Whether effects that cannot be recorded (an HTTP request that writes) may happen.
    fn is_live(&self) -> bool;
}

/// The socket that triggered a run, in its gateway. Calls come from a script thread.
pub trait Socket: Send + Sync {
    /// Its id.
    fn id(&self) -> &str;
    /// The same for the record of a run; none: there is no such socket.
    fn recorded_id(&self) -> Option<Arc<str>> {
        None
    }
    /// The app key that it showed, as scripts see it.
    fn app(&self) -> Option<Json>;
    /// Sends it an event.
    fn emit(&self, event: &str, payload: &Payload);
    /// Puts it into a room.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` when it is in as many as it may be.
    fn join(&self, room: &str) -> Result<(), Failure>;
    /// Takes it out of a room.
    fn leave(&self, room: &str);
    /// The rooms that it is in.
    fn rooms(&self) -> Vec<String>;
    /// Has it get the events of a topic that meet the filter, under this id.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED` when it is in as many rooms and topics as it may be.
    fn subscribe(&self, id: Uuid, topic: &str, filter: Filter) -> Result<(), Failure>;
    /// Ends one of its subscriptions; false when it has none of this id.
    fn unsubscribe(&self, id: Uuid) -> bool;
    /// Ends its connection once what was emitted before has been sent.
    fn disconnect(&self);
    /// A value that is kept with it, as JSON.
    fn get(&self, key: &str) -> Option<Arc<str>>;
    /// Keeps a value with it; `null` forgets it.
    ///
    /// # Errors
    /// `SCRIPT_OUTPUT_LIMIT` when it keeps as much as it may.
    fn set(&self, key: &str, json: String) -> Result<(), Failure>;
}
