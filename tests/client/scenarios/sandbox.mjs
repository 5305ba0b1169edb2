// Hostile scripts: each ends with its code, and nobody else notices. A handler may leave 200,000 bytes behind here.
import assert from "node:assert/strict";
import { admin, ask, collect, connect, gateway, run, scenario, settle, tryAdmin, until } from "../lib.mjs";

const [TIME, MEMORY, OPERATIONS, OUTPUT, OTHER] = ["SCRIPT_TIMEOUT", "SCRIPT_MEMORY_LIMIT", "SCRIPT_OPERATION_LIMIT", "SCRIPT_OUTPUT_LIMIT", "SCRIPT_EXECUTION_ERROR"];
const UNLIMITED = { limits: { eventsPerSecond: 0 } };
const BIG = "let s = \"x\"; s.pad(1000000, \"y\");";

/** Scripts and the codes with which they may end. What is over a cap first depends on the machine. */
const HOSTILE = {
  "infinite loop": ["loop {}", TIME, OPERATIONS],
  "loop in a function": ["fn f() { while true { let x = 1; } } f()", TIME, OPERATIONS],
  "loop in a sort": ["let a = [3, 1, 2]; a.sort(|x, y| { loop {} });", TIME, OPERATIONS],
  "a caught loop": ["loop { try { loop {} } catch (e) {} }", TIME, OPERATIONS],
  "a long range": ["let n = 0; for i in 0..1000000000 { n += i; } n", TIME, OPERATIONS],
  "a search in a long range": ["(0..9000000000).contains(-1); let n = 0; for i in 0..9000000000 { n += 1; } n", TIME, OPERATIONS],
  sleep: ["@HELPERS.sleep(100000); return \"awake\";", TIME],
  "a caught sleep": ["try { @HELPERS.sleep(100000); } catch (e) {} return \"awake\";", TIME],
  "many sleeps": ["loop { @HELPERS.sleep(1); }", TIME, OPERATIONS],
  "string growth": ["let s = \"x\"; loop { s += s; }", MEMORY, TIME],
  "string growth by pad": [`${BIG} let t = ""; loop { t.pad(1000000000, s); }`, MEMORY, TIME],
  "many strings": ["let a = []; for i in 0..9999 { let s = \"x\"; s.pad(1000000, \"y\"); a.push(s + i); }", MEMORY, TIME],
  "array growth": ["let a = [1]; loop { a += a; }", MEMORY, TIME, OPERATIONS],
  "array growth by push": ["let a = []; loop { a.push(1); }", MEMORY, TIME, OPERATIONS],
  "array growth inside": ["let a = [[]]; loop { a[0].push(1); }", MEMORY, TIME, OPERATIONS],
  "array growth by pad": ["let a = []; a.pad(100000000, 1);", MEMORY, TIME],
  "map growth": ["let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }", MEMORY, TIME, OPERATIONS],
  "blob growth": ["let b = blob(1000, 1); loop { b.append(b); }", MEMORY, TIME, OPERATIONS],
  "a large blob": ["let b = blob(1000000000, 1); b.len()", MEMORY, TIME, OTHER],
  "many blobs": ["let a = []; loop { a.push(blob(9000, 1)); }", MEMORY, TIME, OPERATIONS],
  "deep array": ["let a = []; loop { a = [a]; }", MEMORY, TIME, OPERATIONS],
  "deep map": ["let m = #{}; loop { m = #{ m: [m] }; }", MEMORY, TIME, OPERATIONS],
  "deep array as text": ["let a = []; for i in 0..9000 { a = [a]; } `${a}`", MEMORY, TIME, OUTPUT],
  "deep arrays compared": ["let a = []; let b = []; for i in 0..9000 { a = [a]; b = [b]; } a == b", MEMORY, TIME],
  "a deep result": ["let a = []; for i in 0..100 { a = [a]; } return a;", OUTPUT, TIME],
  "a deep emit": ["let a = []; for i in 0..100 { a = #{ a: a }; } @SOCKET.reply(\"e\", a);", OUTPUT, TIME],
  "deep details": ["let a = []; for i in 0..100 { a = [a]; } @THROW.badRequest(\"m\", a);", OUTPUT, TIME],
  "closures that nest": ["let f = |x| x; for i in 0..1000000 { let g = f; f = |x| g.call(x); } f.call(1)", MEMORY, TIME, OPERATIONS, OTHER],
  recursion: ["fn f(n) { f(n + 1) } f(0)", OPERATIONS],
  "recursion of two": ["fn f(n) { g(n + 1) } fn g(n) { f(n + 1) } f(0)", OPERATIONS],
  "recursion of a closure": ["fn f(g, n) { g.call(g, n + 1) } f(|g, n| f(g, n), 0)", OPERATIONS, OTHER],
  "huge logs": ["loop { @LOGS(\"a line of text that fills the log sooner or later, and rather sooner\"); }", OUTPUT],
  "a huge log entry": [`${BIG} @LOGS(s);`, OUTPUT],
  "huge prints": ["loop { print(\"a line of text that fills the log sooner or later, and rather sooner\"); }", OUTPUT],
  "a huge result": [`${BIG} return [s, s];`, OUTPUT],
  "a huge result of shared parts": [`${BIG} let a = []; for i in 0..1000 { a.push(s); } return a;`, OUTPUT, MEMORY, TIME],
  "a huge emit": [`${BIG} @SOCKET.reply("e", [s, s]);`, OUTPUT],
  "a flood of emits": ["loop { @SOCKET.reply(\"hostile\", 1); }", OUTPUT],
  "a caught flood": ["loop { try { @SOCKET.reply(\"hostile\", 1); } catch (e) {} }", OUTPUT],
  "a flood of broadcasts": ["loop { @SOCKET.emitToCurrentRoom(\"nobody\", \"hostile\", 1); }", OUTPUT],
  "text work": ["let s = \"a\"; s.pad(1000000, \"a\"); loop { s.contains(\"ab\"); s.index_of(\"aaaaaaaaaaaaaaaaab\"); s.split(\"b\"); s.to_upper(); }", TIME, MEMORY, OPERATIONS],
  "text that explodes": ["let s = \"a\"; s.pad(1000000, \"a\"); let t = s; s.replace(\"a\", t); return s.len();", MEMORY, TIME],
  "an array as json": [`${BIG} let a = []; for i in 0..9999 { a.push(s); } #{ a: a }.to_json()`, MEMORY, OUTPUT, TIME],
  "a function as result": ["return |x| x;", OTHER],
  "a function that holds itself": ["let m = #{}; m.f = || m; m.f.call()", OTHER, OPERATIONS],
  "many joins": ["for i in 0..100000 { @SOCKET.join(`room ${i}`); }", "RATE_LIMIT_EXCEEDED"],
  "many values": [`${BIG} loop { for i in 0..1000 { @SOCKET.set(\`k\${i}\`, s); } }`, OUTPUT, MEMORY, TIME],
  "a full cache": [`${BIG} for i in 0..1000 { @CACHE.set(\`k\${i}\`, s + i); } loop {}`, OUTPUT, MEMORY, TIME, OPERATIONS],
};

