//! The host of test runs: everything is recorded or simulated, nothing leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::host::{Host, Socket};
use crate::broker::{Member, Publication, Room};
use crate::cache::{Cache, MemoryCache};
use crate::error::Failure;
use crate::jobs::LaterJob;
use crate::payload::Payload;
use crate::store::{self, Time};

/// Bytes of the cache that a test run has to itself.
const CACHE_BYTES: u64 = 4 << 20;
/// The id of the socket of a test run.
const SOCKET_ID: &str = "test-socket";

/// One `@SOCKET` call that acts, as the script made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Emitted {
    /// The call's name.
    pub method: &'static str,
    /// Its arguments.
    pub args: Vec<Json>,
}

/// Whether a gateway handles an event.
pub type Handled = Box<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// A host that only takes notes, and the socket of a test run.
pub struct RecordedHost {
    user_id: Option<String>,
    is_live: bool,
    /// Which events of which gateways are handled; none: all.
    handled: Option<Handled>,
    cache: MemoryCache,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    emitted: Vec<Emitted>,
    rooms: BTreeMap<String, Time>,
    values: BTreeMap<String, Arc<str>>,
}

impl RecordedHost {
    /// A host whose socket is of this user and in these rooms. `is_live`: whether requests that
    /// write may leave.
    pub fn new(user_id: Option<String>, rooms: Vec<String>, is_live: bool) -> Self {
        let rooms = rooms.into_iter().map(|room| (room, store::now())).collect();
        let state = Mutex::new(State { rooms, ..State::default() });
        Self { user_id, is_live, handled: None, cache: MemoryCache::new(CACHE_BYTES), state }
    }

    /// The same, where jobs for later may be left for these events alone.
    pub fn with_events(self, handled: Handled) -> Self {
        Self { handled: Some(handled), ..self }
    }

    /// Forgets all calls but the first so many: what a job said that failed is not said.
    pub fn forget_after(&self, calls: usize) {
        self.state.lock().emitted.truncate(calls);
    }

    /// The calls so far, in order.
    pub fn emitted(&self) -> Vec<Emitted> {
        self.state.lock().emitted.clone()
    }
}

impl Host for RecordedHost {
    fn check_gateway(&self, _path: &str) -> Result<(), Failure> {
        Ok(())
    }

    fn check_event(&self, path: &str, event: &str) -> Result<(), Failure> {
        match &self.handled {
            Some(handled) if !handled(path, event) => {
                Err(Failure::not_found("event", format!("{event} of {path}")))
            }
            _ => Ok(()),
        }
    }

    fn later(&self, _later: LaterJob) -> Result<(), Failure> {
        Ok(())
    }

    fn cancel(&self, _id: Uuid) -> bool {
        false
    }

    fn publish(&self, _publication: Publication) -> Result<(), Failure> {
        Ok(())
    }

    fn members(&self, room: Room<'_>) -> Result<Vec<Member>, Failure> {
        let joined_at = self.state.lock().rooms.get(room.name).copied();
        let member =
            |joined_at| Member { socket_id: SOCKET_ID.to_owned(), user_id: self.user_id.clone(), joined_at };
        Ok(joined_at.map(member).into_iter().collect())
    }

    fn room_size(&self, room: Room<'_>) -> Result<usize, Failure> {
        Ok(self.members(room)?.len())
    }

    fn cache(&self) -> &dyn Cache {
        &self.cache
    }

    fn note(&self, method: &'static str, args: &dyn Fn() -> Vec<Json>) {
        self.state.lock().emitted.push(Emitted { method, args: args() });
    }

    fn is_live(&self) -> bool {
        self.is_live
    }
}

impl Socket for RecordedHost {
    fn id(&self) -> &str {
        SOCKET_ID
    }

    fn emit(&self, _event: &str, _payload: &Payload) {}

    fn join(&self, room: &str) -> Result<(), Failure> {
        self.state.lock().rooms.entry(room.to_owned()).or_insert_with(store::now);
        Ok(())
    }

    fn leave(&self, room: &str) {
        self.state.lock().rooms.remove(room);
    }

    fn rooms(&self) -> Vec<String> {
        self.state.lock().rooms.keys().cloned().collect()
    }

    fn disconnect(&self) {}

    fn get(&self, key: &str) -> Option<Arc<str>> {
        self.state.lock().values.get(key).cloned()
    }

    fn set(&self, key: &str, json: String) -> Result<(), Failure> {
        self.state.lock().values.insert(key.to_owned(), json.into());
        Ok(())
    }
}
