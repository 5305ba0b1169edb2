// `/@admin`: who is let in, what is told, and when it ends. The test's server trusts any origin with
// connections, has a queue that is soon full, and makes tokens that are short enough to wait for.
import assert from "node:assert/strict";
import { admin, ask, call, collect, connect, connectError, gateway, login, next, run, scenario, tryAdmin, until, url, user } from "../lib.mjs";

const PATH = "/@admin";
const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }, { transports: ["polling", "websocket"] }];
const REQUIRED = "AUTH_REQUIRED: Authentication token required";
const page = (origin, token) => ({ extraHeaders: { ...(origin ? { origin } : {}), cookie: `accessToken=${token}` } });

/** An admin of its own: what ends it ends nobody else. */
const anAdmin = () => user({ role: "admin" });
const watcher = async (options = {}) => connect(PATH, { auth: { token: (await anAdmin()).token }, ...options });

async function watch(socket, topic, filter) {
  assert.deepEqual(await ask(socket, "watch", { topic, ...(filter ? { filter } : {}) }), { ok: true }, topic);
}

/** All runs that come, and how many were left out. */
function runsOf(socket) {
  const seen = { runs: [], dropped: 0 };
  socket.on("runs", ({ runs, dropped }) => {
    assert.ok(runs.length <= 200, `${runs.length} runs`);
    seen.runs.push(...runs);
    seen.dropped += dropped;
  });
  return seen;
}

