// The hooks and composables over a gateway without a server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { act, createElement, StrictMode } from "react";
import renderer from "react-test-renderer";
import { effectScope, nextTick, ref } from "vue";
import * as hooks from "gatewright/react";
import * as composables from "gatewright/vue";
import { Gateway } from "../../dist/esm/gateway.js";
import { FakeSocket, turn } from "./fake.mjs";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

function opened() {
  const socket = new FakeSocket();
  const gateway = new Gateway("/x", socket, { token: undefined }, () => {}, 10).connect();
  socket.opens();
  return { socket, gateway };
}
function answer(socket, result) {
  for (const [n, { ack }] of socket.take().entries()) {
    ack({ accepted: true, requestId: `r${n}` });
    socket.comes("ws:result", { requestId: `r${n}`, result });
  }
}

test("React, in StrictMode", async () => {
  const { socket, gateway } = opened();
  const seen = {};
  const heard = [];
  const Part = ({ room }) => {
    seen.state = hooks.useConnection(gateway);
    hooks.useEvent(gateway, "news", (data) => heard.push(`${room} ${data}`));
    seen.kept = hooks.useKeep(gateway, "join", { room });
    seen.sent = hooks.useCall(gateway, "send");
    return null;
  };
  const shown = (room) => createElement(StrictMode, null, createElement(Part, { room }));
  let tree;
  await act(async () => (tree = renderer.create(shown("a"))));
  await act(async () => answer(socket, "joined a"));
  assert.equal(seen.state, "connected");
  assert.deepEqual(seen.kept, { result: "joined a" });
  assert.equal(socket.listenerCount("news"), 1);
  socket.comes("news", 1);
  await act(async () => tree.update(shown("b")));
  assert.deepEqual(socket.sent.map(({ args }) => args), [[{ room: "b" }]]);
  await act(async () => answer(socket, "joined b"));
  socket.comes("news", 2);
  assert.deepEqual([seen.kept.result, heard], ["joined b", ["a 1", "b 2"]]);

  let call;
  await act(async () => void (call = seen.sent.call({ n: 1 })));
  assert.equal(seen.sent.isPending, true);
  await act(async () => answer(socket, "sent"));
  assert.deepEqual([await call, seen.sent.result, seen.sent.isPending], ["sent", "sent", false]);
  await act(async () => socket.breaks());
  assert.equal(seen.state, "reconnecting");
  await act(async () => socket.opens());
  assert.equal(socket.take().length, 1);
  await act(async () => tree.unmount());
  assert.equal(socket.listenerCount("news"), 0);
  socket.breaks();
  socket.opens();
  assert.deepEqual(socket.take(), []);
});

test("Vue", async () => {
  const { socket, gateway } = opened();
  const room = ref("a");
  const heard = [];
  const scope = effectScope();
  const seen = scope.run(() => {
    composables.useEvent(gateway, "news", (data) => heard.push(data));
    return {
      state: composables.useConnection(gateway),
      kept: composables.useKeep(gateway, "join", () => ({ room: room.value })),
      sent: composables.useCall(gateway, "send"),
    };
  });
  answer(socket, "joined a");
  await turn();
  socket.comes("news", 1);
  assert.deepEqual([seen.state.value, seen.kept.result.value, heard], ["connected", "joined a", [1]]);
  room.value = "b";
  await nextTick();
  assert.deepEqual([seen.kept.result.value, socket.sent.map(({ args }) => args)], [undefined, [[{ room: "b" }]]]);
  answer(socket, "joined b");
  const call = seen.sent.call({ n: 1 });
  assert.equal(seen.sent.isPending.value, true);
  const [{ ack }] = socket.take();
  ack({ accepted: false, requestId: "r", error: { code: "NO_HANDLER", message: "none" } });
  await assert.rejects(call, { code: "NO_HANDLER" });
  assert.deepEqual([seen.sent.error.value.code, seen.sent.isPending.value, seen.kept.result.value], ["NO_HANDLER", false, "joined b"]);
  scope.stop();
  assert.equal(socket.listenerCount("news"), 0);
  socket.breaks();
  assert.equal(seen.state.value, "connected");
});
