// Sockets of others: who is put into rooms by somebody else, who is connected, and the socket API.
import assert from "node:assert/strict";
import { admin, call, collect, connect, gateway, run, scenario, settle, until, user } from "../lib.mjs";

const EVENTS = {
  join: "@SOCKET.join(@BODY); return @SOCKET.rooms();",
  rooms: "return @SOCKET.rooms();",
  joinUser: "@SOCKET.joinUser(@BODY.id, @BODY.room);",
  joinUserOf: "@SOCKET.joinUser(@BODY.path, @BODY.id, @BODY.room);",
  leaveUser: "@SOCKET.leaveUser(@BODY.id, @BODY.room);",
  joinSocket: "@SOCKET.joinSocket(@BODY.id, @BODY.room);",
  leaveSocket: "@SOCKET.leaveSocket(@BODY.id, @BODY.room);",
  clearRoom: "@SOCKET.clearRoom(@BODY);",
  clearRoomOf: "@SOCKET.clearRoom(@BODY.path, @BODY.room);",
  emitToUsers: "@SOCKET.emitToUsers(@BODY.ids, \"message\", @BODY.mark);",
  channels: "return @SOCKET.channels(@BODY);",
  allChannels: "return @SOCKET.channels().len();",
  connections: "return @SOCKET.connections();",
  isOnline: "return @SOCKET.isOnline(@BODY);",
  roomSize: "return @SOCKET.roomSize(@BODY.path, @BODY.room);",
  members: "return @SOCKET.members(@BODY.path, @BODY.room).len();",
};

async function value(from, event, payload) {
  const outcome = await run(from, event, payload);
  assert.equal(outcome.success, true, JSON.stringify(outcome));
  return outcome.result;
}

async function appKey(scopes) {
  return (await admin("POST", "/admin/app-keys", { name: `for ${scopes}`, scopes })).key;
}

