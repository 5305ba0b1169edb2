// Connection and disconnection scripts, a full server, and one that stops. What has to happen
// at a certain moment is held by a gate in `@CACHE`, not by time. The server of this scenario
// takes 20 connections.
import assert from "node:assert/strict";
import { admin, ask, call, collect, connect, gateway, login, next, run, scenario, sentAway, settle, socket, until, user } from "../lib.mjs";

const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }, { transports: ["polling", "websocket"] }];
const CONNECTIONS_MAX = 20;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** Waits in a script until the gate named by the client's `auth.gate` is open. */
const WAIT = "while @CACHE.common.get(`gate ${@BODY.auth.gate}`) == () { @HELPERS.sleep(5); }";

let control;
let gates = 0;
const newGate = () => `${++gates}`;
const openGate = (gate) => run(control, "open", gate);
const cached = async (key) => (await run(control, "cached", key)).result;

/** Every packet and the end of a socket, in order. */
function everything(of) {
  const seen = [];
  of.on("connect", () => seen.push(["connect"]));
  of.onAny((event, data) => seen.push([event, data]));
  of.on("disconnect", (reason) => seen.push(["disconnect", reason]));
  return seen;
}

/** Waits until no job waits or runs. */
const idle = () => until(async () => (await admin("GET", "/admin/stats")).queueDepth === 0, "an empty queue");
const nobody = () => until(async () => (await admin("GET", "/admin/stats")).connections.total === 0, "no connections");

async function openControl() {
  control = await connect("/control");
}

