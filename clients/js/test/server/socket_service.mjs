// The snippets of a product's documentation against the pack `socket-service`, as its readers paste them: only addresses,
// tokens and names of placeholders are filled in.
import assert from "node:assert/strict";
import { createRealtime } from "gatewright";
import { admin, scenario, until, url, user } from "../../../../tests/client/lib.mjs";

const ada = await user({ name: "Ada" });
const eve = await user({ name: "Eve" });
const quick = { reconnectionDelay: 50, reconnectionDelayMax: 200 };

await scenario({
  async "the socket service"() {
    const states = [];
    const logged = [];
    const console = { log: (_text, state) => states.push(state), error: (...all) => logged.push(all) };
    const realtime = createRealtime(url, { token: ada.token, socket: quick });
    const other = createRealtime(url, { token: () => eve.token, socket: quick });
    const heard = [];
    for (const event of ["message", "notification", "presence"]) other.on(event, (data) => heard.push([event, data]));
    await other.socketClient.joinChannel("chat:room1");
    const [{ socketId: targetSocketId }] = (await admin("GET", "/api/socket/channels/chat:room1/members")).members;

    realtime.socketClient.joinChannel('chat:room1');
    realtime.socketClient.publish('chat:room1', 'message', {
    text: 'Hello everyone!',
    sender: 'user123',
    });
    realtime.socketClient.directMessage(targetSocketId, 'notification', {
    text: 'You have a new message',
    });
    realtime.socketClient.leaveChannel('chat:room1');
    realtime.on('connection', ({ state }) => {
    console.log('Connection state:', state);
    // 'connecting' | 'connected' | 'disconnected' | 'reconnecting'
    });
    realtime.on('error', (err) => {
    console.error('Connection error:', err);
    });

    await until(() => heard.filter(([event]) => event === "presence").length >= 3, () => JSON.stringify(heard));
    const of = (name) => heard.filter(([event]) => event === name).map(([, data]) => data);
    assert.deepEqual(of("message").map(({ channel, data }) => [channel, data]), [["chat:room1", { text: "Hello everyone!", sender: "user123" }]]);
    assert.deepEqual(of("notification").map(({ data }) => data), [{ text: "You have a new message" }]);
    assert.deepEqual(of("presence").map(({ action, member }) => [action, member.userId]).slice(-2), [["join", ada.id], ["leave", ada.id]]);
    assert.deepEqual([states, logged], [["connecting", "connected"], []]);
    await assert.rejects(realtime.socketClient.publish("chat:room1", "message", {}), { code: "AUTHORIZATION_ERROR" });

    const { subscriptionId } = await realtime.socketClient.subscribe("orders", { total: { _gt: 5 } });
    assert.deepEqual(await realtime.socketClient.unsubscribe(subscriptionId), { subscriptionId });
    // A lost transport: in the channel again, without a word.
    other.gateway("/").socket.io.engine.close();
    await until(() => other.gateway("/").state === "connected" && other.gateway("/").socket.id !== targetSocketId, "a reconnect");
    const inside = async () => (await admin("GET", "/api/socket/channels?prefix=chat:room1")).channels[0]?.members;
    await until(async () => (await inside()) === 1, "the channel");
    realtime.close();
    other.close();
  },
});
