// Topics: subscriptions with filters, who gets what, in which order, and when they end.
import assert from "node:assert/strict";
import { admin, call, collect, connect, gateway, next, run, scenario, settle, until } from "../lib.mjs";

const mixed = [{ transports: ["websocket"] }, { transports: ["polling"] }];
const EVENTS = {
  subscribe: "return @SOCKET.subscribe(@BODY.topic, @HELPERS.filter(@BODY.filter));",
  careless: "return @SOCKET.subscribe(@BODY.topic, @BODY.filter);",
  mine: "return @SOCKET.subscribe(\"mine\", #{ owner: @BODY });",
  unsubscribe: "return @SOCKET.unsubscribe(@BODY);",
  publish: "@SOCKET.publish(@BODY.topic, @BODY.data);",
  elsewhere: "@SOCKET.publish(@BODY.path, @BODY.topic, @BODY.data);",
  many: "for n in 0..@BODY { @SOCKET.publish(\"order\", n); @SOCKET.emitToCurrentRoom(\"order\", \"n\", n); }",
  join: "@SOCKET.join(@BODY);",
};

async function value(client, event, payload) {
  const outcome = await run(client, event, payload);
  assert.equal(outcome.success, true, JSON.stringify(outcome));
  return outcome.result;
}

async function refused(client, event, payload) {
  const { success, code, message } = await run(client, event, payload);
  assert.equal(success, false);
  return [code, message];
}

