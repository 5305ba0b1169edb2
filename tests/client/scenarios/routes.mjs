// An HTTP route reaches sockets: the official client hears what a script says that no socket triggered.
import assert from "node:assert/strict";
import { admin, call, collect, connect, gateway, next, run, scenario, settle, user } from "../lib.mjs";

const route = (method, path, sourceCode, access = "public") =>
  admin("POST", "/admin/routes", { method, path, sourceCode, access });

await scenario({
  "a route emits to a room, in all gateways or in one": async () => {
    const join = { join: "@SOCKET.join(@BODY); return @SOCKET.rooms();" };
    await gateway("/orders", join);
    await gateway("/kitchen", join);
    await route("POST", "/orders/{id}/ship", `
      @SOCKET.emitToRoom("order_" + @PARAMS.id, "shipped", #{ id: @PARAMS.id, by: @BODY.by });
      @SOCKET.emitToRoom("/kitchen", "order_" + @PARAMS.id, "clear", @PARAMS.id);
      @STATUS(202);
      return #{ members: @SOCKET.roomSize("order_" + @PARAMS.id), first: @SOCKET.members("order_" + @PARAMS.id).len() };
    `);
    const [customer, cook, other] = [await connect("/orders"), await connect("/kitchen"), await connect("/orders")];
    await run(customer, "join", "order_42");
    await run(cook, "join", "order_42");
    await run(other, "join", "order_43");
    const [shipped, atCook, clear] = [next(customer, "shipped"), next(cook, "shipped"), next(cook, "clear")];
    const [notThere, notHere] = [collect(other, "shipped"), collect(customer, "clear")];
    const answer = await call("POST", "/orders/42/ship", { by: "truck" });
    assert.equal(answer.status, 202);
    assert.deepEqual(answer.body, { members: 2, first: 2 });
    assert.deepEqual(await shipped, { id: "42", by: "truck" });
    assert.deepEqual(await atCook, { id: "42", by: "truck" });
    assert.equal(await clear, "42");
    await settle(other, customer);
    assert.deepEqual([notThere, notHere], [[], []]);
  },

  "a route emits to a user, to one socket, to a gateway, to all": async () => {
    await gateway("/mine", {}, { requireAuth: true });
    await gateway("/open");
    const [ann, bob] = [await user(), await user()];
    await route("POST", "/notify/{user}", `
      @SOCKET.emitToUser(@PARAMS.user, "note", #{ from: @USER.email, text: @BODY.text });
      return ();
    `, "user");
    await route("POST", "/tell", `
      if "socket" in @BODY { @SOCKET.emitToSocket(@BODY.socket, "told", 1); }
      if "gateway" in @BODY { @SOCKET.emitToGateway(@BODY.gateway, "told", 2); }
      if "all" in @BODY { @SOCKET.broadcast("told", 3); }
    `);
    const auth = (one) => ({ auth: { token: one.token } });
    const [first, second] = [await connect("/mine", auth(ann)), await connect("/mine", auth(ann))];
    const [hers, anyone] = [await connect("/mine", auth(bob)), await connect("/open")];
    const notes = [next(first, "note"), next(second, "note")];
    const none = collect(hers, "note");
    const answer = await call("POST", `/notify/${ann.id}`, { text: "hi" }, { token: bob.token });
    assert.deepEqual([answer.status, answer.body], [200, null]);
    for (const note of await Promise.all(notes)) assert.deepEqual(note, { from: bob.email, text: "hi" });
    assert.equal((await call("POST", `/notify/${ann.id}`, {})).status, 401);
    await settle(hers);
    assert.deepEqual(none, []);

    const told = [first, second, hers, anyone].map((socket) => collect(socket, "told"));
    await call("POST", "/tell", { socket: second.id });
    await call("POST", "/tell", { gateway: "/mine" });
    await call("POST", "/tell", { all: true });
    const unknown = await call("POST", "/tell", { gateway: "/none" });
    assert.deepEqual([unknown.status, unknown.body.error.code], [404, "RESOURCE_NOT_FOUND"]);
    await settle(first, second, hers, anyone);
    assert.deepEqual(told, [[2, 3], [1, 2, 3], [2, 3], [3]]);
  },

  "a route disconnects a user and a socket": async () => {
    await gateway("/leaving");
    const carl = await user();
    await route("POST", "/kick", `
      if "user" in @BODY { @SOCKET.disconnectUser(@BODY.user); }
      if "socket" in @BODY { @SOCKET.disconnectSocket(@BODY.socket); }
      return #{ kicked: true };
    `);
    const [his, anyone, stays] = [
      await connect("/leaving", { auth: { token: carl.token } }), await connect("/leaving"), await connect("/leaving"),
    ];
    const gone = [next(his, "disconnect"), next(anyone, "disconnect")];
    await call("POST", "/kick", { user: carl.id });
    await call("POST", "/kick", { socket: anyone.id });
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    await settle(stays);
    assert.ok(stays.connected);
  },
});
