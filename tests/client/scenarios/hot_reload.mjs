// Changes while clients are connected: live with the answer, and nobody is disconnected who need not be.
import assert from "node:assert/strict";
import { Manager } from "socket.io-client";
import { admin, ask, collect, connect, connectError, gateway, next, run, scenario, settle, tryAdmin, until, url, user } from "../lib.mjs";

const version = (number) => `let n = 0; for i in 0..50 { n += i; } return #{ version: ${number}, echo: @BODY };`;
const upTo = (count) => [...Array(count).keys()];

/** Notes every disconnect of these sockets; the array must stay empty. */
function watchDisconnects(...all) {
  const gone = [];
  for (const one of all) one.on("disconnect", (reason) => gone.push(reason));
  return gone;
}

await scenario({
  async "saving a script under load: no result is lost or doubled, the next event runs the new one"() {
    const row = await gateway("/live", { work: version(0) }, { limits: { eventsPerSecond: 0 } });
    const { id } = row.events.work;
    const clients = await Promise.all(upTo(20).map((n) => connect("/live", n % 4 === 3 ? { transports: ["polling"] } : {})));
    const probe = await connect("/live");
    const gone = watchDisconnects(probe, ...clients);
    let [saved, asked, isDone] = [0, 0, false];
    const senders = clients.map(async (client) => {
      const sent = [];
      const outcomes = new Map();
      const note = (packet) => outcomes.set(packet.requestId, [...(outcomes.get(packet.requestId) ?? []), packet]);
      client.on("ws:result", (packet) => { note(packet); packet.askedBy = asked; });
      client.on("ws:error", note);
      for (let n = 0; !isDone; n++) {
        const oldest = saved;
        const ack = await ask(client, "work", n);
        assert.ok(ack.accepted, JSON.stringify(ack));
        sent.push({ n, oldest, requestId: ack.requestId });
      }
      await until(() => outcomes.size >= sent.length, "all outcomes");
      await settle(client);
      return { sent, outcomes };
    });
    for (let number = 1; number <= 15; number++) {
      asked = number;
      await admin("PATCH", `/admin/events/${id}`, { sourceCode: version(number) });
      saved = number;
      assert.equal((await run(probe, "work")).result.version, number, "the event after the answer");
      const refused = await tryAdmin("PATCH", `/admin/events/${id}`, { sourceCode: `${version(1000)} let = ;` });
      assert.equal(refused.status, 400);
    }
    isDone = true;
    const seenVersions = new Set();
    for (const { sent, outcomes } of await Promise.all(senders)) {
      assert.equal(outcomes.size, sent.length);
      let before = 0;
      for (const { n, oldest, requestId } of sent) {
        const [outcome, ...more] = outcomes.get(requestId);
        assert.equal(more.length, 0, "one outcome");
        assert.equal(outcome.success, true, JSON.stringify(outcome));
        assert.equal(outcome.result.echo, n);
        const { version } = outcome.result;
        assert.ok(version >= oldest && version >= before && version <= outcome.askedBy, `${version} is neither an old nor a new one`);
        before = version;
        seenVersions.add(version);
      }
    }
    assert.ok(seenVersions.size > 3, "there was load while it was saved");
    assert.deepEqual(gone, []);
  },

  async "a job runs what was current when it was accepted"() {
    const wait = "while @SOCKET.roomSize(\"hold\") > 0 { @HELPERS.sleep(2); }";
    const row = await gateway("/accepted", { hold: "@SOCKET.join(\"hold\");", wait: { sourceCode: wait, timeoutMs: 30000 }, work: "return 1;", doomed: "return \"ran\";" });
    const [guard, client] = [await connect("/accepted"), await connect("/accepted")];
    await run(guard, "hold");
    const results = collect(client, "ws:result");
    for (const name of ["wait", "work", "doomed"]) assert.ok((await ask(client, name)).accepted);
    await admin("PATCH", `/admin/events/${row.events.work.id}`, { sourceCode: "return 2;" });
    await admin("DELETE", `/admin/events/${row.events.doomed.id}`);
    assert.ok((await ask(client, "work")).accepted);
    assert.equal((await ask(client, "doomed")).error.code, "NO_HANDLER");
    guard.disconnect();
    await until(() => results.length === 4, "the results");
    assert.deepEqual(results.map(({ result }) => result), [null, 1, "ran", 2]);
  },

  async "a script that does not compile is refused with its place; the old one stays"() {
    const connectionScript = "@SOCKET.set(\"by\", \"old\");";
    const row = await gateway("/compile", { work: "return 1;", by: "return @SOCKET.get(\"by\");" }, { connectionScript });
    const client = await connect("/compile");
    const gone = watchDisconnects(client);
    const bad = "let a = 1;\nlet b = ;\n";
    const revisions = async () => (await admin("GET", `/admin/events/${row.events.work.id}/revisions`)).data.length;
    const before = await revisions();
    for (const [method, path, body] of [
      ["PATCH", `/admin/events/${row.events.work.id}`, { sourceCode: bad, description: "not saved either" }],
      ["PATCH", `/admin/events/${row.events.work.id}`, { handlerScript: bad }],
      ["POST", `/admin/gateways/${row.id}/events`, { eventName: "broken", sourceCode: bad }],
      ["PATCH", `/admin/gateways/${row.id}`, { connectionScript: bad, isEnabled: false }],
      ["PATCH", `/admin/gateways/${row.id}`, { disconnectionScript: bad }],
      ["POST", "/admin/gateways", { path: "/broken", connectionScript: bad }],
    ]) {
      const { status, body: answer } = await tryAdmin(method, path, body);
      assert.equal(status, 400, `${method} ${path}`);
      assert.deepEqual([answer.error.details.line, answer.error.details.column], [2, 9], JSON.stringify(answer));
    }
    assert.equal((await run(client, "work")).result, 1);
    assert.equal((await ask(client, "broken")).error.code, "NO_HANDLER");
    assert.equal(await connectError("/broken"), "Invalid namespace");
    assert.equal((await run(await connect("/compile"), "by")).result, "old");
    const event = await admin("GET", `/admin/events/${row.events.work.id}`);
    assert.deepEqual([event.sourceCode, event.description], ["return 1;", row.events.work.description]);
    assert.equal((await admin("GET", `/admin/gateways/${row.id}`)).connectionScript, connectionScript);
    assert.equal(await revisions(), before);
    assert.deepEqual(gone, []);
  },

  async "every save is a revision, and any can be restored"() {
    const row = await gateway("/history", { work: "return 1;" });
    const path = `/admin/events/${row.events.work.id}`;
    const client = await connect("/history");
    const gone = watchDisconnects(client);
    for (const n of [2, 3]) await admin("PATCH", path, { sourceCode: `return ${n};` });
    await admin("PATCH", path, { description: "no script saved" });
    const list = async () => (await admin("GET", `${path}/revisions`)).data.sort((a, b) => a.number - b.number);
    const three = await list();
    assert.deepEqual(three.map(({ source }) => source), ["return 1;", "return 2;", "return 3;"]);
    assert.deepEqual(three.map(({ number }) => number), [1, 2, 3]);
    for (const { author } of three) assert.ok(author, "a revision has an author");
    await admin("POST", `${path}/revisions/1/restore`);
    assert.equal((await run(client, "work")).result, 1);
    assert.equal((await admin("GET", path)).sourceCode, "return 1;");
    const four = await list();
    assert.equal(four.length, 4);
    assert.deepEqual(four.slice(0, 3), three, "revisions never change");
    assert.deepEqual([four[3].number, four[3].source], [4, "return 1;"]);
    assert.equal((await tryAdmin("POST", `${path}/revisions/99/restore`)).status, 404);
    assert.equal((await run(client, "work")).result, 1);
    assert.deepEqual(gone, []);

    const gatewayPath = `/admin/gateways/${row.id}`;
    const scripts = ["@SOCKET.set(\"v\", 1);", "@SOCKET.set(\"v\", 2);"];
    for (const connectionScript of scripts) await admin("PATCH", gatewayPath, { connectionScript });
    const first = (await admin("GET", `${gatewayPath}/revisions`)).data.find(({ source }) => source === scripts[0]);
    await admin("POST", `${gatewayPath}/revisions/${first.number}/restore`);
    assert.equal((await admin("GET", gatewayPath)).connectionScript, scripts[0]);
    await admin("PATCH", path, { sourceCode: "return @SOCKET.get(\"v\");" });
    assert.equal((await run(await connect("/history"), "work")).result, 1);
    assert.equal((await run(client, "work")).result, null, "a connection script runs once, at the start");
  },

  async "events come, go and change their names at once"() {
    const row = await gateway("/changing", { "*": "return \"any\";" });
    const client = await connect("/changing");
    const gone = watchDisconnects(client);
    const result = async (name) => (await run(client, name)).result;
    assert.equal(await result("a"), "any");
    const event = await admin("POST", `/admin/gateways/${row.id}/events`, { eventName: "a", sourceCode: "return \"a\";" });
    assert.equal(await result("a"), "a");
    await admin("PATCH", `/admin/events/${event.id}`, { isEnabled: false });
    assert.equal(await result("a"), "any");
    await admin("PATCH", `/admin/events/${event.id}`, { isEnabled: true, eventName: "b*" });
    assert.deepEqual([await result("a"), await result("bcd")], ["any", "a"]);
    await admin("PATCH", `/admin/events/${event.id}`, { payloadSchema: { type: "string" } });
    assert.equal((await ask(client, "b", 1)).error.code, "INVALID_PAYLOAD");
    await admin("PATCH", `/admin/events/${event.id}`, { payloadSchema: null });
    assert.equal(await result("b"), "a");
    await admin("DELETE", `/admin/events/${event.id}`);
    assert.equal(await result("bcd"), "any");
    await admin("DELETE", `/admin/events/${row.events["*"].id}`);
    assert.equal((await ask(client, "a")).error.code, "NO_HANDLER");
    assert.deepEqual(gone, []);
  },

  async "a gateway's settings change without anybody noticing"() {
    const row = await gateway("/settings", { echo: "return @BODY;", room: "@SOCKET.join(\"r\"); return @SOCKET.rooms();", rooms: "return @SOCKET.rooms();" });
    const someone = await user();
    const [guest, signedIn] = [await connect("/settings"), await connect("/settings", { auth: { token: someone.token } })];
    const gone = watchDisconnects(guest, signedIn);
    await run(guest, "room");
    for (const change of [
      { description: "new" }, { connectionScript: "throw \"nobody else\";" }, { connectionScript: null }, { disconnectionScript: "@LOGS(1);" }, { scriptTimeoutMs: 1000 },
      { allowedOrigins: ["https://app.example"] }, { allowedOrigins: null }, { presence: true }, { limits: { messageBytes: 10 } },
    ]) {
      await admin("PATCH", `/admin/gateways/${row.id}`, change);
      assert.equal((await run(guest, "echo", 1)).result, 1);
    }
    assert.equal((await ask(guest, "echo", "more than ten bytes")).error.code, "PAYLOAD_TOO_LARGE");
    await admin("PATCH", `/admin/gateways/${row.id}`, { limits: { messageBytes: null } });
    assert.equal((await run(guest, "echo", "more than ten bytes")).success, true);
    assert.deepEqual((await run(guest, "rooms")).result, ["r"]);
    assert.deepEqual(gone, []);
  },

  async "requireAuth disconnects the anonymous only"() {
    const row = await gateway("/closing", { echo: "return @BODY;" });
    const someone = await user();
    const guests = await Promise.all([connect("/closing"), connect("/closing", { transports: ["polling"] })]);
    const members = await Promise.all([connect("/closing", { auth: { token: someone.token } }), connect("/closing", { transports: ["polling"], auth: { token: someone.token } })]);
    const gone = watchDisconnects(...members);
    const ended = guests.map((guest) => new Promise((resolve) => guest.once("disconnect", resolve)));
    await admin("PATCH", `/admin/gateways/${row.id}`, { requireAuth: true });
    assert.deepEqual(await Promise.all(ended), guests.map(() => "io server disconnect"));
    assert.equal(await connectError("/closing"), "AUTH_REQUIRED: Authentication token required");
    for (const member of members) assert.equal((await run(member, "echo", 1)).result, 1);
    await admin("PATCH", `/admin/gateways/${row.id}`, { requireAuth: false });
    assert.equal((await run(await connect("/closing"), "echo", 2)).result, 2);
    for (const member of members) assert.equal((await run(member, "echo", 3)).result, 3);
    assert.deepEqual(gone, []);
  },

  async "disabling and deleting disconnect the gateway's sockets, and no others"() {
    const row = await gateway("/ending", { echo: "return @BODY;" });
    await gateway("/staying", { echo: "return @BODY;" });
    // Two namespaces over one transport: only one of them ends.
    const manager = new Manager(url, { reconnection: false, transports: ["websocket"] });
    const [shared, sharedStaying] = [manager.socket("/ending"), manager.socket("/staying")];
    await Promise.all([next(shared, "connect"), next(sharedStaying, "connect")]);
    const staying = await connect("/staying");
    const gone = watchDisconnects(staying, sharedStaying);
    const open = async () => [await connect("/ending"), await connect("/ending", { transports: ["polling"] })];
    const end = async (sockets, method, body) => {
      const reasons = sockets.map((one) => new Promise((resolve) => one.once("disconnect", resolve)));
      await admin(method, `/admin/gateways/${row.id}`, body);
      assert.deepEqual(await Promise.all(reasons), sockets.map(() => "io server disconnect"));
    };
    await end([shared, ...(await open())], "PATCH", { isEnabled: false });
    assert.equal(await connectError("/ending"), "GATEWAY_DISABLED: Gateway is disabled");
    await admin("PATCH", `/admin/gateways/${row.id}`, { isEnabled: true });
    const again = await open();
    for (const client of again) assert.equal((await run(client, "echo", 1)).result, 1);
    await end(again, "DELETE");
    assert.equal(await connectError("/ending"), "Invalid namespace");
    assert.equal((await tryAdmin("GET", `/admin/gateways/${row.id}`)).status, 404);
    await gateway("/ending", { echo: "return \"the second\";" });
    const second = await open();
    for (const client of second) assert.equal((await run(client, "echo", 1)).result, "the second");
    for (const client of [staying, sharedStaying]) assert.equal((await run(client, "echo", 1)).result, 1);
    assert.deepEqual(gone, []);
    sharedStaying.disconnect();
  },

  async "a new gateway is usable at once, also when many are made at once"() {
    for (let round = 0; round < 20; round++) {
      await gateway(`/new/${round}`);
      await connect(`/new/${round}`);
    }
    const rows = await Promise.all(upTo(20).map((n) => gateway(`/many/${n}`, { echo: "return 1;" })));
    const clients = await Promise.all(rows.map(({ path }) => connect(path)));
    for (const client of clients) assert.equal((await run(client, "echo")).result, 1);
    // Changes at the same time: each is live when its own answer comes.
    await Promise.all(rows.map(async (row, n) => {
      for (let save = 0; save < 10; save++) {
        await admin("PATCH", `/admin/events/${row.events.echo.id}`, { sourceCode: `return ${n * 100 + save};` });
        assert.equal((await run(clients[n], "echo")).result, n * 100 + save);
      }
    }));
    const ended = clients.map((client) => new Promise((resolve) => client.once("disconnect", resolve)));
    await Promise.all(rows.map(({ id }, n) => (n % 2 ? admin("DELETE", `/admin/gateways/${id}`) : admin("PATCH", `/admin/gateways/${id}`, { isEnabled: false }))));
    assert.deepEqual(await Promise.all(ended), rows.map(() => "io server disconnect"));
    const messages = await Promise.all(rows.map(({ path }) => connectError(path)));
    assert.deepEqual(messages, rows.map((_, n) => (n % 2 ? "Invalid namespace" : "GATEWAY_DISABLED: Gateway is disabled")));
  },
});
