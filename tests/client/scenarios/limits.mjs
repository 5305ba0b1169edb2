// Limits: rates, sizes, subscriptions, connections, and readers that do not keep up.
// The server trusts x-forwarded-for, takes 1 connection a second (burst 5) from one address, 30 in all, and keeps
// 256 packets for a slow reader.
import assert from "node:assert/strict";
import net from "node:net";
import { randomBytes } from "node:crypto";
import { admin, ask, collect, connect as connectFrom, connectError, gateway, login, next, run, scenario, sentAway, settle, tryAdmin, until, url } from "../lib.mjs";

const upTo = (count) => [...Array(count).keys()];
const keys = (value) => Object.keys(value).sort();
const UNLIMITED = { limits: { eventsPerSecond: 0, messageBytes: 0 } };

let addresses = 0;
const newAddress = () => `10.1.${(++addresses) >> 8}.${addresses & 255}`;
/** Options of a client with an address of its own. */
const from = (address = newAddress(), options = {}) => ({ extraHeaders: { "x-forwarded-for": address }, ...options });
const connect = (path, options) => connectFrom(path, from(undefined, options));

/** The value of a metric, its labels in the name. */
async function metric(name) {
  const { accessToken } = await login(process.env.GATEWRIGHT_TEST_EMAIL, process.env.GATEWRIGHT_TEST_PASSWORD);
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${accessToken}` } });
  assert.equal(response.status, 200);
  const line = (await response.text()).split("\n").find((one) => one.startsWith(`${name} `));
  assert.ok(line, `there is no ${name}`);
  return Number(line.split(" ")[1]);
}

function assertRateLimited(packet, limit) {
  assert.deepEqual(keys(packet), ["limit", "message", "retryAfterMs"]);
  assert.equal(packet.limit, limit);
  assert.ok(Number.isInteger(packet.retryAfterMs) && packet.retryAfterMs >= 0, JSON.stringify(packet));
  assert.equal(typeof packet.message, "string");
}

/** A WebSocket client by hand, in a namespace, that reads nothing once it is connected. */
async function deafClient(path) {
  const { hostname, port } = new URL(url);
  const raw = net.connect(Number(port), hostname);
  const frame = (text) => {
    const payload = Buffer.from(text);
    const mask = randomBytes(4);
    assert.ok(payload.length < 126);
    return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
  };
  raw.write(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
    + `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\nSec-WebSocket-Version: 13\r\nx-forwarded-for: ${newAddress()}\r\n\r\n`);
  // What comes, until it contains `part`; then it reads no more.
  const read = (part) => new Promise((resolve) => {
    let text = "";
    raw.on("data", (data) => {
      text += data.toString("latin1");
      if (!text.includes(part)) return;
      raw.removeAllListeners("data");
      resolve();
    });
  });
  await read("pingInterval");
  raw.write(frame(`40${path},`));
  await read(`40${path}`);
  raw.pause();
  const ended = new Promise((resolve) => {
    raw.once("error", () => resolve());
    raw.once("close", () => resolve());
  });
  return { raw, ended, say: (text) => raw.write(frame(text)) };
}

await scenario({
  async "a gateway's rate: refused over its burst, told once a second, and let in again"() {
    await gateway("/rate", { echo: "return @BODY;" }, { limits: { eventsPerSecond: 5, burst: 10 } });
    const [client, other] = [await connect("/rate"), await connect("/rate")];
    const results = collect(client, "ws:result");
    const told = collect(client, "rate_limited");
    const before = Date.now();
    const acks = await Promise.all(upTo(60).map((n) => ask(client, "echo", n)));
    const seconds = (Date.now() - before) / 1000;
    const refused = acks.filter(({ accepted }) => !accepted);
    const accepted = acks.length - refused.length;
    assert.ok(accepted >= 10 && accepted <= 11 + seconds * 5, `${accepted} of 60 in ${seconds} s`);
    for (const ack of refused) assert.deepEqual([ack.error.code, ack.eventName, ack.queued], ["RATE_LIMITED", "echo", false]);
    assert.ok(acks.slice(0, 10).every((ack) => ack.accepted), "the burst is free");
    await until(() => results.length === accepted, "the results of what was accepted");
    assert.ok(told.length >= 1 && told.length <= 1 + seconds, `told ${told.length} times in ${seconds} s`);
    told.forEach((packet) => assertRateLimited(packet, 5));
    assert.equal((await run(other, "echo", 1)).result, 1, "another socket has its own rate");
    const error = next(client, "ws:error");
    upTo(20).forEach((n) => client.emit("echo", n));
    assert.deepEqual([(await error).code, (await error).success], ["RATE_LIMITED", false]);
    await until(async () => (await ask(client, "echo", 1)).accepted, "it is let in again");
    assert.ok(client.connected);
  },

  async "a gateway's limits: null is the default, 0 is none"() {
    const row = await gateway("/defaults", { echo: "return @BODY;" });
    assert.deepEqual(row.limits, { eventsPerSecond: null, burst: null, subscriptionsPerConnection: null, messageBytes: null });
    const client = await connect("/defaults");
    // Results are waited for too: more than the server keeps for a slow reader must not pile up.
    for (let round = 0; round < 4; round++) {
      const outcomes = await Promise.all(upTo(50).map((n) => run(client, "echo", n)));
      assert.ok(outcomes.every(({ success }) => success), "the default burst is 200");
    }
    const free = await gateway("/free", { echo: "return 1;" }, { limits: { eventsPerSecond: 0, messageBytes: 0, subscriptionsPerConnection: 0 } });
    assert.equal(free.limits.burst, null);
    const unlimited = await connect("/free");
    for (let round = 0; round < 20; round++) {
      const more = await Promise.all(upTo(50).map((n) => run(unlimited, "echo", n)));
      assert.ok(more.every(({ success }) => success), "0 is no limit");
    }
    assert.equal((await run(unlimited, "echo", "x".repeat(500_000))).result, 1);
    const partial = await admin("PATCH", `/admin/gateways/${free.id}`, { limits: { messageBytes: 100 } });
    assert.deepEqual(partial.limits, { eventsPerSecond: 0, burst: null, subscriptionsPerConnection: 0, messageBytes: 100 });
    for (const limits of [{ eventsPerSecond: -1 }, { burst: 1.5 }, { messageBytes: "many" }, { perHour: 1 }]) {
      const { status } = await tryAdmin("PATCH", `/admin/gateways/${free.id}`, { limits });
      assert.ok(status === 400 || status === 422, `${JSON.stringify(limits)}: ${status}`);
    }
  },

  async "messageBytes counts text and blobs"() {
    await gateway("/small", { echo: "return 1;" }, { limits: { messageBytes: 1000 } });
    for (const transports of [["websocket"], ["polling"]]) {
      const client = await connect("/small", { transports });
      const told = collect(client, "rate_limited");
      const errors = collect(client, "ws:error");
      for (const fine of ["x".repeat(900), { a: "x".repeat(900) }, Buffer.alloc(900)]) assert.equal((await run(client, "echo", fine)).result, 1);
      assert.equal(told.length, 0);
      const large = ["x".repeat(1001), { a: { b: ["x".repeat(1001)] } }, "é".repeat(600), Buffer.alloc(1001), { a: Buffer.alloc(600), b: Buffer.alloc(600) }];
      for (const payload of large) {
        const ack = await ask(client, "echo", payload);
        assert.deepEqual([ack.accepted, ack.queued, ack.eventName, ack.error.code], [false, false, "echo", "PAYLOAD_TOO_LARGE"]);
      }
      await settle(client);
      assert.deepEqual([told.length, errors.length], [large.length, 0]);
      told.forEach((packet) => assertRateLimited(packet, 1000));
      client.emit("echo", "x".repeat(2000));
      await until(() => errors.length === 1, "ws:error");
      assert.deepEqual([errors[0].code, errors[0].eventName], ["PAYLOAD_TOO_LARGE", "echo"]);
      assert.equal((await ask(client, "echo", "x".repeat(500), "x".repeat(600))).error.code, "PAYLOAD_TOO_LARGE", "all arguments count");
      assert.equal((await run(client, "echo", "small")).result, 1);
      client.disconnect();
    }
    await gateway("/default-size", { echo: "return 1;" });
    const client = await connect("/default-size");
    assert.equal((await run(client, "echo", "x".repeat(65_000))).result, 1);
    assert.equal((await ask(client, "echo", "x".repeat(65_600))).error.code, "PAYLOAD_TOO_LARGE");
  },

  async "subscriptionsPerConnection counts joined rooms"() {
    const join = "@SOCKET.join(@BODY); return @SOCKET.rooms().len();";
    await gateway("/rooms", { join, leave: "@SOCKET.leave(@BODY);", caught: "try { @SOCKET.join(@BODY); } catch (e) { return e.code; }" }, { limits: { subscriptionsPerConnection: 3 } });
    const [client, other] = [await connect("/rooms"), await connect("/rooms")];
    const told = collect(client, "rate_limited");
    for (const n of [1, 2, 3]) assert.equal((await run(client, "join", `room ${n}`)).result, n);
    assert.equal((await run(client, "join", "room 1")).result, 3, "a room that it is in already");
    assert.equal(told.length, 0);
    const error = await run(client, "join", "room 4");
    assert.deepEqual([error.success, error.code], [false, "RATE_LIMIT_EXCEEDED"]);
    assert.equal(told.length, 1);
    assertRateLimited(told[0], 3);
    assert.equal((await run(client, "caught", "room 5")).result, "RATE_LIMIT_EXCEEDED");
    assert.equal((await run(other, "join", "room 1")).result, 1);
    await run(client, "leave", "room 2");
    assert.equal((await run(client, "join", "room 4")).result, 3);
    await gateway("/many-rooms", { join: "for i in 0..@BODY { @SOCKET.join(`r${i}`); } return @SOCKET.rooms().len();" });
    assert.equal((await run(await connect("/many-rooms"), "join", 100)).result, 100);
    assert.equal((await run(await connect("/many-rooms"), "join", 101)).code, "RATE_LIMIT_EXCEEDED", "100 by default");
  },

  async "connections in all"() {
    const row = await gateway("/crowd", { echo: "return @BODY;" });
    // Those of the steps before may not have gone yet.
    const all = await until(async () => {
      const opened = [];
      try {
        for (let n = 0; n < 30; n++) opened.push(await connect("/crowd", { transports: [n % 2 ? "websocket" : "polling"] }));
        return opened;
      } catch (error) {
        assert.match(error.message, /(xhr poll|websocket) error/);
        opened.forEach((one) => one.disconnect());
        return undefined;
      }
    }, "30 connections");
    for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
      await sentAway("/crowd", from(undefined, { transports }));
    }
    assert.deepEqual((await Promise.all(all.map((one, n) => run(one, "echo", n)))).map(({ result }) => result), upTo(30));
    all.pop().disconnect();
    await until(() => connect("/crowd").then(() => true, () => false), "a place");
    await admin("DELETE", `/admin/gateways/${row.id}`);
  },

  async "connections per second and address"() {
    await gateway("/addresses", { echo: "return @BODY;" });
    const address = "192.0.2.1";
    const shake = async (headers) => (await fetch(`${url}/socket.io/?EIO=4&transport=polling`, { headers })).status;
    // Many at once: one after the other may take longer than a place takes to be free again.
    const limited = await connectFrom("/addresses", from(address, { transports: ["polling"] }));
    const headers = { "x-forwarded-for": address };
    await until(async () => {
      const statuses = await Promise.all(upTo(10).map(() => shake(headers)));
      assert.ok(statuses.every((status) => status === 200 || status === 429), `${statuses}`);
      return statuses.includes(429);
    }, "429");
    assert.equal(await shake({ "x-forwarded-for": "192.0.2.2" }), 200, "another address");
    assert.equal((await run(limited, "echo", 1)).result, 1, "who is connected goes on");
    await until(async () => {
      try {
        (await connectFrom("/addresses", from(address))).disconnect();
        return false;
      } catch (error) {
        assert.match(error.message, /connect_error/);
        return true;
      }
    }, "a websocket that is refused");
    assert.equal((await run(await connect("/addresses"), "echo", 2)).result, 2);
    await until(async () => (await shake(headers)) === 200, "a place for the address");
    assert.ok((await metric("gatewright_rate_limited_total")) > 0);
  },

  async "a reader that does not keep up is disconnected; the others get everything"() {
    const events = {
      flood: "let s = \"\"; s.pad(60000, \"x\"); for i in 0..@BODY.count { @SOCKET.emitToCurrentRoom(\"flood\", \"big\", #{ n: @BODY.n + i, s: s }); }",
      size: "return @SOCKET.roomSize(\"flood\");",
      join: "@SOCKET.join(\"flood\");",
    };
    await gateway("/slow", events, UNLIMITED);
    const publisher = await connect("/slow");
    const [reader, polling] = [await connect("/slow"), await connect("/slow", { transports: ["polling"] })];
    const seen = [reader, polling].map((one) => {
      const all = [];
      one.on("big", ({ n, s }) => { assert.equal(s.length, 60_000); all.push(n); });
      return all;
    });
    await Promise.all([run(reader, "join"), run(polling, "join")]);
    const size = async () => (await run(publisher, "size")).result;
    const gone = [];
    for (const one of [publisher, reader, polling]) one.on("disconnect", (reason) => gone.push(reason));
    let sent = 0;
    /** Floods the room, no faster than the two read, until `check` gives something. */
    const floodUntil = (check, what) => until(async () => {
      await run(publisher, "flood", { n: sent, count: 5 });
      sent += 5;
      await until(() => seen.every((all) => all.length === sent), "the messages for who reads");
      return check();
    }, what);

    // A WebSocket that never reads.
    const before = await metric("gatewright_slow_disconnects_total");
    const deaf = await deafClient("/slow");
    await until(() => { deaf.say("42/slow,[\"join\"]"); return size().then((members) => members === 3); }, "the deaf client in the room");
    await floodUntil(async () => (await size()) === 2, "the deaf client leaves the room");
    await until(async () => (await metric("gatewright_slow_disconnects_total")) === before + 1, "it is counted");
    // A write to a connection that the other side has ended fails.
    let isEnded = false;
    deaf.ended.then(() => { isEnded = true; });
    await until(() => { if (!isEnded) deaf.say("3"); return isEnded; }, "the end of its TCP connection");

    // The official client, moved from polling to websocket, whose process has stopped reading.
    const stuck = await connect("/slow", { transports: ["polling", "websocket"] });
    await until(() => stuck.io.engine.transport.name === "websocket", "the upgrade");
    await run(stuck, "join");
    const stuckGone = new Promise((resolve) => stuck.once("disconnect", resolve));
    const beneath = stuck.io.engine.transport.ws._socket;
    beneath.pause();
    await floodUntil(async () => (await size()) === 2, "the stuck client leaves the room");
    beneath.resume();
    await stuckGone;
    await until(async () => (await metric("gatewright_slow_disconnects_total")) === before + 2, "it is counted too");

    // A client that joins by polling and then never polls again.
    const address = newAddress();
    const poll = `${url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(poll, { headers: { "x-forwarded-for": address } })).text()).slice(1));
    const post = (body) => fetch(`${poll}&sid=${sid}`, { method: "POST", body, headers: { "content-type": "text/plain" } });
    assert.equal((await post("40/slow,")).status, 200);
    // Until its CONNECT has been answered, a packet of the namespace ends the connection. A ping may come before.
    let answer = "";
    while (!/(^|\x1e)40\/slow,/.test(answer)) {
      answer += `\x1e${await (await fetch(`${poll}&sid=${sid}`)).text()}`;
    }
    assert.equal((await post("3")).status, 200);
    assert.equal((await post("42/slow,[\"join\"]")).status, 200);
    await until(async () => (await size()) === 3, "the silent client in the room");
    await floodUntil(async () => (await metric("gatewright_slow_disconnects_total")) === before + 3, "the silent client is counted");
    const counted = await metric("gatewright_slow_disconnects_total");
    await run(publisher, "flood", { n: sent, count: 5 });
    sent += 5;
    assert.equal(await metric("gatewright_slow_disconnects_total"), counted, "once");

    await until(() => seen.every((all) => all.length === sent), "the last messages");
    for (const all of seen) assert.deepEqual(all, upTo(sent));
    await settle(publisher, reader, polling);
    assert.deepEqual(gone, []);
  },

  async "clients that stay over their rate are disconnected, and the server goes on"() {
    await gateway("/flood", { echo: "return 1;" }, { limits: { eventsPerSecond: 1, burst: 1 } });
    // More than a small machine has cores: what ends such a client may not hold anything up.
    const floods = await Promise.all(upTo(6).map((n) => connect("/flood", n === 5 ? { transports: ["polling"] } : {})));
    const modest = await connect("/flood");
    const told = collect(floods[0], "rate_limited");
    const before = Date.now();
    const gone = floods.map((one) => new Promise((resolve) => one.once("disconnect", resolve)));
    const timer = setInterval(() => floods.forEach((one) => { if (one.connected) one.emit("echo", 1); }), 40);
    const reasons = await Promise.all(gone);
    clearInterval(timer);
    const seconds = (Date.now() - before) / 1000;
    assert.deepEqual(reasons, floods.map(() => "io server disconnect"));
    assert.ok(seconds >= 10, `disconnected after ${seconds} s`);
    assert.ok(told.length >= 2 && told.length <= 1 + seconds, `told ${told.length} times in ${seconds} s`);
    await until(async () => (await ask(modest, "echo", 1)).accepted, "the other one goes on");
    await until(async () => (await metric("gatewright_connections{gateway=\"/flood\"}")) === 1, "nothing is left of them");
    await Promise.all(upTo(10).map(async () => {
      const client = await connect("/flood");
      assert.equal((await run(client, "echo", 1)).result, 1);
    }));
  },
});
