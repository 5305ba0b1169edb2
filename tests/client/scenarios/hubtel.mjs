// The hubtel pack: the client code of its guide, and what the guide leaves open.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { ask, collect, connect, next, run, scenario, settle, until, url } from "../lib.mjs";

const envelope = (roomChannel, roomId = null, message = "") => ({ data: { message, roomId, roomChannel } });

/** The value of an event that must succeed. */
async function value(client, event, payload) {
  const outcome = await run(client, event, payload);
  assert.equal(outcome.success, true, JSON.stringify(outcome));
  return outcome.result;
}

async function refused(client, event, payload) {
  const { success, code, message } = await run(client, event, payload);
  assert.equal(success, false);
  return [code, message];
}

await scenario({
  async "the guide, as it stands"() {
    const socket = io(url, {
      transports: ["websocket", "polling"], // Specify the transport methods
    });
    await new Promise((resolve) => socket.on("connect", resolve));
    const other = await connect("/");
    const seen = Object.fromEntries(
      ["join-channel", "channelId", "leave-channel", "online-users"].map((event) => [event, collect(other, event)]),
    );
    await value(other, "join-channel", envelope("channelId"));
    socket.emit("join-channel",
    { data:
      {
          message: "",
          roomId: null,
          roomChannel: "channelId",
        },
        time: "2021-09-01T12:00:00.000Z",
        clientId: socket.id,
        source: {
          platform: "web",
          appName: "Sample App Name",
          appVersion: "1.0.0",
          clientId: socket.id,
          userName: "John Doe",
          channel: "channelId",
        }});
    const sendMessage = () => {
      const data =
      { data:
      {
        message: "This is a message",
        roomId: null,
        roomChannel: "channelId",
      },
      time: "2021-09-01T12:00:00.000Z",
      clientId: socket.id,
      source: {
        platform: "web",
        appName: "Sample App Name",
        appVersion: "1.0.0",
        clientId: socket.id,
        userName: "John Doe",
        channel: "channelId",
      }};
      socket.emit("channelId", data );
    };
    const own = collect(socket, "channelId");
    sendMessage();
    await until(() => seen.channelId.length === 1 && own.length === 1);
    const [said] = seen.channelId;
    assert.deepEqual([said.data.message, said.clientId, said.source.userName, said.time], [
      "This is a message", socket.id, "John Doe", "2021-09-01T12:00:00.000Z",
    ]);
    assert.deepEqual(own, [said], "the sender too");
    await until(() => seen["online-users"].at(-1)?.data.onlineUsers.channelId === 2);

    const room = { ...said, data: { message: "This message is going to all clients in roomId", roomId: "roomId", roomChannel: "channelId" } };
    const inRoom = collect(other, "notify-room");
    socket.emit("join-room", room);
    await value(other, "join-room", envelope("channelId", "roomId"));
    socket.emit("notify-room", room);
    await until(() => inRoom.length === 1);
    assert.equal(inRoom[0].data.message, room.data.message);
    const counts = collect(other, "room-online-users");
    socket.emit("leave-room", room);
    await until(() => counts.at(-1)?.data.onlineUsers === 1);
    socket.emit("leave-channel", said);
    await until(() => seen["leave-channel"].length === 1);
    await until(() => seen["online-users"].at(-1)?.data.onlineUsers.channelId === 1);
    socket.disconnect();
    other.disconnect();
  },

  async "nobody speaks for another, nor where they are not"() {
    const [one, other] = [await connect("/"), await connect("/")];
    await value(one, "join-channel", envelope("a"));
    await value(other, "join-channel", envelope("b"));
    const heard = collect(one, "b");
    const forged = { ...envelope("b", null, "hi"), clientId: other.id, source: { clientId: other.id } };
    assert.deepEqual(await refused(one, "b", forged), ["AUTHORIZATION_ERROR", "Join the channel first"]);
    await value(one, "join-channel", envelope("b"));
    await value(one, "b", forged);
    assert.deepEqual([heard[0].clientId, heard[0].source.clientId], [one.id, one.id]);
    // The names of rooms inside the server are no way in.
    for (const name of ["channel:a", "room:1:ax", one.id]) {
      assert.equal((await refused(other, name, envelope(name)))[0], "AUTHORIZATION_ERROR");
    }
    assert.equal((await refused(other, "join-room", envelope("a", "x")))[0], "AUTHORIZATION_ERROR");
    await value(one, "join-room", envelope("a", "bx"));
    await value(other, "join-channel", envelope("ab"));
    await value(other, "join-room", envelope("ab", "x"));
    const leaked = collect(other, "notify-room");
    await value(one, "notify-room", envelope("a", "bx"));
    await settle(one, other);
    assert.deepEqual(leaked, [], "`a` and `bx` are not `ab` and `x`");
    one.disconnect();
    other.disconnect();
  },

  async "any name, and any payload"() {
    const [one, other] = [await connect("/"), await connect("/")];
    for (const name of ["a:b", "a/b", "*", "\"'`", "${x}", "🦀🦀", "x".repeat(120), "a b", "channel:a", "toString", "__proto__x"]) {
      for (const client of [one, other]) assert.deepEqual(await value(client, "join-channel", envelope(name)), { joined: name });
      const heard = next(other, name);
      await value(one, name, envelope(name, null, "hi"));
      assert.equal((await heard).data.message, "hi", name);
      await value(one, "join-room", envelope(name, name));
      for (const client of [one, other]) await value(client, "leave-channel", envelope(name));
    }
    for (const payload of [undefined, null, 7, "text", [], {}, { data: null }, { data: [] }, { data: { roomId: "x" } }]) {
      const args = payload === undefined ? [] : [payload];
      const outcome = await run(one, "join-channel", ...args);
      assert.deepEqual([outcome.code, outcome.message], ["VALIDATION_ERROR", "data.roomChannel is required"], JSON.stringify(payload));
    }
    assert.deepEqual(await refused(one, "join-channel", envelope({ a: 1 })), ["VALIDATION_ERROR", "data.roomChannel has to be text"]);
    assert.deepEqual(await refused(one, "join-channel", envelope("x".repeat(10_000))), ["VALIDATION_ERROR", "data.roomChannel has 1 to 120 bytes"]);
    const large = await ask(one, "join-channel", envelope("a", null, "x".repeat(100_000)));
    assert.equal(large.error.code, "PAYLOAD_TOO_LARGE");
    // What the product keeps for itself is no channel's message.
    for (const name of ["ws:result", "presence", "token_expired"]) {
      const heard = collect(other, name);
      for (const client of [one, other]) await value(client, "join-channel", envelope(name));
      const [code, message] = await refused(one, name, envelope(name));
      assert.equal(code, "VALIDATION_ERROR");
      assert.match(message, /reserved/);
      await settle(one, other);
      assert.deepEqual(heard.filter((packet) => packet?.data), [], name);
    }
    one.disconnect();
    other.disconnect();
  },

  async "150 joins at once cost a few online-users; who goes is told"() {
    const clients = await Promise.all([...Array(150)].map(() => connect("/")));
    const before = Date.now();
    const watcher = await connect("/");
    const told = collect(watcher, "online-users");
    await Promise.all(clients.map((client) => value(client, "join-channel", envelope("crowd"))));
    await until(() => told.at(-1)?.data.onlineUsers.crowd === 150, () => `150 online: ${JSON.stringify(told.at(-1))}`);
    const seconds = (Date.now() - before) / 1000;
    assert.ok(told.length <= 2 + 4 * seconds, `${told.length} times in ${seconds} s`);
    await value(watcher, "join-channel", envelope("crowd"));
    await value(watcher, "join-room", envelope("crowd", "corner"));
    await value(clients[0], "join-room", envelope("crowd", "corner"));
    const [left, leftRoom, counts] = ["leave-channel", "leave-room", "room-online-users"].map((event) => collect(watcher, event));
    const gone = clients[0].id;
    clients[0].disconnect();
    await until(() => left.length === 1 && leftRoom.length === 1);
    assert.deepEqual([left[0].clientId, left[0].data.roomChannel, leftRoom[0].data.roomId], [gone, "crowd", "corner"]);
    assert.equal(counts.at(-1).data.onlineUsers, 1);
    await until(() => told.at(-1).data.onlineUsers.crowd === 150);
    for (const client of [...clients, watcher]) client.disconnect();
  },
});