await scenario({
  async "what a connection script is given"() {
    await gateway("/control", {
      open: "@CACHE.common.set(`gate ${@BODY}`, true);",
      cached: "return @CACHE.common.get(@BODY);",
    });
    await gateway("/told", {}, {
      requireAuth: true,
      connectionScript: `
        @SOCKET.reply("told", #{
          body: @BODY, data: @DATA, id: @SOCKET.id, email: @USER.email, event: @EVENT, gateway: @GATEWAY, requestId: @REQUEST_ID,
        });`,
    });
    const someone = await user();
    for (const options of transports) {
      for (const way of ["auth", "header", "cookie"]) {
        const connected = socket("/told", {
          ...options,
          auth: { ...(way === "auth" ? { token: someone.token } : {}), device: "phone", deep: { a: [1, null] } },
          query: { room: "a b&c", n: 1 },
          extraHeaders: {
            "x-tag": "tagged",
            "x-app-token": "gwk_secret",
            cookie: way === "cookie" ? `accessToken=${someone.token}; theme=dark` : "theme=dark",
            ...(way === "header" ? { authorization: `Bearer ${someone.token}` } : {}),
          },
        });
        const told = await next(connected, "told");
        const { body } = told;
        assert.deepEqual(Object.keys(body).sort(), ["auth", "headers", "id", "ip", "query"]);
        assert.deepEqual(told.data, body);
        assert.equal(body.id, connected.id);
        assert.equal(told.id, connected.id);
        assert.equal(told.email, someone.email);
        assert.equal(told.gateway, "/told");
        assert.match(told.requestId, UUID_V7);
        assert.equal(body.ip, "127.0.0.1");
        assert.equal(body.headers["x-tag"], "tagged");
        const names = Object.keys(body.headers).map((name) => name.toLowerCase());
        for (const secret of ["cookie", "authorization", "x-app-token"]) assert.ok(!names.includes(secret), names.join());
        assert.equal(body.query.room, "a b&c");
        assert.equal(body.query.n, "1");
        assert.equal(body.auth.device, "phone");
        assert.deepEqual(body.auth.deep, { a: [1, null] });
        assert.ok(!JSON.stringify(told).includes(someone.token), "no script gets hold of the key to the account");
      }
    }
  },
  async "an anonymous socket without anything"() {
    await gateway("/bare", {}, { connectionScript: "@SOCKET.reply(\"told\", #{ auth: @BODY.auth, user: @USER });" });
    for (const options of transports) {
      assert.deepEqual(await next(socket("/bare", options), "told"), { auth: {}, user: null });
    }
  },
  async "a connection script that throws"() {
    const cases = {
      "throw \"no entry\";": { code: "SCRIPT_EXECUTION_ERROR", message: "no entry" },
      "@THROW.forbidden(\"members only\", #{ level: 3 });":
        { code: "AUTHORIZATION_ERROR", message: "members only", details: { level: 3 } },
      "@THROW.unauthorized(\"who?\");": { code: "AUTHENTICATION_ERROR", message: "who?" },
      "@THROW.http(418, \"teapot\");": { code: "HTTP_ERROR", message: "teapot" },
      "let x = () - 1;": { code: "SCRIPT_EXECUTION_ERROR" },
      "loop { }": { code: "SCRIPT_TIMEOUT", anyOf: ["SCRIPT_TIMEOUT", "SCRIPT_OPERATION_LIMIT"] },
    };
    let number = 0;
    for (const [end, { code, message, details, anyOf }] of Object.entries(cases)) {
      const path = `/throws/${++number}`;
      // What has to end for its time says hello first.
      await gateway(path, { go: "return 1;" }, {
        connectionScript: `@LOGS("before", 1); @SOCKET.reply("welcome", 1); ${end}`, scriptTimeoutMs: anyOf ? 2000 : 30_000,
      });
      for (const options of transports) {
        const rejected = socket(path, options);
        const seen = everything(rejected);
        await until(() => seen.at(-1)?.[0] === "disconnect", "the end");
        assert.deepEqual(seen.map(([event]) => event), ["connect", "welcome", "ws:error", "disconnect"], end);
        const error = seen[2][1];
        assert.ok((anyOf ?? [code]).includes(error.code), JSON.stringify(error));
        assert.equal(error.eventName, "connection");
        assert.equal(error.success, false);
        assert.match(error.requestId, UUID_V7);
        assert.deepEqual(error.logs, ["before", 1]);
        if (message) assert.equal(error.message, message);
        if (details) assert.deepEqual(error.details, details);
        assert.equal(seen[3][1], "io server disconnect");
      }
    }
    await nobody();
  },
  async "what is said before disconnect() arrives"() {
    await gateway("/bye", {}, { connectionScript: "@SOCKET.reply(\"bye\", #{ why: \"closed\" }); @SOCKET.disconnect();" });
    await gateway("/bye/many", { go: "for i in 0..300 { @SOCKET.reply(\"n\", i); } @SOCKET.disconnect();" }, {
      connectionScript: "for i in 0..300 { @SOCKET.reply(\"n\", i); } if @BODY.auth.stay == () { @SOCKET.disconnect(); }",
    });
    const ended = async (one) => {
      const seen = everything(one);
      await until(() => seen.at(-1)?.[0] === "disconnect", "the end");
      return seen;
    };
    for (const options of transports) {
      assert.deepEqual(await ended(socket("/bye", options)),
        [["connect"], ["bye", { why: "closed" }], ["disconnect", "io server disconnect"]]);
      const numbers = Array.from({ length: 300 }, (_, i) => ["n", i]);
      assert.deepEqual(await ended(socket("/bye/many", options)),
        [["connect"], ...numbers, ["disconnect", "io server disconnect"]]);
      const inEvent = socket("/bye/many", { ...options, auth: { stay: true } });
      inEvent.on("connect", () => inEvent.emit("go"));
      const seen = await ended(inEvent);
      assert.deepEqual(seen.filter(([event]) => event === "n"), [...numbers, ...numbers]);
      assert.deepEqual(seen.at(-1), ["disconnect", "io server disconnect"]);
    }
  },
  async "events that arrive meanwhile wait, in order"() {
    await openControl();
    await gateway("/waits", { go: "return [@BODY, @SOCKET.get(\"ready\")];" }, {
      connectionScript: `${WAIT} @SOCKET.set("ready", true); @SOCKET.join("in"); @SOCKET.reply("ready", 1);`,
      scriptTimeoutMs: 30_000,
    });
    for (const options of transports) {
      const gate = newGate();
      const waiting = await connect("/waits", { ...options, auth: { gate } });
      const seen = everything(waiting);
      const acks = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(waiting, "go", i)));
      assert.ok(acks.every((ack) => ack.accepted), "they are accepted, only later run");
      assert.deepEqual(seen, [], "none runs before the connection script");
      await openGate(gate);
      await until(() => seen.length === 51, "all results");
      assert.equal(seen[0][0], "ready");
      assert.deepEqual(seen.slice(1).map(([, packet]) => packet.result), Array.from({ length: 50 }, (_, i) => [i, true]));
      assert.deepEqual(seen.slice(1).map(([, packet]) => packet.requestId), acks.map((ack) => ack.requestId));
    }
  },
  async "events of a rejected socket do not run"() {
    await openControl();
    await gateway("/rejects", { go: "@CACHE.common.incr(`ran ${@BODY}`);" }, {
      connectionScript: `${WAIT} throw "no entry";`, scriptTimeoutMs: 30_000,
      disconnectionScript: "@CACHE.common.incr(\"disconnections of /rejects\");",
    });
    for (const options of transports) {
      const gate = newGate();
      const rejected = await connect("/rejects", { ...options, auth: { gate } });
      const seen = everything(rejected);
      await Promise.all(Array.from({ length: 20 }, () => ask(rejected, "go", gate)));
      await openGate(gate);
      await until(() => seen.at(-1)?.[0] === "disconnect", "the end");
      await idle();
      assert.equal(await cached(`ran ${gate}`), null);
      assert.deepEqual(seen.map(([event]) => event), ["ws:error", "disconnect"]);
    }
    assert.equal(await cached("disconnections of /rejects"), null, "no goodbye for who was never in");
    assert.deepEqual((await admin("GET", "/admin/logs?gateway=/rejects&eventName=go")).data, []);
  },
  async "a socket that goes while its connection script runs"() {
    await openControl();
    await gateway("/early-leaver", {}, {
      connectionScript: `@SOCKET.reply("began", 1); ${WAIT} @SOCKET.join("late"); @CACHE.common.incr("connections");`, scriptTimeoutMs: 30_000,
      disconnectionScript: "@CACHE.common.incr(\"disconnections\"); @SOCKET.reply(\"never\", 1);",
    });
    await gateway("/early-leaver/watch", { size: "return @SOCKET.roomSize(\"late\");" });
    let expected = 0;
    for (const options of transports) {
      const gate = newGate();
      const leaver = socket("/early-leaver", { ...options, auth: { gate } });
      await next(leaver, "began");
      leaver.disconnect();
      await until(async () => (await admin("GET", "/admin/stats")).connections.gateways["/early-leaver"] === 0, "it has gone");
      await openGate(gate);
      await idle();
      expected++;
      assert.equal(await cached("connections"), expected, "the script ran to its end");
      assert.equal(await cached("disconnections"), expected, "and succeeded, so there is a goodbye");
      const size = await ask(await connect("/early-leaver/watch"), "size");
      assert.ok(size.accepted);
    }
  },
  async "what a disconnection script is given, for every way to go"() {
    await gateway("/leave/watch", {});
    await gateway("/leave", {
      join: "@SOCKET.join(@BODY);",
      leave: "@SOCKET.leave(@BODY);",
      away: "@SOCKET.disconnect();",
      kick: "@SOCKET.disconnectSocket(@BODY);",
      fail: "throw \"failed\";",
    }, {
      disconnectionScript: `
        @SOCKET.reply("never", 1);
        for room in @BODY.rooms { @SOCKET.broadcastToRoom(room, "left", @SOCKET.id); }
        @SOCKET.emitToGateway("/leave/watch", "gone", #{
          body: @BODY, data: @DATA, id: @SOCKET.id, email: if @USER == () { () } else { @USER.email }, gateway: @GATEWAY,
        });`,
    });
    const someone = await user();
    const watcher = await connect("/leave/watch");
    const friend = await connect("/leave");
    await run(friend, "join", "kept");
    await run(friend, "join", "left before");
    const farewells = collect(friend, "left");
    const gone = collect(watcher, "gone");
    const ways = {
      "client disconnect": [(one) => one.disconnect(), ["client namespace disconnect"]],
      "transport close": [(one) => one.io.engine.close(), ["transport close", "transport error"]],
      "disconnect() of a script": [(one) => one.emit("away"), ["server namespace disconnect"]],
      "disconnectSocket() of another": [(one) => friend.emit("kick", one.id), ["server namespace disconnect"]],
      "revoked tokens": [() => admin("POST", `/admin/users/${someone.id}/revoke-tokens`), ["server namespace disconnect"]],
    };
    for (const [way, [go, reasons]] of Object.entries(ways)) {
      for (const options of transports) {
        const started = Date.now();
        const token = (await login(someone.email, someone.password)).accessToken;
        const leaver = await connect("/leave", { ...options, auth: { token } });
        const { id } = leaver;
        const after = everything(leaver);
        await run(leaver, "join", "left before");
        await run(leaver, "join", "kept");
        await run(leaver, "join", "alone");
        await run(leaver, "leave", "left before");
        await run(leaver, "fail");
        await go(leaver);
        await until(() => gone.length === 1, `the goodbye after ${way}`);
        const [told] = gone.splice(0);
        assert.deepEqual(Object.keys(told.body).sort(), ["connectedAt", "reason", "rooms"], way);
        assert.deepEqual(told.data, told.body);
        assert.ok(reasons.includes(told.body.reason), `${way}: ${told.body.reason}`);
        assert.deepEqual(told.body.rooms.sort(), ["alone", "kept"]);
        const connectedAt = Date.parse(told.body.connectedAt);
        assert.ok(connectedAt >= started - 1000 && connectedAt <= Date.now() + 1000, told.body.connectedAt);
        assert.equal(told.id, id);
        assert.equal(told.email, someone.email);
        assert.equal(told.gateway, "/leave");
        await settle(friend);
        assert.deepEqual(farewells.splice(0), [id], "those who stay hear it");
        assert.ok(!after.some(([event]) => event === "never"), "a reply goes nowhere");
      }
    }
    await settle(watcher);
    assert.deepEqual(gone, [], "once for each");
  },
  async "a client that drops off the network"() {
    const watcher = await connect("/leave/watch");
    const leaver = await connect("/leave");
    await run(leaver, "join", "kept");
    const gone = next(watcher, "gone");
    leaver.io.engine.transport.ws.terminate();
    const { body } = await gone;
    assert.ok(["transport close", "transport error"].includes(body.reason), body.reason);
    assert.deepEqual(body.rooms, ["kept"]);
  },
  async "a gateway that is disabled or deleted sees its sockets off"() {
    for (const end of ["disable", "delete"]) {
      const row = await gateway(`/ends/${end}`, {}, {
        // Its own rooms may be gone with it, which is no failure.
        disconnectionScript: `
          @SOCKET.broadcastToRoom("friends", "left", 1); @SOCKET.emitToCurrentRoom("friends", "left", 1);
          @SOCKET.emitToGateway("/leave/watch", "gone", @BODY);`,
      });
      const watcher = await connect("/leave/watch");
      const gone = collect(watcher, "gone");
      const theirs = await Promise.all(transports.map((options) => connect(`/ends/${end}`, options)));
      const bystander = await connect("/leave");
      const ended = Promise.all(theirs.map((one) => next(one, "disconnect")));
      if (end === "disable") await admin("PATCH", `/admin/gateways/${row.id}`, { isEnabled: false });
      else await admin("DELETE", `/admin/gateways/${row.id}`);
      for (const [reason] of await ended) assert.equal(reason, "io server disconnect", end);
      await until(() => gone.length === theirs.length, `the goodbyes after ${end}`);
      await settle(bystander);
      assert.ok(bystander.connected);
    }
  },
  async "the disconnection script is the last of a socket's jobs"() {
    await openControl();
    await gateway("/order", {
      hold: "while @CACHE.common.get(`gate ${@BODY}`) == () { @HELPERS.sleep(5); } @SOCKET.emitToGateway(\"/leave/watch\", \"step\", \"held\");",
      step: "@SOCKET.emitToGateway(\"/leave/watch\", \"step\", @BODY); @SOCKET.reply(\"nowhere\", 1);",
    }, { disconnectionScript: "@SOCKET.emitToGateway(\"/leave/watch\", \"step\", \"gone\");", scriptTimeoutMs: 30_000 });
    const watcher = await connect("/leave/watch");
    const steps = collect(watcher, "step");
    for (const options of transports) {
      const gate = newGate();
      const leaver = await connect("/order", { ...options, auth: {} });
      // Accepted, and therefore run, although the socket goes before.
      assert.ok((await ask(leaver, "hold", gate)).accepted);
      for (const step of [1, 2, 3]) assert.ok((await ask(leaver, "step", step)).accepted);
      leaver.disconnect();
      await until(async () => (await admin("GET", "/admin/stats")).connections.gateways["/order"] === 0, "it has gone");
      await openGate(gate);
      await until(() => steps.length === 5, "all steps");
      assert.deepEqual(steps.splice(0), ["held", 1, 2, 3, "gone"]);
    }
  },
  async "a connection script that ends the connection has not failed"() {
    await gateway("/come-and-go", {}, {
      connectionScript: "@SOCKET.join(\"room\"); @SOCKET.reply(\"bye\", 1); @SOCKET.disconnect();",
      disconnectionScript: "@SOCKET.emitToGateway(\"/leave/watch\", \"gone\", @BODY);",
    });
    const watcher = await connect("/leave/watch");
    // Many, since the client's own goodbye races with the server's.
    for (const options of Array(15).fill(transports).flat()) {
      const gone = next(watcher, "gone");
      const seen = everything(socket("/come-and-go", options));
      assert.equal((await gone).reason, "server namespace disconnect");
      await until(() => seen.at(-1)?.[0] === "disconnect", "the end");
      assert.deepEqual(seen, [["connect"], ["bye", 1], ["disconnect", "io server disconnect"]]);
    }
  },
  async "a disconnection script that fails harms nobody"() {
    await gateway("/bad-goodbye", { ok: "return 1;" }, { disconnectionScript: "throw \"no goodbye\";" });
    const stays = await connect("/bad-goodbye");
    const errors = collect(stays, "ws:error");
    const leaver = await connect("/bad-goodbye");
    // One that goes before the server has opened its connection has no script to end with.
    await run(leaver, "ok");
    leaver.disconnect();
    await until(async () => (await admin("GET", "/admin/logs?gateway=/bad-goodbye&outcome=error")).data.length === 1, "its record");
    assert.equal((await run(stays, "ok")).result, 1);
    assert.deepEqual(errors, []);
  },
  async "and no run was broken by any of this"() {
    assert.deepEqual((await admin("GET", "/admin/logs?code=INTERNAL_ERROR")).data, []);
  },
  async "a full server"() {
    await nobody();
    await gateway("/full", {});
    const all = [];
    for (let i = 0; i < CONNECTIONS_MAX; i++) all.push(await connect("/full", transports[i % 3]));
    for (const options of transports) await sentAway("/full", options);
    await settle(...all);
    all.pop().disconnect();
    await until(async () => {
      const tried = socket("/full");
      return Promise.race([next(tried, "connect").then(() => true), next(tried, "connect_error").then(() => false)]);
    }, "room for one more");
    await sentAway("/full");
  },
  async "a server that stops"() {
    await nobody();
    await gateway("/stop", {
      join: "@SOCKET.join(@BODY);",
      hold: { sourceCode: "while @SOCKET.roomSize(\"gate\") > 0 { @HELPERS.sleep(5); } return \"held\";", timeoutMs: 30_000 },
      last: "return \"last\";",
    });
    await gateway("/stop/private", {}, { requireAuth: true });
    const gatekeeper = await connect("/stop");
    await run(gatekeeper, "join", "gate");
    const workers = await Promise.all(transports.map((options) => connect("/stop", options)));
    const seen = workers.map(everything);
    const [holding] = workers;
    assert.ok((await ask(holding, "hold")).accepted);
    assert.ok((await ask(holding, "last")).accepted);
    const about = (await admin("GET", "/admin/gateways?limit=1000")).data.find((row) => row.path === "/about-this-test");
    process.kill(JSON.parse(about.description).process, "SIGTERM");
    await until(async () => (await call("GET", "/health/ready")).status === 503, "a server that drains");
    for (const options of transports) {
      for (const path of ["/stop", "/stop/private"]) await sentAway(path, options);
    }
    const refused = await ask(holding, "last");
    assert.equal(refused.accepted, false);
    assert.equal(refused.error.code, "SHUTTING_DOWN");
    assert.ok(workers.every((one) => one.connected), "nobody is sent away while accepted jobs run");
    gatekeeper.disconnect();
    await until(() => seen.every((packets) => packets.at(-1)?.[0] === "disconnect"), "the end of all");
    const results = seen[0].filter(([event]) => event === "ws:result").map(([, packet]) => packet.result);
    assert.deepEqual(results, ["held", "last"], "what was accepted is done");
    for (const packets of seen) assert.match(packets.at(-1)[1], /^transport (close|error)$/);
  },
});