/** Events of all hostile scripts: with a short time where the time may end them, else with enough of it. */
const events = () => Object.fromEntries(Object.entries(HOSTILE).map(([name, [sourceCode, ...codes]]) => [name, { sourceCode, timeoutMs: codes.includes(TIME) ? 300 : 20000 }]));

/** Runs one hostile event; it must end with one of its codes. */
async function suffer(client, name) {
  const [, ...codes] = HOSTILE[name];
  const outcome = await run(client, name);
  assert.equal(outcome.success, false, `${name}: ${JSON.stringify(outcome).slice(0, 300)}`);
  assert.ok(codes.includes(outcome.code), `${name} ended with ${outcome.code}: ${outcome.message}`);
  assert.ok(outcome.message.length > 0 && outcome.message.length < 500);
}

/** Runs a good event again and again until it is stopped; gives back how often. */
function goOn(client) {
  let isDone = false;
  const loop = (async () => {
    let count = 0;
    for (; !isDone; count++) {
      const outcome = await run(client, "work", { n: count });
      assert.deepEqual([outcome.success, outcome.result], [true, { n: count, sum: 4950 }]);
    }
    return count;
  })();
  loop.catch(() => {});
  return () => { isDone = true; return loop; };
}

const GOOD = { work: "let sum = 0; for i in 0..100 { sum += i; } @SOCKET.reply(\"worked\", sum); return #{ n: @BODY.n, sum: sum };" };

