//! A gateway's connections and rooms.
//!
//! Rooms are our own rather than socketioxide's: a broadcast must know which socket could not
//! take a packet, presence must know who joined when, and no room name may reach a private room.
//! Private rooms do not exist here at all: a socket and a user are found by their ids.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gatewright_core::catalog::LiveGateway;
use gatewright_core::queue::Group;
use gatewright_core::script::Member;
use gatewright_core::store::{self, Time};
use parking_lot::RwLock;
use prometheus::IntGauge;

use super::connection::{Connection, SocketId};
use super::job::Job;
use super::packets::{self, PresenceMember, PresencePacket};

/// One gateway at run time.
pub struct Namespace {
    /// Its path.
    pub path: Arc<str>,
    /// Its settings and handlers, as they are now.
    pub gateway: ArcSwap<LiveGateway>,
    /// What its jobs are counted as.
    pub group: Group<Job>,
    connections: RwLock<HashMap<SocketId, Arc<Connection>>>,
    rooms: RwLock<HashMap<Box<str>, Arc<Room>>>,
    gauge: IntGauge,
}

#[derive(Default)]
struct Room {
    members: RwLock<HashMap<SocketId, RoomMember>>,
}

struct RoomMember {
    connection: Arc<Connection>,
    joined_at: Time,
}

impl Namespace {
    /// A namespace without connections.
    pub fn new(gateway: Arc<LiveGateway>, group: Group<Job>, gauge: IntGauge) -> Self {
        Self {
            path: gateway.path.clone(),
            gateway: ArcSwap::new(gateway),
            group,
            connections: RwLock::default(),
            rooms: RwLock::default(),
            gauge,
        }
    }

    /// Adds an open connection.
    pub fn add(&self, connection: Arc<Connection>) {
        self.connections.write().insert(connection.id, connection);
        self.gauge.inc();
    }

    /// Forgets a connection: it leaves its rooms. Gives back their names.
    pub fn remove(&self, connection: &Arc<Connection>) -> Vec<String> {
        if self.connections.write().remove(&connection.id).is_some() {
            self.gauge.dec();
        }
        let rooms = connection.take_rooms();
        for room in &rooms {
            self.leave_room(connection, room);
        }
        rooms.into_iter().map(String::from).collect()
    }

    /// A connection by its socket's id.
    pub fn connection(&self, id: SocketId) -> Option<Arc<Connection>> {
        self.connections.read().get(&id).cloned()
    }

    /// All connections.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.connections.read().values().cloned().collect()
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.connections.read().len()
    }

    /// Adds a connection to a room; false when it was in it.
    pub fn join_room(&self, connection: &Arc<Connection>, name: &str) -> bool {
        let room = {
            let mut rooms = self.rooms.write();
            let room = match rooms.get(name) {
                Some(room) => room.clone(),
                None => rooms.entry(name.into()).or_default().clone(),
            };
            let mut members = room.members.write();
            let Entry::Vacant(place) = members.entry(connection.id) else { return false };
            place.insert(RoomMember { connection: connection.clone(), joined_at: store::now() });
            drop(members);
            room
        };
        self.tell_presence("join", &room, name, connection);
        true
    }

    /// Takes a connection out of a room.
    pub fn leave_room(&self, connection: &Connection, name: &str) {
        let room = {
            let mut rooms = self.rooms.write();
            let Some(room) = rooms.get(name).cloned() else { return };
            let is_empty = {
                let mut members = room.members.write();
                if members.remove(&connection.id).is_none() {
                    return;
                }
                members.is_empty()
            };
            if is_empty {
                rooms.remove(name);
                return;
            }
            room
        };
        self.tell_presence("leave", &room, name, connection);
    }

    /// Who is in a room.
    pub fn members(&self, name: &str) -> Vec<Member> {
        let Some(room) = self.room(name) else { return Vec::new() };
        let members = room.members.read();
        members
            .values()
            .map(|member| Member {
                socket_id: member.connection.id_text.to_string(),
                user_id: member.connection.user_id().map(|id| id.to_string()),
                joined_at: member.joined_at,
            })
            .collect()
    }

    /// How many are in a room.
    pub fn room_size(&self, name: &str) -> usize {
        self.room(name).map_or(0, |room| room.members.read().len())
    }

    /// Sends to each member of a room.
    pub fn each_in_room(&self, name: &str, send: impl Fn(&Connection)) {
        if let Some(room) = self.room(name) {
            room.members.read().values().for_each(|member| send(&member.connection));
        }
    }

    /// Sends to each connection.
    pub fn each(&self, send: impl Fn(&Connection)) {
        self.connections.read().values().for_each(|connection| send(connection));
    }

    fn room(&self, name: &str) -> Option<Arc<Room>> {
        self.rooms.read().get(name).cloned()
    }

    fn tell_presence(&self, action: &'static str, room: &Room, name: &str, connection: &Connection) {
        if !self.gateway.load().presence {
            return;
        }
        let members = room.members.read();
        let packet = PresencePacket {
            action,
            room: name,
            member: PresenceMember { socket_id: &connection.id_text, user_id: connection.user_id() },
            count: members.len(),
        };
        // Sent while the room is held, so that counts arrive in their order.
        members.values().for_each(|member| member.connection.send_or_end(packets::PRESENCE, &packet));
    }
}
