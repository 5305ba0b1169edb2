// The page of `/demo/oneentry`: a shop's program, which writes rows with its app key, and two customers who are signed in and hear
// of what concerns them. Whatever others wrote is shown as text.
const MOUNT = "/oneentry", STEPS = ["pending", "paid", "packed", "shipped", "delivered"];
const LOG_LINES = 50;
const PRODUCTS = [["Enamel cup", 14], ["Linen apron", 38], ["Oak board", 52]];
const EVENTS = [
  { marker: "order_changed", source: "order", attributes: { title: "About your order" } },
  { marker: "order_shipped", source: "order", on: ["update"], condition: { status: "shipped" }, attributes: { title: "It is on its way to you" } },
  { marker: "price_changed", source: "product", on: ["update"], attributes: { title: "Another price" } },
];
const $ = (id) => document.getElementById(id);

function element(name, className, ...content) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...content);
  return made;
}

function button(className, text, label, press) {
  const made = element("button", className, text);
  made.setAttribute("aria-label", label);
  made.onclick = () => attempt(press);
  return made;
}

/** Does what a button is for; what is refused is said. */
async function attempt(act) {
  $("refused").textContent = "";
  try {
    await act();
  } catch (error) {
    $("refused").textContent = error.message;
  }
}

/** A caller of the API: the shop with its key, or a customer with a token. */
const caller = (headers) => async (method, path, body) => {
  const response = await fetch(path, {
    method, headers: { ...headers, "content-type": "application/json" }, body: body && JSON.stringify(body),
  });
  const answer = response.status === 204 ? null : await response.json();
  if (!response.ok) throw Object.assign(new Error(answer?.message ?? `HTTP ${response.status}`), { code: answer?.code });
  return answer;
};

const all = async (call, table) => (await call("GET", `/data/${table}?limit=100`)).data;

/** What the shop knows, by the ids of rows. */
const products = new Map(), orders = new Map(), definitions = new Map();
let shop, customers;

function showProducts() {
  $("products").replaceChildren(...[...products.values()].map((product) => {
    const { id, title, attributes } = product;
    const buttons = element("div", "buttons", button("", "€ 1 less", `Lower the price of ${title}`, async () => {
      const price = Math.max(1, (attributes?.price ?? 1) - 1);
      products.set(id, await shop("PATCH", `/data/product/${id}`, { attributes: { ...attributes, price } }));
      showProducts();
    }));
    for (const { id: userId, name } of customers) {
      buttons.append(button("main", `For ${name}`, `Order ${title} for ${name}`, async () => {
        const order = await shop("POST", "/data/order", { userId, details: { product: title, price: attributes?.price } });
        orders.set(order.id, order);
        showOrders();
      }));
    }
    return element("li", "row", element("span", "what", element("b", "", title), element("span", "price", priceOf(attributes))), buttons);
  }));
}

const priceOf = (fields) => (Number.isFinite(fields?.price) ? `€ ${fields.price}` : "");
const nameOf = (userId) => customers.find(({ id }) => id === userId)?.name ?? "somebody";

function showOrders() {
  $("none").hidden = orders.size > 0;
  $("orders").replaceChildren(...[...orders.values()].reverse().map(({ id, userId, status, details }) => {
    const next = STEPS[STEPS.indexOf(status) + 1];
    const what = element("span", "what", element("span", "", `${details.product} for ${nameOf(userId)}`), element("span", "faint", status));
    const row = element("li", "row", what);
    if (next) {
      row.append(button("", `It is ${next}`, `${details.product} for ${nameOf(userId)} is ${next}`, async () => {
        orders.set(id, await shop("PATCH", `/data/order/${id}`, { status: next }));
        showOrders();
      }));
    }
    return row;
  }));
}

function showDefinitions() {
  $("definitions").replaceChildren(...[...definitions.values()].map(({ id, marker, source, on, condition, websocket }) => {
    const when = `${source}, on ${(on ?? ["create", "update"]).join(" and ")}${condition ? `, where ${JSON.stringify(condition)}` : ""}`;
    const what = element("span", "what", element("code", "", marker), element("span", "faint", when));
    const turn = websocket ? "Turn off" : "Turn on";
    return element("li", websocket ? "row" : "row off", what, button("", turn, `${turn} ${marker}`, async () => {
      definitions.set(id, await shop("PATCH", `/data/event_definition/${id}`, { websocket: !websocket }));
      showDefinitions();
    }));
  }));
}

