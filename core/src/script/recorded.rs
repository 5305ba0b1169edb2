//! The host of test runs: everything is recorded or simulated, nothing leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::host::{Host, Member, Payload, Target};
use super::macros::cache::Cache;
use crate::error::Failure;
use crate::store::{self, Time};

/// Bytes of the cache that a test run has to itself.
const CACHE_BYTES: u64 = 4 << 20;

/// One `@SOCKET` call that acts, as the script made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Emitted {
    /// The call's name.
    pub method: &'static str,
    /// Its arguments.
    pub args: Vec<Json>,
}

/// A host that only takes notes.
pub struct RecordedHost {
    socket_id: Option<String>,
    user_id: Option<String>,
    is_live: bool,
    cache: Cache,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    emitted: Vec<Emitted>,
    rooms: BTreeMap<String, Time>,
    values: BTreeMap<String, Arc<str>>,
}

impl RecordedHost {
    /// A host that a socket of this user triggered; without a socket, calls that need one
    /// fail. `is_live`: whether requests that write may leave.
    pub fn new(has_socket: bool, user_id: Option<String>, is_live: bool) -> Self {
        Self {
            socket_id: has_socket.then(|| "test-socket".to_owned()),
            user_id,
            is_live,
            cache: Cache::new(CACHE_BYTES),
            state: Mutex::default(),
        }
    }

    /// The same host with its socket in these rooms.
    pub fn in_rooms(self, rooms: Vec<String>) -> Self {
        self.state.lock().rooms.extend(rooms.into_iter().map(|room| (room, store::now())));
        self
    }

    /// The calls so far, in order.
    pub fn emitted(&self) -> Vec<Emitted> {
        self.state.lock().emitted.clone()
    }

    fn note(&self, method: &'static str, args: Vec<Json>) {
        self.state.lock().emitted.push(Emitted { method, args });
    }
}

impl Host for RecordedHost {
    fn socket_id(&self) -> Option<&str> {
        self.socket_id.as_deref()
    }

    fn emit(&self, target: Target<'_>, event: &str, data: Payload) -> Result<(), Failure> {
        let (method, mut args) = match target {
            Target::Reply => ("reply", vec![]),
            Target::RoomWithoutSender(room) => ("broadcastToRoom", vec![json!(room)]),
            Target::CurrentRoom(room) => ("emitToCurrentRoom", vec![json!(room)]),
            Target::RoomOfAll(room) => ("emitToRoom", vec![json!(room)]),
            Target::RoomOf(path, room) => ("emitToRoom", vec![json!(path), json!(room)]),
            Target::User(id) => ("emitToUser", vec![json!(id)]),
            Target::Socket(id) => ("emitToSocket", vec![json!(id)]),
            Target::Gateway(path) => ("emitToGateway", vec![json!(path)]),
            Target::All => ("broadcast", vec![]),
        };
        args.push(json!(event));
        args.push(data.to_value());
        self.note(method, args);
        Ok(())
    }

    fn join(&self, room: &str) -> Result<(), Failure> {
        self.note("join", vec![json!(room)]);
        self.state.lock().rooms.entry(room.to_owned()).or_insert_with(store::now);
        Ok(())
    }

    fn leave(&self, room: &str) {
        self.note("leave", vec![json!(room)]);
        self.state.lock().rooms.remove(room);
    }

    fn rooms(&self) -> Vec<String> {
        self.state.lock().rooms.keys().cloned().collect()
    }

    fn members(&self, room: &str) -> Vec<Member> {
        let joined_at = self.state.lock().rooms.get(room).copied();
        let socket_id = self.socket_id.clone();
        joined_at
            .zip(socket_id)
            .map(|(joined_at, socket_id)| Member { socket_id, user_id: self.user_id.clone(), joined_at })
            .into_iter()
            .collect()
    }

    fn room_size(&self, room: &str) -> usize {
        self.members(room).len()
    }

    fn disconnect(&self) {
        self.note("disconnect", vec![]);
    }

    fn disconnect_user(&self, user_id: &str) {
        self.note("disconnectUser", vec![json!(user_id)]);
    }

    fn disconnect_socket(&self, socket_id: &str) {
        self.note("disconnectSocket", vec![json!(socket_id)]);
    }

    fn get(&self, key: &str) -> Option<Arc<str>> {
        self.state.lock().values.get(key).cloned()
    }

    fn set(&self, key: &str, json: String) -> Result<(), Failure> {
        self.note("set", vec![json!(key), serde_json::from_str(&json).unwrap_or_default()]);
        self.state.lock().values.insert(key.to_owned(), json.into());
        Ok(())
    }

    fn cache(&self) -> &Cache {
        &self.cache
    }

    fn is_live(&self) -> bool {
        self.is_live
    }
}
