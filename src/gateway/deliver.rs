//! Publications on their way to the sockets of this node.

use std::sync::Arc;

use gatewright_core::broker::{Action, Member, Publication, Room, Sockets, Target};

use super::connection::Connection;
use super::hub::Hub;
use super::packets::Outgoing;

impl Sockets for Hub {
    fn deliver(&self, publication: &Publication) {
        let target = &publication.target;
        match &publication.action {
            Action::Emit { event, payload } => {
                let data = Outgoing::new(payload);
                self.each(target, |connection| connection.send_or_end(event, &data));
            }
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
}

impl Hub {
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
            Target::All => {
                let namespaces = self.namespaces();
                let connections = namespaces.values().flat_map(|namespace| namespace.rooms.connections());
                connections.for_each(|connection| act(&connection));
            }
        }
    }
}
