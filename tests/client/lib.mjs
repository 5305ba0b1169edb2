// What the scenarios share: the admin API, the official client, and a runner that stops at the
// first failure. Nothing here depends on how long things take: it waits for what must come.
import { io } from "socket.io-client";

export const url = process.env.GATEWRIGHT_TEST_URL;
const PATIENCE_MS = 180_000;
const sockets = new Set();

/** A call of the HTTP API: `{status, headers, body}`. */
export async function call(method, path, body, { token, headers = {} } = {}) {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  let json;
  try {
    json = text === "" ? undefined : JSON.parse(text);
  } catch {
    json = text;
  }
  return { status: response.status, headers: response.headers, body: json };
}

/** Signs in; the answer of /auth/login. */
export async function login(email, password) {
  const answer = await call("POST", "/auth/login", { email, password });
  if (answer.status !== 200) throw new Error(`login: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

let adminToken;

/** A call by the first admin that must succeed; gives back the body. */
export async function admin(method, path, body) {
  adminToken ??= (await login(process.env.GATEWRIGHT_TEST_EMAIL, process.env.GATEWRIGHT_TEST_PASSWORD)).accessToken;
  const answer = await call(method, path, body, { token: adminToken });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** The same, but the answer whatever it is. */
export async function tryAdmin(method, path, body) {
  await admin("GET", "/me");
  return call(method, path, body, { token: adminToken });
}

/** Makes a gateway with events, `{name: script}`; gives back its row with `events` by name. */
export async function gateway(path, events = {}, fields = {}) {
  const row = await admin("POST", "/admin/gateways", { path, requireAuth: false, ...fields });
  row.events = {};
  for (const [eventName, event] of Object.entries(events)) {
    const body = typeof event === "string" ? { sourceCode: event } : event;
    row.events[eventName] = await admin("POST", `/admin/gateways/${row.id}/events`, { eventName, ...body });
  }
  return row;
}

let users = 0;

/** Makes a user and signs it in: `{id, email, password, token, refreshToken}`. */
export async function user(fields = {}) {
  const [email, password] = [`user${++users}@example.com`, "some password"];
  const row = await admin("POST", "/admin/users", { email, password, ...fields });
  const { accessToken, refreshToken } = await login(email, password);
  return { ...row, password, token: accessToken, refreshToken };
}

/** A socket of the official client that is not connected yet; never reconnects by itself. */
export function socket(path, options = {}) {
  const made = io(url + path, { reconnection: false, forceNew: true, transports: ["websocket"], ...options });
  sockets.add(made);
  return made;
}

/** A connected socket. */
export async function connect(path, options) {
  const made = socket(path, options);
  await new Promise((resolve, reject) => {
    made.once("connect", resolve);
    made.once("connect_error", (error) => reject(new Error(`connect_error: ${error.message}`)));
    setTimeout(() => reject(new Error(`no connect to ${path}`)), PATIENCE_MS).unref();
  });
  return made;
}

/** The message of the connect_error that must come. */
export function connectError(path, options) {
  const made = socket(path, options);
  return new Promise((resolve, reject) => {
    made.once("connect_error", (error) => resolve(error.message));
    made.once("connect", () => reject(new Error(`${path} let the socket in`)));
    setTimeout(() => reject(new Error(`no connect_error from ${path}`)), PATIENCE_MS).unref();
  });
}

/** Tries to connect to a server that is stopping or full: HTTP 503, and the client would try again. */
export function sentAway(path, options) {
  const made = socket(path, options);
  return new Promise((resolve, reject) => {
    made.once("connect_error", (error) => {
      const status = error.description?.message ?? error.description;
      if (made.active && /\b503\b/.test(status)) resolve();
      else reject(new Error(`${path} answered ${error.message}, ${status}`));
      made.disconnect();
    });
    made.once("connect", () => reject(new Error(`${path} let the socket in`)));
    setTimeout(() => reject(new Error(`no connect_error from ${path}`)), PATIENCE_MS).unref();
  });
}

/** The arguments of the next such event (one argument: itself). */
export function next(from, event, matches = () => true) {
  return new Promise((resolve, reject) => {
    const listener = (...args) => {
      if (!matches(...args)) return;
      from.off(event, listener);
      resolve(args.length === 1 ? args[0] : args);
    };
    from.on(event, listener);
    setTimeout(() => reject(new Error(`no ${event}`)), PATIENCE_MS).unref();
  });
}

/** Every such event from now on, in an array that grows. */
export function collect(from, event) {
  const all = [];
  from.on(event, (data) => all.push(data));
  return all;
}

/** Emits with an ack; gives back the ack. */
export function ask(to, event, ...args) {
  return new Promise((resolve, reject) => {
    to.emit(event, ...args, resolve);
    setTimeout(() => reject(new Error(`no ack of ${event}`)), PATIENCE_MS).unref();
  });
}

/** Emits with an ack and waits for the outcome: the `ws:result` or `ws:error` packet. */
export async function run(to, event, ...args) {
  const seen = [];
  const note = (packet) => seen.push(packet);
  to.on("ws:result", note);
  to.on("ws:error", note);
  const ack = await ask(to, event, ...args);
  if (!ack.accepted) throw new Error(`refused: ${JSON.stringify(ack)}`);
  const outcome = await until(() => seen.find((packet) => packet.requestId === ack.requestId), `outcome of ${event}`);
  to.off("ws:result", note);
  to.off("ws:error", note);
  return outcome;
}

/** Waits until `check` gives something. */
export async function until(check, what = "the condition") {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`never: ${typeof what === "function" ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A round trip on a socket: what was sent to it before has arrived when this is done. */
export async function settle(...all) {
  await Promise.all(all.map((one) => ask(one, "no such event, for the round trip")));
}

/** Runs the named steps in order; the first that throws ends the scenario. */
export async function scenario(steps) {
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step();
      console.log(`ok   ${name}`);
    } catch (error) {
      console.log(`FAIL ${name}\n${error.stack}`);
      process.exit(1);
    }
    for (const one of sockets) one.disconnect();
    sockets.clear();
  }
  process.exit(0);
}
