// The chat pack: the client code of its documentation, every event, its route and its hook.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { admin, ask, call, collect, connect, gateway, next, run, scenario, settle, socket, until, url, user } from "../lib.mjs";

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const guestId = (client) => `guest-${client.id.slice(0, 8)}`;
const keys = (value) => Object.keys(value).sort();

/** Fails with this code and ends the run of the check. */
async function assertFails(client, code, event, ...args) {
  const outcome = await run(client, event, ...args);
  assert.deepEqual([outcome.success, outcome.code], [false, code], `${event} ${JSON.stringify(args)}: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** Sockets in a room; they have seen all of each other's arrivals. */
async function inRoom(roomId, ...clients) {
  for (const client of clients) assert.deepEqual((await run(client, "joinRoom", { roomId })).result, { joined: roomId });
  await settle(...clients);
}

let rowsGateway;

/** A socket of a gateway of the test, whose events write and read rows of the chat. */
async function rows() {
  rowsGateway ??= await gateway("/rows", {
    ban: "return #banned_user.create(#{ data: @BODY });",
    order: "return #order.create(#{ data: @BODY });",
    statuses: "return #user_status.find(#{ filter: #{ userId: @BODY } }).data.map(|row| row.status);",
  });
  return connect("/rows");
}

// The documented class: TypeScript's types are gone, and the address is filled in.
class ChatService {
  socket;

  connect() {
    this.socket = io(`${url}/chat`, {
      path: "/socket.io",
      withCredentials: true,
    });

    this.socket.on("newMessage", (message) => {
      this.onNewMessage(message);
    });

    this.socket.on("userJoined", (data) => {
      this.onUserJoined(data);
    });
  }

  sendMessage(text, roomId) {
    this.socket.emit("message", { text, roomId });
  }

  joinRoom(roomId) {
    this.socket.emit("joinRoom", { roomId });
  }

  disconnect() {
    this.socket?.disconnect();
  }

  onNewMessage(message) {
    console.log("New message:", message);
  }

  onUserJoined(data) {
    console.log("User joined:", data);
  }
}

// The documented composition function, with as much of Vue as it uses.
const unmounted = [];
const ref = (value) => ({ value });
const onUnmounted = (work) => unmounted.push(work);

function useWebSocket(gatewayPath) {
  const socket = ref(null);
  const isConnected = ref(false);

  const connect = () => {
    socket.value = io(`${url}/${gatewayPath}`, {
      path: "/socket.io",
      withCredentials: true,
    });

    socket.value.on("connect", () => {
      isConnected.value = true;
    });

    socket.value.on("disconnect", () => {
      isConnected.value = false;
    });
  };

  const disconnect = () => {
    socket.value?.disconnect();
    socket.value = null;
    isConnected.value = false;
  };

  const emit = (event, data) => {
    socket.value?.emit(event, data);
  };

  const on = (event, callback) => {
    socket.value?.on(event, callback);
  };

  const off = (event, callback) => {
    socket.value?.off(event, callback);
  };

  onUnmounted(() => {
    disconnect();
  });

  return { socket, isConnected, connect, disconnect, emit, on, off };
}

await scenario({
  async "the documented ChatService"() {
    class Recorder extends ChatService {
      messages = [];
      joined = [];
      onNewMessage(message) { this.messages.push(message); }
      onUserJoined(data) { this.joined.push(data); }
    }
    const [ada, bob] = [new Recorder(), new Recorder()];
    for (const service of [ada, bob]) service.connect();
    ada.joinRoom("123");
    await until(() => ada.joined.length === 1, "one's own arrival");
    bob.joinRoom("123");
    await until(() => ada.joined.length === 2 && bob.joined.length === 1, "the arrival of the other");
    assert.deepEqual(ada.joined.map(({ userId }) => userId), [guestId(ada.socket), guestId(bob.socket)]);
    ada.sendMessage("Hello World!", "123");
    await until(() => ada.messages.length === 1 && bob.messages.length === 1, "the message");
    const [message] = bob.messages;
    assert.deepEqual(message, ada.messages[0]);
    assert.deepEqual([message.text, message.userId], ["Hello World!", guestId(ada.socket)]);
    assert.ok(message.id && message.text, "what the documentation checks");
    bob.disconnect();
    ada.sendMessage("Anybody?", "123");
    await until(() => ada.messages.length === 2, "the second message");
    assert.equal(bob.messages.length, 1);
    ada.disconnect();
  },

  async "the documented composition function"() {
    const messages = ref([]);
    const { socket, isConnected, connect, emit, on } = useWebSocket("chat");
    connect();
    on("newMessage", (message) => {
      messages.value.push(message);
    });
    const errors = [];
    on("ws:error", (payload) => errors.push(payload));
    emit("message", { text: "Hello!", roomId: "123" });
    await until(() => errors.length === 1, "the room was not joined");
    assert.equal(errors[0].code, "AUTHORIZATION_ERROR");
    assert.equal(isConnected.value, true);
    emit("joinRoom", { roomId: "123" });
    emit("message", { text: "Hello!", roomId: "123" });
    await until(() => messages.value.length === 1, "the message");
    assert.equal(messages.value[0].text, "Hello!");
    const client = socket.value;
    unmounted.forEach((work) => work());
    assert.deepEqual([client.connected, isConnected.value], [false, false]);
  },

  async "the documented ack and result events"() {
    const client = await connect("/chat");
    await inRoom("123", client);
    const [results, errors] = [collect(client, "ws:result"), collect(client, "ws:error")];
    const ack = await new Promise((resolve) => {
      client.emit("message", { text: "Hello!", roomId: "123" }, resolve);
    });
    assert.deepEqual([ack.queued, ack.eventName, ack.error], [true, "message", undefined]);
    await until(() => results.length === 1, "ws:result");
    assert.deepEqual([results[0].requestId, results[0].eventName, results[0].success, results[0].result.sent, results[0].logs], [ack.requestId, "message", true, true, []]);
    const refused = await new Promise((resolve) => {
      client.emit("message", { text: "", roomId: "123" }, resolve);
    });
    await until(() => errors.length === 1, "ws:error");
    assert.deepEqual([errors[0].requestId, errors[0].eventName, errors[0].success, errors[0].code], [refused.requestId, "message", false, "BUSINESS_LOGIC_ERROR"]);
  },

  async "a welcome by name of the guest or the user"() {
    for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
      const guest = socket("/chat", { transports });
      const welcome = await next(guest, "connected");
      assert.equal(typeof welcome.message, "string");
      assert.equal(welcome.userId, guestId(guest));
      const someone = await user();
      const signedIn = socket("/chat", { transports, auth: { token: someone.token } });
      assert.equal((await next(signedIn, "connected")).userId, someone.id);
    }
  },

  async "joining, typing and leaving"() {
    const someone = await user({ name: "Ada" });
    const [ada, guest, outsider] = [await connect("/chat", { auth: { token: someone.token } }), await connect("/chat"), await connect("/chat")];
    await inRoom("elsewhere", outsider);
    const seen = {};
    for (const event of ["userJoined", "typing", "userLeft"]) seen[event] = [ada, guest, outsider].map((one) => collect(one, event));
    await inRoom("7", ada);
    await inRoom("7", guest);
    await settle(ada, guest, outsider);
    assert.deepEqual(seen.userJoined[0].map(({ userId }) => userId), [someone.id, guestId(guest)]);
    assert.equal(seen.userJoined[0][0].name, "Ada");
    assert.equal(typeof seen.userJoined[0][1].name, "string");
    for (const joined of seen.userJoined[0]) assert.deepEqual(keys(joined), ["name", "userId"]);
    assert.deepEqual(seen.userJoined[1].map(({ userId }) => userId), [guestId(guest)]);

    assert.equal((await run(ada, "typing", { roomId: "7", isTyping: true })).success, true);
    assert.equal((await run(ada, "typing", { roomId: "7", isTyping: false })).success, true);
    await settle(ada, guest, outsider);
    assert.deepEqual(seen.typing, [[], [true, false].map((isTyping) => ({ roomId: "7", userId: someone.id, isTyping })), []]);

    assert.deepEqual((await run(guest, "leaveRoom", { roomId: "7" })).result, { left: "7" });
    await settle(ada, guest, outsider);
    assert.deepEqual(seen.userLeft[0], [{ userId: guestId(guest) }]);
    await assertFails(guest, "AUTHORIZATION_ERROR", "message", { text: "hi", roomId: "7" });
    assert.equal((await run(ada, "typing", { roomId: "7", isTyping: true })).success, true);
    await settle(guest, outsider);
    assert.equal(seen.typing[1].length, 2);
    for (const event of Object.keys(seen)) assert.deepEqual(seen[event][2], [], `${event} for nobody outside`);
  },

  async "a disconnect leaves every room"() {
    const [leaver, one, two] = [await connect("/chat"), await connect("/chat"), await connect("/chat")];
    await inRoom("a", leaver, one);
    await inRoom("b", leaver, two);
    const left = [one, two].map((client) => next(client, "userLeft"));
    const userId = guestId(leaver);
    leaver.disconnect();
    for (const packet of left) assert.deepEqual(await packet, { userId });
  },

  async "messages"() {
    const [sender, member, outsider] = [await connect("/chat"), await connect("/chat", { transports: ["polling"] }), await connect("/chat")];
    await inRoom("7", sender, member);
    await inRoom("8", outsider);
    const seen = [sender, member, outsider].map((one) => collect(one, "newMessage"));
    const { result } = await run(sender, "message", { text: "Hello!", roomId: "7" });
    assert.deepEqual(keys(result), ["id", "sent"]);
    assert.equal(result.sent, true);
    assert.match(result.id, UUID);
    await until(() => seen[1].length === 1, "the message");
    const [message] = seen[1];
    assert.deepEqual(keys(message), ["createdAt", "id", "roomId", "text", "userId"]);
    assert.deepEqual([message.id, message.text, message.userId, message.roomId], [result.id, "Hello!", guestId(sender), "7"]);
    assert.match(message.createdAt, RFC_3339);

    for (const text of ["", "   ", undefined, null]) await assertFails(sender, "BUSINESS_LOGIC_ERROR", "message", { text, roomId: "7" });
    await assertFails(sender, "BUSINESS_LOGIC_ERROR", "message");
    for (const payload of [5, null, "text", [], { text: { a: 1 }, roomId: "7" }, { text: "hi", roomId: { a: 1 } }, { text: "hi" }]) {
      assert.equal((await run(sender, "message", payload)).success, false, JSON.stringify(payload));
    }
    await assertFails(sender, "VALIDATION_ERROR", "message", { text: "x".repeat(4001), roomId: "7" });
    await assertFails(sender, "VALIDATION_ERROR", "message", { text: "🦀".repeat(4001), roomId: "7" });
    await assertFails(outsider, "AUTHORIZATION_ERROR", "message", { text: "let me in", roomId: "7" });
    await settle(sender, member, outsider);
    assert.deepEqual(seen.map((all) => all.length), [1, 1, 0], "nothing of what was refused");
    for (const text of ["x".repeat(4000), "🦀".repeat(4000), "<b>`${1}` \"é\"\n@LOGS(1)</b>"]) {
      assert.equal((await run(sender, "message", { text, roomId: "7" })).success, true);
      await until(() => seen[1].at(-1).text === text, "the text as it was sent");
    }
    await inRoom(9, sender, member);
    assert.equal((await run(sender, "message", { text: "a number is a room too", roomId: 9 })).success, true);
    await until(() => seen[1].at(-1).roomId === 9, "the room as it was sent");
  },

  async "the history of a room, for who is in it"() {
    const someone = await user();
    const [ada, guest, outsider] = [await connect("/chat", { auth: { token: someone.token } }), await connect("/chat"), await connect("/chat")];
    await inRoom("history", ada, guest);
    await inRoom("other history", outsider);
    const sent = [];
    for (let number = 1; number <= 5; number++) {
      const from = number % 2 ? ada : guest;
      sent.push((await run(from, "message", { text: `${number}`, roomId: "history" })).result.id);
      await run(outsider, "message", { text: "elsewhere", roomId: "other history" });
    }
    const history = async (payload) => {
      const { success, result, ...rest } = await run(guest, "history", { roomId: "history", ...payload });
      assert.ok(success, JSON.stringify(rest));
      return result;
    };
    const all = await history();
    assert.deepEqual(all.map(({ id }) => id), sent, "oldest first");
    for (const message of all) {
      assert.deepEqual(keys(message), ["createdAt", "id", "roomId", "text", "userId"]);
      assert.match(message.createdAt, RFC_3339);
    }
    assert.deepEqual(all.map(({ text, userId, roomId }) => [text, userId, roomId]).slice(0, 2), [["1", someone.id, "history"], ["2", guestId(guest), "history"]]);
    assert.deepEqual((await history({ limit: 2 })).map(({ text }) => text), ["4", "5"], "the last");
    assert.deepEqual((await history({ limit: 2, before: sent[3] })).map(({ text }) => text), ["2", "3"]);
    assert.deepEqual(await history({ before: sent[0] }), []);
    assert.deepEqual(await history({ before: all[0].createdAt }), []);
    assert.deepEqual((await history({ before: "2999-01-01T00:00:00Z" })).length, 5);
    await assertFails(outsider, "AUTHORIZATION_ERROR", "history", { roomId: "history" });
    await assertFails(guest, "BUSINESS_LOGIC_ERROR", "history", {});
    for (const payload of [{ limit: 0 }, { limit: 1000 }, { limit: "5" }, { limit: 1.5 }, { before: 5 }, { before: "x" }, { before: "12:00" }]) {
      await assertFails(guest, "VALIDATION_ERROR", "history", { roomId: "history", ...payload });
    }

    // Long messages of any characters come in parts.
    const long = "\u0001".repeat(4000);
    await inRoom("long", guest);
    for (let number = 0; number < 30; number++) assert.equal((await run(guest, "message", { text: long, roomId: "long" })).success, true);
    const last = (await run(guest, "history", { roomId: "long" })).result;
    assert.ok(last.length > 0 && last.length < 30);
    const rest = (await run(guest, "history", { roomId: "long", before: last[0].id })).result;
    assert.equal(last.length + rest.length, 30);
  },

  async "a room belongs to who joined it by name"() {
    const [victim, attacker] = [await connect("/chat"), await connect("/chat")];
    const seen = [];
    attacker.onAny((event) => seen.push(event));
    for (const roomId of [victim.id, `user_${victim.id}`, guestId(victim)]) await run(attacker, "joinRoom", { roomId });
    await settle(attacker);
    seen.length = 0;
    await inRoom("private", victim);
    assert.equal((await run(victim, "message", { text: "secret", roomId: "private" })).success, true);
    await settle(attacker);
    assert.deepEqual(seen, []);
    for (const event of ["joinRoom", "leaveRoom", "typing"]) {
      for (const payload of [{}, { roomId: "" }, { roomId: null }]) await assertFails(attacker, "BUSINESS_LOGIC_ERROR", event, payload);
    }
    await assertFails(attacker, "AUTHORIZATION_ERROR", "typing", { roomId: "private", isTyping: true });
  },

  async "a status reaches the rooms of the user"() {
    const someone = await user();
    const [ada, friend, other] = [await connect("/chat", { auth: { token: someone.token } }), await connect("/chat"), await connect("/chat")];
    await inRoom("x", ada, friend);
    await inRoom("y", ada);
    await inRoom("z", other);
    const seen = [ada, friend, other].map((one) => collect(one, "statusUpdated"));
    assert.equal((await run(ada, "updateStatus", { status: "away" })).success, true);
    await settle(ada, friend, other);
    const packet = { userId: someone.id, status: "away" };
    assert.deepEqual(seen[1], [packet]);
    assert.ok(seen[0].length >= 1);
    assert.deepEqual(seen[2], []);
    assert.equal((await run(ada, "updateStatus", {})).success, false);
  },

  async "the last status of a user is kept, that of a guest while the guest is there"() {
    const someone = await user();
    const sockets = await Promise.all([1, 2, 3].map(() => connect("/chat", { auth: { token: someone.token } })));
    await Promise.all(sockets.map((one, number) => run(one, "updateStatus", { status: `status ${number}` })));
    await run(sockets[0], "updateStatus", { status: "away" });
    const guest = await connect("/chat");
    await run(guest, "updateStatus", { status: "new here" });
    const statuses = async (userId) => (await run(await rows(), "statuses", userId)).result;
    assert.deepEqual(await statuses(someone.id), ["away"]);
    const userId = guestId(guest);
    assert.deepEqual(await statuses(userId), ["new here"]);
    guest.disconnect();
    await until(async () => (await statuses(userId)).length === 0, "the status of the guest is gone");
    for (const one of sockets) one.disconnect();
    assert.deepEqual(await statuses(someone.id), ["away"]);
  },

  async "who is banned is told so and has to leave"() {
    const [bad, good] = [await user(), await user()];
    const [inside, other] = [await connect("/chat", { auth: { token: bad.token } }), await connect("/chat", { auth: { token: good.token } })];
    const [kicked, gone] = [next(inside, "kicked"), next(inside, "disconnect")];
    assert.equal((await run(await rows(), "ban", { userId: bad.id, reason: "spam" })).success, true);
    assert.deepEqual(await kicked, { reason: "spam" });
    await gone;

    const again = socket("/chat", { auth: { token: bad.token } });
    const seen = [];
    again.onAny((event, data) => seen.push([event, data]));
    assert.equal([await next(again, "disconnect")].flat()[0], "io server disconnect");
    assert.deepEqual(seen, [["kicked", { reason: "spam" }]], "and no welcome");
    await settle(other);
    assert.equal(other.connected, true);
  },

  async "an order is placed once, confirmed by no client, and shipped in place of that"() {
    const ada = await user();
    const client = await connect("/chat", { auth: { token: ada.token } });
    const placed = await run(client, "placeOrder", { details: { item: "book" } }, { eventId: "order-1" });
    assert.equal(placed.result.status, "pending");
    const again = await ask(client, "placeOrder", { details: { item: "book" } }, { eventId: "order-1" });
    assert.deepEqual([again.duplicate, again.result], [true, placed.result]);
    const { orderId } = placed.result;
    for (const event of ["confirmOrder", "askAboutOrder"]) {
      assert.equal((await run(client, event, { orderId })).code, "AUTHORIZATION_ERROR");
    }
    const waiting = async () => {
      const { data } = await admin("GET", `/admin/jobs?state=scheduled&gateway=/chat&q=${orderId}`);
      return data.map((job) => [job.event, job.userId]);
    };
    assert.deepEqual(await waiting(), [["confirmOrder", ada.id]]);
    assert.equal((await admin("POST", `/orders/${orderId}/ship`)).status, "shipped");
    assert.deepEqual((await waiting()).map(([event]) => event), ["askAboutOrder"]);
  },

  async "an order is shipped by an admin or a program, and its user hears of it"() {
    const [ada, bob] = [await user(), await user()];
    const order = async (userId) => (await run(await rows(), "order", { userId, details: { item: "book" } })).result;
    const [first, second] = [await order(ada.id), await order(ada.id)];
    assert.deepEqual([first.status, first.userId], ["pending", ada.id]);
    const sockets = [await connect("/chat", { auth: { token: ada.token } }), await connect("/chat", { auth: { token: ada.token } })];
    const others = [await connect("/chat", { auth: { token: bob.token } }), await connect("/chat")].map((one) => collect(one, "orderUpdate"));

    const updates = sockets.map((one) => next(one, "orderUpdate"));
    const shipped = await admin("POST", `/orders/${first.id}/ship`);
    assert.deepEqual([shipped.id, shipped.status, shipped.userId, shipped.details], [first.id, "shipped", ada.id, { item: "book" }]);
    for (const update of updates) assert.deepEqual(await update, { orderId: first.id, status: "shipped" });

    const key = (scopes) => admin("POST", "/admin/app-keys", { name: "shop", scopes });
    const ship = (id, options) => call("POST", `/orders/${id}/ship`, undefined, options);
    const [shop, reader] = [await key(["routes"]), await key(["data:read"])];
    const update = next(sockets[0], "orderUpdate");
    const byKey = await ship(second.id, { headers: { "x-app-token": shop.key } });
    assert.deepEqual([byKey.status, byKey.body.status], [200, "shipped"]);
    assert.deepEqual(await update, { orderId: second.id, status: "shipped" });

    for (const [status, options] of [[401, {}], [403, { token: ada.token }], [403, { headers: { "x-app-token": reader.key } }], [401, { headers: { "x-app-token": "nonsense" } }]]) {
      assert.equal((await ship(first.id, options)).status, status, JSON.stringify(options));
    }
    for (const id of ["42", "00000000-0000-7000-8000-000000000042"]) {
      const missing = await ship(id, { headers: { "x-app-token": shop.key } });
      assert.deepEqual([missing.status, missing.body.error.code], [404, "RESOURCE_NOT_FOUND"]);
    }
    await settle(...sockets);
    assert.deepEqual(others, [[], []]);
  },

  async "notifications reach all sockets of their user, from who is signed in"() {
    const [ada, bob] = [await user(), await user()];
    const [sender, guest] = [await connect("/chat", { auth: { token: ada.token } }), await connect("/chat")];
    const targets = [await connect("/chat", { auth: { token: bob.token } }), await connect("/chat", { auth: { token: bob.token }, transports: ["polling"] })];
    const others = [sender, guest].map((one) => collect(one, "notification"));
    const arrived = targets.map((one) => next(one, "notification"));
    const before = Date.now();
    assert.deepEqual((await run(sender, "notify", { targetUserId: bob.id, message: "hi" })).result, { notified: true });
    for (const one of arrived) {
      const { type, payload, ...rest } = await one;
      assert.deepEqual([type, rest, keys(payload)], ["message", {}, ["from", "message", "timestamp"]]);
      assert.deepEqual([payload.from, payload.message], [ada.id, "hi"]);
      assert.ok(Math.abs(payload.timestamp - before) < 60_000, "milliseconds, as Date.now() gives them");
    }
    await assertFails(guest, "AUTHENTICATION_ERROR", "notify", { targetUserId: bob.id, message: "hi" });
    assert.equal((await run(sender, "notify", { message: "hi" })).success, false);
    await settle(sender, guest);
    assert.deepEqual(others, [[], []]);
  },

  async "the documented test run, its object literals the Rhai way"() {
    const answer = await admin("POST", "/admin/test/run", {
      kind: "websocket_event",
      gatewayPath: "/chat",
      eventName: "message",
      timeoutMs: 5000,
      payload: { text: "hello" },
      script: " @LOGS(\"received\", @BODY); @SOCKET.reply(\"reply\", #{ ok: true }); return #{ ok: true }; ",
    });
    assert.deepEqual([answer.success, answer.result, answer.logs], [true, { ok: true }, ["received", { text: "hello" }]]);
    assert.deepEqual(answer.emitted, [{ method: "reply", args: ["reply", { ok: true }] }]);
    assert.equal((await ask(await connect("/chat"), "no such event")).error.code, "NO_HANDLER");
  },
});
