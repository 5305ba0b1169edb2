// A stop while jobs run. The first run (no phase) only sees to the packages and makes the gateway;
// in the second the test sends SIGTERM as soon as it reads "jobs accepted".
import assert from "node:assert/strict";
import { ask, call, collect, connect, gateway, next, run, scenario, sentAway, until } from "../lib.mjs";

/** Packets of 8 KiB. */
const PILE = 800;

if (process.env.GATEWRIGHT_TEST_PHASE !== "stop") {
  await scenario({
    async "the gateway to stop under"() {
      // Two jobs of one socket run one after the other: the second has not even begun at the stop. They wait
      // until they are let go, however long the rest takes.
      const slow = "while @SOCKET.roomSize(\"hold\") > 0 { @HELPERS.sleep(5); } @SOCKET.reply(\"said\", @BODY); return @BODY;";
      await gateway("/stop", { hold: "@SOCKET.join(\"hold\");", slow: { sourceCode: slow, timeoutMs: 30000 } });
      await gateway("/pile", {
        watch: "@SOCKET.join(\"watch\");",
        pile: { timeoutMs: 30000, sourceCode: "let text = \"x\"; text.pad(8192, 'x'); for n in 0..@BODY { @SOCKET.reply(\"n\", #{ n: n, text: text }); } @SOCKET.emitToCurrentRoom(\"watch\", \"piled\", ());" },
      });
    },
  });
}

await scenario({
  async "accepted jobs finish, then the sockets are sent away"() {
    const guard = await connect("/stop");
    await run(guard, "hold");
    // What was sent to a client that does not read yet is sent to the end: more than the buffers between take.
    const [watcher, reader] = [await connect("/pile"), await connect("/pile")];
    await run(watcher, "watch");
    const [piled, read, gone] = [next(watcher, "piled"), collect(reader, "n"), next(reader, "disconnect")];
    reader.io.engine.transport.ws._socket.pause();
    reader.emit("pile", PILE);
    await piled;
    const transports = [["websocket"], ["polling"], ["polling", "websocket"]];
    const all = await Promise.all(transports.map((transports) => connect("/stop", { transports })));
    const seen = all.map((one) => {
      const log = [];
      one.on("said", (data) => log.push(`said ${data}`));
      one.on("ws:result", ({ result }) => log.push(`result ${result}`));
      one.on("ws:error", (error) => log.push(`error ${JSON.stringify(error)}`));
      one.on("disconnect", (reason) => log.push(reason));
      return log;
    });
    for (const one of all) {
      for (const number of [1, 2]) assert.equal((await ask(one, "slow", number)).accepted, true);
    }
    console.log("jobs accepted");
    await until(async () => (await call("GET", "/health/ready")).status === 503, "not ready");
    await sentAway("/stop");
    await sentAway("/stop", { transports: ["polling"] });
    const refused = await ask(all[0], "slow", 3);
    assert.equal(refused.accepted, false);
    assert.equal(refused.error.code, "SHUTTING_DOWN");
    guard.disconnect();
    await next(watcher, "disconnect");
    reader.io.engine.transport.ws._socket.resume();
    assert.match((await gone)[0], /^transport (close|error)$/);
    assert.deepEqual(read.map(({ n }) => n), [...Array(PILE).keys()]);
    await until(() => all.every((one) => !one.connected), "the end of all sockets");
    for (const log of seen) {
      const end = log.pop();
      assert.deepEqual(log, ["said 1", "result 1", "said 2", "result 2"]);
      assert.match(end, /^transport (close|error)$/);
    }
  },
});
