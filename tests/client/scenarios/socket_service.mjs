// The socket-service pack: the client code of its guide, and what the guide leaves open. It runs wherever the
// pack is mounted.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { admin, ask, call, collect, connect, connectError, next, run, scenario, settle, until, url, user } from "../lib.mjs";

const installed = (await admin("GET", "/admin/gateways?limit=100")).data.find(({ pack }) => pack === "socket-service");
const { path } = installed;

/** A signed-in socket. */
const signedIn = async (options = {}) => connect(path, { auth: { token: (await user()).token }, ...options });

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

/** What the guide calls `realtime`, over the official client. */
async function realtimeOf(token) {
  const socket = io(url + path, { auth: { token }, forceNew: true });
  const listeners = { connection: [], error: [] };
  const tell = (event, value) => listeners[event].forEach((listener) => listener(value));
  socket.on("connect", () => tell("connection", { state: "connected" }));
  socket.on("disconnect", () => tell("connection", { state: "disconnected" }));
  socket.io.on("reconnect_attempt", () => tell("connection", { state: "reconnecting" }));
  socket.on("connect_error", (error) => tell("error", error));
  const emit = (event, payload) => value(socket, event, payload);
  const socketClient = {
    joinChannel: (channel) => emit("joinChannel", { channel }),
    leaveChannel: (channel) => emit("leaveChannel", { channel }),
    publish: (channel, event, data) => emit("publish", { channel, event, data }),
    directMessage: (socketId, event, data) => emit("directMessage", { socketId, event, data }),
  };
  return { socket, socketClient, on: (event, listener) => listeners[event].push(listener) };
}