await scenario({
  async "admins alone are let in"() {
    const [boss, someone] = [await anAdmin(), await user()];
    const { token } = (await call("POST", "/auth/websocket-token", undefined, { token: boss.token })).body;
    for (const options of transports) {
      assert.equal(await connectError(PATH, options), REQUIRED);
      assert.equal(await connectError(PATH, { ...options, auth: { token: "" } }), REQUIRED);
      assert.match(await connectError(PATH, { ...options, auth: { token: "x" } }), /^AUTH_INVALID: /);
      assert.match(await connectError(PATH, { ...options, auth: { token: someone.token } }), /^FORBIDDEN: /);
      assert.match(await connectError(PATH, { ...options, ...page(url, someone.token) }), /^FORBIDDEN: /);
      for (const origin of ["https://evil.example", "null", "https://listed.example"]) {
        assert.equal(await connectError(PATH, { ...options, ...page(origin, boss.token) }), REQUIRED, origin);
      }
      await connect(PATH, { ...options, auth: { token: boss.token } });
      await connect(PATH, { ...options, auth: { token } });
      await connect(PATH, { ...options, ...page(url, boss.token) });
      await connect(PATH, { ...options, ...page(undefined, boss.token) });
    }
  },

  async "it is no gateway, and no gateway can be it"() {
    for (const path of [PATH, "/@other", "/@admin/x"]) {
      const answer = await tryAdmin("POST", "/admin/gateways", { path });
      assert.equal(answer.status, 422, JSON.stringify(answer.body));
    }
    await gateway("/counted");
    const [one] = [await watcher(), await connect("/counted")];
    await watch(one, "stats");
    const told = await next(one, "stats", ({ connections }) => connections.gateways["/counted"] === 1);
    assert.equal(told.connections.total, 1);
    assert.equal(PATH in told.connections.gateways, false);
    assert.equal((await admin("GET", "/api/socket/connections")).total, 1);
  },

  async "stats come at once, and then again and again"() {
    const one = await watcher();
    const all = collect(one, "stats");
    await watch(one, "stats");
    await until(() => all.length >= 3, "stats");
    const rest = await admin("GET", "/admin/stats");
    delete rest.handlers;
    assert.deepEqual(Object.keys(all[0]).sort(), Object.keys(rest).sort());
    assert.ok(all[2].uptimeSeconds >= all[0].uptimeSeconds);
    assert.deepEqual(await ask(one, "unwatch", { topic: "stats" }), { ok: true });
    const before = all.length;
    await watch(one, "runs");
    assert.equal(all.length, before, "nothing comes that is not watched");
  },

  async "runs come as they end, and only those that are asked for"() {
    await gateway("/runs", { good: "@LOGS(@BODY); return 1;", bad: "@THROW.notFound(\"gone\");", slow: "@HELPERS.sleep(20);" });
    const someone = await user();
    const client = await connect("/runs", { auth: { token: someone.token } });
    await run(client, "good", "before");
    const filters = {
      all: { gateway: "/runs" },
      failed: { gateway: "/runs", outcome: "error" },
      coded: { code: "RESOURCE_NOT_FOUND" },
      slow: { gateway: "/runs", slowerThanMs: 19 },
      named: { eventName: "good", userId: someone.id, kind: "event" },
      nobody: { gateway: "/runs", userId: "nobody" },
    };
    const seen = {};
    for (const [name, filter] of Object.entries(filters)) {
      const one = await watcher();
      seen[name] = runsOf(one);
      await watch(one, "runs", filter);
    }
    for (const event of ["good", "bad", "slow", "good"]) await run(client, event, event);
    await until(() => seen.all.runs.length === 4 && seen.failed.runs.length === 1 && seen.coded.runs.length === 1
      && seen.slow.runs.length >= 1 && seen.named.runs.length === 2, () => JSON.stringify(seen));
    assert.deepEqual(seen.all.runs.map(({ eventName }) => eventName), ["good", "bad", "slow", "good"], "newest last");
    assert.deepEqual(seen.all.runs[0].logs, ["good"]);
    assert.equal(seen.failed.runs[0].code, "RESOURCE_NOT_FOUND");
    assert.ok(seen.slow.runs.every(({ durationMs }) => durationMs > 19));
    assert.deepEqual([seen.nobody.runs.length, seen.nobody.dropped], [0, 0]);
    const listed = (await admin("GET", `/admin/logs?requestId=${seen.all.runs[1].requestId}`)).data[0];
    assert.deepEqual(listed, seen.all.runs[1], "as GET /admin/logs has it");
  },

  async "changes of what admins define are told"() {
    const one = await watcher();
    await watch(one, "catalog");
    for (const make of [
      () => gateway("/changed", { one: "return 1;" }),
      () => admin("POST", "/admin/routes", { method: "GET", path: "/changed", sourceCode: "return 1;", access: "public" }),
      () => admin("POST", "/admin/tables", { name: "changed", columns: [{ name: "a", type: "string" }] }),
    ]) {
      const told = next(one, "catalog");
      await make();
      assert.deepEqual(await told, {});
    }
  },

  async "sockets and rooms are told as sums, never one by one"() {
    await gateway("/crowd", { join: "@SOCKET.join(@BODY);" });
    const one = await watcher();
    const told = collect(one, "sockets");
    await watch(one, "sockets");
    await until(() => told.length, "the first comes at once");
    const clients = await Promise.all([1, 2, 3].map(() => connect("/crowd")));
    await Promise.all(clients.map((client) => run(client, "join", "red")));
    await run(clients[0], "join", "blue");
    const last = () => told.at(-1);
    await until(() => last().connections.gateways["/crowd"] === 3 && last().rooms.gateways["/crowd"] === 2, () => JSON.stringify(last()));
    await until(() => told.some(({ joinsPerSecond }) => joinsPerSecond > 0) && told.some(({ connectsPerSecond }) => connectsPerSecond > 0), "rates");
    for (const client of clients) client.disconnect();
    await until(() => last().connections.gateways["/crowd"] === 0 && last().rooms.total === 0, "all are gone");
    await until(() => told.some(({ leavesPerSecond }) => leavesPerSecond > 0) && told.some(({ disconnectsPerSecond }) => disconnectsPerSecond > 0), "rates");
    const rest = await admin("GET", "/admin/sockets/stats");
    assert.deepEqual(Object.keys(rest).sort(), Object.keys(last()).sort());
    assert.deepEqual(await ask(one, "unwatch", { topic: "sockets" }), { ok: true });
  },

  async "what is wrong is said, and changes nothing"() {
    const one = await watcher();
    const seen = runsOf(one);
    await watch(one, "runs", { gateway: "/wrong" });
    for (const [event, payload, code, mentions] of [
      ["watch", { topic: "everything" }, "INVALID_PAYLOAD", /stats, runs, sockets, jobs or catalog/],
      ["watch", {}, "INVALID_PAYLOAD", /topic/],
      ["watch", null, "INVALID_PAYLOAD", /topic/],
      ["watch", { topic: "runs", filter: { gatewayPath: "/x" } }, "INVALID_PAYLOAD", /gatewayPath/],
      ["watch", { topic: "runs", filter: { outcome: "bad" } }, "BAD_REQUEST", /ok or error/],
      ["watch", { topic: "runs", filter: { kind: "bad" } }, "BAD_REQUEST", /connection/],
      ["watch", { topic: "runs", filter: { slowerThanMs: -1 } }, "BAD_REQUEST", /slowerThanMs/],
      ["watch", { topic: "stats", filter: {} }, "INVALID_PAYLOAD", /filter/],
      ["unwatch", { topic: "nothing" }, "INVALID_PAYLOAD", /topic/],
      ["delete", { topic: "runs" }, "NO_HANDLER", /watch/],
      ["watch", { topic: "x".repeat(70_000) }, "PAYLOAD_TOO_LARGE", /large/],
      ["token_refresh", { token: "x" }, "AUTH_INVALID", /token/],
    ]) {
      const answer = await ask(one, event, payload);
      assert.deepEqual([answer.ok, answer.error?.code], [false, code], JSON.stringify(answer));
      assert.match(answer.error.message, mentions);
    }
    await gateway("/wrong", { go: "return 1;" });
    await run(await connect("/wrong"), "go");
    await until(() => seen.runs.length === 1, "the first filter still counts");
  },

  async "it works while the queue is full"() {
    const script = "@SOCKET.reply(\"started\", 1); while @SOCKET.roomSize(\"hold\") > 0 { @HELPERS.sleep(2); }";
    await gateway("/full", { hold: "@SOCKET.join(\"hold\");", wait: { sourceCode: script, timeoutMs: 30000 }, echo: "return 1;" }, { limits: { eventsPerSecond: 0 } });
    const guard = await connect("/full");
    await run(guard, "hold");
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect("/full")));
    await Promise.all(clients.map((client) => ask(client, "wait")));
    const acks = await Promise.all(clients.flatMap((client) => Array.from({ length: 19 }, () => ask(client, "echo"))));
    assert.ok(acks.some(({ error }) => error?.code === "QUEUE_FULL"), "it is full");
    const one = await watcher();
    await watch(one, "stats");
    assert.ok((await next(one, "stats")).queueDepth > 0);
    guard.disconnect();
    await next(one, "stats", ({ queueDepth }) => queueDepth === 0);
  },

  async "it ends with its session, its user's role, and its token"() {
    for (const end of [
      (boss) => admin("POST", `/admin/users/${boss.id}/revoke-tokens`),
      (boss) => admin("PATCH", `/admin/users/${boss.id}`, { role: "user" }),
      (boss) => admin("PATCH", `/admin/users/${boss.id}`, { isEnabled: false }),
      (boss) => call("POST", "/auth/logout", { refreshToken: boss.refreshToken }, { token: boss.token }),
    ]) {
      const boss = await anAdmin();
      const [one, other] = [await connect(PATH, { auth: { token: boss.token } }), await watcher()];
      const ended = next(one, "disconnect");
      await end(boss);
      assert.equal((await ended)[0], "io server disconnect", String(end));
      await watch(other, "stats");
    }
  },

  async "a newer token is taken in its place"() {
    const boss = await anAdmin();
    const one = await connect(PATH, { auth: { token: boss.token } });
    const again = await login(boss.email, boss.password);
    assert.deepEqual(await ask(one, "token_refresh", { token: again.accessToken }), { ok: true });
    await call("POST", "/auth/logout", { refreshToken: boss.refreshToken }, { token: boss.token });
    await watch(one, "stats");
    const other = await anAdmin();
    const answer = await ask(one, "token_refresh", { token: other.token });
    assert.equal(answer.error.code, "AUTH_INVALID");
  },
});
