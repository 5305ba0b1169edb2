// The life of a token at a socket: warned, renewed, run out, revoked. The test's own gateway
// `/about-this-test` says where the server's data is, since only the command line makes tokens
// that are short enough to wait for.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { admin, ask, call, collect, connect, connectError, gateway, login, next, run, scenario, settle, socket, until, user } from "../lib.mjs";

const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }, { transports: ["polling", "websocket"] }];
const INVALID = "AUTH_INVALID: Invalid authentication token";
const WHO = { who: "if @USER == () { return (); } return @USER.email;" };

const about = (await admin("GET", "/admin/gateways?limit=1000")).data.find((row) => row.path === "/about-this-test");
const { program, data, databaseUrl } = JSON.parse(about.description);

/** Runs the product's command line on the data of the running server. */
async function commandLine(...args) {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GATEWRIGHT_")));
  if (databaseUrl) env.GATEWRIGHT_DATABASE_URL = databaseUrl;
  return (await promisify(execFile)(program, [...args, "--data", data], { env })).stdout.trim();
}

const mint = (person, ttl) => commandLine("token", "--user", person.email, "--ttl", ttl);
const expiryMs = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).exp * 1000;
/** A life that a slow machine gets through all of a step in, and that one can wait for. */
const SHORT = "12s";
const who = async (connected) => (await run(connected, "who")).result;
const disconnected = async (one) => (await next(one, "disconnect"))[0];
const isRfc3339 = (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text);

/** What a socket hears of its token and of its end, in order. */
function life(of) {
  const seen = [];
  of.on("token_expiring", (packet) => seen.push(["token_expiring", packet, Date.now()]));
  of.on("token_expired", (packet) => seen.push(["token_expired", packet, Date.now()]));
  of.on("disconnect", (reason) => seen.push(["disconnect", reason, Date.now()]));
  return seen;
}

