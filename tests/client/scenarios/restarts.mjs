// Stock clients through restarts of their server, on each transport. Prints "round N" once all have
// connected for the Nth time and have had a result; the test restarts the server then.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { ask, gateway, url } from "../lib.mjs";

const ROUNDS = Number(process.env.GATEWRIGHT_TEST_ROUNDS);
const transports = { websocket: ["websocket"], polling: ["polling"], upgraded: ["polling", "websocket"] };

await gateway("/restarts", { ping: "return @BODY;" });
const clients = Object.entries(transports).map(([name, transports]) => {
  const socket = io(`${url}/restarts`, { transports, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  const client = { name, socket, rounds: 0, reasons: [] };
  socket.on("connect", async () => {
    const round = client.rounds + 1;
    const result = new Promise((resolve) => socket.once("ws:result", resolve));
    assert.equal((await ask(socket, "ping", round)).accepted, true);
    assert.equal((await result).result, round);
    if (name === "upgraded" && socket.io.engine.transport.name === "polling") {
      await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
    }
    client.rounds = round;
    if (clients.every((other) => other.rounds === round)) console.log(`round ${round}`);
    if (clients.every((other) => other.rounds === ROUNDS)) finish();
  });
  socket.on("disconnect", (reason) => client.reasons.push(reason));
  return client;
});

function finish() {
  for (const { name, reasons } of clients) {
    assert.equal(reasons.length, ROUNDS - 1, `${name}: ${reasons}`);
    for (const reason of reasons) assert.match(reason, /^transport (close|error)$/, name);
  }
  process.exit(0);
}
