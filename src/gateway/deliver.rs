//! Publications on their way to the sockets of this node.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gatewright_core::broker::{Action, Channel, Member, Publication, Room, Sockets, Target};
use gatewright_core::filter::Filter;
use gatewright_core::payload::Payload;
use gatewright_core::script::Socket;
use serde_json::{Map, Value as Json};

use super::connection::Connection;
use super::hub::Hub;
use super::namespace::Namespace;
use super::packets::{self, EventPacket, Outgoing};
use super::rooms;
use super::topics::Subscriber;

impl Sockets for Hub {
    fn deliver(&self, publication: &Publication) {
        let target = &publication.target;
        match &publication.action {
            Action::Emit { event, payload } => {
                let data = Outgoing::new(payload);
                self.each(target, |connection| connection.send_or_end(event, &data));
            }
            Action::Event { data, timestamp } => self.tell_topic(target, data, timestamp),
            // Who is in as many rooms as they may be is told so.
            Action::Join(room) => self.each(target, |connection| drop(Socket::join(connection, room))),
            Action::Leave(room) => self.each(target, |connection| Socket::leave(connection, room)),
            Action::Disconnect => self.each(target, Connection::end),
            Action::CheckSession => self.check_sessions.notify_one(),
        }
    }

    fn members(&self, room: Room<'_>) -> Vec<Member> {
        self.rooms(room).flat_map(|room| room.members()).collect()
    }

    fn room_size(&self, room: Room<'_>) -> usize {
        self.rooms(room).map(|room| room.size()).sum()
    }

    fn channels(&self, gateway: Option<&str>, prefix: &str) -> Vec<Channel> {
        let namespaces = self.namespaces();
        let meant =
            namespaces.values().filter(|namespace| gateway.is_none_or(|path| path == &*namespace.path));
        let channels = |namespace: &Arc<Namespace>| {
            let rooms = namespace.rooms.beginning_with(prefix).into_iter();
            let channel = |room: Arc<rooms::Room>| Channel {
                name: room.name.to_string(),
                gateway: namespace.path.clone(),
                members: room.size(),
            };
            rooms.map(channel).collect::<Vec<_>>()
        };
        meant.flat_map(channels).collect()
    }

    fn connections(&self) -> BTreeMap<String, usize> {
        let count =
            |namespace: &Arc<Namespace>| (namespace.path.to_string(), namespace.rooms.connection_count());
        self.namespaces().values().map(count).collect()
    }

    fn connections_of_user(&self, user_id: &str) -> usize {
        self.connection_count_of(user_id)
    }
}

impl Hub {
    /// Tells each subscription of a topic whose filter an event meets. Each filter is looked at once.
    fn tell_topic(&self, target: &Target, payload: &Payload, timestamp: &str) {
        let Target::Topic { gateway, topic } = target else { return };
        let data = Outgoing::new(payload);
        let fields = OnceCell::new();
        let meets =
            |filter: &Filter| filter.is_all() || filter.matches(fields.get_or_init(|| fields_of(payload)));
        for topic in self.topics(gateway.as_deref(), topic) {
            for subscribers in topic.by_filter().iter().filter(|subscribers| meets(subscribers.filter())) {
                for Subscriber { id, connection } in subscribers.all().iter() {
                    let packet =
                        EventPacket { subscription_id: *id, topic: &topic.name, data: &data, timestamp };
                    connection.send_or_end(packets::EVENT, &packet);
                }
            }
        }
    }

    /// Does something to each socket that is meant.
    fn each(&self, target: &Target, act: impl Fn(&Connection)) {
        match target {
            Target::Room { gateway, room, except } => {
                let is_meant =
                    |one: &&Arc<Connection>| except.as_deref().is_none_or(|id| *one.id_text != *id);
                if let Some(room) = self.namespace(gateway).and_then(|namespace| namespace.rooms.room(room)) {
                    room.connections().iter().filter(is_meant).for_each(|connection| act(connection));
                }
            }
            Target::RoomOfAll(name) => {
                for room in self.rooms(Room { gateway: None, name }) {
                    room.connections().iter().for_each(|connection| act(connection));
                }
            }
            Target::User(id) => self.connections_of(id).iter().for_each(|connection| act(connection)),
            Target::Users(ids) => {
                // One user's sockets are nobody else's: only the ids may come twice.
                let ids: BTreeSet<_> = ids.iter().collect();
                let connections = ids.into_iter().flat_map(|id| self.connections_of(id));
                connections.for_each(|connection| act(&connection));
            }
            Target::UserIn { gateway, user } => {
                let connections = self.connections_of(user).into_iter();
                let meant = connections.filter(|one| one.namespace.path == *gateway);
                meant.for_each(|connection| act(&connection));
            }
            Target::Socket(id) => {
                self.connections_of_socket(id).iter().for_each(|connection| act(connection));
            }
            Target::Connection { gateway, socket } => {
                let namespace = self.namespace(gateway);
                let connection = socket.parse().ok().and_then(|id| namespace?.rooms.connection(id));
                connection.iter().for_each(|connection| act(connection));
            }
            Target::Gateway(path) => {
                let namespace = self.namespace(path).into_iter();
                let connections = namespace.flat_map(|namespace| namespace.rooms.connections());
                connections.for_each(|connection| act(&connection));
            }
            Target::Topic { gateway, topic } => {
                let topics = self.topics(gateway.as_deref(), topic);
                let subscribers = topics.flat_map(|topic| topic.by_filter().to_vec());
                let subscribers = subscribers.flat_map(|subscribers| subscribers.all().to_vec());
                subscribers.for_each(|subscriber| act(&subscriber.connection));
            }
            Target::All => {
                let namespaces = self.namespaces();
                let connections = namespaces.values().flat_map(|namespace| namespace.rooms.connections());
                connections.for_each(|connection| act(&connection));
            }
        }
    }
}

/// What filters look at; of a value that is no object, nothing.
fn fields_of(payload: &Payload) -> Map<String, Json> {
    serde_json::from_str(&payload.json).unwrap_or_default()
}
