//! The calls of `@SOCKET`.

use super::{Entry, Place};

const fn call(signature: &'static str, gives: &'static str, about: &'static str) -> Entry {
    Entry::new("@SOCKET", signature, gives, about)
}

const fn emit(signature: &'static str, about: &'static str) -> Entry {
    call(signature, "", about).errors(
        "`VALIDATION_ERROR` for a reserved event name, `SCRIPT_OUTPUT_LIMIT` past 1,000 emits in one run or for data \
         over 1 MiB, 64 levels or 10 blobs",
    )
}

const fn others(signature: &'static str, about: &'static str) -> Entry {
    call(signature, "", about).errors(
        "`RESOURCE_NOT_FOUND` for an unknown path; in routes and hooks, which are of no gateway, the path has to be named. \
         It counts as an emit. A socket that is in as many rooms as it may be gets `rate_limited` and does not join",
    )
}

pub(super) const ENTRIES: [Entry; 40] = [
    emit("reply(event, data)", "To the client that sent the event.").only(Place::Socket)
        .example("@SOCKET.reply(\"welcome\", #{ id: @SOCKET.id });"),
    emit("broadcastToRoom(room, event, data)", "To a room of this gateway, without the sender.").only(Place::Socket)
        .example("@SOCKET.broadcastToRoom(\"lobby\", \"typing\", #{ who: @SOCKET.id });"),
    emit("emitToCurrentRoom(room, event, data)", "To a room of this gateway, the sender too if it is in it.").only(Place::Socket)
        .example("@SOCKET.emitToCurrentRoom(\"lobby\", \"said\", #{ text: @BODY.text });"),
    emit("emitToRoom(room, event, data)", "To the rooms of this name in all gateways. A pack names the gateway, so that other packs do not hear it.")
        .example("@SOCKET.emitToRoom(\"everybody\", \"news\", #{ text: \"hi\" });"),
    emit("emitToRoom(path, room, event, data)", "To a room of the gateway with this path; `RESOURCE_NOT_FOUND` where there is none.")
        .example("@SOCKET.emitToRoom(\"/chat\", \"lobby\", \"news\", #{ text: \"hi\" });"),
    emit("emitToUser(userId, event, data)", "To all sockets of a user, in all gateways.")
        .example("@SOCKET.emitToUser(\"u1\", \"notification\", #{ text: \"hi\" });"),
    emit("emitToUsers(userIds, event, data)", "To all sockets of these users, at most 1,000, in all gateways: one emit.")
        .example("@SOCKET.emitToUsers([\"u1\", \"u2\"], \"invited\", #{ lobby: \"blue\" });"),
    emit("emitToSocket(socketId, event, data)", "To one socket of this gateway, or in routes and hooks of any.")
        .example("@SOCKET.emitToSocket(\"some-id\", \"poke\", ());"),
    emit("emitToGateway(path, event, data)", "To every socket of a gateway; `RESOURCE_NOT_FOUND` for an unknown path.")
        .example("@SOCKET.emitToGateway(\"/chat\", \"news\", #{ text: \"hi\" });"),
    emit("broadcast(event, data)", "To every socket of every gateway.")
        .example("@SOCKET.broadcast(\"maintenance\", #{ inMinutes: 5 });"),
    call("join(room)", "", "Puts the socket into a room.").only(Place::Socket)
        .errors("`RATE_LIMIT_EXCEEDED` past the gateway's `subscriptionsPerConnection`")
        .example("@SOCKET.join(`room_${@BODY.roomId}`);"),
    call("leave(room)", "", "Takes the socket out of a room.").only(Place::Socket)
        .example("@SOCKET.leave(\"lobby\");"),
    call("rooms()", "an array of names", "The rooms of the socket.").only(Place::Socket)
        .example("if !(\"lobby\" in @SOCKET.rooms()) { @SOCKET.join(\"lobby\"); }"),
    call("subscribe(topic, filter?)", "the id of the subscription", "Has the socket get the events of a topic of this gateway that meet the filter, as `event {subscriptionId, topic, data, timestamp}`. The filter has the operators of tables, on the fields of `data`; one of a client goes through `@HELPERS.filter`. It ends with the socket.").only(Place::Socket)
        .errors("`RATE_LIMIT_EXCEEDED` past the gateway's `subscriptionsPerConnection`, rooms and topics together, or with more than 10,000 different filters of one topic; `VALIDATION_ERROR` for a filter over 4 KiB")
        .example("return @SOCKET.subscribe(\"prices\", #{ symbol: #{ _in: [\"A\", \"B\"] } });"),
    call("unsubscribe(subscriptionId)", "whether it had this subscription", "Ends a subscription of the socket.").only(Place::Socket)
        .example("let id = @SOCKET.subscribe(\"prices\"); @SOCKET.unsubscribe(id);"),
    emit("publish(topic, data)", "To the subscriptions of a topic whose filter `data` meets: of this gateway, or in routes and hooks of all.")
        .example("@SOCKET.publish(\"prices\", #{ symbol: \"A\", price: 7 });"),
    emit("publish(path, topic, data)", "The same of the gateway with this path; `RESOURCE_NOT_FOUND` where there is none.")
        .example("@SOCKET.publish(\"/shop\", \"prices\", #{ symbol: \"A\", price: 7 });"),
    others("joinUser(userId, room)", "Puts all sockets that a user has in this gateway into a room.")
        .example("@SOCKET.joinUser(\"u1\", \"lobby\");"),
    others("joinUser(path, userId, room)", "The same in the gateway with this path.")
        .example("@SOCKET.joinUser(\"/chat\", \"u1\", \"lobby\");"),
    others("leaveUser(userId, room)", "Takes all sockets that a user has in this gateway out of a room.")
        .example("@SOCKET.leaveUser(\"u1\", \"lobby\");"),
    others("leaveUser(path, userId, room)", "The same in the gateway with this path.")
        .example("@SOCKET.leaveUser(\"/chat\", \"u1\", \"lobby\");"),
    others("joinSocket(socketId, room)", "Puts a socket of this gateway into a room.")
        .example("@SOCKET.joinSocket(\"some-id\", \"lobby\");"),
    others("joinSocket(path, socketId, room)", "The same in the gateway with this path.")
        .example("@SOCKET.joinSocket(\"/chat\", \"some-id\", \"lobby\");"),
    others("leaveSocket(socketId, room)", "Takes a socket of this gateway out of a room.")
        .example("@SOCKET.leaveSocket(\"some-id\", \"lobby\");"),
    others("leaveSocket(path, socketId, room)", "The same in the gateway with this path.")
        .example("@SOCKET.leaveSocket(\"/chat\", \"some-id\", \"lobby\");"),
    others("clearRoom(room)", "Takes all sockets out of a room of this gateway.")
        .example("@SOCKET.clearRoom(\"lobby\");"),
    others("clearRoom(path, room)", "The same in the gateway with this path.")
        .example("@SOCKET.clearRoom(\"/chat\", \"lobby\");"),
    call("roomSize(room)", "a number", "How many sockets are in a room: of this gateway, or in routes and hooks of all.")
        .example("return @SOCKET.roomSize(\"lobby\");"),
    call("roomSize(path, room)", "a number", "The same of the gateway with this path; `RESOURCE_NOT_FOUND` where there is none.")
        .example("return @SOCKET.roomSize(\"/chat\", \"lobby\");"),
    call("members(room)", "an array of `#{ socketId, userId, joinedAt }`", "Who is in a room: of this gateway, or in routes and hooks of all.")
        .example("return @SOCKET.members(\"lobby\").map(|member| member.userId);"),
    call("members(path, room)", "the same array", "The same of the gateway with this path; `RESOURCE_NOT_FOUND` where there is none.")
        .example("return @SOCKET.members(\"/chat\", \"lobby\").len();"),
    call("channels(prefix?)", "an array of `#{ name, gateway, members }`", "The rooms that somebody is in, by name: of this gateway, or in routes and hooks of all; `members` is how many are in it.")
        .example("return @SOCKET.channels(\"chat:\").map(|channel| channel.name);"),
    call("connections()", "`#{ total, gateways }`", "How many sockets there are, in all and for each gateway by its path.")
        .example("return @SOCKET.connections().total;"),
    call("isOnline(userId)", "true or false", "Whether a user has a socket in any gateway.")
        .example("return @SOCKET.isOnline(\"u1\");"),
    call("disconnect()", "", "Ends the connection once what was emitted before has been sent.").only(Place::Socket)
        .example("@SOCKET.reply(\"bye\", ());\n@SOCKET.disconnect();"),
    call("disconnectUser(userId)", "", "Ends all connections of a user.")
        .example("@SOCKET.disconnectUser(\"u1\");"),
    call("disconnectSocket(socketId)", "", "Ends the connection of one socket of this gateway, or in routes and hooks of any.")
        .example("@SOCKET.disconnectSocket(\"some-id\");"),
    call("get(key)", "the value or `()`", "A value that this connection keeps.").only(Place::Socket)
        .example("let step = @SOCKET.get(\"step\");"),
    call("set(key, value)", "", "Keeps a value with this connection until it ends; `()` forgets it.").only(Place::Socket)
        .errors("`SCRIPT_OUTPUT_LIMIT` when the connection keeps too much")
        .example("@SOCKET.set(\"step\", 2);"),
    call("id", "text", "The id of the socket; `()` in a job that no socket sent, which tells it from a client's event.").only(Place::Socket)
        .example("return @SOCKET.id;"),
];
