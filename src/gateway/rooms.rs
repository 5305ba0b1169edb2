//! The connections of a gateway and the rooms and topics that they are in: both directions under one
//! lock, so that none has a connection that is gone.
//!
//! Rooms are our own rather than socketioxide's: whoever sends must know which socket could not
//! take a packet, presence must know who joined when, and no room name may reach a private room.
//! Private rooms do not exist here at all: a socket and a user are found by their ids.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{AddAssign, Bound};
use std::sync::Arc;

use gatewright_core::broker::Member;
use gatewright_core::filter::Filter;
use gatewright_core::store::{self, Time};
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::connection::{Connection, SocketId};
use super::presence::Changes;
use super::topics::{Subscriber, Subscription, TooManyFilters, Topic, Topics};

/// The connections of a gateway and its rooms.
#[derive(Default)]
pub struct Rooms {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    connections: HashMap<SocketId, Occupant>,
    rooms: HashMap<Box<str>, Arc<Room>>,
    topics: Topics,
    /// The same connections and rooms in an order, for those who look at them page by page.
    ids: BTreeSet<SocketId>,
    names: BTreeSet<ByName>,
    moves: Moves,
}

/// Who came and went, since the gateway is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moves {
    pub connects: u64,
    pub disconnects: u64,
    pub joins: u64,
    pub leaves: u64,
}

impl AddAssign for Moves {
    fn add_assign(&mut self, other: Self) {
        self.connects += other.connects;
        self.disconnects += other.disconnects;
        self.joins += other.joins;
        self.leaves += other.leaves;
    }
}

/// A room in the order of names.
struct ByName(Arc<Room>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name.cmp(&other.0.name)
    }
}

/// A connection, with its rooms in the order in which it joined them.
struct Occupant {
    connection: Arc<Connection>,
    rooms: Vec<Arc<Room>>,
    subscriptions: HashMap<Uuid, Subscription>,
}

impl Occupant {
    /// Whether it is in as many rooms and topics as it may be; 0: in any number.
    fn is_full(&self, most: usize) -> bool {
        most > 0 && self.rooms.len() + self.subscriptions.len() >= most
    }
}

/// A room that somebody is in.
pub struct Room {
    /// Its name.
    pub name: Box<str>,
    members: Mutex<Members>,
    /// What it has yet to hear of who joined and left.
    pub changes: Changes,
}

#[derive(Default)]
struct Members {
    by_id: BTreeMap<SocketId, RoomMember>,
    /// The same, for those who send to all; made when it is asked for.
    all: Option<Arc<[Arc<Connection>]>>,
}

struct RoomMember {
    connection: Arc<Connection>,
    joined_at: Time,
}

/// Why a connection does not join a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotJoined {
    /// It is in it.
    Already,
    /// It is in as many as it may be.
    Full,
    /// It has gone.
    Gone,
}

/// Why a connection does not subscribe to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSubscribed {
    /// It is in as many rooms and topics as it may be.
    Full,
    /// The topic has as many different filters as it may have.
    TooManyFilters,
}

impl Rooms {
    /// Adds a connection, which is in no room. False when there is one of this id: a transport has one
    /// connection to a gateway, by whichever of its names.
    pub fn add(&self, connection: &Arc<Connection>) -> bool {
        let mut state = self.state.write();
        let Entry::Vacant(place) = state.connections.entry(connection.id) else { return false };
        let (rooms, subscriptions) = (Vec::new(), HashMap::new());
        place.insert(Occupant { connection: connection.clone(), rooms, subscriptions });
        state.ids.insert(connection.id);
        state.moves.connects += 1;
        true
    }

