// A stop while jobs run. The first run (no phase) only sees to the packages and makes the gateway;
// in the second the test sends SIGTERM as soon as it reads "jobs accepted".
import assert from "node:assert/strict";
import { ask, call, collect, connect, gateway, scenario, sentAway, until } from "../lib.mjs";

if (process.env.GATEWRIGHT_TEST_PHASE !== "stop") {
  await scenario({
    async "the gateway to stop under"() {
      // Two jobs of one socket run one after the other: the second has not even begun at the stop.
      await gateway("/stop", { slow: "@HELPERS.sleep(3000); @SOCKET.reply(\"said\", @BODY); return @BODY;" });
    },
  });
}

await scenario({
  async "accepted jobs finish, then the sockets are sent away"() {
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
    await until(() => all.every((one) => !one.connected), "the end of all sockets");
    for (const log of seen) {
      const end = log.pop();
      assert.deepEqual(log, ["said 1", "result 1", "said 2", "result 2"]);
      assert.match(end, /^transport (close|error)$/);
    }
  },
});
