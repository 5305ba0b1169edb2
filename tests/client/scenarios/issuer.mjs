// Users of another issuer on sockets: let in, addressed by their ids, warned, renewed, ended. The
// test's own gateway `/about-this-test` says how that issuer signs, so that tokens are made here.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { admin, ask, call, collect, connect, connectError, gateway, next, run, scenario, settle, socket, until, user } from "../lib.mjs";

const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }, { transports: ["polling", "websocket"] }];
const INVALID = "AUTH_INVALID: Invalid authentication token";

const about = (await admin("GET", "/admin/gateways?limit=1000")).data.find((row) => row.path === "/about-this-test");
const { issuer, audience, secret } = JSON.parse(about.description);

const now = () => Math.floor(Date.now() / 1000);
const encode = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");

/** A token of the issuer; claims over the usual ones. */
function token(sub, claims = {}) {
  const usual = { iss: issuer, aud: audience, sub, exp: now() + 600, email: `${sub}@login.example.com`, name: `Name of ${sub}` };
  const message = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ ...usual, ...claims })}`;
  return `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
}

const of = (sub, options = {}) => ({ auth: { token: token(sub) }, ...options });
const who = async (connected) => (await run(connected, "who")).result;
const disconnected = async (one) => (await next(one, "disconnect"))[0];

