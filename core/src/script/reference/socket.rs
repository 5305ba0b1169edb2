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

pub(super) const ENTRIES: [Entry; 20] = [
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
    emit("emitToSocket(socketId, event, data)", "To one socket.")
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
    call("roomSize(room)", "a number", "How many sockets are in a room: of this gateway, or in routes and hooks of all.")
        .example("return @SOCKET.roomSize(\"lobby\");"),
    call("members(room)", "an array of `#{ socketId, userId, joinedAt }`", "Who is in a room: of this gateway, or in routes and hooks of all.")
        .example("return @SOCKET.members(\"lobby\").map(|member| member.userId);"),
    call("disconnect()", "", "Ends the connection once what was emitted before has been sent.").only(Place::Socket)
        .example("@SOCKET.reply(\"bye\", ());\n@SOCKET.disconnect();"),
    call("disconnectUser(userId)", "", "Ends all connections of a user.")
        .example("@SOCKET.disconnectUser(\"u1\");"),
    call("disconnectSocket(socketId)", "", "Ends the connection of one socket.")
        .example("@SOCKET.disconnectSocket(\"some-id\");"),
    call("get(key)", "the value or `()`", "A value that this connection keeps.").only(Place::Socket)
        .example("let step = @SOCKET.get(\"step\");"),
    call("set(key, value)", "", "Keeps a value with this connection until it ends; `()` forgets it.").only(Place::Socket)
        .errors("`SCRIPT_OUTPUT_LIMIT` when the connection keeps too much")
        .example("@SOCKET.set(\"step\", 2);"),
    call("id", "text", "The id of the socket; `()` in a job that no socket sent, which tells it from a client's event.").only(Place::Socket)
        .example("return @SOCKET.id;"),
];
