// The oneentry pack: sockets that the user's and the app's token open, and what they hear of what is written. All of
// it at the root, and then again where the pack is mounted.
import assert from "node:assert/strict";
import { admin, call, collect, connect, connectError, next, scenario, settle, user } from "../lib.mjs";

let appToken;
let at = "/";

const define = (fields) => admin("POST", "/data/event_definition", fields);
const write = (table, row) => admin("POST", `/data/${table}`, row);
const change = (table, row, fields) => admin("PATCH", `/data/${table}/${row.id}`, fields);

/** What a user may do over `/data`. */
async function as(someone, method, path, body) {
  return call(method, path, body, { token: someone.token });
}

/** Writes until it is heard: a socket is in its rooms a moment after it has connected. What was heard. */
async function heardBy(socket, marker, writeIt) {
  const heard = next(socket, marker);
  let isHeard = false;
  heard.then(() => (isHeard = true));
  while (!isHeard) {
    await writeIt();
    await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 200))]);
  }
  return heard;
}

let names = 0;

/** A user with a socket that is in its rooms: the last of them is the one in which users hear of themselves. */
async function listener() {
  const someone = await user();
  const socket = await connect(at, { auth: { token: someone.token, appToken } });
  const rename = () => admin("PATCH", `/admin/users/${someone.id}`, { name: `Ann ${++names}` });
  const renamed = await heardBy(socket, "user_changed", rename);
  assert.equal(renamed.user.id, someone.id);
  assert.match(renamed.user.name, /^Ann /);
  return { ...someone, socket };
}

const cases = {
  async "both tokens are asked for"() {
    const someone = await user();
    assert.match(await connectError(at, { auth: { appToken } }), /^AUTH_REQUIRED/);
    assert.match(await connectError(at, { auth: { token: someone.token } }), /app/i);
    assert.match(await connectError(at, { auth: { token: someone.token, appToken: "gw_wrong" } }), /app/i);
  },

  async "the guide: an order that ships is told to its user, by the marker of the event"() {
    const [one, other] = [await listener(), await listener()];
    const order = await write("order", { userId: one.id, details: { total: 7 } });
    const mine = collect(other.socket, "my_event");
    const payload = await heardBy(one.socket, "my_event", () => change("order", order, { status: "shipped" }));
    assert.deepEqual(payload, { attributes: { sound: "bell" }, order: { id: order.id, status: "shipped", total: 7 } });
    const others = await write("order", { userId: other.id });
    await heardBy(other.socket, "my_event", () => change("order", others, { status: "shipped" }));
    assert.ok(mine.every((heard) => heard.order.id === others.id), "and to nobody else");
    one.socket.disconnect();
    other.socket.disconnect();
  },

  async "product events go to those who have subscribed, once, and at once"() {
    const [all, single, none] = [await listener(), await listener(), await listener()];
    const cup = await write("product", { title: "Cup", attributes: { price: 3 } });
    const pot = await write("product", { title: "Pot" });
    const subscribe = async (someone, productId) => {
      const answer = await as(someone, "POST", "/data/event_subscription", { marker: "product_changed", productId });
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      return answer.body;
    };
    await subscribe(all, cup.id);
    const general = await subscribe(all);
    await subscribe(single, cup.id);
    const heard = [all, single, none].map(({ socket }) => collect(socket, "product_changed"));
    const told = await heardBy(single.socket, "product_changed", () => change("product", cup, { title: "Mug" }));
    assert.deepEqual(told, { attributes: {}, product: { id: cup.id, title: "Mug", price: 3 } });
    await heardBy(all.socket, "product_changed", () => change("product", pot, { title: "Can" }));
    await settle(all.socket, single.socket, none.socket);
    const counts = () => heard.map((all) => all.filter(({ product }) => product.id === cup.id).length);
    assert.equal(counts()[0], counts()[1], "nothing comes twice");
    assert.deepEqual(heard[2], []);
    assert.ok(heard[1].every(({ product }) => product.id === cup.id), "and nothing of others");
    const again = await as(all, "POST", "/data/event_subscription", { marker: "product_changed" });
    assert.equal(again.body.error.code, "DUPLICATE_RESOURCE");
    const wrong = await as(all, "POST", "/data/event_subscription", { marker: "my_event" });
    assert.equal(wrong.body.error.code, "VALIDATION_ERROR");
    // Without the general one, the single one counts again.
    assert.equal((await as(all, "DELETE", `/data/event_subscription/${general.id}`)).status, 204);
    const before = heard[0].length;
    await change("product", pot, { title: "Tin" });
    await heardBy(all.socket, "product_changed", () => change("product", cup, { title: "Bowl" }));
    assert.ok(heard[0].slice(before).every(({ product }) => product.id === cup.id));
    for (const { socket } of [all, single, none]) socket.disconnect();
  },

  async "forms are told to who sent them"() {
    const one = await listener();
    const send = () => as(one, "POST", "/data/form_data", { form: "registration", data: { email: "a@example.com", code: "42" } });
    const form = await heardBy(one.socket, "registered", send);
    assert.deepEqual(form, { attributes: {}, email: "a@example.com", code: "42", user: { email: "a@example.com", code: "42" } });
    one.socket.disconnect();
  },
};

await scenario({
  async "an app and its events"() {
    appToken = (await admin("POST", "/admin/app-keys", { name: "app", scopes: ["routes"] })).key;
    const condition = { status: "shipped" };
    await define({ marker: "my_event", source: "order", on: ["update"], condition, attributes: { sound: "bell" } });
    await define({ marker: "product_changed", source: "product" });
    await define({ marker: "registered", source: "form", condition: { form: "registration" } });
    await define({ marker: "user_changed", source: "user", on: ["update"] });
    await define({ marker: "silent", source: "order", websocket: false });
    await assert.rejects(define({ marker: "ws:result", source: "order" }), /reserved/);
    await assert.rejects(define({ marker: "odd", source: "order", condition: { status: { _like: "x" } } }), /_like/);
  },
  ...cases,
  async "the same where it is mounted"() {
    await admin("POST", "/admin/packs", { name: "oneentry", mount: "/entry" });
    at = "/entry";
    for (const check of Object.values(cases)) await check();
  },
});
