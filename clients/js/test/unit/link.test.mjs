import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { endOf, Link } from "../../dist/esm/link.js";
import { FakeSocket, turn } from "./fake.mjs";

let socket, link, seen;

function make(token, more = {}) {
  [socket, seen] = [new FakeSocket(), []];
  link = new Link(socket, { token, ...more }, { state: (state) => seen.push(state), error: ({ code }) => seen.push(code) });
  link.connect();
}
beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

/** What the socket shows when it connects. */
const shown = async () => {
  let auth;
  socket.auth((given) => (auth = given));
  await turn();
  return auth;
};

test("what is shown is of that moment", async () => {
  let n = 0;
  make(async () => `t${++n}`, { appToken: "app", clientKey: "me" });
  assert.deepEqual(await shown(), { token: "t1", appToken: "app", clientKey: "me" });
  assert.deepEqual((await shown()).token, "t2");
  make(null);
  assert.equal((await shown()).token, undefined);
});

test("a token that cannot be had is asked for again", async () => {
  const answers = [new Error("down"), new Error("down"), "t"];
  make(() => {
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  });
  let auth;
  socket.auth((given) => (auth = given));
  for (const ms of [0, 1000, 2000]) {
    mock.timers.tick(ms);
    await turn();
  }
  assert.deepEqual([auth?.token, seen], ["t", ["connecting", "TOKEN_FAILED", "TOKEN_FAILED"]]);
});

test("a token is renewed in place; what fails is tried again", async () => {
  let n = 0;
  make(() => `t${++n}`);
  await shown();
  socket.opens();
  socket.comes("token_expiring", {});
  socket.comes("token_expiring", {});
  mock.timers.tick(0);
  await turn();
  const [asked, ...none] = socket.take();
  assert.deepEqual([asked.event, asked.args, none], ["token_refresh", [{ token: "t2" }], []]);
  asked.ack({ ok: false, error: { code: "RATE_LIMITED", message: "slower" } });
  await turn();
  mock.timers.tick(4000);
  await turn();
  socket.take()[0].ack({ ok: true });
  assert.deepEqual(seen, ["connecting", "connected", "RATE_LIMITED"]);
});

test("a refused token is asked for anew, once", () => {
  make(() => "t");
  socket.refuses("AUTH_INVALID: Invalid authentication token");
  assert.deepEqual([seen, socket.active], [["connecting"], true]);
  socket.refuses("AUTH_INVALID: Invalid authentication token");
  assert.deepEqual(seen, ["connecting", "AUTH_INVALID", "disconnected"]);
});

test("a token that has ended: a function gives the next, a text does not", () => {
  make(() => "t");
  socket.opens();
  socket.comes("token_expired", {});
  socket.kicks();
  mock.timers.tick(100);
  assert.deepEqual([seen, socket.active], [["connecting", "connected", "reconnecting"], true]);
  make("t");
  socket.opens();
  socket.comes("token_expired", {});
  socket.kicks();
  assert.deepEqual(seen, ["connecting", "connected", "TOKEN_EXPIRED", "disconnected"]);
});

test("a page that wakes up renews a token that ends soon", async () => {
  const listeners = new Map();
  globalThis.addEventListener = (name, listener) => listeners.set(name, listener);
  globalThis.removeEventListener = (name) => listeners.delete(name);
  const token = (seconds) => `h.${btoa(JSON.stringify({ exp: seconds }))}.s`;
  const tokens = [token(600), token(1200)];
  make(() => tokens.shift());
  await shown();
  socket.opens();
  listeners.get("visibilitychange")();
  mock.timers.tick(0);
  await turn();
  assert.deepEqual(socket.take(), []);
  mock.timers.tick(541_000);
  listeners.get("online")();
  mock.timers.tick(0);
  await turn();
  assert.equal(socket.take()[0].args[0].token, token(1200));
  link.close();
  assert.equal(listeners.size, 0);
  delete globalThis.addEventListener;
  delete globalThis.removeEventListener;
});

test("the end of a token", () => {
  const payload = Buffer.from(JSON.stringify({ exp: 1000, name: "???>>>ü" })).toString("base64url");
  assert.equal(endOf(`h.${payload}.s`), 1_000_000);
  for (const opaque of [undefined, null, "", "abc", "a.b.c"]) assert.ok(Number.isNaN(endOf(opaque)));
});
