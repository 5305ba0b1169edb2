// Calls and kept events through stops and kills of the server. Prints "round N" when it has connected for the Nth time
// and has calls on their way; the test ends the server then, and starts it again.
import assert from "node:assert/strict";
import { createRealtime } from "gatewright";
import { admin, gateway, until, url } from "../../../../tests/client/lib.mjs";

const ROUNDS = Number(process.env.GATEWRIGHT_TEST_ROUNDS);
const EACH = 20;
await admin("POST", "/admin/tables", { name: "sale", columns: [{ name: "n", type: "integer" }], access: { read: "admin" } });
await gateway("/shop", {
  enter: "@SOCKET.join(@BODY.room); return @SOCKET.id;",
  told: "@SOCKET.emitToCurrentRoom(\"all\", \"news\", @BODY); return 1;",
  buy: { delivery: "durable", sourceCode: "#sale.create(#{ data: #{ n: @BODY.n } }); return @BODY.n;" },
});

const rt = createRealtime(url, { socket: { reconnectionDelay: 50, reconnectionDelayMax: 200 } });
const states = [];
rt.on("connection", ({ state }) => states.push(state));
rt.on("error", ({ code }) => assert.match(code, /^(CONNECTION_FAILED|UNAVAILABLE)$/));
const shop = rt.gateway("/shop");
const ids = [];
const news = [];
shop.on("news", (n) => news.push(n));
shop.keep("enter", { room: "all" }, (id) => ids.push(id));

let n = 0;
const all = [];
for (let round = 1; round <= ROUNDS; round++) {
  await until(() => ids.length >= round && shop.state === "connected", `connection ${round}: ${states}`);
  // In the room again: what is told there arrives. A call that is lost with the connection may be made again.
  await until(async () => (await shop.call("told", round).catch(() => 0)) && news.includes(round), "the news");
  for (let k = 0; k < EACH; k++) {
    const number = n++;
    all.push(shop.call("buy", { n: number }, { eventId: `sale-${number}`, timeoutMs: 0 }).then((sold) => assert.equal(sold, number)));
  }
  console.log(`round ${round}`);
  if (round < ROUNDS) await until(() => shop.state !== "connected" || ids.length > round, "the end of the server");
}
await Promise.all(all);
const { data } = await admin("GET", `/data/sale?limit=1000&sort=n`);
assert.deepEqual(data.map(({ n }) => n), [...Array(n).keys()]);
assert.equal(new Set(ids).size, ids.length);
assert.ok(!states.includes("disconnected"), states.join());
rt.close();
console.log("each once");
