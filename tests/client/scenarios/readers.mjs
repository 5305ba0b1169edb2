// A client that reads all it is sent is never taken for one that does not, however long it stays: the server
// of this scenario lets few bytes wait, and what is counted as waiting must not grow with what was read.
import { connect, gateway, next, run, scenario } from "../lib.mjs";

const UNLIMITED = { limits: { eventsPerSecond: 0 }, presence: true };

await scenario({
  async "thousands of small packets of each kind"() {
    await gateway("/readers", { echo: "@SOCKET.join(\"r\"); @SOCKET.reply(\"e\", 1); @SOCKET.leave(\"r\"); return 1;", fails: "throw \"1\";" }, UNLIMITED);
    for (const transports of [["websocket"], ["polling"]]) {
      const client = await connect("/readers", { transports });
      const gone = next(client, "disconnect").then(([reason]) => { throw new Error(`disconnected: ${reason}`); });
      for (let n = 0; n < 14000; n += 100) {
        const runs = [...Array(100).keys()].map((more) => run(client, (n + more) % 3 === 0 ? "fails" : "echo"));
        await Promise.race([gone, Promise.all(runs)]);
      }
      gone.catch(() => {});
      client.disconnect();
    }
  },
});