await scenario({
  async "others are put into rooms, and taken out"() {
    await gateway("/others", EVENTS);
    await gateway("/elsewhere", EVENTS);
    const anna = await user();
    const auth = { auth: { token: anna.token } };
    const [one, two, there] = [await connect("/others", auth), await connect("/others", auth), await connect("/elsewhere", auth)];
    const guest = await connect("/others");
    await value(guest, "joinUser", { id: anna.id, room: "lobby" });
    await until(async () => (await value(one, "rooms", {})).length === 1);
    assert.deepEqual([await value(two, "rooms", {}), await value(there, "rooms", {})], [["lobby"], []]);
    await value(guest, "joinUserOf", { path: "/elsewhere", id: anna.id, room: "lobby" });
    assert.deepEqual(await value(there, "rooms", {}), ["lobby"]);
    await value(guest, "leaveUser", { id: anna.id, room: "lobby" });
    assert.deepEqual([await value(one, "rooms", {}), await value(there, "rooms", {})], [[], ["lobby"]]);
    await value(guest, "joinSocket", { id: two.id, room: "duel" });
    await value(guest, "joinSocket", { id: there.id, room: "duel" });
    assert.deepEqual([await value(two, "rooms", {}), await value(there, "rooms", {})], [["duel"], ["lobby"]], "of this gateway");
    await value(guest, "leaveSocket", { id: two.id, room: "duel" });
    assert.deepEqual(await value(two, "rooms", {}), []);
    for (const client of [one, two, guest]) await value(client, "join", "full");
    await value(guest, "clearRoom", "full");
    for (const client of [one, two, guest]) assert.deepEqual(await value(client, "rooms", {}), []);
    await value(guest, "clearRoomOf", { path: "/elsewhere", room: "lobby" });
    assert.deepEqual(await value(there, "rooms", {}), []);
    assert.equal((await run(guest, "clearRoomOf", { path: "/nowhere", room: "lobby" })).code, "RESOURCE_NOT_FOUND");
    assert.equal((await run(guest, "joinUser", { id: anna.id, room: "" })).code, "VALIDATION_ERROR");
  },

  async "a limit of rooms holds for those who are put into them too"() {
    await gateway("/bounded", EVENTS, { limits: { subscriptionsPerConnection: 1 } });
    const [one, other] = [await connect("/bounded"), await connect("/bounded")];
    const limited = collect(one, "rate_limited");
    await value(one, "join", "a");
    await value(other, "joinSocket", { id: one.id, room: "b" });
    await until(() => limited.length === 1);
    assert.deepEqual(await value(one, "rooms", {}), ["a"]);
  },

  async "one emit for several users"() {
    await gateway("/several", EVENTS);
    const [anna, ben, cleo] = [await user(), await user(), await user()];
    const clients = [];
    for (const one of [anna, ben, cleo]) clients.push(await connect("/several", { auth: { token: one.token } }));
    const heard = clients.map((client) => collect(client, "message"));
    await value(clients[2], "emitToUsers", { ids: [anna.id, ben.id, anna.id], mark: 1 });
    await settle(...clients);
    assert.deepEqual(heard, [[1], [1], []]);
  },

  async "who is there"() {
    await gateway("/there", EVENTS);
    const anna = await user();
    const one = await connect("/there", { auth: { token: anna.token } });
    const other = await connect("/there");
    for (const room of ["chat:1", "chat:2", "game:1"]) await value(one, "join", room);
    await value(other, "join", "chat:1");
    assert.deepEqual(await value(one, "channels", "chat:"), [
      { name: "chat:1", gateway: "/there", members: 2 }, { name: "chat:2", gateway: "/there", members: 1 },
    ]);
    assert.equal(await value(one, "allChannels", {}), 3);
    assert.equal(await value(one, "roomSize", { path: "/there", room: "chat:1" }), 2);
    assert.equal(await value(one, "members", { path: "/there", room: "chat:1" }), 2);
    assert.equal((await run(one, "roomSize", { path: "/nowhere", room: "a" })).code, "RESOURCE_NOT_FOUND");
    const { total, gateways } = await value(one, "connections", {});
    assert.ok(total >= 2);
    assert.equal(gateways["/there"], 2);
    assert.equal(await value(other, "isOnline", anna.id), true);
    one.disconnect();
    await until(async () => !(await value(other, "isOnline", anna.id)), "she has gone");
  },

  async "the socket API"() {
    await gateway("/api", EVENTS);
    const anna = await user();
    const one = await connect("/api", { auth: { token: anna.token } });
    const other = await connect("/api");
    for (const room of ["a b", "a/ü", "c"]) await value(one, "join", room);
    await value(other, "join", "a/ü");
    const [reader, speaker] = [await appKey(["socket:read"]), await appKey(["socket:broadcast"])];
    const read = async (path) => {
      const { status, body } = await call("GET", `/api/socket${path}`, undefined, { headers: { "x-app-token": reader } });
      assert.equal(status, 200, JSON.stringify(body));
      return body;
    };
    const channel = (name, members) => ({ name, gateway: "/api", members });
    assert.deepEqual(await read("/channels?gateway=/api"), { channels: [channel("a b", 1), channel("a/ü", 2), channel("c", 1)] });
    assert.deepEqual(await read("/channels?gateway=/api&prefix=a"), { channels: [channel("a b", 1), channel("a/ü", 2)] });
    assert.deepEqual(await read("/channels?gateway=/api&limit=1&page=3"), { channels: [channel("c", 1)] });
    const members = await read(`/channels/${encodeURIComponent("a/ü")}/members`);
    assert.deepEqual([members.channel, members.members.map((member) => [member.socketId, member.userId]).sort()], [
      "a/ü", [[one.id, anna.id], [other.id, null]].sort(),
    ]);
    assert.ok(Math.abs(Date.parse(members.members[0].joinedAt) - Date.now()) < 600_000);
    assert.equal((await read("/connections")).gateways["/api"], 2);

    const heard = [one, other].map((client) => collect(client, "news"));
    const say = (path, body) => call("POST", `/api/socket${path}`, body, { headers: { "x-app-token": speaker } });
    const delivered = async (path, body) => (await say(path, body)).body.delivered;
    assert.equal(await delivered("/broadcast", { channel: "a/ü", event: "news", data: 1 }), 2);
    assert.equal(await delivered("/broadcast", { channel: "c", gateway: "/api", event: "news", data: 2 }), 1);
    assert.equal(await delivered("/broadcast", { gateway: "/api", event: "news", data: { n: 3 } }), 2);
    assert.equal(await delivered(`/users/${anna.id}/emit`, { event: "news" }), 1);
    await until(() => heard[0].length === 4 && heard[1].length === 2);
    assert.deepEqual(heard, [[1, 2, { n: 3 }, null], [1, { n: 3 }]]);
    assert.deepEqual((await say(`/users/${anna.id}/disconnect`)).body, { disconnected: 1 });
    await until(() => !one.connected);

    const refused = async (method, path, body, headers) => {
      const answer = await call(method, `/api/socket${path}`, body, { headers });
      return [answer.status, answer.body.error.code];
    };
    assert.deepEqual(await refused("GET", "/channels"), [401, "AUTHENTICATION_ERROR"]);
    assert.deepEqual(await refused("GET", "/channels", undefined, { "x-app-token": speaker }), [403, "AUTHORIZATION_ERROR"]);
    const body = { channel: "c", event: "news" };
    assert.deepEqual(await refused("POST", "/broadcast", body, { "x-app-token": reader }), [403, "AUTHORIZATION_ERROR"]);
    assert.deepEqual(await refused("GET", "/channels", undefined, { authorization: `Bearer ${anna.token}` }), [403, "AUTHORIZATION_ERROR"]);
    const spoken = { "x-app-token": speaker };
    assert.deepEqual(await refused("POST", "/broadcast", { channel: "c", event: "ws:result" }, spoken), [422, "VALIDATION_ERROR"]);
    assert.deepEqual(await refused("POST", "/broadcast", { event: "news" }, spoken), [422, "VALIDATION_ERROR"]);
    assert.deepEqual(await refused("POST", "/broadcast", { gateway: "/nowhere", event: "news" }, spoken), [404, "RESOURCE_NOT_FOUND"]);
    assert.equal((await call("GET", "/api/socket/connections", undefined, { headers: { "x-app-token": "gw_wrong" } })).status, 401);
  },
});
