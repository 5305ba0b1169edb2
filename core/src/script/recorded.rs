//! The host of test runs: everything is recorded or simulated, nothing leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::host::{Host, Socket};
use crate::broker::{Action, Channel, Member, Presence, Publication, Room, Target};
use crate::cache::{Cache, MemoryCache};
use crate::error::Failure;
use crate::filter::Filter;
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

/// A socket of a test run, besides the one that triggered it.
#[derive(Debug, Clone, Default)]
pub struct OtherSocket {
    /// Its id.
    pub id: String,
    /// The path of its gateway.
    pub gateway: String,
    /// Its user, if it is signed in.
    pub user_id: Option<String>,
    /// The rooms that it is in.
    pub rooms: Vec<String>,
}

/// A host that only takes notes, and the socket of a test run.
pub struct RecordedHost {
    is_live: bool,
    /// `@APP` of its socket.
    app: Option<Json>,
    /// Which events of which gateways are handled; none: all.
    handled: Option<Handled>,
    cache: MemoryCache,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    emitted: Vec<Emitted>,
    /// The first is the one that triggered the run, or would have.
    sockets: Vec<SimulatedSocket>,
    values: BTreeMap<String, Arc<str>>,
    subscriptions: BTreeSet<Uuid>,
}

struct SimulatedSocket {
    id: String,
    /// None: there is none, or it is of any.
    gateway: Option<String>,
    user_id: Option<String>,
    rooms: BTreeMap<String, Time>,
}

impl SimulatedSocket {
    fn new(id: String, gateway: Option<String>, user_id: Option<String>, rooms: Vec<String>) -> Self {
        let rooms = rooms.into_iter().map(|room| (room, store::now())).collect();
        Self { id, gateway, user_id, rooms }
    }

    fn is_of(&self, gateway: Option<&str>) -> bool {
        match (gateway, self.gateway.as_deref()) {
            (Some(path), Some(own)) => path == own,
            _ => true,
        }
    }

    fn is_meant(&self, target: &Target) -> bool {
        match target {
            Target::Room { gateway, room, except } => {
                self.is_of(Some(gateway))
                    && self.rooms.contains_key(&**room)
                    && except.as_deref() != Some(&self.id)
            }
            Target::RoomOfAll(room) => self.rooms.contains_key(&**room),
            Target::User(user) => self.user_id.as_deref() == Some(user),
            Target::Users(users) => users.iter().any(|user| self.user_id.as_deref() == Some(user)),
            Target::UserIn { gateway, user } => {
                self.is_of(Some(gateway)) && self.user_id.as_deref() == Some(user)
            }
            Target::Socket(id) => *self.id == **id,
            Target::Connection { gateway, socket } => self.is_of(Some(gateway)) && *self.id == **socket,
            Target::Gateway(path) => self.is_of(Some(path)),
            Target::All => true,
            Target::Topic { .. } => false,
        }
    }
}

impl RecordedHost {
    /// A host whose socket is of this user and in these rooms. `is_live`: whether requests that
    /// write may leave.
    pub fn new(user_id: Option<String>, rooms: Vec<String>, is_live: bool) -> Self {
        let sockets = vec![SimulatedSocket::new(SOCKET_ID.to_owned(), None, user_id, rooms)];
        let state = Mutex::new(State { sockets, ..State::default() });
        Self { is_live, app: None, handled: None, cache: MemoryCache::new(CACHE_BYTES), state }
    }

    /// The same, whose socket is one of this gateway.
    pub fn of_gateway(self, path: &str) -> Self {
        self.state.lock().sockets[0].gateway = Some(path.to_owned());
        self
    }

    /// The same, whose socket showed this app key.
    pub fn with_app(self, app: Option<Json>) -> Self {
        Self { app, ..self }
    }

