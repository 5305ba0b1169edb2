// Letting sockets in: the table of refusals on both transports, and what comes with `connect`.
// The server of this scenario lists one origin, https://listed.example, and not "*".
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { Manager } from "socket.io-client";
import { admin, call, connect, connectError, gateway, next, run, scenario, settle, socket, until, url, user } from "../lib.mjs";

const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }, { transports: ["polling", "websocket"] }];
const INVALID = "AUTH_INVALID: Invalid authentication token";
const REQUIRED = "AUTH_REQUIRED: Authentication token required";
const WHO = { who: "if @USER == () { return (); } return @USER.email;" };

/** Who the server takes a connected socket for. */
const who = async (connected) => (await run(connected, "who")).result;
const bearer = (token) => ({ extraHeaders: { authorization: `Bearer ${token}` } });
const cookie = (token) => ({ extraHeaders: { cookie: `theme=dark; accessToken=${token}` } });
const from = (origin) => ({ extraHeaders: { origin } });

/** A token of this header and these claims, signed with this key. */
function forged(header, claims, key) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${key === undefined ? "" : createHmac("sha256", key).update(signed).digest("base64url")}`;
}

const claimsOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

await scenario({
  async "a namespace that was never defined"() {
    for (const options of transports) assert.equal(await connectError("/nowhere", options), "Invalid namespace");
  },
  async "a disabled gateway"() {
    await gateway("/off", {}, { isEnabled: false });
    for (const options of transports) {
      assert.equal(await connectError("/off", options), "GATEWAY_DISABLED: Gateway is disabled");
    }
  },
  async "a gateway that needs a token"() {
    await gateway("/private", { who: "return @USER.email;" }, { requireAuth: true });
    const someone = await user();
    for (const options of transports) {
      assert.equal(await connectError("/private", options), "AUTH_REQUIRED: Authentication token required");
      for (const token of ["nonsense", someone.refreshToken, someone.token.slice(0, -2)]) {
        assert.equal(await connectError("/private", { ...options, auth: { token } }), "AUTH_INVALID: Invalid authentication token");
      }
      const connected = await connect("/private", { ...options, auth: { token: someone.token } });
      assert.equal((await run(connected, "who")).result, someone.email);
    }
    const byHeader = await connect("/private", { extraHeaders: { authorization: `Bearer ${someone.token}` } });
    assert.equal((await run(byHeader, "who")).result, someone.email);
    const byCookie = await connect("/private", { extraHeaders: { cookie: `accessToken=${someone.token}` } });
    assert.equal((await run(byCookie, "who")).result, someone.email);
  },
  async "events of the very tick of connect keep their order"() {
    await gateway("/early", { count: "return @BODY;" }, { connectionScript: "@HELPERS.sleep(20); @SOCKET.reply(\"hello\", @BODY.id);" });
    for (const options of transports) {
      for (let round = 0; round < 10; round++) {
        const early = socket("/early", options);
        const seen = [];
        early.on("hello", () => seen.push("hello"));
        early.on("ws:result", ({ result }) => seen.push(result));
        early.on("connect", () => { for (let i = 0; i < 20; i++) early.emit("count", i); });
        await until(() => seen.length === 21, "all results");
        assert.deepEqual(seen, ["hello", ...Array(20).keys()]);
        early.disconnect();
      }
    }
  },
  async "the first token found is the one that counts"() {
    await gateway("/first", WHO, { requireAuth: true });
    const [inAuth, inHeader, inCookie] = [await user(), await user(), await user()];
    const extraHeaders = { authorization: `Bearer ${inHeader.token}`, cookie: `accessToken=${inCookie.token}` };
    for (const options of transports) {
      const all = { ...options, extraHeaders, auth: { token: inAuth.token } };
      assert.equal(await who(await connect("/first", all)), inAuth.email);
      assert.equal(await who(await connect("/first", { ...all, auth: {} })), inHeader.email);
      assert.equal(await who(await connect("/first", { ...options, ...cookie(inCookie.token) })), inCookie.email);
      // A bad one is not skipped for a good one that comes later.
      assert.equal(await connectError("/first", { ...all, auth: { token: "nonsense" } }), INVALID);
      const badHeader = { ...extraHeaders, authorization: "Bearer nonsense" };
      assert.equal(await connectError("/first", { ...options, extraHeaders: badHeader }), INVALID);
      assert.equal(await connectError("/first", { ...options, ...bearer("nonsense") }), INVALID);
      assert.equal(await connectError("/first", { ...options, ...cookie("nonsense") }), INVALID);
    }
  },
  async "a public gateway"() {
    await gateway("/public", WHO);
    const someone = await user();
    for (const options of transports) {
      assert.equal(await who(await connect("/public", options)), null);
      assert.equal(await who(await connect("/public", { ...options, auth: { token: someone.token } })), someone.email);
      assert.equal(await who(await connect("/public", { ...options, ...bearer(someone.token) })), someone.email);
      assert.equal(await who(await connect("/public", { ...options, ...cookie(someone.token) })), someone.email);
      for (const token of ["nonsense", someone.refreshToken]) {
        assert.equal(await connectError("/public", { ...options, auth: { token } }), INVALID);
        assert.equal(await connectError("/public", { ...options, ...bearer(token) }), INVALID);
        assert.equal(await who(await connect("/public", { ...options, ...cookie(token) })), null, "a stale cookie is ignored");
      }
    }
  },
  async "a user who has gone or is disabled"() {
    await gateway("/gone/private", WHO, { requireAuth: true });
    await gateway("/gone/public", WHO);
    const [gone, disabled] = [await user(), await user()];
    await admin("DELETE", `/admin/users/${gone.id}`);
    await admin("PATCH", `/admin/users/${disabled.id}`, { isEnabled: false });
    for (const options of transports) {
      for (const { token } of [gone, disabled]) {
        for (const path of ["/gone/private", "/gone/public"]) {
          assert.equal(await connectError(path, { ...options, auth: { token } }), INVALID);
          assert.equal(await connectError(path, { ...options, ...bearer(token) }), INVALID);
        }
        assert.equal(await connectError("/gone/private", { ...options, ...cookie(token) }), INVALID);
        assert.equal(await who(await connect("/gone/public", { ...options, ...cookie(token) })), null);
      }
    }
  },
  async "tokens that somebody else made"() {
    await gateway("/forged", WHO, { requireAuth: true });
    const [someone, other] = [await user(), await user()];
    const claims = claimsOf(someone.token);
    const [head, , signature] = someone.token.split(".");
    const ofOther = Buffer.from(JSON.stringify({ ...claims, sub: claimsOf(other.token).sub })).toString("base64url");
    const later = Buffer.from(JSON.stringify({ ...claims, exp: claims.exp + 86_400 })).toString("base64url");
    for (const token of [
      forged({ alg: "none", typ: "JWT" }, claims),
      forged({ alg: "none", typ: "JWT" }, claims, "key"),
      forged({ alg: "HS256", typ: "JWT" }, claims, ""),
      forged({ alg: "HS256", typ: "JWT" }, claims, "secret"),
      forged({ alg: "HS512", typ: "JWT" }, claims, "secret"),
      `${head}.${ofOther}.${signature}`,
      `${head}.${later}.${signature}`,
      `${head}.${later}.`,
    ]) {
      assert.equal(await connectError("/forged", { auth: { token } }), INVALID, token);
    }
    assert.equal(await who(await connect("/forged", { auth: { token: someone.token } })), someone.email);
  },
  async "origins of the configured list"() {
    await gateway("/origins", WHO);
    for (const options of transports) {
      for (const origin of ["https://listed.example", url]) {
        await connect("/origins", { ...options, ...from(origin) });
      }
      await connect("/origins", options);
      for (const origin of [
        "https://evil.example", "http://listed.example", "https://listed.example.evil.example", "https://sub.listed.example",
        "https://listed.example:8443", "null", url.replace(/\d+$/, "1"),
      ]) {
        const message = await connectError("/origins", { ...options, ...from(origin) });
        assert.match(message, /^ORIGIN_NOT_ALLOWED: ./, origin);
      }
    }
  },
  async "a gateway's own origins stand in for the configured ones"() {
    const someone = await user();
    await gateway("/origins/own", WHO, { allowedOrigins: ["https://own.example"], requireAuth: true });
    const auth = { token: someone.token };
    for (const options of transports) {
      await connect("/origins/own", { ...options, ...from("https://own.example"), auth });
      await connect("/origins/own", { ...options, auth });
      for (const origin of ["https://listed.example", "https://evil.example"]) {
        // A good token is no way around the list.
        assert.match(await connectError("/origins/own", { ...options, ...from(origin), auth }), /^ORIGIN_NOT_ALLOWED: ./);
      }
    }
  },
  async "what a gateway is now decides, not what it was"() {
    const row = await gateway("/now", WHO, { isEnabled: false });
    assert.equal(await connectError("/now"), "GATEWAY_DISABLED: Gateway is disabled");
    await admin("PATCH", `/admin/gateways/${row.id}`, { isEnabled: true });
    await connect("/now");
    await admin("PATCH", `/admin/gateways/${row.id}`, { requireAuth: true });
    assert.equal(await connectError("/now"), REQUIRED);
    await admin("DELETE", `/admin/gateways/${row.id}`);
    for (const options of transports) assert.equal(await connectError("/now", options), "Invalid namespace");
    await gateway("/now", WHO);
    await connect("/now");
  },
  async "the default namespace is a gateway like any other"() {
    for (const options of transports) assert.equal(await connectError("/", options), "Invalid namespace");
    await gateway("/", WHO, { requireAuth: true });
    const someone = await user();
    for (const options of transports) {
      assert.equal(await connectError("/", options), REQUIRED);
      assert.equal(await who(await connect("/", { ...options, auth: { token: someone.token } })), someone.email);
    }
  },
  async "a refused socket may try again with a token, on the same transport"() {
    await gateway("/again", WHO, { requireAuth: true });
    const someone = await user();
    for (const options of transports) {
      const refused = socket("/again", options);
      assert.equal((await next(refused, "connect_error")).message, REQUIRED);
      refused.auth = { token: someone.token };
      const connected = next(refused, "connect");
      refused.connect();
      await connected;
      assert.equal(await who(refused), someone.email);
    }
  },
  async "several gateways over one transport do not know of each other"() {
    await gateway("/shared/open", WHO);
    await gateway("/shared/closed", WHO, { requireAuth: true });
    const someone = await user();
    for (const options of transports) {
      const manager = new Manager(url, { reconnection: false, ...options });
      const open = manager.socket("/shared/open");
      const closed = manager.socket("/shared/closed");
      const missing = manager.socket("/shared/missing");
      const [, refused, unknown] = await Promise.all([
        next(open, "connect"), next(closed, "connect_error"), next(missing, "connect_error"),
      ]);
      assert.equal(refused.message, REQUIRED);
      assert.equal(unknown.message, "Invalid namespace");
      assert.equal(await who(open), null, "the refusals ended nobody else");
      closed.auth = { token: someone.token };
      const connected = next(closed, "connect");
      closed.connect();
      await connected;
      assert.equal(await who(closed), someone.email);
      assert.equal(await who(open), null, "a token is for the gateway that it was sent to");
      closed.disconnect();
      await settle(open);
      assert.ok(open.connected);
      manager._close();
    }
  },
  async "one server answers many at once, each with its own refusal"() {
    await gateway("/crowd", WHO, { requireAuth: true });
    const someone = await user();
    const answers = await Promise.all(Array.from({ length: 60 }, async (_, index) => {
      const options = transports[index % 3];
      switch (index % 4) {
        case 0: return connectError("/crowd", options);
        case 1: return connectError("/crowd", { ...options, auth: { token: "nonsense" } });
        case 2: return connectError("/crowd/nowhere", options);
        default: return who(await connect("/crowd", { ...options, auth: { token: someone.token } }));
      }
    }));
    const expected = [REQUIRED, INVALID, "Invalid namespace", someone.email];
    answers.forEach((answer, index) => assert.equal(answer, expected[index % 4]));
  },
  async "plain HTTP sees the sockets come and go"() {
    const row = await gateway("/counted", WHO);
    const count = async () => (await admin("GET", "/admin/stats")).connections.gateways["/counted"] ?? 0;
    const [one, two] = [await connect("/counted"), await connect("/counted", { transports: ["polling"] })];
    await until(async () => (await count()) === 2, "two connections");
    assert.equal((await call("GET", "/health/live")).status, 200);
    one.disconnect();
    await until(async () => (await count()) === 1, "one connection");
    two.disconnect();
    await until(async () => (await count()) === 0, "no connection");
    await admin("DELETE", `/admin/gateways/${row.id}`);
  },
});
