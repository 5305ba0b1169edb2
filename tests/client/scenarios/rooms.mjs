// Who hears what: rooms, users, sockets, gateways; and what no room name can reach.
import assert from "node:assert/strict";
import { admin, connect, gateway, next, run, scenario, settle, until, user } from "../lib.mjs";

const mixed = [{ transports: ["websocket"] }, { transports: ["polling"] }];

/** Thin wrappers, so that a step can call `@SOCKET` as it likes. */
const EVENTS = {
  who: "if @USER == () { return (); } return @USER.id;",
  id: "return @SOCKET.id;",
  join: "@SOCKET.join(@BODY); return @SOCKET.rooms();",
  leave: "@SOCKET.leave(@BODY); return @SOCKET.rooms();",
  rooms: "return @SOCKET.rooms();",
  roomSize: "return @SOCKET.roomSize(@BODY);",
  members: "return @SOCKET.members(@BODY);",
  reply: "@SOCKET.reply(\"message\", @BODY.mark);",
  broadcastToRoom: "@SOCKET.broadcastToRoom(@BODY.room, \"message\", @BODY.mark);",
  emitToCurrentRoom: "@SOCKET.emitToCurrentRoom(@BODY.room, \"message\", @BODY.mark);",
  emitToRoom: "@SOCKET.emitToRoom(@BODY.room, \"message\", @BODY.mark);",
  emitToRoomOf: "@SOCKET.emitToRoom(@BODY.path, @BODY.room, \"message\", @BODY.mark);",
  emitToUser: "@SOCKET.emitToUser(@BODY.id, \"message\", @BODY.mark);",
  emitToSocket: "@SOCKET.emitToSocket(@BODY.id, \"message\", @BODY.mark);",
  emitToGateway: "@SOCKET.emitToGateway(@BODY.path, \"message\", @BODY.mark);",
  broadcast: "@SOCKET.broadcast(\"message\", @BODY.mark);",
  disconnectUser: "@SOCKET.disconnectUser(@BODY);",
  disconnectSocket: "@SOCKET.disconnectSocket(@BODY);",
  get: "return @SOCKET.get(@BODY);",
  set: "@SOCKET.set(@BODY.key, @BODY.value);",
};

/** The value of a handler that must succeed. */
async function value(from, event, payload) {
  const outcome = await run(from, event, payload);
  assert.equal(outcome.success, true, JSON.stringify(outcome));
  return outcome.result;
}

/** Several sockets and what each has heard. */
class Audience {
  marks = 0;

  constructor(sockets) {
    this.sockets = sockets;
    this.heard = {};
    for (const [name, one] of Object.entries(sockets)) {
      this.heard[name] = [];
      one.on("message", (mark) => this.heard[name].push(mark));
    }
  }

  /** Lets `sender` run `event`; exactly `receivers` must hear its mark, each once. */
  async check(sender, event, payload, receivers) {
    const mark = `mark ${++this.marks}`;
    await value(this.sockets[sender], event, { ...payload, mark });
    // The emits of a run leave before its result does.
    await settle(...Object.values(this.sockets));
    for (const [name, heard] of Object.entries(this.heard)) {
      const expected = receivers.includes(name) ? [mark] : [];
      assert.deepEqual(heard.splice(0), expected, `${event} ${JSON.stringify(payload)} of ${sender}: ${name}`);
    }
  }
}

