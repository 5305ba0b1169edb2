// The snippets of two products' documentation, as their readers paste them: only addresses, tokens and names of
// placeholders are filled in. The gateway at `/` does what the packs do.
import assert from "node:assert/strict";
import { createRealtime, defineOneEntry } from "gatewright";
import { admin, call, gateway, scenario, until, url, user } from "../../../../tests/client/lib.mjs";

const members = `if !@SOCKET.rooms().contains(@BODY.channel) { @THROW.forbidden("Join the channel first"); }`;
await gateway("/", {
  joinChannel: "@SOCKET.join(@BODY.channel); return #{ channel: @BODY.channel };",
  leaveChannel: "@SOCKET.leave(@BODY.channel); return #{ channel: @BODY.channel };",
  publish: `${members}
    @SOCKET.emitToCurrentRoom(@BODY.channel, @BODY.event, #{ channel: @BODY.channel, data: @BODY.data, from: @SOCKET.id });
    return #{ published: true };`,
  directMessage: "@SOCKET.emitToSocket(@BODY.socketId, @BODY.event, #{ data: @BODY.data, from: @SOCKET.id }); return #{ sent: true };",
  subscribe: "return #{ subscriptionId: @SOCKET.id + \"-\" + @BODY.topic };",
  unsubscribe: "return @BODY;",
  my_event: "@SOCKET.emitToUser(@USER.id, \"my_event\", #{ attributes: @BODY });",
}, { requireAuth: true, presence: true });
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

  async "OneEntry"() {
    const key = (await admin("POST", "/admin/app-keys", { name: "project", scopes: ["data:read"] })).key;
    const { WS, AuthProvider } = defineOneEntry(
    url, {
    "token": key
    }
    );
    await assert.rejects(WS.connect(), { code: "AUTH_REQUIRED", message: /AuthProvider\.auth/ });
    await assert.rejects(AuthProvider.auth({ email: ada.email, password: "wrong" }), { name: "GatewrightError" });
    const fields = [{ marker: "password_reg", value: ada.password }, { marker: "email_reg", value: ada.email }];
    const session = await AuthProvider.auth("email", { authData: fields });
    assert.deepEqual([session.userIdentifier, session.authProviderIdentifier], [ada.email, "email"]);

    const socket = await WS.connect();
    const updates = [];
    const connected = new Promise((resolve) => socket.on("connect", resolve));
    socket.on('my_event', (payload) => {
    updates.push(payload);
    // Instant notification, no polling!
    });
    await connected;
    socket.emit("my_event", { price: 7 });
    await until(() => updates.length === 1, "the update");
    assert.deepEqual(updates, [{ attributes: { price: 7 } }]);

    await AuthProvider.logout();
    await until(() => !socket.connected, "the end");
    await assert.rejects(WS.connect(), { code: "AUTH_REQUIRED" });
    assert.equal((await call("GET", "/me", undefined, { token: session.accessToken })).status, 401);
  },
});