await scenario({
  async "each hostile script ends with its code, once, while others go on"() {
    await gateway("/good", GOOD, UNLIMITED);
    await gateway("/hostile", { ...events(), ...GOOD }, UNLIMITED);
    const [good, neighbour, hostile] = [await connect("/good"), await connect("/hostile"), await connect("/hostile")];
    const errors = collect(hostile, "ws:error");
    const [stopGood, stopNeighbour] = [goOn(good), goOn(neighbour)];
    for (const name of Object.keys(HOSTILE)) await suffer(hostile, name);
    await settle(hostile);
    assert.equal(errors.length, Object.keys(HOSTILE).length, "exactly one ws:error for each");
    assert.ok((await stopGood()) > 0 && (await stopNeighbour()) > 0);
    assert.ok(hostile.connected && good.connected && neighbour.connected);
    assert.equal((await run(hostile, "work", { n: 1 })).success, true);
  },

  async "all of them at once, from ten sockets"() {
    const hostile = await Promise.all([...Array(10)].map((_, n) => connect("/hostile", n % 3 === 2 ? { transports: ["polling"] } : {})));
    const good = [await connect("/good"), await connect("/good", { transports: ["polling"] })];
    const stops = good.map(goOn);
    const names = Object.keys(HOSTILE);
    // Each of the ten begins elsewhere, so that different scripts meet; all are queued at once.
    await Promise.all(hostile.map(async (client, n) => {
      const mine = names.filter((_, index) => index % 5 === n % 5);
      await Promise.all([...mine.slice(n % mine.length), ...mine.slice(0, n % mine.length)].map((name) => suffer(client, name)));
    }));
    for (const stop of stops) assert.ok((await stop()) > 0, "the good gateway answered meanwhile");
    for (const client of hostile) assert.equal((await run(client, "work", { n: 1 })).result.sum, 4950);
  },

  async "afterwards everything still works"() {
    const stats = await admin("GET", "/admin/stats");
    assert.ok(stats, "the admin API answers");
    await gateway("/after", GOOD);
    assert.equal((await run(await connect("/after"), "work", { n: 7 })).result.n, 7);
    for (const { id } of (await admin("GET", "/admin/gateways?limit=1000")).data) {
      const { data } = await admin("GET", `/admin/gateways/${id}/events?limit=1000`);
      for (const event of data) {
        if (event.eventName !== "a function that holds itself") assert.equal(event.suspended, null, `${event.eventName} is suspended: ${JSON.stringify(event.suspended)}`);
      }
    }
  },

  async "hostile connection and disconnection scripts harm nobody"() {
    await gateway("/hostile-hooks", { echo: "return @BODY;" }, { connectionScript: "if @BODY.query.hostile == \"yes\" { loop {} }", disconnectionScript: "loop {}", scriptTimeoutMs: 300 });
    const good = await connect("/good");
    const stop = goOn(good);
    const fine = await connect("/hostile-hooks");
    for (let n = 0; n < 5; n++) {
      const client = await connect("/hostile-hooks", { query: { hostile: "yes" } });
      const [errors, gone] = [collect(client, "ws:error"), new Promise((resolve) => client.once("disconnect", resolve))];
      assert.equal(await gone, "io server disconnect");
      assert.deepEqual(errors.map(({ eventName, success }) => [eventName, success]), [["connection", false]]);
      assert.ok([TIME, OPERATIONS].includes(errors[0].code), errors[0].code);
    }
    for (let n = 0; n < 5; n++) (await connect("/hostile-hooks")).disconnect();
    assert.equal((await run(fine, "echo", 1)).result, 1);
    assert.ok((await stop()) > 0);
    await until(async () => (await admin("GET", "/metrics")).includes("gatewright_connections{gateway=\"/hostile-hooks\"} 1\n"), "nothing is left of those that have gone");
  },

  async "what is off is off"() {
    const row = await gateway("/off");
    for (const [index, sourceCode] of [
      "eval(\"1 + 1\")", "import \"fs\" as fs; 1", "sleep(1)", "sleep(1.5)", "debug(1)", "timestamp()", "export const X = 1;", "let e = \"eval\"; Fn(e).call(\"1 + 1\")", "Fn(\"eval\").call(\"40 + 2\")",
      "Fn(\"sleep\").call(1)", "Fn(\"timestamp\").call()", "open_file(\"/etc/passwd\")", "env(\"PATH\")",
    ].entries()) {
      const saved = await tryAdmin("POST", `/admin/gateways/${row.id}/events`, { eventName: `off ${index}`, sourceCode });
      if (saved.status === 201) {
        const client = await connect("/off");
        const outcome = await run(client, `off ${index}`);
        assert.deepEqual([outcome.success, outcome.code], [false, OTHER], `${sourceCode}: ${JSON.stringify(outcome)}`);
        client.disconnect();
      } else {
        assert.equal(saved.status, 400, sourceCode);
      }
    }
  },

  async "a handler that leaks is suspended, and revived by a resume or a save"() {
    const leak = "let b = blob(9000, 1); let m = #{ b: b }; m.f = || m; return 1;";
    const { events } = await gateway("/leak", { leak, "other leak": leak, fine: "return 1;" }, UNLIMITED);
    const client = await connect("/leak");
    const path = `/admin/events/${events.leak.id}`;
    /** Runs it until it is refused; how often it ran. */
    const wearOut = async (name) => {
      for (let runs = 0; runs < 500; runs++) {
        const ack = await ask(client, name);
        if (!ack.accepted) {
          assert.equal(ack.error.code, "NO_HANDLER");
          return runs;
        }
        await settle(client);
      }
      throw new Error(`${name} is never suspended`);
    };
    assert.equal((await admin("GET", path)).suspended, null);
    for (let n = 0; n < 100; n++) assert.equal((await run(client, "fine")).result, 1);
    const runs = await wearOut("leak");
    assert.ok(runs >= 10, `suspended after ${runs} runs, long before it left 200,000 bytes`);
    const { suspended } = await admin("GET", path);
    assert.ok(suspended, "it says so");
    assert.ok((suspended.reason ?? suspended).length > 10, "and why");
    assert.equal((await admin("GET", `/admin/events/${events["other leak"].id}`)).suspended, null, "each handler is counted by itself");
    assert.equal((await run(client, "other leak")).result, 1);
    assert.equal((await run(client, "fine")).result, 1);
    assert.equal((await admin("GET", `/admin/events/${events.fine.id}`)).suspended, null);

    const resumed = await admin("POST", `${path}/resume`);
    assert.equal(resumed.suspended, null);
    assert.equal((await run(client, "leak")).result, 1);
    assert.ok((await wearOut("leak")) >= 9, "it counts from 0 again");
    await admin("PATCH", path, { sourceCode: leak });
    assert.equal((await admin("GET", path)).suspended, null);
    assert.equal((await run(client, "leak")).result, 1, "saving the same script again revives it");
    await wearOut("leak");
    await admin("PATCH", path, { sourceCode: "return 2;" });
    for (let n = 0; n < 100; n++) assert.equal((await run(client, "leak")).result, 2);
    assert.equal((await tryAdmin("POST", "/admin/events/01890000-0000-7000-8000-000000000000/resume")).status, 404);
  },

  async "what a run keeps on purpose is no leak"() {
    await gateway("/keeps", { cache: "let s = \"x\"; s.pad(5000, \"y\"); @CACHE.set(`kept ${@BODY}`, s); @SOCKET.set(\"last\", s); @SOCKET.join(`room ${@BODY % 50}`); return s.len();" }, UNLIMITED);
    const client = await connect("/keeps");
    for (let n = 0; n < 200; n++) assert.equal((await run(client, "cache", n)).result, 5000);
  },

  async "JavaScript habits get the Rhai way as a hint"() {
    for (const [script, line, hint] of [
      ["let a = 1;\nreturn { ok: true };", 2, /a map is written `#\{/],
      ["@SOCKET.reply(\"reply\", { ok: true });", 1, /#\{/],
      ["@SOCKET.emitToRoom(`chat_${1}`, \"userJoined\", { userId: 1 });", 1, /#\{/],
      ["\n\nconst { a } = @BODY;", 3, /@BODY\.a/],
      ["const { text, roomId } = @BODY;", 1, /@BODY\./],
      ["let { a } = @BODY;", 1, /@BODY\./],
      ["let [a, b] = @BODY;", 1, /@BODY/],
      ["let x = await @HELPERS.now();", 1, /await/],
      ["await @HELPERS.sleep(1);", 1, /await/],
      ["if @BODY.a === 1 { return 1; }", 1, /`==`/],
      ["if @BODY.a !== 1 { return 1; }", 1, /`!=`/],
      ["let f = (x) => x + 1;", 1, /\|x\|/],
      ["[1].map(x => x + 1)", 1, /\|x\|/],
      ["let x = null;", 1, /`\(\)`/],
      ["return null;", 1, /`\(\)`/],
      ["if @BODY.a == null { return 1; }", 1, /`\(\)`/],
      ["if @BODY.a == undefined { return 1; }", 1, /`\(\)`/],
      ["@SOCKET.reply('connected', 1);", 1, /double quotes|"/],
      ["let s = 'single quotes';", 1, /double quotes|"/],
    ]) {
      const answer = await admin("POST", "/admin/script/validate", { script, context: "websocket_event" });
      assert.equal(answer.valid, false, script);
      assert.ok(answer.errors.length >= 1);
      const [{ hint: shown, ...error }] = answer.errors;
      assert.deepEqual(Object.keys(error).sort(), ["column", "endColumn", "endLine", "line", "message"]);
      assert.ok(shown === undefined || shown.length > 0, script);
      assert.equal(error.line, line, `${script}: ${JSON.stringify(error)}`);
      assert.ok(error.column >= 1);
      assert.match(error.message, hint, script);
    }
    for (const script of [
      "", "return 1;", "// const { a } = await null === undefined => { ok: true } 'x y'\nreturn 1;", "let s = \"const { a } = await null === undefined => { ok: true } 'x y' @SOCKET.x #table\"; s",
      "let c = 'c'; c", "let s = `await ${1} === null`; s", "/* @NOPE(1) */ @LOGS(\"@NOPE\", #{ ok: true });", "let f = |x| x + 1; f.call(1)", "if @USER == () { @THROW.unauthorized(\"sign in\"); } return @ARGS.len();",
    ]) {
      const answer = await admin("POST", "/admin/script/validate", { script, context: "websocket_event" });
      assert.deepEqual(answer, { valid: true, errors: [] }, script);
    }
  },
});
