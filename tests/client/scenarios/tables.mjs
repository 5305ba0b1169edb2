// Tables from sockets: the official client writes rows by events, and hears what hooks say of them.
import assert from "node:assert/strict";
import { admin, call, collect, connect, gateway, next, run, scenario, settle, user } from "../lib.mjs";

const table = (name, columns, access) => admin("POST", "/admin/tables", { name, columns, access });
const hook = (table, when, on, sourceCode, fields = {}) =>
  admin("POST", "/admin/hooks", { table, when, on, sourceCode, ...fields });

await scenario({
  "a message is stored, sent to its room and read again": async () => {
    await table("message", [
      { name: "text", type: "text", required: true },
      { name: "roomId", type: "string", required: true, index: true },
      { name: "senderId", type: "string" },
      { name: "likes", type: "integer", default: 0 },
    ]);
    await gateway("/chat", {
      join: "@SOCKET.join(`chat_${@BODY}`); return ();",
      send: `
        let text = @BODY.text;
        let room = @BODY.roomId;
        if room == () { @THROW.badRequest("roomId is required"); }
        let message = #message.create(#{ data: #{ text: text, roomId: room, senderId: @USER.id } });
        @SOCKET.emitToRoom(\`chat_\${room}\`, "newMessage", message);
        return #{ sent: true, id: message.id };
      `,
      history: `return #message.find(#{ filter: #{ roomId: #{ _eq: @BODY.roomId } }, sort: "-createdAt", limit: 2, fields: "text,senderId", meta: "*" });`,
      like: "return #message.update(#{ id: @BODY, data: #{ likes: #{ _inc: 1 } } }).likes;",
    });
    const [ann, bob] = [await user(), await user()];
    const [first, second, other] = await Promise.all([ann, bob, bob].map((one) => connect("/chat", { auth: { token: one.token } })));
    await run(first, "join", "42");
    await run(second, "join", "42");
    await run(other, "join", "43");
    const elsewhere = collect(other, "newMessage");
    const heard = [next(first, "newMessage"), next(second, "newMessage")];
    const sent = await run(first, "send", { roomId: "42", text: "héllo 🦀 \u202eمرحبا" });
    for (const message of await Promise.all(heard)) {
      assert.equal(message.id, sent.result.id);
      assert.deepEqual([message.text, message.roomId, message.senderId, message.likes], ["héllo 🦀 \u202eمرحبا", "42", ann.id, 0]);
      assert.ok(message.createdAt && message.createdAt === message.updatedAt);
    }
    await run(second, "send", { roomId: "42", text: "two" });
    await run(second, "send", { roomId: "42", text: "three" });
    await run(other, "send", { roomId: "43", text: "elsewhere" });
    const { result } = await run(first, "history", { roomId: "42" });
    assert.deepEqual(result, {
      data: [{ text: "three", senderId: bob.id }, { text: "two", senderId: bob.id }],
      meta: { totalCount: 4, filterCount: 3 },
    });
    await settle(other);
    assert.deepEqual(elsewhere.map((message) => message.text), ["elsewhere"]);
    const likes = await Promise.all([first, second, other].flatMap((one) => [1, 2, 3].map(() => run(one, "like", sent.result.id))));
    assert.deepEqual(likes.map((one) => one.result).sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  },

  "what is wrong with a row is told to its sender alone": async () => {
    await table("seat", [
      { name: "number", type: "integer", required: true, unique: true },
      { name: "messageId", type: "uuid", references: "message" },
    ]);
    await gateway("/seats", {
      take: "return #seat.create(#{ data: @BODY });",
      both: "@TRANSACTION { #seat.create(#{ data: #{ number: 100 } }); #seat.create(#{ data: #{ number: @BODY } }); }",
      count: "return #seat.count();",
    });
    const [socket, other] = [await connect("/seats"), await connect("/seats")];
    const nothing = collect(other, "ws:error");
    assert.equal((await run(socket, "take", { number: 1 })).result.number, 1);
    for (const [payload, code, mentions] of [
      [{ number: 1 }, "DUPLICATE_RESOURCE", "number"],
      [{ number: 2 ** 53 + 2, messageId: "00000000-0000-0000-0000-000000000000" }, "VALIDATION_ERROR", "messageId"],
      [{ number: 1.5 }, "VALIDATION_ERROR", "number"],
      [{ number: 2, "x\"; DROP TABLE gw_user; --": 1 }, "VALIDATION_ERROR", "known"],
      [{}, "VALIDATION_ERROR", "required"],
      ["text", "VALIDATION_ERROR", "data"],
    ]) {
      const outcome = await run(socket, "take", payload);
      assert.deepEqual([outcome.success, outcome.code], [false, code], JSON.stringify(outcome));
      assert.ok(outcome.message.includes(mentions), outcome.message);
      assert.ok(!/SELECT|INSERT|constraint/.test(JSON.stringify(outcome)));
    }
    assert.equal((await run(socket, "both", 1)).code, "DUPLICATE_RESOURCE");
    assert.equal((await run(socket, "count")).result, 1);
    await settle(other);
    assert.deepEqual(nothing, []);
  },

  "hooks tell clients what becomes of rows, whoever writes them": async () => {
    await table("order", [
      { name: "userId", type: "string" },
      { name: "status", type: "enum", values: ["new", "paid", "shipped"], default: "new" },
    ], { read: "owner", create: "owner", update: "admin", ownerColumn: "userId" });
    await gateway("/mine", { ship: "return #order.update(#{ id: @BODY, data: #{ status: \"shipped\" } }).status;" }, { requireAuth: true });
    await gateway("/watch", { join: "@SOCKET.join(\"orders\"); return ();" });
    await hook("order", "before", ["create", "update"], `
      if @OLD != () && @OLD.status == "shipped" { @THROW.conflict("it is shipped already"); }
      return;
    `);
    await hook("order", "after", ["update"], `
      @SOCKET.emitToUser(@DATA.userId, "order", #{ was: @OLD.status, now: @DATA.status });
    `, { condition: { _changed: ["status"] } });
    await hook("order", "after", ["create"], `
      @SOCKET.emitToRoom("/watch", "orders", "created", @DATA.id);
    `);
    const [ann, bob] = [await user(), await user()];
    const [hers, his, watcher] = [
      await connect("/mine", { auth: { token: ann.token } }), await connect("/mine", { auth: { token: bob.token } }), await connect("/watch"),
    ];
    await run(watcher, "join");
    const [created, orders, none] = [collect(watcher, "created"), collect(hers, "order"), collect(his, "order")];
    const made = await call("POST", "/data/order", {}, { token: ann.token });
    assert.deepEqual([made.status, made.body.userId, made.body.status], [201, ann.id, "new"]);
    await admin("PATCH", `/data/order/${made.body.id}`, { status: "paid" });
    await admin("PATCH", `/data/order/${made.body.id}`, { status: "paid" });
    assert.equal((await run(his, "ship", made.body.id)).result, "shipped");
    const again = await run(his, "ship", made.body.id);
    assert.deepEqual([again.code, again.message], ["DUPLICATE_RESOURCE", "it is shipped already"]);
    assert.equal((await call("GET", `/data/order/${made.body.id}`, undefined, { token: bob.token })).status, 404);
    await settle(hers, his, watcher);
    assert.deepEqual(orders, [{ was: "new", now: "paid" }, { was: "paid", now: "shipped" }]);
    assert.deepEqual(created, [made.body.id]);
    assert.deepEqual(none, []);
  },

  "an event uses a table that was made while it was there": async () => {
    await gateway("/late", { wait: "return 1;" });
    const socket = await connect("/late");
    assert.equal((await run(socket, "wait")).result, 1);
    const late = await table("late", [{ name: "a", type: "json" }]);
    const [{ id }] = (await admin("GET", `/admin/gateways?filter=${encodeURIComponent('{"path":"/late"}')}`)).data;
    await admin("POST", `/admin/gateways/${id}/events`, { eventName: "keep", sourceCode: "return #late.create(#{ data: #{ a: @ARGS } });" });
    const kept = await run(socket, "keep", { deep: [1, null, { x: "é" }] }, 5);
    assert.deepEqual(kept.result.a, [{ deep: [1, null, { x: "é" }] }, 5]);
    await admin("DELETE", `/admin/tables/${late.id}?confirm=true`);
    const gone = await run(socket, "keep", 1);
    assert.deepEqual([gone.code, gone.message], ["RESOURCE_NOT_FOUND", "There is no table late"]);
  },
});
