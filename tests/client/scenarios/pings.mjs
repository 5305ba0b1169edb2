// Pings as they are configured: told at the handshake, sent, and the end of a client that does not answer.
// The server of this scenario pings every 100 ms and waits 5 s.
import assert from "node:assert/strict";
import { WebSocket } from "ws";
import { collect, connect, gateway, next, scenario, settle, until, url } from "../lib.mjs";

const GONE = { disconnectionScript: "@SOCKET.emitToGateway(\"/watch\", \"gone\", #{ id: @SOCKET.id, reason: @BODY.reason });" };

await scenario({
  async "the handshake tells them"() {
    const opened = await (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).text();
    const { pingInterval, pingTimeout } = JSON.parse(opened.slice(1));
    assert.deepEqual([pingInterval, pingTimeout], [100, 5000]);
  },
  async "who answers stays, and who does not is ended"() {
    await gateway("/watch");
    await gateway("/pinged", {}, GONE);
    const watcher = await connect("/watch");
    const gone = collect(watcher, "gone");
    const clients = await Promise.all([["websocket"], ["polling"]].map((transports) => connect("/pinged", { transports })));
    const pings = clients.map((client) => collect(client.io, "ping"));
    const silent = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    await new Promise((resolve, reject) => { silent.onopen = resolve; silent.onerror = reject; });
    const closed = new Promise((resolve) => { silent.onclose = resolve; });
    let sid;
    silent.onmessage = ({ data }) => { sid ??= data.startsWith("40/pinged,") ? JSON.parse(data.slice(10)).sid : undefined; };
    silent.send("40/pinged,");
    await until(() => sid, "it is connected");
    await closed;
    await until(() => gone.length > 0, "its disconnection script");
    assert.deepEqual(gone, [{ id: sid, reason: "ping timeout" }]);
    await until(() => pings.every((all) => all.length >= 3), "pings of the others");
    await settle(...clients);
    assert.ok(clients.every((client) => client.connected));
    const left = next(watcher, "gone");
    clients[0].disconnect();
    assert.equal((await left).reason, "client namespace disconnect");
  },
});
