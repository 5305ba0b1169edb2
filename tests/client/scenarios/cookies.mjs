// The session cookie at the socket: whose pages may use it. The server of this scenario allows
// any origin to connect, and trusts https://listed.example with cookies.
import assert from "node:assert/strict";
import { connect, connectError, gateway, run, scenario, url, user } from "../lib.mjs";

const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }, { transports: ["polling", "websocket"] }];
const INVALID = "AUTH_INVALID: Invalid authentication token";
const REQUIRED = "AUTH_REQUIRED: Authentication token required";
const WHO = { who: "if @USER == () { return (); } return @USER.email;" };
const FOREIGN = [
  "https://evil.example",
  "http://listed.example",
  "https://listed.example:8443",
  "https://sub.listed.example",
  "https://listed.example.evil.example",
  "null",
  url.replace(/\d+$/, "1"),
  url.replace("127.0.0.1", "localhost"),
];

const who = async (connected) => (await run(connected, "who")).result;

/** The headers of a page's request: where the page is from, if a browser says so, and its cookies. */
function page(origin, cookie) {
  return { extraHeaders: { ...(origin ? { origin } : {}), ...(cookie ? { cookie } : {}) } };
}

let someone;

await scenario({
  async "the cookie counts without an origin, for the same and for a listed one"() {
    someone = await user();
    await gateway("/private", WHO, { requireAuth: true });
    await gateway("/public", WHO);
    for (const options of transports) {
      for (const origin of [undefined, url, "https://listed.example"]) {
        for (const path of ["/private", "/public"]) {
          const connected = await connect(path, { ...options, ...page(origin, `accessToken=${someone.token}`) });
          assert.equal(await who(connected), someone.email, `${path} from ${origin}`);
        }
      }
    }
  },
  async "from a foreign origin it is as if there were none"() {
    for (const options of transports) {
      for (const origin of FOREIGN) {
        const foreign = { ...options, ...page(origin, `accessToken=${someone.token}`) };
        assert.equal(await connectError("/private", foreign), REQUIRED, origin);
        assert.equal(await who(await connect("/public", foreign)), null, origin);
        // What the page knows itself is no ride on the session.
        const connected = await connect("/private", { ...foreign, auth: { token: someone.token } });
        assert.equal(await who(connected), someone.email);
      }
    }
  },
  async "a stale cookie"() {
    for (const options of transports) {
      for (const token of ["nonsense", someone.refreshToken, `${someone.token}x`]) {
        const stale = { ...options, ...page(undefined, `accessToken=${token}`) };
        assert.equal(await connectError("/private", stale), INVALID);
        assert.equal(await who(await connect("/public", stale)), null);
      }
    }
  },
  async "which cookie it is"() {
    const found = [`a=b; accessToken=${someone.token}; c=d`, `accessToken=${someone.token}`, `c="x;y"; accessToken=${someone.token}`];
    for (const cookie of found) assert.equal(await who(await connect("/public", page(undefined, cookie))), someone.email, cookie);
    const none = [`xaccessToken=${someone.token}`, `accesstoken=${someone.token}`, `accessToken=`, `refreshToken=${someone.token}`];
    for (const cookie of none) {
      assert.equal(await who(await connect("/public", page(undefined, cookie))), null, cookie);
      assert.equal(await connectError("/private", page(undefined, cookie)), REQUIRED, cookie);
    }
  },
  async "a gateway with origins of its own"() {
    await gateway("/own/public", WHO, { allowedOrigins: ["https://own.example"] });
    await gateway("/own/private", WHO, { allowedOrigins: ["https://own.example"], requireAuth: true });
    const cookie = `accessToken=${someone.token}`;
    for (const options of transports) {
      for (const origin of [undefined, url, "https://own.example"]) {
        for (const path of ["/own/public", "/own/private"]) {
          assert.equal(await who(await connect(path, { ...options, ...page(origin, cookie) })), someone.email);
        }
      }
      for (const origin of ["https://listed.example", ...FOREIGN]) {
        for (const path of ["/own/public", "/own/private"]) {
          for (const auth of [{}, { token: someone.token }]) {
            const message = await connectError(path, { ...options, ...page(origin, cookie), auth });
            assert.match(message, /^ORIGIN_NOT_ALLOWED: ./, `${path} from ${origin}`);
          }
        }
      }
    }
  },
  async "a gateway open to any origin"() {
    await gateway("/any", WHO, { allowedOrigins: ["*"] });
    for (const options of transports) {
      const cookie = `accessToken=${someone.token}`;
      assert.equal(await who(await connect("/any", { ...options, ...page("https://evil.example", cookie) })), null);
      assert.equal(await who(await connect("/any", { ...options, ...page(url, cookie) })), someone.email);
      assert.equal(await who(await connect("/any", { ...options, ...page(undefined, cookie) })), someone.email);
    }
  },
});