    /// Takes a connection out of everything. Gives back the rooms that it was in; none: it was not
    /// there.
    pub fn remove(&self, connection: &Connection) -> Option<Vec<Arc<Room>>> {
        let (id, mut state) = (connection.id, self.state.write());
        if !std::ptr::eq(&*state.connections.get(&id)?.connection, connection) {
            return None;
        }
        let Occupant { rooms, subscriptions, .. } = state.connections.remove(&id)?;
        state.ids.remove(&id);
        state.moves.disconnects += 1;
        subscriptions.iter().for_each(|(id, subscription)| state.topics.remove(*id, subscription));
        rooms.iter().for_each(|room| state.take_out(id, room));
        Some(rooms)
    }

    /// Puts a connection into a room, unless it is in `most` rooms and topics; 0: in any number.
    pub fn join(&self, id: SocketId, name: &str, most: usize) -> Result<Arc<Room>, NotJoined> {
        let mut state = self.state.write();
        let State { connections, rooms, names, moves, .. } = &mut *state;
        let occupant = connections.get_mut(&id).ok_or(NotJoined::Gone)?;
        if occupant.rooms.iter().any(|room| *room.name == *name) {
            return Err(NotJoined::Already);
        }
        if occupant.is_full(most) {
            return Err(NotJoined::Full);
        }
        let room = rooms.get(name).cloned().unwrap_or_else(|| {
            let room = Arc::new(Room::new(name));
            rooms.insert(name.into(), room.clone());
            names.insert(ByName(room.clone()));
            room
        });
        moves.joins += 1;
        let member = RoomMember { connection: occupant.connection.clone(), joined_at: store::now() };
        room.members.lock().change(|members| drop(members.insert(id, member)));
        occupant.rooms.push(room.clone());
        Ok(room)
    }

    /// Takes a connection out of a room; none: it was not in it.
    pub fn leave(&self, id: SocketId, name: &str) -> Option<Arc<Room>> {
        let mut state = self.state.write();
        let rooms = &mut state.connections.get_mut(&id)?.rooms;
        let place = rooms.iter().position(|room| *room.name == *name)?;
        let room = rooms.remove(place);
        state.take_out(id, &room);
        Some(room)
    }

    /// Subscribes a connection to a topic, unless it is in `most` rooms and topics; 0: in any number.
    pub fn subscribe(
        &self,
        id: SocketId,
        subscription: Uuid,
        (topic, filter): (&str, Filter),
        most: usize,
    ) -> Result<(), NotSubscribed> {
        let mut state = self.state.write();
        let State { connections, topics, .. } = &mut *state;
        // One that has gone gets nothing any more.
        let Some(occupant) = connections.get_mut(&id) else { return Ok(()) };
        if occupant.is_full(most) {
            return Err(NotSubscribed::Full);
        }
        let subscriber = Subscriber { id: subscription, connection: occupant.connection.clone() };
        let kept =
            topics.add(topic, filter, subscriber).map_err(|TooManyFilters| NotSubscribed::TooManyFilters)?;
        occupant.subscriptions.insert(subscription, kept);
        Ok(())
    }

    /// Ends a subscription of a connection; false when it has none of this id.
    pub fn unsubscribe(&self, id: SocketId, subscription: Uuid) -> bool {
        let mut state = self.state.write();
        let State { connections, topics, .. } = &mut *state;
        let kept = connections.get_mut(&id).and_then(|occupant| occupant.subscriptions.remove(&subscription));
        kept.is_some_and(|kept| {
            topics.remove(subscription, &kept);
            true
        })
    }

