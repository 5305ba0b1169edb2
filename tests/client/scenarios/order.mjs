// Order and parallelism: what one socket sends comes back in that order, once; sockets do not wait for each other.
import assert from "node:assert/strict";
import { admin, ask, collect, connect, gateway, next, run, scenario, settle, socket, until } from "../lib.mjs";

const UNLIMITED = { limits: { eventsPerSecond: 0 } };
const transports = [{ transports: ["websocket"] }, { transports: ["polling"] }, { transports: ["polling", "websocket"] }];
// Sleeps as told, and fails where told.
const SLOW = "if @BODY.ms > 0 { @HELPERS.sleep(@BODY.ms); } if @BODY.fails { throw `${@BODY.n}`; } return @BODY.n;";

/** The numbers of all results and errors, in the order in which they came. */
function numbers(of) {
  const all = [];
  of.on("ws:result", ({ result }) => all.push(result));
  of.on("ws:error", ({ message }) => all.push(Number(message)));
  return all;
}

const upTo = (count) => [...Array(count).keys()];

await scenario({
  async "2,000 events of one socket come back in order, once each, on every transport"() {
    await gateway("/order", { slow: SLOW }, UNLIMITED);
    for (const options of transports) {
      const client = await connect("/order", options);
      const [seen, acked] = [numbers(client), []];
      for (let n = 0; n < 2000; n++) {
        const payload = { n, ms: Math.random() < 0.3 ? Math.ceil(Math.random() * 2) : 0, fails: n % 7 === 3 };
        client.emit("slow", payload, (ack) => { assert.ok(ack.accepted, JSON.stringify(ack)); acked.push(n); });
        // A client that sends as it goes, not all in one packet.
        if (n % 50 === 49) await new Promise(setImmediate);
      }
      await until(() => seen.length >= 2000, `2,000 results over ${options.transports}`);
      await settle(client);
      assert.deepEqual(seen, upTo(2000));
      assert.deepEqual(acked, upTo(2000));
      assert.ok(client.connected);
      client.disconnect();
    }
  },

  async "across the upgrade from polling to websocket, blobs among them"() {
    await gateway("/upgrade", { slow: SLOW, blob: "return @BODY.n[0] * 256 + @BODY.n[1];" }, UNLIMITED);
    for (let round = 0; round < 5; round++) {
      const client = socket("/upgrade", { transports: ["polling", "websocket"] });
      const seen = numbers(client);
      let upgraded = false;
      client.io.engine.once("upgrade", () => { upgraded = true; });
      await next(client, "connect");
      let n = 0;
      const send = () => {
        if (n % 5 === 2) client.emit("blob", { n: Buffer.from([n >> 8, n & 255]) });
        else client.emit("slow", { n, ms: n % 3 === 0 ? 1 : 0, fails: n % 11 === 4 });
        n += 1;
      };
      await until(() => {
        for (let i = 0; i < 5; i++) send();
        return upgraded && n > 300;
      }, "the upgrade");
      for (let i = 0; i < 200; i++) send();
      await until(() => seen.length >= n, "all results");
      await settle(client);
      assert.deepEqual(seen, upTo(n));
      client.disconnect();
    }
  },

  async "emits leave in the order of the calls, the result last"() {
    await gateway("/emits", { emits: "for i in 0..200 { @SOCKET.reply(\"n\", i); if i % 50 == 0 { @SOCKET.reply(\"n\", blob(1, 1)); } } return \"last\";" });
    for (const options of transports) {
      const client = await connect("/emits", options);
      const seen = [];
      client.on("n", (n) => seen.push(typeof n === "number" ? n : "blob"));
      client.on("ws:result", ({ result }) => seen.push(result));
      client.emit("emits");
      await until(() => seen.includes("last"), "the result");
      assert.deepEqual(seen, [...upTo(200).flatMap((n) => (n % 50 === 0 ? [n, "blob"] : [n])), "last"]);
    }
  },

  async "emits to a crowd keep the order of the calls for everybody, the result last"() {
    const source = "for i in 0..100 { @SOCKET.emitToCurrentRoom(\"crowd\", \"n\", 2 * i); @SOCKET.reply(\"n\", 2 * i + 1); @SOCKET.emitToGateway(\"/crowd\", \"n\", 2 * i); } return \"last\";";
    await gateway("/crowd", { join: "@SOCKET.join(\"crowd\");", emits: source }, UNLIMITED);
    for (const size of [3, 60, 200]) {
      const crowd = await Promise.all(upTo(size).map(() => connect("/crowd")));
      const seen = crowd.map((one) => collect(one, "n"));
      await Promise.all(crowd.map((one) => run(one, "join")));
      crowd[0].on("ws:result", ({ result }) => seen[0].push(result));
      crowd[0].emit("emits");
      await until(() => seen[0].includes("last") && seen.every((all) => all.length >= 200), "all emits");
      assert.deepEqual(seen[0], [...upTo(100).flatMap((n) => [2 * n, 2 * n + 1, 2 * n]), "last"]);
      for (const all of seen.slice(1)) assert.deepEqual(all, upTo(100).flatMap((n) => [2 * n, 2 * n]));
      crowd.forEach((one) => one.disconnect());
    }
  },

  async "a socket with 5,000 waiting jobs delays no other"() {
    // They wait until they are let go, however long the others take.
    const slow = "while @SOCKET.roomSize(\"hold\") > 0 { @HELPERS.sleep(2); } return @BODY;";
    const events = { slow: { sourceCode: slow, timeoutMs: 600000 }, quick: "return @BODY;", hold: "@SOCKET.join(\"hold\");" };
    await gateway("/long", events, UNLIMITED);
    await gateway("/other", { quick: "return @BODY;" });
    const [busy, same, other] = [await connect("/long"), await connect("/long"), await connect("/other")];
    const guard = await connect("/long");
    await run(guard, "hold");
    const seen = numbers(busy);
    // In pieces: how many acks may wait at once is another matter.
    for (let n = 0; n < 5000; n += 500) {
      const acks = await Promise.all(upTo(500).map((more) => ask(busy, "slow", n + more)));
      assert.ok(acks.every(({ accepted }) => accepted), "all are accepted");
    }
    for (let n = 0; n < 20; n++) {
      assert.equal((await run(same, "quick", n)).result, n);
      assert.equal((await run(other, "quick", n)).result, n);
    }
    assert.equal(seen.length, 0, "they still wait");
    guard.disconnect();
    await until(() => seen.length >= 5000, "the waiting jobs");
    await settle(busy);
    assert.deepEqual(seen, upTo(5000));
  },

  async "sockets run in parallel, and one gateway leaves workers to others"() {
    const meet = "@CACHE.incr(\"met\"); while @CACHE.get(\"met\") < 3 { @HELPERS.sleep(1); } return \"met\";";
    const wait = "while @SOCKET.roomSize(\"hold\") > 0 { @HELPERS.sleep(2); } return \"waited\";";
    await gateway("/parallel", { meet: { sourceCode: meet, timeoutMs: 600000 }, hold: "@SOCKET.join(\"hold\");", wait: { sourceCode: wait, timeoutMs: 600000 } });
    await gateway("/free", { quick: "return @BODY;" });
    const three = await Promise.all(upTo(3).map(() => connect("/parallel")));
    const met = await Promise.all(three.map((client) => run(client, "meet")));
    assert.deepEqual(met.map(({ result }) => result), ["met", "met", "met"]);
    const guard = await connect("/parallel");
    await run(guard, "hold");
    const busy = await Promise.all(upTo(12).map(() => connect("/parallel")));
    const seen = busy.map(numbers);
    for (const ack of await Promise.all(busy.map((client) => ask(client, "wait")))) assert.ok(ack.accepted);
    const free = await connect("/free");
    for (let n = 0; n < 20; n++) assert.equal((await run(free, "quick", n)).result, n);
    assert.equal(seen.flat().length, 0, "they still wait");
    guard.disconnect();
    await until(() => seen.every((all) => all.length === 1), "the held back jobs");
  },

  async "jobs of a socket that has gone still run"() {
    const source = "@HELPERS.sleep(2); @SOCKET.reply(\"nobody\", 1); @SOCKET.emitToRoom(\"watch\", \"ran\", @BODY); return @BODY;";
    await gateway("/gone", { work: source, watch: "@SOCKET.join(\"watch\");" });
    for (const options of transports) {
      const [watcher, worker] = [await connect("/gone"), await connect("/gone", options)];
      await run(watcher, "watch");
      const ran = collect(watcher, "ran");
      const acks = await Promise.all(upTo(100).map((n) => ask(worker, "work", n)));
      assert.ok(acks.every(({ accepted }) => accepted));
      worker.disconnect();
      await until(() => ran.length >= 100, "the jobs of the socket that has gone");
      await settle(watcher);
      assert.deepEqual(ran, upTo(100));
      watcher.disconnect();
    }
  },

  async "jobs of a gateway that has been deleted still run"() {
    const source = "@HELPERS.sleep(2); @SOCKET.emitToGateway(\"/watchers\", \"ran\", @BODY); return @BODY;";
    const doomed = await gateway("/doomed", { work: source });
    await gateway("/watchers");
    const [watcher, worker] = [await connect("/watchers"), await connect("/doomed")];
    const ran = collect(watcher, "ran");
    const acks = await Promise.all(upTo(100).map((n) => ask(worker, "work", n)));
    assert.ok(acks.every(({ accepted }) => accepted));
    await admin("DELETE", `/admin/gateways/${doomed.id}`);
    await until(() => ran.length >= 100, "the jobs of the gateway that has gone");
    assert.deepEqual(ran, upTo(100));
  },

  async "a client that reads is not taken for one that does not, however much it sends at once"() {
    await gateway("/eager", { echo: "return @BODY;" }, { limits: { eventsPerSecond: 0, messageBytes: 0 } });
    const client = await connect("/eager");
    const seen = numbers(client);
    const gone = next(client, "disconnect").then((reason) => { throw new Error(`disconnected: ${reason}`); });
    const acks = await Promise.race([gone, Promise.all(upTo(5000).map((n) => ask(client, "echo", n)))]);
    assert.ok(acks.every(({ accepted }) => accepted));
    await until(() => seen.length >= 5000, "the results");
    assert.deepEqual(seen, upTo(5000));
  },
});