await scenario({
  async "a token that runs out"() {
    await gateway("/private", WHO, { requireAuth: true });
    await gateway("/public", WHO);
    await Promise.all(transports.flatMap((options) => ["/private", "/public"].map(async (path) => {
      const someone = await user();
      const token = await mint(someone, SHORT);
      const seen = life(socket(path, { ...options, auth: { token } }));
      await until(() => seen.length === 3, "warning, end, disconnect");
      const [[first, { expiresAt }, warnedAt], [second, { expiredAt }, endedAt], [third, reason]] = seen;
      assert.deepEqual([first, second, third, reason], ["token_expiring", "token_expired", "disconnect", "io server disconnect"]);
      assert.ok(isRfc3339(expiresAt) && isRfc3339(expiredAt), `${expiresAt} ${expiredAt}`);
      assert.ok(Math.abs(Date.parse(expiresAt) - expiryMs(token)) <= 1000, expiresAt);
      assert.equal(expiredAt, expiresAt);
      assert.ok(warnedAt < expiryMs(token), "the warning comes while there is time to renew");
      assert.ok(endedAt >= expiryMs(token) - 1000, "the end comes no sooner than the token's");
      assert.equal(await connectError(path, { ...options, auth: { token } }), INVALID);
    })));
  },
  async "a token with more than a minute left is no news"() {
    const someone = await user();
    for (const options of transports) {
      const connected = socket("/private", { ...options, auth: { token: someone.token } });
      const seen = life(connected);
      await settle(connected);
      assert.deepEqual(seen, []);
    }
    const short = socket("/private", { auth: { token: await mint(someone, "50s") } });
    const { expiresAt } = await next(short, "token_expiring");
    assert.ok(Date.parse(expiresAt) > Date.now());
  },
  async "renewal in place"() {
    await Promise.all(transports.map(async (options) => {
      const someone = await user();
      const renewed = socket("/private", { ...options, auth: { token: await mint(someone, SHORT) } });
      const seen = life(renewed);
      await next(renewed, "connect");
      const { id } = renewed;
      await until(() => seen.length === 1, "the warning");
      const answer = await ask(renewed, "token_refresh", { token: someone.token });
      assert.deepEqual(Object.keys(answer).sort(), ["expiresAt", "ok"]);
      assert.equal(answer.ok, true);
      assert.ok(isRfc3339(answer.expiresAt), answer.expiresAt);
      assert.ok(Math.abs(Date.parse(answer.expiresAt) - expiryMs(someone.token)) <= 1000);
      // Minted later, so its end is the sign that the renewed one's first token has run out too.
      await disconnected(socket("/private", { auth: { token: await mint(someone, SHORT) } }));
      await settle(renewed);
      assert.equal(seen.length, 1, "no end, and no second warning for a long token");
      assert.ok(renewed.connected);
      assert.equal(renewed.id, id);
      assert.equal(await who(renewed), someone.email);
      // The new token's end counts as the first one's did.
      assert.equal((await ask(renewed, "token_refresh", { token: await mint(someone, SHORT) })).ok, true);
      await until(() => seen.length === 4, "the end of the third token");
      assert.deepEqual(seen.map(([what]) => what), ["token_expiring", "token_expiring", "token_expired", "disconnect"]);
    }));
  },
  async "renewals that are refused"() {
    const [someone, other, gone] = [await user(), await user(), await user()];
    await admin("PATCH", `/admin/users/${gone.id}`, { isEnabled: false });
    const bad = [
      { token: other.token }, { token: "nonsense" }, { token: someone.refreshToken }, { token: gone.token },
      { token: `${someone.token}x` }, { token: "" }, { token: null }, { token: 5 }, { token: [someone.token] }, {}, null, "text", 7, [],
    ];
    for (const options of transports) {
      const connected = await connect("/private", { ...options, auth: { token: someone.token } });
      const guest = await connect("/public", options);
      for (const [one, payloads] of [[connected, bad], [guest, [...bad, { token: someone.token }]]]) {
        for (const payload of payloads) {
          const answer = await ask(one, "token_refresh", payload);
          assert.deepEqual(Object.keys(answer).sort(), ["error", "ok"], JSON.stringify(payload));
          assert.equal(answer.ok, false);
          assert.equal(typeof answer.error.code, "string");
          assert.ok(answer.error.message.length > 0);
        }
      }
      const answer = await ask(connected, "token_refresh");
      assert.equal(answer.ok, false, "without any payload");
      assert.equal((await ask(connected, "token_refresh", { token: "nonsense" })).error.code, "AUTH_INVALID");
      connected.emit("token_refresh", { token: "nonsense" });
      connected.emit("token_refresh", { token: other.token });
      await settle(connected, guest);
      assert.equal(await who(connected), someone.email, "nothing changed");
      assert.equal(await who(guest), null, "a guest does not become somebody");
    }
  },
  async "a refused renewal does not lengthen the life"() {
    const [someone, other] = [await user(), await user()];
    const connected = socket("/private", { auth: { token: await mint(someone, SHORT) } });
    const seen = life(connected);
    assert.equal((await ask(connected, "token_refresh", { token: other.token })).ok, false);
    assert.equal((await ask(connected, "token_refresh", { token: "nonsense" })).ok, false);
    await until(() => seen.some(([what]) => what === "disconnect"), "the end");
    assert.deepEqual(seen.map(([what]) => what), ["token_expiring", "token_expired", "disconnect"]);
  },
  async "a token for the socket"() {
    const someone = await user();
    const { status, body } = await call("POST", "/auth/websocket-token", {}, { token: someone.token });
    assert.equal(status, 200);
    assert.ok(isRfc3339(body.expiresAt), body.expiresAt);
    assert.ok(Math.abs(Date.parse(body.expiresAt) - expiryMs(body.token)) <= 1000);
    for (const options of transports) {
      assert.equal(await who(await connect("/private", { ...options, auth: { token: body.token } })), someone.email);
    }
    const renewed = await connect("/private", { auth: { token: someone.token } });
    assert.equal((await ask(renewed, "token_refresh", { token: body.token })).ok, true);
  },
  async "what ends a user's sockets"() {
    const bystander = await user();
    const bystanders = [
      await connect("/private", { auth: { token: bystander.token } }),
      await connect("/public", { auth: { token: bystander.token }, transports: ["polling"] }),
      await connect("/public"),
    ];
    const ways = {
      "logging out": ({ token }) => call("POST", "/auth/logout", {}, { token }),
      "logging out with the cookies": ({ token, refreshToken }) =>
        call("POST", "/auth/logout", undefined, { headers: { cookie: `accessToken=${token}; refreshToken=${refreshToken}` } }),
      "disabling the user": ({ id }) => admin("PATCH", `/admin/users/${id}`, { isEnabled: false }),
      "deleting the user": ({ id }) => admin("DELETE", `/admin/users/${id}`),
      "revoking the tokens": ({ id }) => admin("POST", `/admin/users/${id}/revoke-tokens`),
      "a password set by an admin": ({ id }) => admin("PATCH", `/admin/users/${id}`, { password: "another password" }),
      "a password set by the user": ({ token, password }) =>
        call("PATCH", "/me", { password: "another password", currentPassword: password }, { token }),
      "a password set on the command line": ({ email }) =>
        commandLine("user", "passwd", "--email", email, "--password", "another password"),
    };
    for (const [way, act] of Object.entries(ways)) {
      const someone = await user();
      const secondSession = (await login(someone.email, someone.password)).accessToken;
      const ofSocket = (await call("POST", "/auth/websocket-token", {}, { token: someone.token })).body.token;
      const theirs = [
        await connect("/private", { auth: { token: someone.token } }),
        await connect("/private", { auth: { token: someone.token }, transports: ["polling"] }),
        await connect("/public", { auth: { token: ofSocket }, transports: ["polling", "websocket"] }),
        await connect("/public", { extraHeaders: { cookie: `accessToken=${someone.token}` } }),
        await connect("/private", { auth: { token: secondSession } }),
        await connect("/private", { auth: { token: await mint(someone, "10m") } }),
      ];
      const gone = Promise.all(theirs.map(disconnected));
      const answer = await act(someone);
      if (answer?.status !== undefined) assert.ok(answer.status < 300, `${way}: ${JSON.stringify(answer)}`);
      for (const reason of await gone) assert.equal(reason, "io server disconnect", way);
      for (const path of ["/private", "/public"]) {
        for (const token of [someone.token, ofSocket]) {
          assert.equal(await connectError(path, { auth: { token } }), INVALID, way);
        }
      }
    }
    await settle(...bystanders);
    assert.ok(bystanders.every((one) => one.connected), "nobody else's");
    assert.equal(await who(bystanders[0]), bystander.email);
  },
  async "a refresh token that comes back ends the sockets of its family"() {
    const someone = await user();
    const otherSession = (await login(someone.email, someone.password)).accessToken;
    const other = await connect("/private", { auth: { token: otherSession } });
    const rotated = (await call("POST", "/auth/refresh-token", { refreshToken: someone.refreshToken })).body;
    const theirs = [
      await connect("/private", { auth: { token: someone.token } }),
      await connect("/private", { auth: { token: rotated.accessToken }, transports: ["polling"] }),
    ];
    const gone = Promise.all(theirs.map(disconnected));
    assert.equal((await call("POST", "/auth/refresh-token", { refreshToken: someone.refreshToken })).status, 401);
    for (const reason of await gone) assert.equal(reason, "io server disconnect");
    assert.equal(await connectError("/private", { auth: { token: rotated.accessToken } }), INVALID);
    await settle(other);
    assert.ok(other.connected, "the family is the session");
  },
  async "a socket whose connection script still runs is ended too"() {
    await gateway("/slow", WHO, {
      connectionScript: "@SOCKET.reply(\"started\", 1); while @CACHE.common.get(\"open\") == () { @HELPERS.sleep(5); }",
      scriptTimeoutMs: 30_000,
    });
    await gateway("/slow/gate", { open: "@CACHE.common.set(\"open\", true);" });
    const someone = await user();
    for (const options of transports.slice(0, 2)) {
      const waiting = await connect("/slow", { ...options, auth: { token: someone.token } });
      const results = collect(waiting, "ws:result");
      const gone = disconnected(waiting);
      // Answered before the end: a request of polling that meets a session that has ended is a transport error.
      assert.equal((await ask(waiting, "who")).accepted, true);
      await admin("POST", `/admin/users/${someone.id}/revoke-tokens`);
      assert.equal(await gone, "io server disconnect");
      assert.deepEqual(results, []);
      someone.token = (await login(someone.email, someone.password)).accessToken;
    }
    await run(await connect("/slow/gate"), "open");
  },
  async "a changed user is the new one at once"() {
    await gateway("/name", { name: "return @USER.name;" }, { requireAuth: true });
    const someone = await user({ name: "Before" });
    const connected = await connect("/name", { auth: { token: someone.token } });
    assert.equal((await run(connected, "name")).result, "Before");
    await admin("PATCH", `/admin/users/${someone.id}`, { name: "After" });
    await until(async () => (await run(connected, "name")).result === "After", "the new name");
    assert.ok(connected.connected, "a new name disconnects nobody");
  },
  async "and no run was broken by any of this"() {
    assert.deepEqual((await admin("GET", "/admin/logs?code=INTERNAL_ERROR")).data, []);
  },
});
