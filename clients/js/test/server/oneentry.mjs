// The snippets of OneEntry's documentation against the pack `oneentry`, as its readers paste them: only the address, the
// token and names of placeholders are filled in.
import assert from "node:assert/strict";
import { defineOneEntry } from "gatewright";
import { admin, call, scenario, until, url, user } from "../../../../tests/client/lib.mjs";

await scenario({
  async "OneEntry"() {
    const ada = await user({ name: "Ada" });
    await admin("POST", "/data/event_definition", { marker: "my_event", source: "order", on: ["update"], attributes: { sound: "bell" } });
    const order = await admin("POST", "/data/order", { userId: ada.id });
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
    // Its rooms are joined a moment after it has connected.
    await until(async () => {
      await admin("PATCH", `/data/order/${order.id}`, { status: "shipped" });
      return updates.length > 0;
    }, "the update");
    assert.deepEqual([updates[0].attributes, updates[0].order.id], [{ sound: "bell" }, order.id]);

    await AuthProvider.logout();
    await until(() => !socket.connected, "the end");
    await assert.rejects(WS.connect(), { code: "AUTH_REQUIRED" });
    assert.equal((await call("GET", "/me", undefined, { token: session.accessToken })).status, 401);
  },
});
