// Events: acks, refusals, matching, payloads, and the outcomes in their exact shape.
// The server takes 20 waiting jobs for a socket and 60 in all.
import assert from "node:assert/strict";
import { ask, collect, connect, gateway, next, run, scenario, settle, tryAdmin, until } from "../lib.mjs";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }];
const keys = (value) => Object.keys(value).sort();

function assertAccepted(ack, eventName) {
  assert.deepEqual(keys(ack), ["accepted", "eventName", "queued", "requestId"]);
  assert.deepEqual([ack.accepted, ack.queued, ack.eventName], [true, true, eventName]);
  assert.match(ack.requestId, UUID_V7);
}

function assertRefused(ack, eventName, code) {
  assert.deepEqual(keys(ack), ["accepted", "error", "eventName", "queued", "requestId"], JSON.stringify(ack));
  assert.deepEqual([ack.accepted, ack.queued, ack.eventName], [false, false, eventName]);
  assert.match(ack.requestId, UUID_V7);
  assert.deepEqual(keys(ack.error), ["code", "message"]);
  assert.equal(ack.error.code, code);
  assert.ok(ack.error.message.length > 0);
}

/** The packet about a refused event for which no ack was asked. */
function assertTold(packet, eventName, code) {
  assert.deepEqual(keys(packet).filter((key) => key !== "details"), ["code", "eventName", "logs", "message", "requestId", "success"]);
  assert.deepEqual([packet.eventName, packet.success, packet.code, packet.logs], [eventName, false, code, []]);
  assert.match(packet.requestId, UUID_V7);
}

/** Whatever comes to a socket, `ws:result` and `ws:error` alike, in its order. */
function outcomes(of) {
  const all = collect(of, "ws:result");
  of.on("ws:error", (packet) => all.push(packet));
  return all;
}

// Jobs that run this wait as long as somebody is in the room "hold" of their gateway.
const HOLD = { hold: "@SOCKET.join(\"hold\");", wait: { sourceCode: "@SOCKET.reply(\"started\", 1); while @SOCKET.roomSize(\"hold\") > 0 { @HELPERS.sleep(2); }", timeoutMs: 600000 } };

/** Makes the jobs of a gateway wait until what it gives back is disconnected. */
async function hold(path) {
  const guard = await connect(path);
  await run(guard, "hold");
  return guard;
}

