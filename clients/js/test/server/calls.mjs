// The package against a running server: results, failures, what is refused, tokens, states. Nothing here depends on how
// long things take.
import assert from "node:assert/strict";
import { createRealtime, GatewrightError } from "gatewright";
import { admin, call, gateway, scenario, until, url, user } from "../../../../tests/client/lib.mjs";

const quick = { reconnectionDelay: 50, reconnectionDelayMax: 200 };
const open = [];
function realtime(options = {}, at = url) {
  const made = createRealtime(at, { socket: quick, ...options });
  made.errors = [];
  made.states = [];
  made.on("error", (error) => made.errors.push(error));
  made.on("connection", ({ state }) => made.states.push(state));
  open.push(made);
  return made;
}
const fails = async (promise, code) => {
  const error = await promise.then((result) => assert.fail(`${code} expected, not ${JSON.stringify(result)}`), (error) => error);
  assert.ok(error instanceof GatewrightError, error.stack);
  assert.equal(error.code, code, error.message);
  return error;
};
const tokenOf = async ({ email, password }) => {
  const { body } = await call("POST", "/auth/login", { email, password });
  const { body: short } = await call("POST", "/auth/websocket-token", {}, { token: body.accessToken });
  return short.token;
};

await gateway("/calls", {
  echo: "return @BODY;",
  nothing: "",
  refuse: "@LOGS(1, #{ a: 2 }); @THROW.conflict(\"taken\", #{ seat: 7 });",
  strict: { sourceCode: "return 1;", payloadSchema: { type: "object", required: ["n"] } },
  never: "@HELPERS.sleep(4000); return 1;",
  buy: { delivery: "durable", sourceCode: "return @BODY.n;" },
  fail: { delivery: "durable", sourceCode: "@THROW.conflict(\"no\");" },
  tell: "@SOCKET.reply(\"told\", @BODY);",
});
await gateway("/mine", { who: "return @USER.id;" }, { requireAuth: true });
const ada = await user({ name: "Ada" });

await scenario({
  async "a call is its result"() {
    const rt = realtime();
    const chat = rt.gateway("/calls");
    assert.equal(rt.gateway("/calls"), chat);
    for (const value of [{ a: [1, "ü", null] }, null, 0, false, "", [1]]) assert.deepEqual(await chat.call("echo", value), value);
    assert.deepEqual(await chat.call("echo"), {});
    assert.equal(await chat.call("nothing"), null);
    const all = await Promise.all([...Array(100).keys()].map((n) => chat.call("echo", n)));
    assert.deepEqual(all, [...Array(100).keys()]);
    assert.equal(await chat.call("buy", { n: 1 }), 1);
    assert.deepEqual(rt.states.slice(0, 2), ["connecting", "connected"]);
    const told = [];
    const off = chat.on("told", (data) => told.push(data));
    await chat.call("tell", 1);
    off();
    await chat.call("tell", 2);
    assert.deepEqual([told, rt.errors], [[1], []]);
  },

  async "a failure says why"() {
    const chat = realtime().gateway("/calls");
    const refused = await fails(chat.call("refuse", {}), "DUPLICATE_RESOURCE");
    assert.deepEqual([refused.message, refused.details, refused.logs], ["taken", { seat: 7 }, [1, { a: 2 }]]);
    assert.match(refused.requestId, /^[0-9a-f-]{36}$/);
    assert.match((await fails(chat.call("strict", {}), "INVALID_PAYLOAD")).requestId, /^[0-9a-f-]{36}$/);
    await fails(chat.call("unknown", {}), "NO_HANDLER");
    assert.match((await fails(chat.call("never", {}, { timeoutMs: 1 }), "TIMEOUT")).message, /never.* 1 ms/);
    const giveUp = new AbortController();
    const aborted = chat.call("never", {}, { signal: giveUp.signal });
    giveUp.abort(new Error("enough"));
    assert.equal((await fails(aborted, "ABORTED")).cause.message, "enough");
    await fails(chat.call("echo", {}, { signal: AbortSignal.abort() }), "ABORTED");
  },

  async "an event id is done once, and its outcome told each time"() {
    const chat = realtime({ clientKey: "one" }).gateway("/calls");
    assert.equal(await chat.call("buy", { n: 1 }, { eventId: "a" }), 1);
    assert.equal(await chat.call("buy", { n: 2 }, { eventId: "a" }), 1);
    await fails(chat.call("fail", {}, { eventId: "b" }), "DUPLICATE_RESOURCE");
    await fails(chat.call("fail", {}, { eventId: "b" }), "DUPLICATE_RESOURCE");
    const same = realtime({ clientKey: "one" }).gateway("/calls");
    assert.equal(await same.call("buy", { n: 3 }, { eventId: "a" }), 1);
    const both = await Promise.all([4, 5].map((n) => same.call("buy", { n }, { eventId: "c" })));
    assert.deepEqual(both, [4, 4]);
  },

  async "a refused connection fails what waits for it, and can be tried again"() {
    let token;
    const rt = realtime({ token: () => token });
    const mine = rt.gateway("/mine");
    const waiting = mine.call("who");
    const kept = mine.keep("who");
    await fails(waiting, "AUTH_REQUIRED");
    await fails(kept.result, "AUTH_REQUIRED");
    await fails(mine.call("who"), "AUTH_REQUIRED");
    assert.equal(mine.state, "disconnected");
    token = ada.token;
    rt.connect();
    assert.equal(await mine.call("who"), ada.id);
    await fails(realtime().gateway("/undefined").call("x"), "INVALID_NAMESPACE");
  },

  async "a token is renewed in place, and asked for again where it is refused"() {
    const given = [];
    const answers = ["broken", () => { throw new Error("no network"); }];
    const rt = realtime({
      token: async () => {
        const next = answers.shift() ?? (await tokenOf(ada));
        given.push(next);
        return typeof next === "function" ? next() : next;
      },
    });
    const mine = rt.gateway("/mine");
    assert.equal(await mine.call("who"), ada.id);
    const at = given.length;
    // The server warns at once: these tokens are valid for a minute.
    await until(() => given.length > at, "another token");
    assert.equal(await mine.call("who"), ada.id);
    assert.deepEqual(rt.errors.map(({ code }) => code), ["TOKEN_FAILED"]);
    assert.ok(!rt.states.includes("disconnected"), rt.states.join());
  },

  async "what the user's end does to a connection"() {
    const rt = realtime({ token: (await user()).token });
    const mine = rt.gateway("/mine");
    const id = await mine.call("who");
    await admin("PATCH", `/admin/users/${id}`, { isEnabled: false });
    await until(() => mine.state === "disconnected", "the end");
    await fails(mine.call("who"), "DISCONNECTED");
  },

  async "offline calls are bounded, and closing ends them"() {
    const rt = realtime({ queueLimit: 2 }, "http://127.0.0.1:9");
    const chat = rt.gateway("/calls");
    const waiting = [chat.call("echo", 1), chat.call("echo", 2)];
    await fails(chat.call("echo", 3), "OFFLINE_QUEUE_FULL");
    await until(() => rt.errors.some(({ code }) => code === "CONNECTION_FAILED"), "an error");
    assert.equal(chat.state, "reconnecting");
    rt.close();
    for (const one of waiting) await fails(one, "CLOSED");
    assert.equal(chat.state, "disconnected");
  },

  async "nothing stays behind"() {
    for (const one of open) one.close();
  },
});
