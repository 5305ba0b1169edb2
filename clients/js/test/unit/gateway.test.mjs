import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Gateway } from "../../dist/esm/gateway.js";
import { FakeSocket, turn } from "./fake.mjs";

let socket, gateway, errors, states;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  [socket, errors, states] = [new FakeSocket(), [], []];
  gateway = new Gateway("/x", socket, { token: undefined }, (error) => errors.push(error.code), 3);
  gateway.onState((state) => states.push(state));
  gateway.connect();
});
afterEach(() => mock.timers.reset());

const accept = (requestId, more) => ({ accepted: true, queued: true, requestId, ...more });
const refuse = (code) => ({ accepted: false, requestId: "r", error: { code, message: code } });
const code = (promise) => promise.then((result) => ({ result }), (error) => error.code);
const names = () => socket.take().map(({ event, args }) => [event, ...args]);

test("what is called before there is a connection is sent in order, and what is kept is not sent twice", () => {
  gateway.call("a");
  const kept = gateway.keep("join", { room: "r" });
  gateway.call("c", { n: 1 }, { eventId: "e" });
  kept.stop();
  assert.deepEqual(names(), []);
  socket.opens();
  assert.deepEqual(names(), [["a"], ["join", { room: "r" }], ["c", { n: 1 }, { eventId: "e" }]]);
});

test("what is kept is sent before what waited for the connection", async () => {
  socket.opens();
  const kept = gateway.keep("join", 1);
  socket.take()[0].ack(accept("r"));
  socket.comes("ws:result", { requestId: "r", result: 1 });
  await kept.result;
  socket.breaks();
  code(gateway.call("a", 1));
  const later = gateway.keep("join", 2);
  socket.opens();
  assert.deepEqual(names(), [["join", 1], ["a", 1], ["join", 2]]);
  // Nobody knows whether it arrived: it is sent again, in its turn.
  socket.breaks();
  await turn();
  socket.opens();
  const [, again] = socket.take();
  assert.deepEqual([again.event, again.args], ["join", [2]]);
  again.ack(accept("r2"));
  socket.comes("ws:result", { requestId: "r2", result: 2 });
  assert.equal(await later.result, 2);
});

test("the queue without a connection is bounded", async () => {
  for (const n of [1, 2, 3]) gateway.call("a", n);
  assert.equal(await code(gateway.call("a", 4)), "OFFLINE_QUEUE_FULL");
  socket.opens();
  assert.deepEqual(names(), [["a", 1], ["a", 2], ["a", 3]]);
  gateway.call("a", 5);
  assert.deepEqual(names(), [["a", 5]]);
});

test("ack and result are joined by their request", async () => {
  socket.opens();
  const [one, two] = [gateway.call("a", 1), gateway.call("a", 2)];
  const [first, second] = socket.take();
  first.ack(accept("r1"));
  second.ack(accept("r2"));
  socket.comes("ws:result", { requestId: "r2", result: "two" });
  socket.comes("ws:error", { requestId: "r1", code: "BUSINESS_LOGIC_ERROR", message: "no", logs: [1], details: { d: 1 } });
  assert.equal(await two, "two");
  const error = await one.catch((error) => error);
  assert.deepEqual([error.code, error.message, error.requestId, error.logs, error.details], ["BUSINESS_LOGIC_ERROR", "no", "r1", [1], { d: 1 }]);
  socket.comes("ws:error", { eventName: "connection", code: "SCRIPT_TIMEOUT", message: "late" });
  assert.deepEqual(errors, ["SCRIPT_TIMEOUT"]);
});

test("what may have arrived is sent again only with an event id", async () => {
  socket.opens();
  const plain = code(gateway.call("plain", 1));
  const known = gateway.call("known", 2, { eventId: "k" });
  socket.take();
  socket.breaks();
  assert.equal(await plain, "CONNECTION_LOST");
  socket.opens();
  const sent = socket.take();
  assert.deepEqual(sent.map(({ event, args }) => [event, ...args]), [["known", 2, { eventId: "k" }]]);
  sent[0].ack(accept("r1", { duplicate: true, state: "done", result: 7 }));
  assert.equal(await known, 7);
  assert.deepEqual(states, ["connecting", "connected", "reconnecting", "connected"]);
});