await scenario({
  async "an event comes to each subscription whose filter it meets"() {
    await gateway("/topics", EVENTS);
    for (const options of mixed) {
      const [publisher, all, some, none, elsewhere] = await Promise.all(
        ["/topics", "/topics", "/topics", "/topics", "/topics"].map((path) => connect(path, options)),
      );
      const heard = [all, some, none, elsewhere].map((one) => collect(one, "event"));
      const whole = await value(all, "subscribe", { topic: "prices" });
      const low = await value(some, "subscribe", { topic: "prices", filter: { price: { _lt: 5 } } });
      const alike = await value(some, "subscribe", { topic: "prices", filter: { _or: [{ symbol: { _in: ["A", "B"] } }, { symbol: "C" }] } });
      await value(none, "subscribe", { topic: "prices", filter: { price: { _gt: 100 } } });
      await value(elsewhere, "subscribe", { topic: "price" });
      for (const data of [{ symbol: "A", price: 7 }, { symbol: "X", price: 1 }, 5, null, ["A"]]) await value(publisher, "publish", { topic: "prices", data });
      await settle(all, some, none, elsewhere);
      const brief = (packets) => packets.map(({ subscriptionId, topic, data }) => [subscriptionId, topic, data]);
      assert.deepEqual(brief(heard[0]), [{ symbol: "A", price: 7 }, { symbol: "X", price: 1 }, 5, null, ["A"]].map((data) => [whole, "prices", data]));
      assert.deepEqual(brief(heard[1]), [[alike, "prices", { symbol: "A", price: 7 }], [low, "prices", { symbol: "X", price: 1 }]]);
      assert.deepEqual([heard[2], heard[3]], [[], []]);
      const { timestamp, ...rest } = heard[0][0];
      assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.deepEqual(Object.keys(rest).sort(), ["data", "subscriptionId", "topic"]);
      for (const one of [publisher, all, some, none, elsewhere]) one.disconnect();
    }
  },
  async "a topic is its gateway's"() {
    await gateway("/topics/other", EVENTS);
    const [here, there] = [await connect("/topics"), await connect("/topics/other")];
    const heard = [here, there].map((one) => collect(one, "event"));
    for (const one of [here, there]) await value(one, "subscribe", { topic: "news" });
    await value(here, "publish", { topic: "news", data: 1 });
    await value(here, "elsewhere", { path: "/topics/other", topic: "news", data: 2 });
    assert.equal((await refused(here, "elsewhere", { path: "/nowhere", topic: "news", data: 3 }))[0], "RESOURCE_NOT_FOUND");
    const publish = async (sourceCode) => {
      const route = await admin("POST", "/admin/routes", { method: "POST", path: "/news", access: "public", sourceCode });
      assert.equal((await call("POST", "/news", {})).status, 200);
      await admin("DELETE", `/admin/routes/${route.id}`);
    };
    await publish("@SOCKET.publish(\"/topics\", \"news\", 4);");
    await publish("@SOCKET.publish(\"news\", 5);");
    await settle(here, there);
    assert.deepEqual(heard.map((all) => all.map(({ data }) => data)), [[1, 4, 5], [2, 5]]);
  },
  async "a subscription ends once, with unsubscribe or with its socket"() {
    const [one, other] = [await connect("/topics"), await connect("/topics")];
    const heard = collect(one, "event");
    const id = await value(one, "subscribe", { topic: "ends" });
    const stays = await value(one, "subscribe", { topic: "ends" });
    assert.notEqual(id, stays);
    for (const not of [id, "nonsense", "01890000-0000-7000-8000-00000000000a"]) assert.equal(await value(other, "unsubscribe", not), false, "another's");
    assert.equal(await value(one, "unsubscribe", id), true);
    assert.equal(await value(one, "unsubscribe", id), false);
    await value(other, "publish", { topic: "ends", data: 1 });
    await settle(one);
    assert.deepEqual(heard.map(({ subscriptionId }) => subscriptionId), [stays]);
    one.disconnect();
    await value(other, "publish", { topic: "ends", data: 2 });
    const again = await connect("/topics");
    const late = collect(again, "event");
    await value(other, "publish", { topic: "ends", data: 3 });
    await settle(again);
    assert.deepEqual(late, []);
  },
  async "the order of one publisher, among its emits to rooms too"() {
    const [publisher, listener] = [await connect("/topics"), await connect("/topics", mixed[1])];
    await value(listener, "subscribe", { topic: "order" });
    await value(listener, "join", "order");
    const heard = [];
    listener.on("event", ({ data }) => heard.push(data));
    listener.on("n", (n) => heard.push(n));
    for (let round = 0; round < 5; round++) {
      await value(publisher, "many", 200);
      await settle(listener);
      assert.deepEqual(heard.splice(0), Array.from({ length: 400 }, (_, index) => index >> 1));
    }
  },
  async "rooms and topics count together"() {
    await gateway("/few", EVENTS, { limits: { subscriptionsPerConnection: 3 } });
    const client = await connect("/few");
    const limited = collect(client, "rate_limited");
    await value(client, "join", "a");
    await value(client, "join", "b");
    const id = await value(client, "subscribe", { topic: "t" });
    assert.deepEqual(await refused(client, "subscribe", { topic: "t" }), ["RATE_LIMIT_EXCEEDED", "More than 3 rooms and topics for one connection; leave one first"]);
    assert.equal((await refused(client, "join", "c"))[0], "RATE_LIMIT_EXCEEDED");
    await settle(client);
    assert.deepEqual(limited, Array(2).fill({ message: "Too many subscriptions", limit: 3, retryAfterMs: 0 }));
    await value(client, "unsubscribe", id);
    await value(client, "join", "c");
  },
  async "what is no topic and no filter"() {
    const client = await connect("/topics");
    for (const topic of ["", "x".repeat(257), "x".repeat(10_000)]) {
      assert.deepEqual(await refused(client, "subscribe", { topic }), ["VALIDATION_ERROR", "a topic has 1 to 256 bytes"]);
      assert.deepEqual(await refused(client, "publish", { topic, data: 1 }), ["VALIDATION_ERROR", "a topic has 1 to 256 bytes"]);
    }
    for (const topic of [null, {}, [], true]) assert.equal((await refused(client, "subscribe", { topic }))[0], "VALIDATION_ERROR");
    for (const topic of ["a:b", "*", "a/b", "\"'`", "${x}", "🦀", "__proto__", "x".repeat(256), 7]) {
      const heard = next(client, "event");
      await value(client, "subscribe", { topic });
      await value(client, "publish", { topic, data: topic });
      assert.deepEqual([(await heard).topic, (await heard).data], [String(topic), topic]);
    }
    for (const filter of [{ a: { _what: 1 } }, { _and: 1 }, { a: { _contains: 5 } }, { a: "x".repeat(5000) }, "text", [], 7]) {
      assert.equal((await refused(client, "subscribe", { topic: "t", filter }))[0], "VALIDATION_ERROR", JSON.stringify(filter).slice(0, 50));
    }
    let deep = {};
    for (let depth = 0; depth < 30; depth++) deep = { _not: deep };
    assert.equal((await refused(client, "subscribe", { topic: "t", filter: deep }))[0], "VALIDATION_ERROR");
  },
  async "a client's values are no operators, unless a script lets them"() {
    const client = await connect("/topics");
    assert.equal((await refused(client, "careless", { topic: "t", filter: { a: 1 } }))[0], "VALIDATION_ERROR");
    const heard = collect(client, "event");
    await value(client, "mine", { _neq: "" });
    await value(client, "publish", { topic: "mine", data: { owner: "somebody" } });
    await settle(client);
    assert.deepEqual(heard, []);
  },
  async "blobs, and test runs"() {
    const client = await connect("/topics");
    await value(client, "subscribe", { topic: "files", filter: { name: "a" } });
    const heard = next(client, "event");
    await value(client, "publish", { topic: "files", data: { name: "a", bytes: Buffer.from([1, 2]) } });
    assert.deepEqual((await heard).data, { name: "a", bytes: Buffer.from([1, 2]) });
    const script = "let id = @SOCKET.subscribe(\"t\", #{ a: 1 }); @SOCKET.publish(\"t\", 5); return @SOCKET.unsubscribe(id);";
    const { result, emitted } = await admin("POST", "/admin/test/run", { kind: "websocket_event", eventName: "e", script });
    assert.equal(result, true);
    assert.deepEqual(emitted.slice(0, 2), [{ method: "subscribe", args: ["t", { a: 1 }] }, { method: "publish", args: ["t", 5] }]);
    assert.equal(emitted[2].method, "unsubscribe");
    const route = { kind: "http_route", method: "POST", path: "/x", script: "@SOCKET.subscribe(\"t\");" };
    assert.match((await admin("POST", "/admin/test/run", route)).error.message, /needs a socket/);
  },
  async "many of them come and go at once"() {
    const clients = await Promise.all(Array.from({ length: 20 }, (_, index) => connect("/topics", mixed[index % 2])));
    const heard = clients.map((client) => collect(client, "event"));
    const publisher = await connect("/topics");
    for (let round = 0; round < 5; round++) {
      const filter = (index) => ({ n: { _lt: index % 3 } });
      const ids = await Promise.all(clients.map((client, index) => value(client, "subscribe", { topic: "crowd", filter: filter(index) })));
      await value(publisher, "publish", { topic: "crowd", data: { n: 0 } });
      await settle(...clients);
      assert.deepEqual(heard.map((all) => all.splice(0).length), clients.map((_, index) => (index % 3 > 0 ? 1 : 0)));
      await Promise.all(clients.map((client, index) => value(client, "unsubscribe", ids[index])));
      await value(publisher, "publish", { topic: "crowd", data: { n: 0 } });
    }
    await settle(...clients);
    assert.deepEqual(heard.flat(), []);
  },
  async "and no run was broken by any of this"() {
    assert.deepEqual((await admin("GET", "/admin/logs?code=INTERNAL_ERROR")).data, []);
  },
});