/** A customer's panel, and the socket behind it. */
function follow({ id, name, token }, appToken) {
  const call = caller({ authorization: `Bearer ${token}` });
  const panel = $("customer").content.firstElementChild.cloneNode(true);
  const find = (selector) => panel.querySelector(selector);
  find("h2").textContent = name;
  panel.setAttribute("aria-label", name);
  document.querySelector("main").append(panel);
  const parcels = new Map();
  let subscription = null;

  const note = (className, ...content) => {
    find(".log").prepend(element("li", className, ...content));
    while (find(".log").children.length > LOG_LINES) find(".log").lastChild.remove();
  };
  const state = (text, isOn) => {
    find(".state").textContent = text;
    find(".state").classList.toggle("on", isOn);
    find(".follow").disabled = !isOn;
  };
  const show = () => {
    find(".empty").hidden = parcels.size > 0;
    find(".parcels").replaceChildren(...[...parcels.values()].reverse().map(({ product, price, status }) => {
      const steps = element("div", "steps", ...STEPS.map((_, n) => element("span", n <= STEPS.indexOf(status) ? "done" : "")));
      return element("li", `parcel ${status === "delivered" ? "delivered" : ""}`,
        element("div", "title", element("b", "", product ?? "An order"), element("span", "faint", `${priceOf({ price })} · ${status}`)), steps);
    }));
  };

  const socket = io(MOUNT, { path: "/socket.io", auth: { token, appToken }, forceNew: true });
  socket.on("connect", async () => {
    state("connected", true);
    // What happened while it was away. What comes over the socket meanwhile is newer.
    const live = new Set();
    const listen = (_event, { order }) => order && live.add(order.id);
    socket.onAny(listen);
    const rows = await all(call, "order").catch(() => []);
    socket.offAny(listen);
    for (const { id, status, details } of rows) if (!live.has(id)) parcels.set(id, { ...details, status });
    show();
  });
  socket.on("disconnect", (reason) => {
    state(`${reason}; connecting again…`, false);
    if (!socket.active) setTimeout(() => socket.connect(), 1000);
  });
  socket.on("connect_error", ({ message }) => {
    state(message, false);
    // A refusal by the server ends the client's own attempts.
    if (!socket.active) setTimeout(() => socket.connect(), 2000);
  });
  // Names are the admin's to choose: any event may come.
  socket.onAny((marker, { attributes, order, product } = {}) => {
    if (order) {
      parcels.set(order.id, order);
      show();
    }
    const about = order ? `${order.product}: ${order.status}` : product ? `${product.title}: ${priceOf(product)}` : "";
    note("", element("code", "", marker), element("b", "", attributes?.title ?? marker), about);
  });
  find(".follow").onclick = () => attempt(async () => {
    if (subscription) {
      await call("DELETE", `/data/event_subscription/${subscription}`);
      subscription = null;
    } else {
      subscription = (await call("POST", "/data/event_subscription", { marker: "price_changed" })).id;
    }
    find(".follow").textContent = subscription ? "Do not follow them any more" : "Follow the prices";
  });
  return { id, name };
}

/** The catalogue and the definitions, which the first page of a server makes. */
async function prepare() {
  for (const definition of EVENTS) {
    await shop("POST", "/data/event_definition", definition).catch((error) => {
      if (error.code !== "DUPLICATE_RESOURCE") throw error;
    });
  }
  for (const definition of await all(shop, "event_definition")) definitions.set(definition.id, definition);
  if ((await all(shop, "product")).length === 0) {
    for (const [title, price] of PRODUCTS) await shop("POST", "/data/product", { title, attributes: { price } });
  }
  for (const product of await all(shop, "product")) products.set(product.id, product);
}

$("define").onsubmit = (event) => {
  event.preventDefault();
  const [marker, status] = [$("marker").value.trim(), $("status").value];
  attempt(async () => {
    const fields = { marker, source: "order", on: ["update"], condition: { status }, attributes: { title: `Your order is ${status}` } };
    const definition = await shop("POST", "/data/event_definition", fields);
    definitions.set(definition.id, definition);
    $("marker").value = "";
    showDefinitions();
  });
};

attempt(async () => {
  $("status").append(...STEPS.slice(1).map((step) => element("option", "", step)));
  const response = await fetch("/demo/oneentry/users", { method: "POST" });
  if (!response.ok) throw new Error(`The demo did not start: ${response.status}`);
  const { key, users } = await response.json();
  shop = caller({ "x-app-token": key });
  await prepare();
  customers = users.map((user) => follow(user, key));
  showProducts();
  showDefinitions();
});