    /// A topic by its name, if anybody subscribed to it.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.state.read().topics.topic(name)
    }

    /// The names of the rooms that a connection is in.
    pub fn names_of(&self, id: SocketId) -> Vec<String> {
        let state = self.state.read();
        let rooms = state.connections.get(&id).into_iter().flat_map(|occupant| &occupant.rooms);
        rooms.map(|room| String::from(&*room.name)).collect()
    }

    /// A room by its name, if anybody is in it.
    pub fn room(&self, name: &str) -> Option<Arc<Room>> {
        self.state.read().rooms.get(name).cloned()
    }

    /// The rooms whose names begin like this.
    pub fn beginning_with(&self, prefix: &str) -> Vec<Arc<Room>> {
        let state = self.state.read();
        let from = state.names.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|ByName(room)| room).take_while(|room| room.name.starts_with(prefix)).cloned().collect()
    }

    /// So many rooms, by name, behind this one.
    pub fn rooms_behind(&self, name: Option<&str>, most: usize) -> Vec<Arc<Room>> {
        let state = self.state.read();
        let behind =
            state.names.range::<str, _>((name.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        behind.take(most).map(|ByName(room)| room.clone()).collect()
    }

    /// So many connections, by id, behind this one.
    pub fn connections_behind(&self, id: Option<SocketId>, most: usize) -> Vec<Arc<Connection>> {
        let state = self.state.read();
        let behind = state.ids.range((id.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        let occupants = behind.take(most).filter_map(|id| state.connections.get(id));
        occupants.map(|occupant| occupant.connection.clone()).collect()
    }

    /// The names of the first so many rooms that a connection is in, and of how many it is in.
    pub fn first_names_of(&self, id: SocketId, most: usize) -> (Vec<String>, usize) {
        let state = self.state.read();
        let rooms = state.connections.get(&id).map_or(&[][..], |occupant| &occupant.rooms);
        (rooms.iter().take(most).map(|room| String::from(&*room.name)).collect(), rooms.len())
    }

    /// How many rooms there are.
    pub fn room_count(&self) -> usize {
        self.state.read().rooms.len()
    }

    /// Who came and went so far.
    pub fn moves(&self) -> Moves {
        self.state.read().moves
    }

    /// A connection by its socket's id.
    pub fn connection(&self, id: SocketId) -> Option<Arc<Connection>> {
        self.state.read().connections.get(&id).map(|occupant| occupant.connection.clone())
    }

    /// All connections.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        self.state.read().connections.values().map(|occupant| occupant.connection.clone()).collect()
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.state.read().connections.len()
    }
}

impl State {
    /// Takes a connection out of a room, which goes with the last.
    fn take_out(&mut self, id: SocketId, room: &Room) {
        let mut members = room.members.lock();
        members.change(|members| drop(members.remove(&id)));
        self.moves.leaves += 1;
        if members.by_id.is_empty() {
            self.rooms.remove(&room.name);
            self.names.remove(&*room.name);
        }
    }
}

impl Room {
    fn new(name: &str) -> Self {
        Self { name: name.into(), members: Mutex::default(), changes: Changes::default() }
    }

    /// All that are in it. Nothing is held meanwhile, so whoever sends keeps nobody from joining.
    pub fn connections(&self) -> Arc<[Arc<Connection>]> {
        self.members.lock().all()
    }

    /// So many of those in it, by id, behind this one.
    pub fn connections_behind(&self, id: Option<SocketId>, most: usize) -> Vec<Arc<Connection>> {
        let members = self.members.lock();
        let behind = members.by_id.range((id.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        behind.take(most).map(|(_, member)| member.connection.clone()).collect()
    }

    /// Whether a connection is in it.
    pub fn has(&self, id: SocketId) -> bool {
        self.members.lock().by_id.contains_key(&id)
    }

    /// How many are in it.
    pub fn size(&self) -> usize {
        self.members.lock().by_id.len()
    }

    /// Who is in it, since when.
    pub fn members(&self) -> Vec<Member> {
        let members = self.members.lock();
        let member = |member: &RoomMember| Member {
            socket_id: member.connection.id_text.to_string(),
            user_id: member.connection.user_id().map(|id| id.to_string()),
            joined_at: member.joined_at,
        };
        members.by_id.values().map(member).collect()
    }
}

impl Members {
    fn change(&mut self, change: impl FnOnce(&mut BTreeMap<SocketId, RoomMember>)) {
        self.all = None;
        change(&mut self.by_id);
    }

    fn all(&mut self) -> Arc<[Arc<Connection>]> {
        let members = &self.by_id;
        let all = || members.values().map(|member| member.connection.clone()).collect();
        self.all.get_or_insert_with(all).clone()
    }
}