await scenario({
  async "the guide, as it stands"() {
    const someone = await user();
    const other = await signedIn();
    const [heard, told, direct] = ["message", "presence", "notification"].map((event) => collect(other, event));
    await value(other, "joinChannel", { channel: "chat:room1" });
    const realtime = await realtimeOf(someone.token);
    const states = [];
    realtime.on('connection', ({ state }) => {
      states.push(state);
      // 'connecting' | 'connected' | 'disconnected' | 'reconnecting'
    });
    realtime.on('error', (err) => {
      console.error('Connection error:', err);
    });
    await until(() => states.at(-1) === "connected");
    const targetSocketId = other.id;

    await realtime.socketClient.joinChannel('chat:room1');
    await realtime.socketClient.publish('chat:room1', 'message', {
      text: 'Hello everyone!',
      sender: 'user123',
    });
    await realtime.socketClient.directMessage(targetSocketId, 'notification', {
      text: 'You have a new message',
    });
    await until(() => direct.length === 1);
    const { timestamp, ...message } = heard[0];
    const from = realtime.socket.id;
    assert.deepEqual(message, { channel: "chat:room1", data: { text: "Hello everyone!", sender: "user123" }, from });
    assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 600_000);
    assert.deepEqual([direct[0].data, direct[0].from], [{ text: "You have a new message" }, from]);

    const { key } = await admin("POST", "/admin/app-keys", { name: "app", scopes: ["socket:read", "socket:broadcast"] });
    const api = (method, path, body) => call(method, path, body, { headers: { "x-app-token": key } });
    const members = (await api("GET", "/api/socket/channels/chat:room1/members")).body;
    assert.equal(members.channel, "chat:room1");
    assert.deepEqual(members.members.map(({ socketId }) => socketId).sort(), [other.id, from].sort());
    assert.equal(members.members.find(({ socketId }) => socketId === from).userId, someone.id);
    assert.deepEqual((await api("GET", "/api/socket/channels")).body.channels, [{ name: "chat:room1", gateway: path, members: 2 }]);
    assert.equal((await api("GET", "/api/socket/connections")).body.gateways[path], 2);
    const broadcast = { channel: "chat:room1", gateway: path, event: "message", data: { text: "from the backend" } };
    assert.deepEqual((await api("POST", "/api/socket/broadcast", broadcast)).body, { delivered: 2 });
    await until(() => heard.length === 2);

    await realtime.socketClient.leaveChannel('chat:room1');
    await until(() => told.length === 3);
    const member = { socketId: from, userId: someone.id };
    assert.deepEqual(told.slice(1), [
      { action: "join", room: "chat:room1", member, count: 2 },
      { action: "leave", room: "chat:room1", member, count: 1 },
    ]);
    await realtime.socketClient.joinChannel("chat:room1");
    realtime.socket.disconnect();
    await until(() => told.length === 5);
    assert.deepEqual([told[4].action, told[4].count], ["leave", 1]);
  },

  async "everybody is signed in"() {
    assert.equal(await connectError(path), "AUTH_REQUIRED: Authentication token required");
    assert.equal(await connectError(path, { auth: { token: "nonsense" } }), "AUTH_INVALID: Invalid authentication token");
  },

  async "a message is for the members, the sender too"() {
    const [one, two, outside] = [await signedIn(), await signedIn({ transports: ["polling"] }), await signedIn()];
    const heard = [one, two, outside].map((client) => collect(client, "message"));
    for (const client of [one, two]) assert.deepEqual(await value(client, "joinChannel", { channel: "a" }), { joined: "a" });
    await value(outside, "joinChannel", { channel: "b" });
    assert.deepEqual(await value(one, "publish", { channel: "a", event: "message", data: 5 }), { published: true });
    assert.deepEqual(await refused(outside, "publish", { channel: "a", event: "message", data: 6 }), ["AUTHORIZATION_ERROR", "Join the channel first"]);
    assert.deepEqual(await value(two, "leaveChannel", { channel: "a" }), { left: "a" });
    assert.equal((await refused(two, "publish", { channel: "a", event: "message", data: 7 }))[0], "AUTHORIZATION_ERROR");
    await value(one, "publish", { channel: "a", event: "message" });
    await settle(one, two, outside);
    assert.deepEqual(heard.map((all) => all.map(({ data }) => data)), [[5, null], [5], []]);
    const told = collect(one, "presence");
    for (const _ of [1, 2]) await value(two, "joinChannel", { channel: "a" });
    for (const _ of [1, 2]) await value(two, "leaveChannel", { channel: "a" });
    await settle(one);
    assert.deepEqual(told.map(({ action }) => action), ["join", "leave"], "twice is told once");
  },

  async "any name is a channel, and none is another's"() {
    const [one, other] = [await signedIn(), await signedIn()];
    const someone = await user();
    const victim = await connect(path, { auth: { token: someone.token } });
    const overheard = [];
    victim.onAny((event, packet) => overheard.push([event, packet]));
    const names = ["a:b", "a/b", "../b", "*", "chat:*", "\"'`", "${x}", "🦀🦀", "x".repeat(256), " ", "a b", "toString", "__proto__", "ws:result", "presence", "\u0001", victim.id, someone.id, `user_${someone.id}`, "/", path];
    for (const channel of names) {
      for (const client of [one, other]) assert.deepEqual(await value(client, "joinChannel", { channel }), { joined: channel });
      const heard = next(other, "message");
      await value(one, "publish", { channel, event: "message", data: channel });
      assert.deepEqual([(await heard).channel, (await heard).data], [channel, channel]);
      // What is for the victim alone does not come to a room of its name.
      const leaked = collect(other, "secret");
      await value(one, "directMessage", { socketId: victim.id, event: "secret", data: 1 });
      await settle(other, victim);
      assert.deepEqual(leaked, []);
      for (const client of [one, other]) await value(client, "leaveChannel", { channel });
    }
    await settle(victim);
    assert.deepEqual(new Set(overheard.map(([event]) => event)), new Set(["secret"]), "and the victim hears of no channel");
    for (const channel of ["", "x".repeat(257), "x".repeat(10_000), "🦀".repeat(100)]) {
      assert.deepEqual(await refused(one, "joinChannel", { channel }), ["VALIDATION_ERROR", "a room has 1 to 256 bytes"]);
    }
    for (const channel of [null, 5, {}, ["a"], true]) {
      assert.equal((await refused(one, "joinChannel", { channel }))[0], "VALIDATION_ERROR");
    }
    for (const payload of [undefined, null, 7, "text", [], {}]) {
      const args = payload === undefined ? [] : [payload];
      for (const event of ["joinChannel", "leaveChannel", "publish", "directMessage", "subscribe", "unsubscribe"]) {
        assert.equal((await run(one, event, ...args)).code, "VALIDATION_ERROR", `${event} ${JSON.stringify(payload)}`);
      }
    }
  },

  async "what the product keeps for itself is no event"() {
    const [one, other] = [await signedIn(), await signedIn()];
    for (const client of [one, other]) await value(client, "joinChannel", { channel: "a" });
    const overheard = [];
    other.onAny((event) => overheard.push(event));
    for (const event of ["ws:result", "ws:error", "ws:anything", "presence", "event", "rate_limited", "token_expired", "token_refresh", "connect", "connect_error", "disconnect", "newListener", "bus_gap", "backend_x", "job_status"]) {
      for (const [name, payload] of [["publish", { channel: "a", event }], ["directMessage", { socketId: other.id, event }]]) {
        const [code, message] = await refused(one, name, payload);
        assert.equal(code, "VALIDATION_ERROR");
        assert.match(message, /reserved/);
      }
    }
    for (const event of ["", "x".repeat(257)]) assert.equal((await refused(one, "publish", { channel: "a", event }))[0], "VALIDATION_ERROR");
    await settle(one, other);
    assert.deepEqual(overheard, []);
    const large = await ask(one, "publish", { channel: "a", event: "message", data: "x".repeat(100_000) });
    assert.equal(large.error.code, "PAYLOAD_TOO_LARGE");
  },

  async "topics with filters"() {
    const [one, other] = [await signedIn(), await signedIn()];
    const heard = collect(other, "event");
    const { subscriptionId } = await value(other, "subscribe", { topic: "prices", filter: { price: { _gt: 5 } } });
    const { subscriptionId: all } = await value(other, "subscribe", { topic: "prices" });
    await value(one, "joinChannel", { channel: "prices" });
    for (const price of [3, 7]) await value(one, "publish", { channel: "prices", event: "price", data: { price } });
    await settle(other);
    const of = (id) => heard.filter((packet) => packet.subscriptionId === id).map(({ topic, data }) => [topic, data.price]);
    assert.deepEqual([of(subscriptionId), of(all)], [[["prices", 7]], [["prices", 3], ["prices", 7]]]);
    assert.deepEqual(await value(other, "unsubscribe", { subscriptionId: all }), { subscriptionId: all });
    assert.equal((await refused(other, "unsubscribe", { subscriptionId: all }))[0], "RESOURCE_NOT_FOUND");
    assert.equal((await refused(one, "unsubscribe", { subscriptionId }))[0], "RESOURCE_NOT_FOUND", "another's");
    assert.equal((await refused(other, "subscribe", { topic: "prices", filter: { price: { _above: 5 } } }))[0], "VALIDATION_ERROR");
    heard.length = 0;
    await value(one, "publish", { channel: "prices", event: "price", data: { price: 9 } });
    await settle(other);
    assert.deepEqual(heard.map((packet) => packet.subscriptionId), [subscriptionId]);
  },

  async "binary data passes as it is"() {
    const [one, other] = [await signedIn(), await signedIn({ transports: ["polling"] })];
    for (const client of [one, other]) await value(client, "joinChannel", { channel: "files" });
    const heard = next(other, "file");
    const file = Buffer.alloc(50_000, "file");
    await value(one, "publish", { channel: "files", event: "file", data: { name: "a", file } });
    assert.ok(file.equals((await heard).data.file));
  },

  async "and no run was broken by any of this"() {
    assert.deepEqual((await admin("GET", "/admin/logs?code=INTERNAL_ERROR")).data, []);
  },
});