test("what was accepted is asked for after a reconnect, until it has an end", async () => {
  socket.opens();
  const durable = gateway.call("durable");
  const memory = code(gateway.call("memory"));
  const [one, two] = socket.take();
  one.ack(accept("r1"));
  two.ack(accept("r2"));
  socket.breaks();
  socket.opens();
  mock.timers.tick(0);
  const asked = socket.take();
  assert.deepEqual(asked.map(({ event, args }) => [event, ...args]), [["job_status", { requestId: "r1" }], ["job_status", { requestId: "r2" }]]);
  asked[0].ack({ ok: true, state: "running" });
  asked[1].ack({ ok: false, error: { code: "RESOURCE_NOT_FOUND", message: "?" } });
  assert.equal(await memory, "CONNECTION_LOST");
  mock.timers.tick(250);
  const [again] = socket.take();
  again.ack({ ok: true, state: "done", result: null });
  assert.equal(await durable, null);
  mock.timers.tick(29_000);
  assert.deepEqual(names(), []);
});

test("a durable event that was refused, given up or discarded", async () => {
  socket.opens();
  for (const [state, error, expected] of [["failed", "DUPLICATE_RESOURCE"], ["dead", "WORKER_LOST"], ["discarded", undefined, "DISCARDED"]]) {
    const one = code(gateway.call("a", 1, { eventId: state }));
    socket.take()[0].ack(accept("r", { state, error: error && { code: error, message: "m" } }));
    assert.equal(await one, expected ?? error);
  }
});

test("a server that stops gives the event to the next", () => {
  socket.opens();
  gateway.call("a", 1);
  socket.take()[0].ack(refuse("SHUTTING_DOWN"));
  socket.breaks();
  socket.opens();
  assert.deepEqual(names(), [["a", 1]]);
});

test("time and signals give a call up", async () => {
  socket.opens();
  const late = code(gateway.call("a", 1, { timeoutMs: 10 }));
  mock.timers.tick(10);
  assert.equal(await late, "TIMEOUT");
  const giveUp = new AbortController();
  const aborted = code(gateway.call("a", 1, { signal: giveUp.signal, timeoutMs: 0 }));
  giveUp.abort();
  assert.equal(await aborted, "ABORTED");
  for (const { ack } of socket.take()) ack(accept("r"));
  socket.comes("ws:result", { requestId: "r", result: 1 });
});

test("what is kept is sent at each connection, and again where it was too much", async () => {
  const results = [];
  const kept = gateway.keep("join", 1, (result) => results.push(result));
  socket.opens();
  socket.take()[0].ack(refuse("RATE_LIMITED"));
  await turn();
  mock.timers.tick(1000);
  const [again] = socket.take();
  again.ack(accept("r1"));
  socket.comes("ws:result", { requestId: "r1", result: "in" });
  assert.equal(await kept.result, "in");
  socket.breaks();
  socket.opens();
  socket.take()[0].ack(accept("r2"));
  socket.comes("ws:result", { requestId: "r2", result: "in again" });
  await turn();
  socket.breaks();
  socket.opens();
  socket.take()[0].ack(refuse("NO_HANDLER"));
  await turn();
  assert.deepEqual([results, errors], [["in", "in again"], ["NO_HANDLER"]]);
  kept.stop();
  socket.breaks();
  socket.opens();
  assert.deepEqual(names(), []);
});

test("what is refused the first time is not kept", async () => {
  socket.opens();
  const kept = gateway.keep("join", 1);
  socket.take()[0].ack(refuse("NO_HANDLER"));
  assert.equal(await code(kept.result), "NO_HANDLER");
  socket.breaks();
  socket.opens();
  assert.deepEqual(names(), []);
});

test("the end of a connection ends what waits, until it is connected again", async () => {
  socket.opens();
  const kept = gateway.keep("join", 1);
  socket.take()[0].ack(accept("r"));
  socket.comes("ws:result", { requestId: "r", result: 1 });
  await kept.result;
  const [sent, known] = [code(gateway.call("a")), code(gateway.call("a", 1, { eventId: "e" }))];
  socket.kicks();
  assert.deepEqual([await sent, await known], ["CONNECTION_LOST", "DISCONNECTED"]);
  assert.deepEqual([await code(gateway.call("a")), errors], ["DISCONNECTED", ["DISCONNECTED"]]);
  socket.take();
  gateway.connect();
  socket.opens();
  assert.deepEqual(names(), [["join", 1]]);
  gateway.close();
  assert.equal(await code(gateway.call("a")), "CLOSED");
  assert.deepEqual(states, ["connecting", "connected", "disconnected", "connecting", "connected", "disconnected"]);
});