await scenario({
  async "a token of the issuer lets in, wherever it stands"() {
    await gateway("/private", {
      who: "return @USER;",
      tell: "@SOCKET.emitToUser(@BODY.id, \"told\", @BODY.text);",
      end: "@SOCKET.disconnectUser(@BODY.id);",
      join: "@SOCKET.join(\"room\"); return @SOCKET.members(\"room\");",
    }, { requireAuth: true, presence: true });
    await gateway("/public", { who: "return @USER;" });
    const expected = { id: "auth0|42", email: "auth0|42@login.example.com", name: "Name of auth0|42", role: "user" };
    for (const path of ["/private", "/public"]) {
      for (const options of transports) {
        const bearer = { authorization: `Bearer ${token("auth0|42")}` };
        const cookie = { cookie: `accessToken=${token("auth0|42")}` };
        assert.deepEqual(await who(await connect(path, of("auth0|42", options))), expected);
        assert.deepEqual(await who(await connect(path, { ...options, extraHeaders: bearer })), expected);
        assert.deepEqual(await who(await connect(path, { ...options, extraHeaders: cookie })), expected);
      }
    }
  },
  async "tokens that do not count"() {
    const bad = [
      token("42", { exp: now() - 1 }), token("42", { aud: "another" }), token("42", { iss: "https://evil.example/" }),
      token(""), token("42", { nbf: now() + 600 }), `${token("42")}x`, token("42").split(".").slice(0, 2).join(".") + ".",
      token((await user()).id),
    ];
    for (const one of bad) {
      for (const path of ["/private", "/public"]) {
        assert.equal(await connectError(path, { auth: { token: one } }), INVALID);
      }
      const cookie = { extraHeaders: { cookie: `accessToken=${one}` } };
      assert.equal(await connectError("/private", cookie), INVALID);
      assert.equal(await who(await connect("/public", cookie)), null, "a stale cookie alone is ignored");
    }
  },
  async "they are found by their ids"() {
    const local = await user();
    const ids = ["42", "auth0|42", "ä b\"c", "x".repeat(256), local.id];
    const sockets = [];
    for (const id of ids) {
      const options = id === local.id ? { auth: { token: local.token } } : of(id);
      sockets.push(await connect("/private", options), await connect("/private", { ...options, transports: ["polling"] }));
    }
    const heard = sockets.map((one) => collect(one, "told"));
    const sender = sockets[0];
    for (const id of ids) await run(sender, "tell", { id, text: id });
    // A number is found as the text that it reads as.
    await run(sender, "tell", { id: 42, text: "by number" });
    for (const nobody of ["4", "420", "auth0", "AUTH0|42", ""]) await run(sender, "tell", { id: nobody, text: "nobody" });
    await settle(...sockets);
    heard.forEach((texts, index) => {
      const id = ids[Math.floor(index / 2)];
      assert.deepEqual(texts, id === "42" ? ["42", "by number"] : [id]);
    });
    const presence = collect(sender, "presence");
    assert.deepEqual((await run(sender, "join")).result.map(({ userId }) => userId), ["42"]);
    assert.deepEqual((await run(sockets[2], "join")).result.map(({ userId }) => userId).sort(), ["42", "auth0|42"]);
    await until(() => presence.length === 2, "both joins");
    assert.deepEqual(presence.map(({ member }) => member.userId), ["42", "auth0|42"]);

    const logs = async (query) => (await admin("GET", `/admin/logs?eventName=tell&${query}`)).data;
    const byUser = await logs("userId=42&limit=1000");
    assert.ok(byUser.length >= ids.length && byUser.every((row) => row.userId === "42"), JSON.stringify(byUser));
    assert.deepEqual(await logs("userId=nobody"), []);
    const filter = encodeURIComponent(JSON.stringify({ userId: { _eq: "42" } }));
    assert.equal((await logs(`filter=${filter}&limit=1000`)).length, byUser.length);

    const gone = Promise.all(sockets.slice(2, 4).map(disconnected));
    await run(sender, "end", { id: "auth0|42" });
    assert.deepEqual(await gone, ["io server disconnect", "io server disconnect"]);
    await settle(...sockets.slice(4), sender);
    assert.ok(sockets.slice(4).every((one) => one.connected), "nobody else's");
  },
  async "a token that runs out, and one that is renewed"() {
    await Promise.all(transports.map(async (options, number) => {
      const id = `short ${number}`;
      const local = await user();
      // A life that a slow machine gets through all of a step in, and that one can wait for.
      const exp = now() + 15;
      const ends = socket("/private", { ...options, auth: { token: token(id, { exp }) } });
      const seen = [];
      for (const event of ["token_expiring", "token_expired", "disconnect"]) ends.on(event, (packet) => seen.push([event, packet]));
      const renewed = await connect("/private", { ...options, auth: { token: token(id, { exp }) } });
      const kept = collect(renewed, "token_expired");
      for (const bad of [token("another"), token(id, { exp: now() - 1 }), local.token, "nonsense"]) {
        const answer = await ask(renewed, "token_refresh", { token: bad });
        assert.equal(answer.error?.code, "AUTH_INVALID", JSON.stringify(answer));
      }
      const answer = await ask(renewed, "token_refresh", { token: token(id, { name: "New name" }) });
      assert.equal(answer.ok, true, JSON.stringify(answer));
      await until(() => seen.length === 3, "warning, end, disconnect");
      assert.deepEqual(seen.map(([event]) => event), ["token_expiring", "token_expired", "disconnect"]);
      assert.equal(Date.parse(seen[1][1].expiredAt), exp * 1000);
      assert.equal(seen[2][1], "io server disconnect");
      await settle(renewed);
      assert.deepEqual(kept, []);
      assert.equal((await who(renewed)).name, "New name");
      const here = await connect("/private", { auth: { token: local.token } });
      assert.equal((await ask(here, "token_refresh", { token: token(id) })).error.code, "AUTH_INVALID");
    }));
  },
  async "what ends the sessions of others does not touch them"() {
    const foreign = [await connect("/private", of("42")), await connect("/public", of("42", { transports: ["polling"] }))];
    const local = await user();
    const theirs = await connect("/private", { auth: { token: local.token } });
    const gone = disconnected(theirs);
    await admin("POST", `/admin/users/${local.id}/revoke-tokens`);
    assert.equal(await gone, "io server disconnect", "the server has looked at all sessions");
    await settle(...foreign);
    assert.ok(foreign.every((one) => one.connected));
  },
  async "logging out ends their sockets"() {
    const theirs = [await connect("/private", of("42")), await connect("/public", of("42", { transports: ["polling"] }))];
    const other = await connect("/private", of("43"));
    const gone = Promise.all(theirs.map(disconnected));
    assert.equal((await call("POST", "/auth/logout", {}, { token: token("42") })).status, 204);
    assert.deepEqual(await gone, ["io server disconnect", "io server disconnect"]);
    await settle(other);
    assert.ok(other.connected, "nobody else's");
  },
  async "and no run was broken by any of this"() {
    assert.deepEqual((await admin("GET", "/admin/logs?code=INTERNAL_ERROR")).data, []);
  },
});