    /// The same, with other sockets.
    pub fn with_sockets(self, others: Vec<OtherSocket>) -> Self {
        let simulated = |other: OtherSocket| {
            SimulatedSocket::new(other.id, Some(other.gateway), other.user_id, other.rooms)
        };
        self.state.lock().sockets.extend(others.into_iter().map(simulated));
        self
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

    fn publish(&self, publication: Publication) -> Result<(), Failure> {
        let Publication { target, action } = publication;
        let mut state = self.state.lock();
        for socket in state.sockets.iter_mut().filter(|socket| socket.is_meant(&target)) {
            match &action {
                Action::Join(room) => drop(socket.rooms.entry(room.to_string()).or_insert_with(store::now)),
                Action::Leave(room) => drop(socket.rooms.remove(&**room)),
                Action::Emit { .. } | Action::Event { .. } | Action::Disconnect | Action::CheckSession => {}
            }
        }
        Ok(())
    }

    fn presence(&self) -> &dyn Presence {
        self
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

impl Presence for RecordedHost {
    fn members(&self, room: Room<'_>) -> Result<Vec<Member>, Failure> {
        let state = self.state.lock();
        let member = |socket: &SimulatedSocket| {
            let joined_at = *socket.rooms.get(room.name).filter(|_| socket.is_of(room.gateway))?;
            Some(Member { socket_id: socket.id.clone(), user_id: socket.user_id.clone(), joined_at })
        };
        Ok(state.sockets.iter().filter_map(member).collect())
    }

    fn room_size(&self, room: Room<'_>) -> Result<usize, Failure> {
        Ok(self.members(room)?.len())
    }

    fn channels(&self, gateway: Option<&str>, prefix: &str) -> Result<Vec<Channel>, Failure> {
        let state = self.state.lock();
        let mut sizes = BTreeMap::new();
        for socket in state.sockets.iter().filter(|socket| socket.is_of(gateway)) {
            let path = socket.gateway.as_deref().or(gateway).unwrap_or_default();
            for name in socket.rooms.keys().filter(|name| name.starts_with(prefix)) {
                *sizes.entry((name.clone(), path)).or_insert(0) += 1;
            }
        }
        let channel = |((name, path), members): ((String, &str), usize)| Channel {
            name,
            gateway: path.into(),
            members,
        };
        Ok(sizes.into_iter().map(channel).collect())
    }

    fn connections(&self) -> Result<BTreeMap<String, usize>, Failure> {
        let mut counts = BTreeMap::new();
        for path in self.state.lock().sockets.iter().filter_map(|socket| socket.gateway.clone()) {
            *counts.entry(path).or_insert(0) += 1;
        }
        Ok(counts)
    }

    fn connections_of_user(&self, user_id: &str) -> Result<usize, Failure> {
        let state = self.state.lock();
        let is_theirs = |socket: &&SimulatedSocket| {
            socket.gateway.is_some() && socket.user_id.as_deref() == Some(user_id)
        };
        Ok(state.sockets.iter().filter(is_theirs).count())
    }
}

impl Socket for RecordedHost {
    fn id(&self) -> &str {
        SOCKET_ID
    }

    fn app(&self) -> Option<Json> {
        self.app.clone()
    }

    fn emit(&self, _event: &str, _payload: &Payload) {}

    fn join(&self, room: &str) -> Result<(), Failure> {
        self.state.lock().sockets[0].rooms.entry(room.to_owned()).or_insert_with(store::now);
        Ok(())
    }

    fn leave(&self, room: &str) {
        self.state.lock().sockets[0].rooms.remove(room);
    }

    fn rooms(&self) -> Vec<String> {
        self.state.lock().sockets[0].rooms.keys().cloned().collect()
    }

    fn subscribe(&self, id: Uuid, _topic: &str, _filter: Filter) -> Result<(), Failure> {
        self.state.lock().subscriptions.insert(id);
        Ok(())
    }

    fn unsubscribe(&self, id: Uuid) -> bool {
        self.state.lock().subscriptions.remove(&id)
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
