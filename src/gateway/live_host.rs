//! The live host of the scripts of sockets: what `@SOCKET` really does.

use std::sync::Arc;

use gatewright_core::script::{Cache, Host, Member, Payload, Target};
use gatewright_core::{ErrorCode, Failure};

use super::connection::{Connection, NotTaken};
use super::hub::Hub;
use super::packets::{self, Outgoing, RateLimitedPacket};

/// The host of the scripts that a socket triggers is its connection.
impl Host for Connection {
    fn socket_id(&self) -> Option<&str> {
        Some(&self.id_text)
    }

    fn emit(&self, target: Target<'_>, event: &str, data: Payload) -> Result<(), Failure> {
        self.hub().metrics.emitted.inc();
        let data = Outgoing::new(&data);
        let send = |connection: &Connection| connection.send_or_end(event, &data);
        match target {
            Target::Reply => send(self),
            Target::RoomWithoutSender(room) => self.namespace.each_in_room(room, |member| {
                if member.id != self.id {
                    send(member);
                }
            }),
            Target::CurrentRoom(room) => self.namespace.each_in_room(room, send),
            other => return send_from_anywhere(self.hub(), other, send),
        }
        Ok(())
    }

    fn join(&self, room: &str) -> Result<(), Failure> {
        match self.join_room(room) {
            Ok(_) | Err(NotTaken::Gone) => Ok(()),
            Err(NotTaken::Full) => {
                let limit = self.namespace.gateway.load().limits.subscriptions_per_connection;
                let packet =
                    RateLimitedPacket { message: "Too many subscriptions", limit, retry_after_ms: 0 };
                self.send_or_end(packets::RATE_LIMITED, &packet);
                let message = format!("More than {limit} rooms for one connection; leave one first");
                Err(Failure::new(ErrorCode::RateLimitExceeded, message))
            }
        }
    }

    fn leave(&self, room: &str) {
        self.leave_room(room);
    }

    fn rooms(&self) -> Vec<String> {
        self.room_names()
    }

    fn members(&self, room: &str) -> Vec<Member> {
        self.namespace.members(room)
    }

    fn room_size(&self, room: &str) -> usize {
        self.namespace.room_size(room)
    }

    fn disconnect(&self) {
        self.end();
    }

    fn disconnect_user(&self, user_id: &str) {
        disconnect_user(self.hub(), user_id);
    }

    fn disconnect_socket(&self, socket_id: &str) {
        disconnect_socket(self.hub(), socket_id);
    }

    fn get(&self, key: &str) -> Option<Arc<str>> {
        self.value(key)
    }

    fn set(&self, key: &str, json: String) -> Result<(), Failure> {
        self.set_value(key, json).map_err(|_| {
            Failure::new(
                ErrorCode::ScriptOutputLimit,
                "The connection keeps no more values; set one to () first",
            )
        })
    }

    fn cache(&self) -> &Cache {
        &self.hub().cache
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// The emits that need no triggering socket.
pub(super) fn send_from_anywhere(
    hub: &Hub,
    target: Target<'_>,
    send: impl Fn(&Connection),
) -> Result<(), Failure> {
    let gateway = |path| hub.namespace(path).ok_or_else(|| Failure::not_found("gateway", path));
    match target {
        Target::RoomOfAll(room) => {
            hub.namespaces().values().for_each(|namespace| namespace.each_in_room(room, &send));
        }
        Target::RoomOf(path, room) => gateway(path)?.each_in_room(room, send),
        Target::Gateway(path) => gateway(path)?.each(send),
        Target::User(id) => hub.connections_of(id).iter().for_each(|connection| send(connection)),
        Target::Socket(id) => hub.connections_of_socket(id).iter().for_each(|connection| send(connection)),
        Target::All => hub.namespaces().values().for_each(|namespace| namespace.each(&send)),
        Target::Reply | Target::RoomWithoutSender(_) | Target::CurrentRoom(_) => {
            return Err(Failure::new(ErrorCode::Internal, "This call needs a socket"));
        }
    }
    Ok(())
}

/// Ends the connections of a user.
pub(super) fn disconnect_user(hub: &Hub, user_id: &str) {
    hub.connections_of(user_id).iter().for_each(|connection| connection.end());
}

/// Ends the connections of a socket.
pub(super) fn disconnect_socket(hub: &Hub, socket_id: &str) {
    hub.connections_of_socket(socket_id).iter().for_each(|connection| connection.end());
}