await scenario({
  async "an accepted event: ack, then result"() {
    await gateway("/ack", { echo: "return @BODY;", nothing: "let x = 1;" });
    for (const options of transports) {
      const client = await connect("/ack", options);
      const results = collect(client, "ws:result");
      const errors = collect(client, "ws:error");
      const ack = await ask(client, "echo", { text: "hi" });
      assertAccepted(ack, "echo");
      await until(() => results.length === 1, "the result");
      assert.deepEqual(keys(results[0]), ["eventName", "logs", "requestId", "result", "success"]);
      assert.deepEqual(results[0], { requestId: ack.requestId, eventName: "echo", success: true, result: { text: "hi" }, logs: [] });
      const without = await run(client, "nothing", {});
      assert.ok("result" in without);
      assert.equal(without.result, null);
      client.emit("echo", "no ack");
      await until(() => results.length === 3, "a result without an ack");
      assert.match(results[2].requestId, UUID_V7);
      assert.equal(new Set(results.map(({ requestId }) => requestId)).size, 3);
      await settle(client);
      assert.deepEqual([results.length, errors.length], [3, 0]);
    }
  },

  async "no handler"() {
    const { events } = await gateway("/none", { known: "1", off: { sourceCode: "1", isEnabled: false }, "pre:*": "1" });
    assert.equal(events.off.isEnabled, false);
    for (const options of transports) {
      const client = await connect("/none", options);
      const packets = outcomes(client);
      for (const name of ["unknown", "off", "pre", "knownx", "know", "", "__proto__", "ws:result", "pré:x", "x".repeat(5000)]) {
        // A name is never said back longer than names may be.
        assertRefused(await ask(client, name, {}), name.slice(0, 256), "NO_HANDLER");
      }
      await settle(client);
      assert.equal(packets.length, 0, "an ack that says so is enough");
      const told = next(client, "ws:error");
      client.emit("unknown", { a: 1 });
      assertTold(await told, "unknown", "NO_HANDLER");
      await settle(client);
      assert.equal(packets.length, 1);
    }
  },

  async "the name that matches longest wins"() {
    await gateway("/match", {
      "order:item:new": "return [\"exact\", @EVENT];",
      "order:item:*": "return [\"order:item:*\", @EVENT];",
      "order:*": "return [\"order:*\", @EVENT];",
      "order:off": { sourceCode: "return \"off\";", isEnabled: false },
      "*": "return [\"*\", @EVENT];",
    });
    const client = await connect("/match");
    for (const [name, by] of [
      ["order:item:new", "exact"],
      ["order:item:newer", "order:item:*"],
      ["order:item:", "order:item:*"],
      ["order:items", "order:*"],
      ["order:off", "order:*"],
      ["order", "*"],
      ["", "*"],
      ["*", "*"],
      ["anything at all", "*"],
      ["Order:item:new", "*"],
    ]) {
      const ack = await ask(client, name, {});
      assertAccepted(ack, name);
      const outcome = await run(client, name);
      assert.equal(outcome.eventName, name);
      assert.deepEqual(outcome.result, [by, name]);
    }
  },

  async "payloads arrive as they are"() {
    await gateway("/payload", {
      echo: "return @BODY;",
      args: "return @ARGS;",
      both: "return [@BODY, @DATA, @ARGS.len(), type_of(@BODY)];",
      kinds: "return [@BODY == (), @BODY == 0, @BODY == false, @BODY == \"\"];",
    });
    for (const options of transports) {
      const client = await connect("/payload", options);
      assert.deepEqual((await run(client, "echo")).result, {});
      assert.deepEqual((await run(client, "both")).result.slice(0, 3), [{}, {}, 0]);
      assert.deepEqual((await run(client, "args")).result, []);
      for (const value of [
        null, 0, false, "", true, -1, 1.5, 1e300, 5e-324, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 12345678901234567000, "é🦀 \"'\\\n\u0000\u2028",
        [], [[]], {}, { a: { b: [1, null, "x", { c: false }] }, "": "empty key", "ünï": 1, toString: 1 }, [null, 0, false, ""],
      ]) {
        assert.deepEqual((await run(client, "echo", value)).result, value);
        assert.deepEqual((await run(client, "args", value, value)).result, [value, value]);
      }
      assert.deepEqual((await run(client, "kinds", null)).result, [true, false, false, false]);
      assert.deepEqual((await run(client, "kinds", 0)).result, [false, true, false, false]);
      assert.deepEqual((await run(client, "kinds", false)).result, [false, false, true, false]);
      assert.deepEqual((await run(client, "kinds", "")).result, [false, false, false, true]);
      assert.deepEqual((await run(client, "both", 1, { two: 2 }, null, "four")).result.slice(0, 3), [1, 1, 4]);
      assert.deepEqual((await run(client, "args", 1, { two: 2 }, null, [4])).result, [1, { two: 2 }, null, [4]]);
    }
  },

  async "binary in and out"() {
    await gateway("/binary", {
      echo: "return @BODY;",
      args: "return @ARGS;",
      look: "return [type_of(@BODY.file), @BODY.file.len(), @BODY.file[1], type_of(@BODY.list[0].part), @BODY.list[0].part.len(), @BODY.text];",
      make: "let b = blob(3, 7); @SOCKET.reply(\"file\", #{ name: \"a\", parts: [#{ bytes: b }, b], deep: #{ er: [[b]] } }); return #{ file: b, empty: blob(0) };",
      bare: "@SOCKET.reply(\"bare\", blob(2, 1)); return blob(1, 255);",
      // The official client takes 10 attachments in one packet.
      many: "let all = []; for i in 0..10 { all.push(blob(i, i)); } return all;",
      share: "@SOCKET.broadcast(\"shared\", #{ by: @SOCKET.id, bytes: @BODY }); return 1;",
    });
    const bytes = (...all) => Buffer.from(all);
    for (const options of transports) {
      const client = await connect("/binary", options);
      const other = await connect("/binary", options);
      const payload = { file: bytes(1, 2, 3), list: [{ part: bytes(9) }], text: "t" };
      assert.deepEqual((await run(client, "look", payload)).result, ["blob", 3, 2, "blob", 1, "t"]);
      assert.deepEqual((await run(client, "echo", payload)).result, payload);
      assert.deepEqual((await run(client, "echo", bytes(0, 255))).result, bytes(0, 255));
      assert.deepEqual((await run(client, "args", bytes(1), { a: bytes(2) }, 3)).result, [bytes(1), { a: bytes(2) }, 3]);
      const file = next(client, "file");
      const made = await run(client, "make");
      assert.deepEqual(made.result, { file: bytes(7, 7, 7), empty: Buffer.alloc(0) });
      assert.deepEqual(await file, { name: "a", parts: [{ bytes: bytes(7, 7, 7) }, bytes(7, 7, 7)], deep: { er: [[bytes(7, 7, 7)]] } });
      const bare = next(client, "bare");
      assert.deepEqual((await run(client, "bare")).result, bytes(255));
      assert.deepEqual(await bare, bytes(1, 1));
      assert.deepEqual((await run(client, "many")).result, Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i)));
      const shared = next(other, "shared", ({ by }) => by === client.id);
      await run(client, "share", bytes(4, 5));
      assert.deepEqual((await shared).bytes, bytes(4, 5));
    }
  },

  async "a payload that fails its schema"() {
    const payloadSchema = {
      type: "object",
      required: ["text"],
      properties: { text: { type: "string", maxLength: 5 }, items: { type: "array", items: { type: "object", properties: { "a/b": { type: "integer" } } } } },
    };
    await gateway("/schema", { checked: { sourceCode: "return @BODY.text;", payloadSchema }, anything: { sourceCode: "return 1;", payloadSchema: { type: "null" } } });
    for (const options of transports) {
      const client = await connect("/schema", options);
      const packets = outcomes(client);
      assert.equal((await run(client, "checked", { text: "fine", items: [{ "a/b": 1 }] })).result, "fine");
      for (const [payload, pointer] of [
        [{ text: 5 }, "/text"],
        [{ text: "too long" }, "/text"],
        [{ text: "a", items: {} }, "/items"],
        [{ text: "a", items: [{}, { "a/b": "x" }] }, "/items/1/a~1b"],
      ]) {
        const ack = await ask(client, "checked", payload);
        assertRefused(ack, "checked", "INVALID_PAYLOAD");
        assert.ok(ack.error.message.includes(pointer), ack.error.message);
      }
      for (const payload of [{}, null, 0, "text", []]) assertRefused(await ask(client, "checked", payload), "checked", "INVALID_PAYLOAD");
      assertRefused(await ask(client, "checked"), "checked", "INVALID_PAYLOAD");
      assertRefused(await ask(client, "anything"), "anything", "INVALID_PAYLOAD");
      assert.equal((await run(client, "anything", null)).result, 1);
      assert.equal(packets.length, 2);
      const told = next(client, "ws:error");
      client.emit("checked", { text: 5 });
      const packet = await told;
      assertTold(packet, "checked", "INVALID_PAYLOAD");
      assert.ok(packet.message.includes("/text"), packet.message);
    }
    const { events } = await gateway("/bad-schema", { fine: "1" });
    const refused = await tryAdmin("PATCH", `/admin/events/${events.fine.id}`, { payloadSchema: { type: "no such type" } });
    assert.ok(refused.status === 400 || refused.status === 422, `a schema that is none: ${refused.status}`);
  },

  async "every code of @THROW"() {
    const codes = {
      badRequest: "BUSINESS_LOGIC_ERROR", businessLogic: "BUSINESS_LOGIC_ERROR", unauthorized: "AUTHENTICATION_ERROR", forbidden: "AUTHORIZATION_ERROR",
      notFound: "RESOURCE_NOT_FOUND", conflict: "DUPLICATE_RESOURCE", duplicate: "DUPLICATE_RESOURCE", validation: "VALIDATION_ERROR",
      tooManyRequests: "RATE_LIMIT_EXCEEDED", rateLimit: "RATE_LIMIT_EXCEEDED", internal: "INTERNAL_ERROR", serviceUnavailable: "SERVICE_UNAVAILABLE",
    };
    const statuses = {
      400: "BUSINESS_LOGIC_ERROR", 401: "AUTHENTICATION_ERROR", 403: "AUTHORIZATION_ERROR", 404: "RESOURCE_NOT_FOUND", 409: "DUPLICATE_RESOURCE",
      422: "VALIDATION_ERROR", 429: "RATE_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR", 503: "SERVICE_UNAVAILABLE",
    };
    const scripts = {};
    for (const name of Object.keys(codes)) {
      scripts[name] = `@LOGS("before"); @THROW.${name}(@BODY); @LOGS("after");`;
      scripts[`${name}+`] = `@THROW.${name}(@BODY, #{ field: "x", list: [1, ()] });`;
    }
    for (const status of Object.keys(statuses)) scripts[`http ${status}`] = `@THROW.http(${status}, @BODY);`;
    scripts["http 418"] = "@THROW.http(418, @BODY);";
    scripts["http 418+"] = "@THROW.http(418, @BODY, #{ a: 1 });";
    scripts.THROW404 = "@THROW404(@BODY);";
    scripts.nested = "fn deeper(m) { @THROW.conflict(m, #{ at: \"depth\" }) } fn deep(m) { deeper(m) } let m = @BODY; [1].map(|x| deep(m));";
    await gateway("/throw", scripts);
    const client = await connect("/throw");
    const message = "é said \"no\" `to` ${it}\n\t<b>🦀</b> {x} $1 @THROW404(\"x\")";
    const isPlaceOrNothing = (details) => assert.ok(details === undefined || (Number.isInteger(details.line) && Number.isInteger(details.column)), JSON.stringify(details));
    const check = async (name, code) => {
      const error = await run(client, name, message);
      assert.deepEqual(keys(error).filter((key) => key !== "details"), ["code", "eventName", "logs", "message", "requestId", "success"]);
      assert.deepEqual([error.eventName, error.success, error.code, error.message], [name, false, code, message]);
      return error;
    };
    for (const [name, code] of Object.entries(codes)) {
      const error = await check(name, code);
      assert.deepEqual(error.logs, ["before"]);
      isPlaceOrNothing(error.details);
      assert.deepEqual((await check(`${name}+`, code)).details, { field: "x", list: [1, null] });
    }
    for (const [status, code] of Object.entries(statuses)) await check(`http ${status}`, code);
    assert.equal((await check("http 418", "HTTP_ERROR")).details.statusCode, 418);
    assert.equal((await check("http 418+", "HTTP_ERROR")).details.statusCode, 418);
    await check("THROW404", "RESOURCE_NOT_FOUND");
    assert.deepEqual((await check("nested", "DUPLICATE_RESOURCE")).details, { at: "depth" });
  },

  async "other failures: code, place, and never the source"() {
    const secret = "\"the zebra is blue\"";
    const scripts = {
      throw: "throw @BODY;",
      "throw deep": "fn deep(m) { throw m } let m = @BODY; [1].map(|x| deep(m));",
      place: `let s = ${secret}; // the zebra is blue\n@LOGS("a", #{ b: 1 });\n  s.dedup();\n@LOGS("after");`,
      index: `let zebra = [${secret}];\nlet x = zebra[9];`,
      missing: `let s = ${secret};\nlet x = @BODY.no.such.field;`,
      type: `let s = ${secret};\nlet n = s - 1;`,
      unknown: "@SOCKET.emitToGateway(\"/no-such-gateway\", \"e\", 1);",
    };
    await gateway("/failing", scripts);
    const client = await connect("/failing");
    const packets = outcomes(client);
    const message = "é \"plain\" `message` ${1}\n🦀";
    for (const name of ["throw", "throw deep"]) {
      const error = await run(client, name, message);
      assert.deepEqual([error.code, error.message, error.success, error.logs], ["SCRIPT_EXECUTION_ERROR", message, false, []]);
      assert.deepEqual(keys(error.details), ["column", "line"]);
    }
    const placed = await run(client, "place");
    assert.equal(placed.code, "SCRIPT_EXECUTION_ERROR");
    assert.deepEqual(placed.logs, ["a", { b: 1 }]);
    assert.deepEqual(keys(placed.details), ["column", "line"]);
    assert.equal(placed.details.line, 3);
    for (const [name, line] of [["index", 2], ["missing", 2], ["type", 2]]) {
      const error = await run(client, name);
      assert.deepEqual([error.code, error.details?.line], ["SCRIPT_EXECUTION_ERROR", line], JSON.stringify(error));
      assert.ok(error.details.column >= 1);
    }
    assert.equal((await run(client, "unknown")).success, false, "an unknown path is an error");
    await settle(client);
    assert.equal(packets.length, 7, "exactly one packet for each failed job");
    for (const packet of packets) {
      const text = JSON.stringify(packet);
      for (const leak of ["the zebra", "dedup()", ".rs", "/src/", "SELECT"]) assert.ok(!text.includes(leak), `${leak} in ${text}`);
    }
  },

  async "logs are flat"() {
    await gateway("/logs", {
      logs: "@LOGS(\"a\", #{ b: 1 }); @LOGS(); @LOGS([1, [2]], (), 0, false, \"\"); @LOGS(@BODY); return 1;",
      fails: "@LOGS(1, 2); @LOGS(\"three\"); throw \"x\";",
      print: "print(\"p\"); return 1;",
    });
    const client = await connect("/logs");
    assert.deepEqual((await run(client, "logs", { c: [null] })).logs, ["a", { b: 1 }, [1, [2]], null, 0, false, "", { c: [null] }]);
    assert.deepEqual((await run(client, "fails")).logs, [1, 2, "three"]);
    assert.deepEqual((await run(client, "print")).logs, ["p"]);
    assert.deepEqual((await run(client, "logs")).logs.length, 8, "logs belong to one run");
  },

  async "a socket's full queue refuses, and loses nothing that it took"() {
    await gateway("/full", { ...HOLD, echo: "return @BODY;" }, { limits: { eventsPerSecond: 0 } });
    const guard = await hold("/full");
    const [busy, other] = [await connect("/full"), await connect("/full")];
    const packets = outcomes(busy);
    const started = next(busy, "started");
    assertAccepted(await ask(busy, "wait"), "wait");
    await started;
    const acks = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(busy, "echo", i)));
    acks.slice(0, 20).forEach((ack) => assertAccepted(ack, "echo"));
    acks.slice(20).forEach((ack) => assertRefused(ack, "echo", "QUEUE_FULL"));
    assert.equal(packets.length, 0);
    busy.emit("echo", "without an ack");
    await until(() => packets.length === 1, "ws:error");
    assertTold(packets[0], "echo", "QUEUE_FULL");
    assert.equal((await run(other, "echo", "other")).result, "other");
    guard.disconnect();
    await until(() => packets.length >= 22, "the results");
    await settle(busy);
    assert.deepEqual(packets.slice(2).map(({ result }) => result), [...Array(20).keys()]);
    assert.equal((await run(busy, "echo", "again")).result, "again");
  },

  async "the server's full queue refuses every socket"() {
    await gateway("/all-full", { ...HOLD, echo: "return @BODY;" }, { limits: { eventsPerSecond: 0 } });
    const guard = await hold("/all-full");
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect("/all-full")));
    const packets = clients.map(outcomes);
    const acks = await Promise.all(clients.map((client) => Promise.all([ask(client, "wait"), ...Array.from({ length: 18 }, (_, i) => ask(client, "echo", i))])));
    const accepted = acks.map((all) => all.filter((ack) => ack.accepted).length);
    const total = accepted.reduce((a, b) => a + b);
    assert.ok(total >= 60 && total <= 64, `the queue took ${total}`);
    acks.flat().filter((ack) => !ack.accepted).forEach((ack) => assertRefused(ack, ack.eventName, "QUEUE_FULL"));
    const fresh = await connect("/all-full");
    assertRefused(await ask(fresh, "echo", 1), "echo", "QUEUE_FULL");
    guard.disconnect();
    await until(() => packets.every((all, index) => all.length === accepted[index]), "the results of all that was accepted");
    assert.equal((await run(fresh, "echo", "again")).result, "again");
    await settle(...clients);
    assert.deepEqual(packets.map((all) => all.length), accepted);
  },

  async "packets that no client would send"() {
    await gateway("/odd", { echo: "return @BODY;" });
    const neighbour = await connect("/odd");
    const deep = "[".repeat(30_000) + "]".repeat(30_000);
    for (const packet of [
      "2/odd,", "2/odd,{}", "2/odd,[]", "2/odd,[1]", "2/odd,[null,{}]", "2/odd,[\"echo\",", "2/odd,\"echo\"", "2/nowhere,[\"echo\",1]", "9/odd,x", "",
      "2/odd,99999999999999999999[\"echo\",1]", "2/odd,-1[\"echo\",1]", "3/odd,7[\"never asked\"]", "51-/odd,[\"echo\",1]", "5999999999-/odd,[\"echo\",{\"_placeholder\":true,\"num\":0}]",
      "6/odd,1[]", "4/odd,{}", "0/odd,{", `2/odd,["echo",${deep}]`, `2/odd,["no handler",${deep}]`, `2/odd,3["echo",${deep.slice(0, 30_000)}]`, "2/odd,[\"echo\",{\"a\":1,\"a\":2}]", "2/odd,[\"echo\",1e999]",
      "2/odd,[\"echo\",\"\\ud800\"]",
    ]) {
      const client = await connect("/odd");
      const gone = new Promise((resolve) => client.once("disconnect", resolve));
      client.io.engine.write(packet);
      // The server may end such a client, or go on with it; it may not leave it hanging.
      await Promise.race([gone, new Promise((resolve) => client.emit("echo", 1, resolve))]);
      assert.equal((await run(neighbour, "echo", packet.slice(0, 50))).result, packet.slice(0, 50));
      client.disconnect();
    }
    assert.equal((await run(neighbour, "echo", "still here")).result, "still here");
  },

  async "scripts end connections, and go on"() {
    await gateway("/bye", {
      bye: "@SOCKET.reply(\"bye\", 1); @SOCKET.disconnect(); @SOCKET.emitToRoom(\"watch\", \"after\", @BODY);",
      kick: "@SOCKET.disconnectSocket(@BODY); return \"kicked\";",
      watch: "@SOCKET.join(\"watch\");",
    });
    const watcher = await connect("/bye");
    await run(watcher, "watch");
    for (const options of transports) {
      const [leaver, kicked] = [await connect("/bye", options), await connect("/bye", options)];
      const bye = collect(leaver, "bye");
      const reasons = [leaver, kicked].map((one) => new Promise((resolve) => one.once("disconnect", resolve)));
      const after = next(watcher, "after");
      leaver.emit("bye", "the rest of the script");
      assert.equal(await after, "the rest of the script");
      assert.equal(await reasons[0], "io server disconnect");
      assert.deepEqual(bye, [1], "what was emitted before has been sent");
      const outcome = await run(watcher, "kick", kicked.id);
      assert.deepEqual([outcome.success, outcome.result], [true, "kicked"], JSON.stringify(outcome));
      assert.equal(await reasons[1], "io server disconnect");
    }
  },

  async "a blob of up to 10,000 bytes is a script's to use"() {
    await gateway("/blobs", { echo: "return @BODY;", size: "return @BODY.large.len();", make: "return blob(@BODY, 1);" });
    const client = await connect("/blobs");
    const large = Buffer.alloc(9_999, "gatewright");
    assert.equal((await run(client, "size", { large })).result, large.length);
    assert.ok(large.equals((await run(client, "echo", { large })).result.large));
    assert.equal((await run(client, "make", large.length)).result.length, large.length);
    // Rhai counts a blob's bytes as elements; what is over says so.
    assert.equal((await run(client, "make", 10_001)).code, "SCRIPT_MEMORY_LIMIT");
  },

  async "an attachment passes through a script in any size"() {
    const events = {
      echo: "let all = [@BODY.file, #{ again: [@BODY.file] }]; return #{ all: all, size: @BODY.file.len() };",
      share: "@SOCKET.join(\"files\"); @SOCKET.emitToCurrentRoom(\"files\", \"file\", #{ deep: [@BODY] });",
      text: "return #{ text: @BODY.toText(), blob: @BODY.toBlob().len(), first: @BODY[0], same: @BODY == @BODY, printed: `${@BODY}` };",
      outside: "return @BODY[9];",
      blob: "return @BODY.toBlob().len();",
    };
    await gateway("/attachments", events, { limits: { messageBytes: 4_000_000 } });
    for (const options of transports) {
      const [client, other] = [await connect("/attachments", options), await connect("/attachments", options)];
      await run(other, "share", Buffer.from("x"));
      const file = Buffer.alloc(900_000, "gatewright");
      const { result } = await run(client, "echo", { file });
      assert.ok(file.equals(result.all[0]) && file.equals(result.all[1].again[0]));
      assert.equal(result.size, file.length);
      const large = Buffer.alloc(3_000_000, "large");
      const shared = next(other, "file", ({ deep }) => deep[0].length > 1);
      assert.equal((await run(client, "share", large)).success, true);
      assert.ok(large.equals((await shared).deep[0]));
      // Once more in the same value counts as the script's own.
      assert.equal((await run(client, "echo", { file: large })).code, "SCRIPT_OUTPUT_LIMIT");
      const asked = await run(client, "text", Buffer.from("ä text"));
      assert.deepEqual(asked.result, { text: "ä text", blob: 7, first: 0xc3, same: true, printed: "blob of 7 bytes" });
      assert.deepEqual([(await run(client, "text", Buffer.from([0xff]))).code], ["VALIDATION_ERROR"]);
      assert.equal((await run(client, "outside", Buffer.from("ab"))).code, "SCRIPT_EXECUTION_ERROR");
      assert.equal((await run(client, "blob", large)).code, "SCRIPT_MEMORY_LIMIT");
    }
  },

  // A name that JSON has to escape never gets here: the protocol library ends such a connection.
  async "any other text is a name"() {
    await gateway("/names", { "*": "return @EVENT;", "say hi": "return \"exact\";" });
    for (const options of transports) {
      const client = await connect("/names", options);
      for (const name of ["a,b", "a]b", "[", "'", "é🦀", "42", "\u2028"]) {
        const gone = next(client, "disconnect").then(() => { throw new Error(`${JSON.stringify(name)} ends the connection`); });
        const outcome = await Promise.race([gone, run(client, name, 1)]);
        assert.deepEqual([outcome.eventName, outcome.result], [name, name]);
        client.off("disconnect");
      }
      assert.equal((await run(client, "say hi")).result, "exact");
    }
  },
});
