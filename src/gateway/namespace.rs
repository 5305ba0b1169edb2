//! A gateway at run time: its settings, its connections and rooms, and what rooms hear of who joins
//! and leaves.

use std::sync::Arc;

use arc_swap::ArcSwap;
use gatewright_core::catalog::LiveGateway;
use gatewright_core::queue::Group;
use gatewright_core::run::Job;
use prometheus::IntGauge;

use super::connection::Connection;
use super::presence::{self, Change};
use super::rooms::{NotJoined, Room, Rooms};

/// One gateway at run time.
pub struct Namespace {
    /// Its path.
    pub path: Arc<str>,
    /// Its settings and handlers, as they are now.
    pub gateway: ArcSwap<LiveGateway>,
    /// What its jobs are counted as.
    pub group: Group<Job>,
    /// Its connections and the rooms that they are in.
    pub rooms: Rooms,
    gauge: IntGauge,
}

impl Namespace {
    /// A namespace without connections.
    pub fn new(gateway: Arc<LiveGateway>, group: Group<Job>, gauge: IntGauge) -> Self {
        let path = gateway.path.clone();
        Self { path, gateway: ArcSwap::new(gateway), group, rooms: Rooms::default(), gauge }
    }

    /// Adds an open connection; false when its transport has one here already.
    pub fn add(&self, connection: &Arc<Connection>) -> bool {
        let is_added = self.rooms.add(connection);
        self.gauge.add(i64::from(is_added));
        is_added
    }

    /// Forgets a connection: it leaves its rooms. Gives back their names.
    pub fn remove(&self, connection: &Connection) -> Vec<String> {
        let Some(rooms) = self.rooms.remove(connection) else { return Vec::new() };
        self.gauge.dec();
        rooms.iter().for_each(|room| self.tell_presence(Change::Leave, room, connection));
        rooms.iter().map(|room| String::from(&*room.name)).collect()
    }

    /// Puts a connection into a room.
    pub fn join_room(&self, connection: &Connection, name: &str) -> Result<(), NotJoined> {
        let most = self.gateway.load().limits.subscriptions_per_connection as usize;
        let room = self.rooms.join(connection.id, name, most)?;
        self.tell_presence(Change::Join, &room, connection);
        Ok(())
    }

    /// Takes a connection out of a room.
    pub fn leave_room(&self, connection: &Connection, name: &str) {
        if let Some(room) = self.rooms.leave(connection.id, name) {
            self.tell_presence(Change::Leave, &room, connection);
        }
    }

    /// Tells all in a room who came or went.
    fn tell_presence(&self, change: Change, room: &Arc<Room>, who: &Connection) {
        let gateway = self.gateway.load();
        if gateway.tells_presence(&room.name) {
            presence::tell(room, change, who, gateway.presence_debounce, &who.hub().runtime);
        }
    }
}