await scenario({
  async "joining and leaving"() {
    await gateway("/rooms", EVENTS);
    for (const options of mixed) {
      const one = await connect("/rooms", options);
      assert.deepEqual(await value(one, "rooms"), [], "the private room is no room of scripts");
      assert.deepEqual(await value(one, "join", "a"), ["a"]);
      assert.deepEqual(await value(one, "join", "b"), ["a", "b"]);
      assert.deepEqual(await value(one, "join", "a"), ["a", "b"], "nobody is in a room twice");
      assert.deepEqual(await value(one, "leave", "never"), ["a", "b"]);
      assert.deepEqual(await value(one, "leave", "a"), ["b"]);
      assert.equal(await value(one, "roomSize", "a"), 0);
      assert.equal(await value(one, "roomSize", "b"), 1);
      one.disconnect();
    }
  },
  async "size and members"() {
    await gateway("/members", EVENTS);
    await gateway("/members/other", EVENTS);
    const someone = await user();
    const named = await connect("/members", { auth: { token: someone.token } });
    const anonymous = await connect("/members", { transports: ["polling"] });
    const elsewhere = await connect("/members/other", { auth: { token: someone.token } });
    for (const one of [named, anonymous, elsewhere]) await value(one, "join", "team");
    assert.equal(await value(anonymous, "roomSize", "team"), 2, "of this gateway");
    const members = await value(anonymous, "members", "team");
    const bySocket = Object.fromEntries(members.map((member) => [member.socketId, member]));
    assert.deepEqual(Object.keys(bySocket).sort(), [named.id, anonymous.id].sort());
    assert.equal(bySocket[named.id].userId, someone.id);
    assert.equal(bySocket[anonymous.id].userId, null);
    for (const { joinedAt } of members) assert.ok(Math.abs(Date.parse(joinedAt) - Date.now()) < 600_000, joinedAt);
    assert.deepEqual(await value(anonymous, "members", "nobody is here"), []);
    assert.equal(await value(anonymous, "roomSize", "nobody is here"), 0);
    named.disconnect();
    await until(async () => (await value(anonymous, "roomSize", "team")) === 1, "the member has left by going");
    assert.deepEqual((await value(anonymous, "members", "team")).map((member) => member.socketId), [anonymous.id]);
  },
  async "who hears what"() {
    await gateway("/a", EVENTS);
    await gateway("/b", EVENTS);
    const [anna, ben] = [await user(), await user()];
    const of = (person, options) => ({ auth: { token: person.token }, ...options });
    const sockets = {
      annaInA: await connect("/a", of(anna)),
      annaInAToo: await connect("/a", of(anna, { transports: ["polling"] })),
      annaInB: await connect("/b", of(anna)),
      benInA: await connect("/a", of(ben, { transports: ["polling"] })),
      benInB: await connect("/b", of(ben)),
      guestInA: await connect("/a"),
      guestInB: await connect("/b", { transports: ["polling"] }),
    };
    const audience = new Audience(sockets);
    const everyone = Object.keys(sockets);
    const inA = everyone.filter((name) => name.includes("InA"));
    const inB = everyone.filter((name) => name.includes("InB"));
    for (const name of ["annaInA", "benInA", "annaInB", "guestInB"]) await value(sockets[name], "join", "room");

    await audience.check("annaInA", "reply", {}, ["annaInA"]);
    await audience.check("annaInA", "broadcastToRoom", { room: "room" }, ["benInA"]);
    await audience.check("guestInA", "broadcastToRoom", { room: "room" }, ["annaInA", "benInA"]);
    await audience.check("annaInA", "emitToCurrentRoom", { room: "room" }, ["annaInA", "benInA"]);
    await audience.check("guestInA", "emitToCurrentRoom", { room: "room" }, ["annaInA", "benInA"]);
    await audience.check("annaInA", "emitToRoom", { room: "room" }, ["annaInA", "benInA", "annaInB", "guestInB"]);
    await audience.check("guestInA", "emitToRoomOf", { path: "/b", room: "room" }, ["annaInB", "guestInB"]);
    await audience.check("annaInA", "emitToRoomOf", { path: "/a", room: "room" }, ["annaInA", "benInA"]);
    await audience.check("annaInA", "emitToRoom", { room: "empty" }, []);
    await audience.check("guestInB", "emitToUser", { id: anna.id }, ["annaInA", "annaInAToo", "annaInB"]);
    await audience.check("benInA", "emitToUser", { id: ben.id }, ["benInA", "benInB"]);
    await audience.check("benInA", "emitToUser", { id: "nobody" }, []);
    for (const name of everyone) {
      await audience.check("benInA", "emitToSocket", { id: sockets[name].id }, inA.filter((one) => one === name));
    }
    await audience.check("benInA", "emitToSocket", { id: "nobody" }, []);
    await audience.check("benInA", "emitToGateway", { path: "/a" }, inA);
    await audience.check("benInA", "emitToGateway", { path: "/b" }, inB);
    await audience.check("guestInB", "broadcast", {}, everyone);
    for (const [event, payload] of [["emitToGateway", { path: "/unknown" }], ["emitToGateway", { path: "a" }]]) {
      const outcome = await run(sockets.annaInA, event, { ...payload, mark: "never" });
      assert.equal(outcome.success, false, `${event} ${JSON.stringify(payload)}`);
      assert.match(outcome.message, /unknown|\ba\b/, "the message names the path");
    }
    // Leaving and going end the hearing.
    await value(sockets.benInA, "leave", "room");
    await audience.check("annaInA", "broadcastToRoom", { room: "room" }, []);
    await audience.check("annaInA", "emitToRoom", { room: "room" }, ["annaInA", "annaInB", "guestInB"]);
  },
  async "emits leave in the order of the calls, however many hear them"() {
    await gateway("/order", {
      join: "@SOCKET.join(@BODY);",
      many: `
        for i in 0..10 {
          @SOCKET.emitToCurrentRoom("all", "n", 10 * i);
          @SOCKET.emitToSocket(@BODY, "n", 10 * i + 1);
          @SOCKET.emitToGateway("/order", "n", 10 * i + 2);
          @SOCKET.emitToRoom("few", "n", 10 * i + 3);
          @SOCKET.broadcastToRoom("all", "n", 10 * i + 4);
          @SOCKET.broadcast("n", 10 * i + 5);
          @SOCKET.reply("n", 10 * i + 6);
        }`,
    });
    const crowd = await Promise.all(Array.from({ length: 120 }, (_, index) => connect("/order", mixed[index % 2])));
    const [sender, target] = crowd;
    await Promise.all(crowd.map((one) => value(one, "join", "all")));
    for (const one of [target, crowd[2]]) await value(one, "join", "few");
    const heard = crowd.map((one) => {
      const numbers = [];
      one.on("n", (number) => numbers.push(number));
      return numbers;
    });
    await value(sender, "many", target.id);
    await settle(...crowd);
    heard.forEach((numbers, index) => {
      const steps = [0, 2, 5];
      if (index === 0) steps.push(6);
      else steps.push(4);
      if (index === 1) steps.push(1);
      if (index === 1 || index === 2) steps.push(3);
      const expected = Array.from({ length: 10 }, (_, i) => steps.sort().map((step) => 10 * i + step)).flat();
      assert.deepEqual(numbers, expected, `of socket ${index}`);
    });
  },
  async "ids are those of the client"() {
    const someone = await user();
    for (const options of mixed) {
      const one = await connect("/rooms", { ...options, auth: { token: someone.token } });
      assert.equal(await value(one, "id"), one.id);
      assert.equal(await value(one, "who"), someone.id);
    }
  },
  async "numbers are rooms too"() {
    const [one, two] = [await connect("/rooms"), await connect("/rooms")];
    await value(one, "join", 7);
    await value(two, "join", "7");
    assert.equal(await value(one, "roomSize", "7"), 2);
  },
  async "private rooms cannot be joined by name"() {
    await gateway("/spied", EVENTS);
    const victimUser = await user();
    const sockets = {
      victim: await connect("/spied", { auth: { token: victimUser.token } }),
      sender: await connect("/spied"),
      spy: await connect("/spied"),
      spyElsewhere: await connect("/rooms", { transports: ["polling"] }),
    };
    const { victim, sender, spy, spyElsewhere } = sockets;
    const names = [
      victim.id, `/spied#${victim.id}`, `socket_${victim.id}`, `socket:${victim.id}`,
      victimUser.id, victimUser.id.toUpperCase(), `user_${victimUser.id}`, `user:${victimUser.id}`, `user/${victimUser.id}`,
      `user_${victimUser.email}`, victimUser.email, "/spied", "spied", "*", "/",
    ];
    for (const name of names) {
      assert.equal(await value(spy, "roomSize", name), 0, `nobody is in ${name}`);
      assert.deepEqual(await value(spy, "members", name), [], name);
      await value(spy, "join", name);
      await value(spyElsewhere, "join", name);
    }
    const audience = new Audience(sockets);
    await audience.check("victim", "reply", {}, ["victim"]);
    await audience.check("sender", "emitToUser", { id: victimUser.id }, ["victim"]);
    await audience.check("sender", "emitToSocket", { id: victim.id }, ["victim"]);
    // And the other way round: such a room is a room like any other, and not the victim's.
    for (const room of names) {
      await audience.check("sender", "emitToRoom", { room }, ["spy", "spyElsewhere"]);
      await audience.check("sender", "emitToCurrentRoom", { room }, ["spy"]);
    }
    // The results of the victim are for the victim.
    const overheard = [];
    for (const one of [spy, spyElsewhere]) one.onAny((...packet) => overheard.push(packet));
    assert.equal(await value(victim, "id"), victim.id);
    await settle(sender);
    const ends = [next(spy, "message"), next(spyElsewhere, "message")];
    await value(sender, "broadcast", { mark: "end" });
    await Promise.all(ends);
    assert.deepEqual(overheard, [["message", "end"], ["message", "end"]]);
    // Nobody leaves their private room, and a spy who joined cannot push others out.
    for (const name of names) await value(victim, "leave", name);
    for (const name of names) await value(spy, "leave", name);
    for (const heard of Object.values(audience.heard)) heard.length = 0;
    await audience.check("sender", "emitToUser", { id: victimUser.id }, ["victim"]);
    await audience.check("sender", "emitToSocket", { id: victim.id }, ["victim"]);
  },
  async "names that are none"() {
    const one = await connect("/rooms");
    for (const name of ["", [], {}, true, "x".repeat(100_000 / 2)]) {
      const outcome = await run(one, "join", name);
      assert.equal(outcome.success, false, JSON.stringify(name).slice(0, 20));
    }
    assert.deepEqual(await value(one, "rooms"), []);
  },
  async "values of a connection"() {
    const someone = await user();
    const options = { auth: { token: someone.token } };
    const [one, two] = [await connect("/rooms", options), await connect("/rooms", options)];
    assert.equal(await value(one, "get", "key"), null);
    for (const stored of [1, 0, false, "", "text", [1, [2]], { a: { b: 1.5 } }]) {
      await value(one, "set", { key: "key", value: stored });
      assert.deepEqual(await value(one, "get", "key"), stored);
      assert.equal(await value(two, "get", "key"), null, "even of the same user's other connection");
    }
    await value(two, "set", { key: "key", value: "two" });
    assert.deepEqual(await value(one, "get", "key"), { a: { b: 1.5 } });
    await value(one, "set", { key: "key", value: null });
    assert.equal(await value(one, "get", "key"), null);
    assert.equal(await value(two, "get", "key"), "two");
    two.disconnect();
    const next = await connect("/rooms", options);
    assert.equal(await value(next, "get", "key"), null, "they go with the connection");
  },
  async "disconnecting a socket"() {
    for (const options of mixed) {
      const [target, bystander, sender] = [await connect("/a", options), await connect("/a"), await connect("/a")];
      const gone = next(target, "disconnect");
      await value(sender, "disconnectSocket", target.id);
      assert.equal((await gone)[0], "io server disconnect");
      await value(sender, "disconnectSocket", "nobody");
      await settle(bystander, sender);
      assert.ok(bystander.connected && sender.connected);
    }
  },
  async "disconnecting a user"() {
    const [target, other] = [await user(), await user()];
    const theirs = [];
    for (const path of ["/a", "/b"]) {
      for (const options of mixed) theirs.push(await connect(path, { ...options, auth: { token: target.token } }));
    }
    const bystanders = [await connect("/a", { auth: { token: other.token } }), await connect("/b")];
    const gone = theirs.map((one) => next(one, "disconnect"));
    await value(bystanders[1], "disconnectUser", target.id);
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    await value(bystanders[1], "disconnectUser", "nobody");
    await settle(...bystanders);
    assert.ok(bystanders.every((one) => one.connected));
    const back = await connect("/a", { auth: { token: target.token } });
    assert.equal(await value(back, "who"), target.id, "a disconnected user is no banned user");
  },
  async "presence"() {
    await gateway("/presence", EVENTS, { presence: true });
    const someone = await user();
    const watcher = await connect("/presence");
    const outsider = await connect("/presence");
    const seen = (one) => {
      const all = [];
      one.on("presence", (packet) => all.push(packet));
      return all;
    };
    const [watched, outside] = [seen(watcher), seen(outsider)];
    await value(watcher, "join", "room");
    await settle(watcher);
    watched.length = 0;
    for (const options of mixed) {
      const named = await connect("/presence", { ...options, auth: { token: someone.token } });
      const anonymous = await connect("/presence", options);
      const member = { socketId: named.id, userId: someone.id };
      const guest = { socketId: anonymous.id, userId: null };
      await value(named, "join", "room");
      await value(named, "join", "room");
      await value(named, "join", "another room");
      await value(anonymous, "join", "room");
      await value(anonymous, "leave", "never joined");
      await value(anonymous, "leave", "room");
      await value(anonymous, "join", "room");
      await settle(watcher);
      assert.deepEqual(watched.splice(0), [
        { action: "join", room: "room", member, count: 2 },
        { action: "join", room: "room", member: guest, count: 3 },
        { action: "leave", room: "room", member: guest, count: 2 },
        { action: "join", room: "room", member: guest, count: 3 },
      ]);
      named.disconnect();
      await until(() => watched.length === 1, "the disconnect of one");
      anonymous.io.engine.close();
      await until(() => watched.length === 2, "the disconnect of the other");
      assert.deepEqual(watched.splice(0), [
        { action: "leave", room: "room", member, count: 2 },
        { action: "leave", room: "room", member: guest, count: 1 },
      ]);
    }
    await settle(outsider);
    assert.deepEqual(outside, [], "it is told to the room and to nobody else");
  },
  async "presence adds up, however many come at once"() {
    const watcher = await connect("/presence");
    await value(watcher, "join", "crowd");
    const seen = [];
    watcher.on("presence", (packet) => seen.push(packet));
    const crowd = await Promise.all(Array.from({ length: 24 }, (_, index) => connect("/presence", mixed[index % 2])));
    const ids = crowd.map((one) => one.id).sort();
    const check = (action, count) => {
      assert.deepEqual(seen.map((packet) => packet.member.socketId).sort(), ids, "each once");
      assert.ok(seen.every((packet) => packet.action === action), action);
      // Whoever shows the number shows this one until something happens again.
      assert.equal(seen.at(-1).count, count, "the last count is the true one");
      seen.length = 0;
    };
    for (let round = 0; round < 12; round++) {
      await Promise.all(crowd.map((one) => value(one, "join", "crowd")));
      await settle(watcher);
      check("join", 25);
      await Promise.all(crowd.map((one) => value(one, "leave", "crowd")));
      await settle(watcher);
      check("leave", 1);
    }
    await Promise.all(crowd.map((one) => value(one, "join", "crowd")));
    await settle(watcher);
    check("join", 25);
    for (const one of crowd) one.disconnect();
    await until(() => seen.length >= 24, "everyone has left");
    await settle(watcher);
    check("leave", 1);
  },
  async "a gateway without presence tells of nobody"() {
    const [watcher, other] = [await connect("/rooms"), await connect("/rooms")];
    const seen = [];
    watcher.on("presence", (packet) => seen.push(packet));
    await value(watcher, "join", "quiet");
    await value(other, "join", "quiet");
    await value(other, "leave", "quiet");
    await settle(watcher);
    assert.deepEqual(seen, []);
  },
  async "and no run was broken by any of this"() {
    assert.deepEqual((await admin("GET", "/admin/logs?code=INTERNAL_ERROR")).data, []);
  },
});
