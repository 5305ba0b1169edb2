// What a gateway may have besides: other names, app keys, an admission script, presence by room and
// with a debounce.
import assert from "node:assert/strict";
import { Manager } from "socket.io-client";
import { admin, collect, connect, connectError, gateway, next, run, scenario, settle, tryAdmin, until, url, user } from "../lib.mjs";

const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }];
const EVENTS = {
  join: "@SOCKET.join(@BODY);",
  leave: "@SOCKET.leave(@BODY);",
  say: "@SOCKET.emitToCurrentRoom(@BODY, \"said\", @GATEWAY);",
  app: "return @APP;",
};

async function value(client, event, payload) {
  const outcome = await run(client, event, payload);
  assert.equal(outcome.success, true, JSON.stringify(outcome));
  return outcome.result;
}

/** A request of the admin API that must be refused; its message. */
async function refused(method, path, body) {
  const { status, body: answer } = await tryAdmin(method, path, body);
  assert.ok(status >= 400, JSON.stringify(answer));
  return `${answer.error.code} ${answer.message}`;
}

const appKey = (fields = {}) => admin("POST", "/admin/app-keys", { name: "shop", scopes: ["socket:read"], ...fields });

await scenario({
  async "aliases lead to the same gateway"() {
    await gateway("/shop", EVENTS, { aliases: ["/ws/shop", "/old"], presence: true });
    const all = await Promise.all(["/shop", "/ws/shop", "/old"].map((path, index) => connect(path, transports[index % 2])));
    for (const one of all) await value(one, "join", "room");
    const said = all.map((one) => next(one, "said"));
    await value(all[1], "say", "room");
    assert.deepEqual(await Promise.all(said), ["/shop", "/shop", "/shop"], "@GATEWAY is the path");
    const left = next(all[0], "presence", ({ action }) => action === "leave");
    all[2].disconnect();
    assert.equal((await left).count, 2);
  },
  async "no two gateways have a name in common"() {
    const shop = (await admin("GET", "/admin/gateways?limit=100")).data.find(({ path }) => path === "/shop");
    const other = await gateway("/other");
    for (const body of [{ path: "/old" }, { path: "/new", aliases: ["/shop"] }, { path: "/new", aliases: ["/ws/shop"] }]) {
      assert.match(await refused("POST", "/admin/gateways", body), /^DUPLICATE_RESOURCE .* leads to the gateway \/shop already$/);
    }
    assert.match(await refused("PATCH", `/admin/gateways/${other.id}`, { aliases: ["/old"] }), /^DUPLICATE_RESOURCE/);
    assert.match(await refused("PATCH", `/admin/gateways/${other.id}`, { path: "/ws/shop" }), /^DUPLICATE_RESOURCE/);
    assert.match(await refused("PATCH", `/admin/gateways/${shop.id}`, { path: "/other" }), /^DUPLICATE_RESOURCE/);
    for (const aliases of [["/other"], ["/a", "/a"], ["/@admin"], ["@admin"], ["a"], ["/a b"], Array.from({ length: 101 }, (_, i) => `/a${i}`)]) {
      assert.match(await refused("PATCH", `/admin/gateways/${other.id}`, { aliases }), /^VALIDATION_ERROR aliases/);
    }
    await admin("PATCH", `/admin/gateways/${other.id}`, { aliases: ["/else"], description: "its own names are no others'" });
    await admin("PATCH", `/admin/gateways/${other.id}`, { aliases: ["/else", "/more"] });
  },
  async "an alias comes, goes and moves, and drops nobody else"() {
    const shop = (await admin("GET", "/admin/gateways?limit=100")).data.find(({ path }) => path === "/shop");
    const other = (await admin("GET", "/admin/gateways?limit=100")).data.find(({ path }) => path === "/other");
    const [byPath, byAlias, byOld] = [await connect("/shop"), await connect("/ws/shop"), await connect("/old")];
    const gone = next(byOld, "disconnect");
    await admin("PATCH", `/admin/gateways/${shop.id}`, { aliases: ["/ws/shop", "/brand/new"] });
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(await connectError("/old"), "Invalid namespace");
    const byNew = await connect("/brand/new");
    await admin("PATCH", `/admin/gateways/${other.id}`, { aliases: ["/old"] });
    const elsewhere = await connect("/old");
    await settle(byPath, byAlias, byNew, elsewhere);
    assert.ok([byPath, byAlias, byNew, elsewhere].every((one) => one.connected));
    const all = [byAlias, elsewhere].map((one) => next(one, "disconnect"));
    await admin("DELETE", `/admin/gateways/${other.id}`);
    assert.equal((await all[1])[0], "io server disconnect");
    assert.equal(await connectError("/old"), "Invalid namespace");
    await settle(byAlias);
    assert.ok(byAlias.connected);
  },
  async "one transport is in a gateway once, by whichever of its names"() {
    const manager = new Manager(url, { reconnection: false, transports: ["websocket"] });
    const [first, second] = [manager.socket("/shop"), manager.socket("/ws/shop")];
    await until(() => first.connected || second.connected, "one of the two");
    const [inside, outside] = first.connected ? [first, second] : [second, first];
    await until(() => !outside.connected && !outside.active, "the other is refused or ended");
    await settle(inside);
    assert.ok(inside.connected);
    inside.disconnect();
    await until(() => !inside.connected, "it has gone");
    const again = next(outside, "connect");
    outside.connect();
    outside.on("connect_error", () => outside.connect());
    await again;
    manager._close();
  },
  async "a gateway that needs an app key"() {
    const fields = { requireAppKey: true, connectionScript: "@SOCKET.reply(\"hello\", #{ app: @APP, auth: @BODY.auth });" };
    const row = await gateway("/app", EVENTS, fields);
    const made = await appKey();
    for (const options of transports) {
      assert.equal(await connectError("/app", options), "APP_KEY_REQUIRED: An app key is required in auth.appToken");
      for (const appToken of ["", 5, null]) {
        assert.equal(await connectError("/app", { ...options, auth: { appToken } }), "APP_KEY_REQUIRED: An app key is required in auth.appToken");
      }
      for (const appToken of ["nonsense", "gwk_nonsense", `${made.key}x`, made.id]) {
        assert.equal(await connectError("/app", { ...options, auth: { appToken } }), "APP_KEY_INVALID: Invalid app key");
      }
      const client = await connect("/app", { ...options, auth: { appToken: made.key, theme: "dark" } });
      assert.deepEqual(await value(client, "app"), { id: made.id, name: "shop", scopes: ["socket:read"] });
    }
    await admin("PATCH", `/admin/gateways/${row.id}`, { requireAuth: true });
    assert.match(await connectError("/app", { auth: { appToken: made.key } }), /^AUTH_REQUIRED/);
    const someone = await user();
    const both = await connect("/app", { auth: { appToken: made.key, token: someone.token } });
    assert.equal((await value(both, "app")).id, made.id);
    await admin("PATCH", `/admin/gateways/${row.id}`, { requireAuth: false });
    assert.equal(await connectError("/app", { auth: { appToken: "gwk_x", token: someone.token } }), "APP_KEY_INVALID: Invalid app key");
  },
  async "scripts see the key's name and never the key"() {
    const made = await appKey();
    const client = await connect("/shop", { auth: { appToken: made.key } });
    assert.equal((await value(client, "app")).id, made.id, "a key that is shown counts where none is needed");
    assert.equal(await connectError("/shop", { auth: { appToken: "nonsense" } }), "APP_KEY_INVALID: Invalid app key");
    assert.equal(await value(await connect("/shop"), "app"), null);
    await admin("PATCH", `/admin/app-keys/${made.id}`, { name: "another" });
    await until(async () => (await value(client, "app")).name === "another", "the key as it is now");
  },
  async "a durable event and a job for later have the key"() {
    const later = ["true", "false"].map((durable) => `@JOB.after(0, @GATEWAY, "later", (), #{ durable: ${durable} });`);
    await gateway("/jobs", {
      kept: { sourceCode: `${later.join(" ")} return @APP;`, delivery: "durable" },
      later: "@SOCKET.emitToGateway(@GATEWAY, \"ran\", #{ app: @APP });",
    });
    const made = await appKey();
    const expected = { id: made.id, name: "shop", scopes: ["socket:read"] };
    const client = await connect("/jobs", { auth: { appToken: made.key } });
    const ran = collect(client, "ran");
    assert.deepEqual(await value(client, "kept"), expected);
    await until(() => ran.length === 2, "both jobs");
    assert.deepEqual(ran, [{ app: expected }, { app: expected }]);
    assert.equal(await value(await connect("/jobs"), "kept"), null);
    await until(() => ran.length === 4, "the jobs of who has no key");
    assert.deepEqual(ran.slice(2), [{ app: null }, { app: null }]);
  },
  async "a key that is deleted, or ends, ends its sockets"() {
    const [made, other] = [await appKey(), await appKey()];
    const ended = [await connect("/app", { auth: { appToken: made.key } }), await connect("/shop", { auth: { appToken: made.key } })];
    const stays = await connect("/app", { auth: { appToken: other.key } });
    const gone = ended.map((one) => next(one, "disconnect"));
    await admin("DELETE", `/admin/app-keys/${made.id}`);
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    await settle(stays);
    assert.ok(stays.connected);
    const end = next(stays, "disconnect");
    await admin("PATCH", `/admin/app-keys/${other.id}`, { expiresAt: new Date(Date.now() + 15_000).toISOString() });
    assert.equal((await end)[0], "io server disconnect");
    assert.equal(await connectError("/app", { auth: { appToken: other.key } }), "APP_KEY_INVALID: Invalid app key");
  },
  async "a gateway that comes to need a key ends sockets without one"() {
    const row = await gateway("/later");
    const made = await appKey();
    const [without, withKey] = [await connect("/later"), await connect("/later", { auth: { appToken: made.key } })];
    const gone = next(without, "disconnect");
    await admin("PATCH", `/admin/gateways/${row.id}`, { requireAppKey: true });
    assert.equal((await gone)[0], "io server disconnect");
    await settle(withKey);
    assert.ok(withKey.connected);
  },
  async "an admission script decides before there is a connection"() {
    const script = "@LOGS(\"asked\", @BODY.auth.name); if @BODY.auth.name == \"eve\" { @THROW.forbidden(\"not you\"); } if @BODY.auth.name == \"mallory\" { throw \"go\"; } return @SOCKET.id;";
    const fields = {
      admissionScript: script,
      connectionScript: "@SOCKET.emitToGateway(\"/watch\", \"connected\", @BODY.auth.name);",
      disconnectionScript: "@SOCKET.emitToGateway(\"/watch\", \"gone\", @BODY.reason);",
    };
    await gateway("/watch");
    const watcher = await connect("/watch");
    const [connected, gone] = [collect(watcher, "connected"), collect(watcher, "gone")];
    await gateway("/door", EVENTS, fields);
    for (const options of transports) {
      assert.equal(await connectError("/door", { ...options, auth: { name: "eve" } }), "AUTHORIZATION_ERROR: not you");
      assert.equal(await connectError("/door", { ...options, auth: { name: "mallory" } }), "SCRIPT_EXECUTION_ERROR: go");
    }
    const client = await connect("/door", { auth: { name: "bob", token: (await user()).token } });
    await until(() => connected.length === 1, "the connection script of the one that was let in");
    client.disconnect();
    await until(() => gone.length === 1, "its disconnection script");
    await settle(watcher);
    assert.deepEqual([connected, gone.length], [["bob"], 1], "and none of those that were refused");
    const runs = (await admin("GET", "/admin/logs?gateway=/door&limit=100")).data.filter(({ kind }) => kind === "admission");
    assert.equal(runs.length, 5);
    assert.deepEqual(runs.filter(({ outcome }) => outcome !== "ok").length, 4, JSON.stringify(runs[0]));
    assert.deepEqual(runs.at(-1).logs, ["asked", "eve"]);
  },
  async "an admission script reads and refuses, and does nothing else"() {
    const row = await gateway("/reads");
    await admin("POST", "/admin/tables", { name: "door_list", columns: [{ name: "who", type: "string" }] });
    const calls = {
      "@SOCKET.join(\"a\")": "@SOCKET.join", "@SOCKET.leave(\"a\")": "@SOCKET.leave", "@SOCKET.reply(\"a\", 1)": "@SOCKET.reply",
      "@SOCKET.set(\"a\", 1)": "@SOCKET.set", "@SOCKET.disconnect()": "@SOCKET.disconnect", "@SOCKET.broadcast(\"a\", 1)": "@SOCKET.broadcast",
      "@SOCKET.emitToRoom(\"a\", \"b\", 1)": "@SOCKET.emitToRoom", "@SOCKET.emitToCurrentRoom(\"a\", \"b\", 1)": "@SOCKET.emitToCurrentRoom",
      "@SOCKET.broadcastToRoom(\"a\", \"b\", 1)": "@SOCKET.broadcastToRoom",
      "@SOCKET.emitToUser(\"a\", \"b\", 1)": "@SOCKET.emitToUser", "@SOCKET.emitToSocket(\"a\", \"b\", 1)": "@SOCKET.emitToSocket",
      "@SOCKET.clearRoom(\"a\")": "@SOCKET.clearRoom", "@SOCKET.joinUser(\"a\", \"b\")": "@SOCKET.joinUser", "@SOCKET.disconnectUser(\"a\")": "@SOCKET.disconnectUser",
      "@SOCKET.disconnectSocket(\"a\")": "@SOCKET.disconnectSocket",
      "#door_list.create(#{ data: #{ who: \"x\" } })": "#door_list.create", "#door_list.delete(#{ filter: #{ who: \"x\" } })": "#door_list.delete",
      "#door_list.update(#{ filter: #{ who: \"x\" }, data: #{ who: \"y\" } })": "#door_list.update",
      "@TRANSACTION { 1 }": "@TRANSACTION", "@CACHE.set(\"a\", 1)": "@CACHE.set", "@CACHE.incr(\"a\")": "@CACHE.incr",
      "@CACHE.acquire(\"a\", 5)": "@CACHE.acquire", "@JOB.after(5, \"/shop\", \"app\", 1)": "@JOB",
    };
    for (const [call, named] of Object.entries(calls)) {
      await admin("PATCH", `/admin/gateways/${row.id}`, { admissionScript: `${call};` });
      assert.equal(
        await connectError("/reads"),
        `SCRIPT_EXECUTION_ERROR: ${named} does not exist in an admission script, which can only read, throw and log; the connection script comes after it`,
        call,
      );
    }
    const reads = "if #door_list.count() != 0 || @SOCKET.roomSize(\"a\") != 0 || @CACHE.get(\"a\") != () || @SOCKET.isOnline(\"nobody\") { throw \"no\"; }";
    await admin("PATCH", `/admin/gateways/${row.id}`, { admissionScript: reads });
    await connect("/reads");
    const run = { kind: "websocket_admission", gatewayPath: "/reads", payload: { auth: { name: "eve" } } };
    assert.equal((await admin("POST", "/admin/test/run", run)).success, true);
    const sent = await admin("POST", "/admin/test/run", { ...run, script: "@SOCKET.join(\"a\");" });
    assert.deepEqual([sent.success, sent.emitted], [false, []]);
    assert.match(sent.error.message, /admission script/);
    assert.match(await refused("PATCH", `/admin/gateways/${row.id}`, { admissionScript: "let" }), /^SCRIPT_COMPILE_ERROR/);
  },
  async "while it decides, the gateway may change its mind"() {
    const row = await gateway("/slow", {}, { admissionScript: "while #door_list.count() == 0 { @HELPERS.sleep(5); }", scriptTimeoutMs: 30000 });
    const answer = connectError("/slow");
    await until(async () => (await admin("GET", "/admin/stats")).queueDepth > 0, "the admission runs");
    await admin("PATCH", `/admin/gateways/${row.id}`, { requireAuth: true });
    await admin("POST", "/data/door_list", { who: "anyone" });
    assert.equal(await answer, "AUTH_REQUIRED: Authentication token required");
  },
  async "presence of some rooms"() {
    await gateway("/some", EVENTS, { presence: ["chat:*", "lobby"] });
    const client = await connect("/some");
    const seen = collect(client, "presence");
    for (const room of ["other", "chat:1", "lobby", "lobby:2", "chat", "chat:"]) await value(client, "join", room);
    await settle(client);
    assert.deepEqual(seen.map(({ room }) => room), ["chat:1", "lobby", "chat:"]);
    const row = await gateway("/patterns");
    for (const presence of [["a*b"], [""], ["*a"], ["x".repeat(201)], Array.from({ length: 101 }, (_, i) => `a${i}`)]) {
      assert.match(await refused("PATCH", `/admin/gateways/${row.id}`, { presence }), /^VALIDATION_ERROR presence/);
    }
    for (const presence of [true, ["a", "b:*"], [], false]) {
      assert.deepEqual((await admin("PATCH", `/admin/gateways/${row.id}`, { presence })).presence, presence);
    }
  },
  async "presence with a debounce"() {
    const row = await gateway("/debounce", EVENTS, { presence: true, presenceDebounceMs: 60000 });
    const [watcher, one, two, three] = await Promise.all(Array.from({ length: 4 }, () => connect("/debounce")));
    const seen = collect(watcher, "presence");
    await value(watcher, "join", "room");
    for (const client of [one, two, three]) await value(client, "join", "room");
    await value(two, "leave", "room");
    await value(two, "join", "room");
    await value(three, "leave", "room");
    await settle(watcher);
    assert.deepEqual(seen, [], "it waits");
    // Without a debounce what waits is told with the next change.
    await admin("PATCH", `/admin/gateways/${row.id}`, { presenceDebounceMs: 0 });
    await value(three, "join", "room");
    await settle(watcher);
    const member = ({ id: socketId }) => ({ socketId, userId: null });
    const members = [watcher, one, two, three].map(member);
    assert.deepEqual(seen.splice(0), [{ action: "join", room: "room", member: members[3], members, count: 4 }]);
    await admin("PATCH", `/admin/gateways/${row.id}`, { presenceDebounceMs: 1 });
    await value(one, "leave", "room");
    await until(() => seen.length === 1, "it is told by itself");
    assert.deepEqual(seen.splice(0), [{ action: "leave", room: "room", member: member(one), count: 3 }]);
    two.disconnect();
    await until(() => seen.length === 1, "a disconnect too");
    assert.deepEqual(seen.splice(0), [{ action: "leave", room: "room", member: members[2], count: 2 }]);
    for (const presenceDebounceMs of [-1, 60001]) {
      assert.match(await refused("PATCH", `/admin/gateways/${row.id}`, { presenceDebounceMs }), /^VALIDATION_ERROR presenceDebounceMs/);
    }
  },
  async "what a gateway emits"() {
    const row = await gateway("/emits");
    const emits = { said: { type: "object", properties: { text: { type: "string" } } }, done: true };
    assert.deepEqual((await admin("PATCH", `/admin/gateways/${row.id}`, { emits })).emits, emits);
    assert.equal((await admin("PATCH", `/admin/gateways/${row.id}`, { emits: null })).emits, null);
    for (const emits of [[], "x", { said: { type: "nonsense" } }, { "ws:result": {} }, { "": {} }, { said: 5 }]) {
      assert.match(await refused("PATCH", `/admin/gateways/${row.id}`, { emits }), /^VALIDATION_ERROR emits/);
    }
  },
  async "and no run was broken by any of this"() {
    assert.deepEqual((await admin("GET", "/admin/logs?code=INTERNAL_ERROR")).data, []);
  },
});
