// All packs on one server, each mounted under a path of its own: what happens in one is not heard in another.
import assert from "node:assert/strict";
import { admin, call, connect, next, run, scenario, settle, user } from "../lib.mjs";

/** A connected socket, and the names of all events that it hears. */
async function listener(path, auth) {
  const socket = await connect(path, { auth });
  const heard = new Set();
  socket.onAny((event) => heard.add(event));
  return { socket, heard };
}

async function value({ socket }, event, payload) {
  const outcome = await run(socket, event, payload);
  assert.equal(outcome.success, true, `${event}: ${JSON.stringify(outcome)}`);
}

const RESULTS = ["ws:result", "ws:error", "connected"];

await scenario({
  async "what happens in one pack is not heard in another"() {
    const mounts = { chat: "/one", hubtel: "/two", engagefabric: "/three", oneentry: "/four", "socket-service": "/five" };
    for (const [name, mount] of Object.entries(mounts)) await admin("POST", "/admin/packs", { name, mount });
    const appToken = (await admin("POST", "/admin/app-keys", { name: "app", scopes: ["routes"] })).key;
    const someone = await user({ name: "Ada" });
    const auth = { token: someone.token, appToken };
    const chat = await listener("/one/chat", auth);
    const hubtel = await listener("/two", auth);
    const engage = await listener("/three", auth);
    const entry = await listener("/four", auth);
    const channels = await listener("/five", auth);

    // Rooms of the same names, where a client may name them.
    const envelope = { data: { message: "hi", roomId: "1", roomChannel: "1" } };
    await value(chat, "joinRoom", { roomId: "1" });
    await value(hubtel, "join-channel", envelope);
    await value(hubtel, "join-room", envelope);
    await value(engage, "subscribe", { channel: "player", playerId: someone.id });
    await value(channels, "joinChannel", { channel: "1" });
    await value(channels, "subscribe", { topic: "1" });
    await admin("POST", "/data/event_definition", { marker: "order_made", source: "order" });

    const heard = [
      next(chat.socket, "newMessage"),
      next(hubtel.socket, "notify-room"),
      next(engage.socket, "xp_updated"),
      next(entry.socket, "order_made"),
      next(channels.socket, "message"),
      next(channels.socket, "event"),
    ];
    await value(chat, "message", { roomId: "1", text: "hi" });
    await value(hubtel, "notify-room", envelope);
    await value(channels, "publish", { channel: "1", event: "message", data: { text: "hi" } });
    const event = { playerId: someone.id, type: "xp_earned", amount: 1 };
    const tracked = await call("POST", "/three/v1/events", event, { headers: { "x-app-token": appToken } });
    assert.ok(tracked.status < 300, JSON.stringify(tracked.body));
    await admin("POST", "/data/order", { userId: someone.id });
    await Promise.all(heard);

    const own = {
      chat: ["userJoined", "newMessage"],
      hubtel: ["join-channel", "join-room", "notify-room", "online-users", "room-online-users"],
      engage: ["xp_updated"],
      entry: ["order_made"],
      channels: ["presence", "message", "event"],
    };
    for (const [name, { heard, socket }] of Object.entries({ chat, hubtel, engage, entry, channels })) {
      // All that was sent before this answer has come.
      await settle(socket);
      const others = [...heard].filter((event) => !RESULTS.includes(event) && !own[name].includes(event));
      assert.deepEqual(others, [], name);
      socket.disconnect();
    }
  },
});
