// Durable events with the official client: the ack after the commit, results, order, event ids, what fails, and jobs
// for later.
import assert from "node:assert/strict";
import { admin, ask, call, collect, connect, gateway, next, run, scenario, settle, until, user } from "../lib.mjs";

const UNLIMITED = { limits: { eventsPerSecond: 0 } };
const durable = (sourceCode, fields = {}) => ({ sourceCode, delivery: "durable", ...fields });
const status = (client, requestId) => ask(client, "job_status", { requestId });
const upTo = (count) => [...Array(count).keys()];

/** A table with a `n` and a text `who`, and how to read it. */
async function numbers(name) {
  await admin("POST", "/admin/tables", {
    name,
    columns: [{ name: "n", type: "integer" }, { name: "who", type: "string" }],
    access: { read: "admin" },
  });
  return async () => (await admin("GET", `/data/${name}?limit=1000&sort=createdAt,id`)).data;
}

await scenario({
  async "an event is acknowledged, handled and told; what came of it is kept"() {
    const rows = await numbers("kept");
    await gateway("/kept", {
      write: durable("@LOGS(@JOB.attempt); #kept.create(#{ data: #{ n: @BODY.n, who: @SOCKET.id } }); return #{ n: @BODY.n };"),
      say: durable("@SOCKET.reply(\"said\", @BODY); return @ARGS.len();"),
    });
    const client = await connect("/kept");
    const outcome = await run(client, "write", { n: 7 });
    assert.deepEqual([outcome.success, outcome.result, outcome.logs], [true, { n: 7 }, [1]]);
    assert.deepEqual((await rows()).map((row) => [row.n, row.who]), [[7, client.id]]);
    assert.deepEqual(await status(client, outcome.requestId), {
      ok: true, requestId: outcome.requestId, state: "done", result: { n: 7 },
    });
    const said = next(client, "said");
    assert.equal((await run(client, "say", { a: 1 }, 2)).result, 2);
    assert.deepEqual(await said, { a: 1 });
    assert.equal((await status(client, "0190a0a0-0000-7000-8000-000000000000")).error.code, "RESOURCE_NOT_FOUND");
    assert.equal((await status(client, "x")).error.code, "INVALID_PAYLOAD");
    const job = await admin("GET", `/admin/jobs/${outcome.requestId}`);
    assert.deepEqual([job.state, job.gateway, job.event, job.attempt], ["done", "/kept", "write", 1]);
  },

  async "what a handler makes is inserted with its end, and seen by itself before"() {
    const rows = await numbers("made");
    await admin("POST", "/admin/tables", { name: "hooked", columns: [{ name: "n", type: "integer" }], access: { read: "admin" } });
    await admin("POST", "/admin/hooks", {
      table: "hooked", when: "after", on: ["create"],
      sourceCode: "#made.create(#{ data: #{ n: @BODY.n + 1, who: \"hook\" } });",
    });
    await gateway("/made", {
      alone: durable("#made.create(#{ data: #{ n: 1, who: \"alone\" } });"),
      seen: durable(`
        #made.create(#{ data: #{ n: 2, who: "seen" } });
        let before = #made.count(#{ who: #{ _eq: "seen" } });
        #made.create(#{ data: #{ n: 2 + before, who: "seen" } });
        return #made.count(#{ who: #{ _eq: "seen" } });`),
      changed: durable(`
        let row = #made.create(#{ data: #{ n: 4, who: "changed" } });
        #made.update(#{ id: row.id, data: #{ n: 5 } });
        #made.create(#{ data: #{ n: 6, who: "changed" } });`),
      many: durable(`
        let data = [];
        for n in 0..30 { data.push(#{ n: n, who: "many" }); }
        for k in 0..3 { #made.createMany(#{ data: data }); }
        return #made.count(#{ who: #{ _eq: "many" } });`),
      later: durable("#made.create(#{ data: #{ n: 7, who: \"later\" } }); @JOB.after(0, \"/made\", \"alone\", 1);"),
      hooked: durable("#hooked.create(#{ data: #{ n: 8 } }); return 1;"),
      fails: durable("#made.create(#{ data: #{ n: 9, who: \"fails\" } }); throw \"no\";"),
    });
    const client = await connect("/made");
    assert.equal((await run(client, "alone", {})).success, true);
    assert.equal((await run(client, "seen", {})).result, 2);
    assert.equal((await run(client, "changed", {})).success, true);
    assert.equal((await run(client, "many", {})).result, 90);
    assert.equal((await run(client, "hooked", {})).success, true);
    assert.equal((await run(client, "fails", {})).success, false);
    assert.equal((await run(client, "later", {})).success, true);
    await until(async () => (await rows()).length === 98, async () => `98 rows: ${(await rows()).length}`);
    const of = async (who) => (await rows()).filter((row) => row.who === who).map(({ n }) => n);
    assert.deepEqual(
      [await of("alone"), await of("seen"), await of("changed"), await of("hook"), await of("fails"), await of("later")],
      [[1, 1], [2, 3], [5, 6], [9], [], [7]],
    );
  },

  async "durable and other events of one socket keep their order"() {
    const slow = "if @BODY.ms > 0 { @HELPERS.sleep(@BODY.ms); } return @BODY.n;";
    await gateway("/mixed", { memory: slow, kept: durable(slow) }, UNLIMITED);
    const client = await connect("/mixed");
    const seen = collect(client, "ws:result");
    for (let n = 0; n < 400; n++) {
      client.emit(n % 3 === 0 ? "memory" : "kept", { n, ms: n % 17 === 0 ? 3 : 0 });
      if (n % 50 === 49) await new Promise(setImmediate);
    }
    await until(() => seen.length >= 400, () => `400 results: ${seen.length}`);
    assert.deepEqual(seen.map(({ result }) => result), upTo(400));
  },

  async "an event id is taken once, and tells what came of the first"() {
    const rows = await numbers("once");
    await gateway("/once", { write: durable("#once.create(#{ data: #{ n: @BODY.n } }); return @BODY.n;") });
    const client = await connect("/once", { auth: { clientKey: "phone-1" } });
    const results = collect(client, "ws:result");
    const first = await ask(client, "write", { n: 1 }, { eventId: "order-1" });
    assert.ok(first.accepted && !first.duplicate, JSON.stringify(first));
    await until(() => results.length === 1);
    const again = await connect("/once", { auth: { clientKey: "phone-1" } });
    assert.deepEqual(await ask(again, "write", { n: 2 }, { eventId: "order-1" }), {
      accepted: true, queued: true, requestId: first.requestId, eventName: "write", duplicate: true, state: "done", result: 1,
    });
    const other = await connect("/once", { auth: { clientKey: "phone-2" } });
    assert.ok(!(await ask(other, "write", { n: 3 }, { eventId: "order-1" })).duplicate);
    await until(async () => (await rows()).length === 2);
    assert.equal((await ask(client, "write", { n: 4 }, { eventId: "" })).error.code, "INVALID_PAYLOAD");
    const both = await Promise.all([1, 2].map(() => ask(client, "write", { n: 5 }, { eventId: "order-2" })));
    assert.equal(both.filter((ack) => ack.duplicate).length, 1, JSON.stringify(both));
    assert.equal(both[0].requestId, both[1].requestId);
  },

  async "what a script throws is final; a mended script makes a dead letter good"() {
    const rows = await numbers("mended");
    const row = await gateway("/mended", {
      refuse: durable("#mended.create(#{ data: #{ n: 1 } }); @SOCKET.reply(\"early\", 1); @THROW.conflict(\"no\", #{ why: 1 });"),
      broken: durable("#mended.create(#{ data: #{ n: @BODY.n } }); let a = []; return a[@BODY.n];"),
    });
    const client = await connect("/mended");
    const early = collect(client, "early");
    const refused = await run(client, "refuse", {});
    assert.deepEqual([refused.success, refused.code, refused.message, refused.details], [false, "DUPLICATE_RESOURCE", "no", { why: 1 }]);
    assert.equal((await status(client, refused.requestId)).state, "failed");
    const broken = await run(client, "broken", { n: 3 });
    assert.equal(broken.code, "SCRIPT_EXECUTION_ERROR");
    const { state, error } = await status(client, broken.requestId);
    assert.deepEqual([state, error.code], ["dead", "SCRIPT_EXECUTION_ERROR"]);
    assert.deepEqual([await rows(), early], [[], []]);
    const dead = await admin("GET", "/admin/jobs?state=dead&gateway=/mended&event=broken");
    assert.deepEqual(dead.data.map((job) => [job.id, job.payload, job.attempts.length]), [[broken.requestId, { n: 3 }, 1]]);
    await admin("PATCH", `/admin/events/${row.events.broken.id}`, {
      sourceCode: "#mended.create(#{ data: #{ n: @BODY.n } }); return @JOB.attempt;",
    });
    const result = next(client, "ws:result");
    assert.deepEqual(await admin("POST", "/admin/jobs/retry", { ids: [broken.requestId] }), { retried: 1 });
    assert.deepEqual([(await result).requestId, (await result).result], [broken.requestId, 2]);
    assert.deepEqual((await rows()).map(({ n }) => n), [3]);
    assert.equal((await status(client, broken.requestId)).state, "done");
  },

  async "an attempt that asks for another holds back its own socket's durable events alone"() {
    await gateway("/again", {
      flaky: durable("if @JOB.attempt < 3 { @JOB.retry(500); } return @JOB.attempt;"),
      kept: durable("return \"kept\";"),
      memory: "return \"memory\";",
    });
    const client = await connect("/again");
    const seen = collect(client, "ws:result");
    // All at once: the others are there before the first is tried again.
    await Promise.all(["flaky", "kept", "memory"].map((event) => ask(client, event, {})));
    await until(() => seen.length === 3);
    assert.deepEqual(seen.map(({ result }) => result), ["memory", 3, "kept"]);
    const other = await connect("/again");
    assert.equal((await run(other, "kept", {})).result, "kept");
  },

  async "a paused gateway keeps its jobs"() {
    const row = await gateway("/paused", { kept: durable("return @BODY.n;") });
    const client = await connect("/paused");
    const seen = collect(client, "ws:result");
    await admin("POST", `/admin/gateways/${row.id}/pause`);
    for (const n of upTo(5)) assert.ok((await ask(client, "kept", { n })).accepted);
    await settle(client);
    assert.deepEqual(seen, []);
    assert.equal((await admin("GET", "/admin/jobs?state=waiting&gateway=/paused&meta=*")).meta.filterCount, 5);
    await admin("POST", `/admin/gateways/${row.id}/resume`);
    await until(() => seen.length === 5, () => `5 results: ${seen.length}`);
    assert.deepEqual(seen.map(({ result }) => result), upTo(5));
  },

  async "a user's events keep their order over sockets, and @USER is read again"() {
    await gateway("/user", {
      mine: durable("if @BODY.n == 0 && @JOB.attempt == 1 { @JOB.retry(100); } return [@BODY.n, @USER.name];", { orderBy: "user" }),
    }, { requireAuth: true });
    const ada = await user({ name: "Ada" });
    const [one, two] = [await connect("/user", { auth: { token: ada.token } }), await connect("/user", { auth: { token: ada.token } })];
    const seen = [...[one, two].map((client) => collect(client, "ws:result"))];
    await ask(one, "mine", { n: 0 });
    await ask(two, "mine", { n: 1 });
    const last = await ask(one, "mine", { n: 2 });
    await until(() => seen[0].length === 2 && seen[1].length === 1);
    assert.deepEqual([...seen[0], ...seen[1]].map(({ result }) => result), [[0, "Ada"], [2, "Ada"], [1, "Ada"]]);
    const asked = await call("GET", `/jobs/${last.requestId}`, undefined, { token: ada.token });
    assert.deepEqual([asked.status, asked.body.state, asked.body.result], [200, "done", [2, "Ada"]]);
    const eve = await user({ name: "Eve" });
    assert.equal((await call("GET", `/jobs/${last.requestId}`, undefined, { token: eve.token })).status, 404);
  },

  async "jobs for later: after, at, unique, cancel, in memory, in a transaction"() {
    await gateway("/later", {
      tell: "@SOCKET.emitToRoom(\"/later\", \"all\", \"told\", [@BODY, @USER == ()]); return @JOB.id;",
      enter: "@SOCKET.join(\"all\");",
      ask: "return @JOB.after(@BODY.ms, \"/later\", \"tell\", @BODY.what, @BODY.options);",
      at: "return @JOB.at(@HELPERS.now() + 20, \"/later\", \"tell\", \"at\");",
      cancel: "return @JOB.cancel(@BODY.id);",
      undone: "@TRANSACTION { @JOB.after(0, \"/later\", \"tell\", \"undone\"); throw \"no\"; }",
      both: durable("@JOB.after(0, \"/later\", \"tell\", \"with the event\"); return 1;"),
      unknown: "@JOB.after(0, \"/later\", \"nothing\", 1);",
    });
    const client = await connect("/later");
    const told = collect(client, "told");
    await run(client, "enter", {});
    const later = (ms, what, options = {}) => run(client, "ask", { ms, what, options });
    await later(10, "one");
    await until(() => told.length === 1);
    await later(600_000, "first", { unique: "seat" });
    await later(30, "second", { unique: "seat" });
    await until(() => told.length === 2);
    await run(client, "at", {});
    await until(() => told.length === 3);
    for (const durable of [true, false]) {
      const { result: id } = await later(600_000, "never", { durable });
      assert.equal((await run(client, "cancel", { id })).result, true);
      assert.equal((await run(client, "cancel", { id })).result, false);
    }
    await later(600_000, "lost", { durable: false, unique: "memory" });
    await later(10, "kept", { durable: false, unique: "memory" });
    await until(() => told.length === 4);
    assert.equal((await run(client, "undone", {})).success, false);
    await run(client, "both", {});
    await until(() => told.length === 5);
    assert.deepEqual(told.map(([what]) => what), ["one", "second", "at", "kept", "with the event"]);
    assert.equal((await run(client, "unknown", {})).code, "RESOURCE_NOT_FOUND");
    assert.equal((await later(1, "x", { uniqe: "a" })).code, "VALIDATION_ERROR");
  },

  async "a socket's own calls do not exist in a durable event"() {
    const calls = ["join(\"a\")", "set(\"a\", 1)", "disconnect()"];
    const events = calls.map((text, n) => [`e${n}`, durable(`@SOCKET.${text};`)]);
    await gateway("/refused", Object.fromEntries(events));
    const client = await connect("/refused");
    for (const [event] of events) {
      const { code, message } = await run(client, event, {});
      assert.equal(code, "SCRIPT_EXECUTION_ERROR");
      assert.match(message, /durable event/);
    }
  },
});
