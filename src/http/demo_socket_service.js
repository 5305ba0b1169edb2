// The page of the socket-service pack: channels with presence, as any client would use them.
const $ = (id) => document.getElementById(id);
const LINES_MAX = 500;
/** Where the pack is mounted. */
const MOUNT = "/channels";
/** What is known of each channel that was joined, by its name. */
const channels = new Map();
let socket = null, me = null, current = null, tokens = null;

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function show(state, text = state) {
  $("state").textContent = text;
  $("state").className = state;
  $("send").querySelector("button").disabled = state !== "connected" || current === null;
}

function note(channel, kind, ...parts) {
  const lines = channels.get(channel)?.lines;
  if (!lines) return;
  const line = element("li", "", kind);
  line.append(...parts);
  lines.push(line);
  if (lines.length > LINES_MAX) lines.shift().remove();
  if (channel === current) {
    $("log").append(line);
    line.scrollIntoView({ block: "nearest" });
  }
}

/** How a member is called: by the user's id, or one's own name. */
const nameOf = ({ socketId, userId }) => (userId === me.id ? `${me.email}${socketId === socket.id ? " (this window)" : ""}` : `user ${userId}`);

function drawMembers() {
  const here = channels.get(current);
  $("title").textContent = current ?? "No channel";
  $("count").textContent = here ? `${here.count} here` : "";
  const members = here ? [...here.members.values()] : [];
  $("members").replaceChildren(...members.map((member) => {
    const line = element("li", nameOf(member));
    line.append(element("code", member.socketId));
    return line;
  }));
}

function drawChannels() {
  $("channels").replaceChildren(...[...channels].map(([name, { unread }]) => {
    const line = element("li", "", name === current ? "open" : "");
    const open = element("button", unread ? `${name} (${unread})` : name, `name${unread ? " unread" : ""}`);
    open.addEventListener("click", () => openChannel(name));
    const leave = element("button", "×", "plain");
    leave.setAttribute("aria-label", `Leave ${name}`);
    leave.addEventListener("click", () => leaveChannel(name));
    line.append(open, leave);
    return line;
  }));
}

function draw() {
  drawChannels();
  drawMembers();
  $("send").querySelector("button").disabled = !socket?.connected || current === null;
}

function openChannel(name) {
  current = name;
  const here = channels.get(name);
  if (here) here.unread = 0;
  $("log").replaceChildren(...(here?.lines ?? []));
  $("log").lastElementChild?.scrollIntoView({ block: "nearest" });
  draw();
}

/** Asks who was there before; only admins may, others see who comes and goes from now on. */
async function readMembers(name) {
  const url = `/api/socket/channels/${encodeURIComponent(name)}/members?gateway=${encodeURIComponent(MOUNT)}`;
  const answer = await fetch(url, { headers: { authorization: `Bearer ${tokens.accessToken}` } }).catch(() => null);
  const here = channels.get(name);
  if (!answer?.ok || !here) return;
  const { members } = await answer.json();
  here.members = new Map(members.map((member) => [member.socketId, member]));
  here.count = members.length;
  draw();
}

function leaveChannel(name) {
  socket.emit("leaveChannel", { channel: name });
  channels.delete(name);
  if (current === name) openChannel(channels.keys().next().value ?? null);
  draw();
}

/** What was asked and is not answered yet: how to say that it was refused, by request id. */
const asked = new Map();

function ask(event, payload, refused) {
  socket.emit(event, payload, (ack) => {
    if (ack.accepted) asked.set(ack.requestId, refused);
    else refused(ack.error.message);
  });
}

function join(name) {
  ask("joinChannel", { channel: name }, (message) => {
    note(name, "error", message);
    if (channels.get(name)?.members.size === 0) $("channel").value = name;
  });
}

function heard({ channel, data, from }) {
  const here = channels.get(channel);
  if (!here) return;
  const member = here.members.get(from) ?? { socketId: from, userId: from === socket.id ? me.id : "?" };
  const text = typeof data?.text === "string" ? data.text : JSON.stringify(data);
  note(channel, "", element("b", `${from === socket.id ? "you" : nameOf(member)} `), text);
  if (channel !== current) {
    here.unread += 1;
    drawChannels();
  }
}

function presence({ action, room, member, members = [member], count }) {
  const here = channels.get(room);
  if (!here) return;
  for (const one of members) {
    if (action === "join") here.members.set(one.socketId, one);
    else here.members.delete(one.socketId);
    if (one.socketId !== socket.id) note(room, "note", `${nameOf(one)} ${action === "join" ? "joined" : "left"}`);
  }
  here.count = count;
  draw();
}

async function renew() {
  const answer = await fetch("/auth/refresh-token", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ refreshToken: tokens.refreshToken }),
  });
  if (answer.ok) tokens = await answer.json();
  return answer.ok;
}

function connect() {
  socket = io(MOUNT, { path: "/socket.io", auth: (give) => give({ token: tokens.accessToken }) });
  socket.on("connect", () => {
    show("connected");
    // A new connection is in no channel.
    for (const [name, here] of channels) {
      here.members.clear();
      join(name);
      readMembers(name);
    }
  });
  socket.on("disconnect", (reason) => {
    show("disconnected", `${reason}; connecting again…`);
    if (!socket.active) setTimeout(() => socket.connect(), 1000);
  });
  socket.on("connect_error", async (error) => {
    show("disconnected", error.message);
    if (socket.active) return;
    // A refusal by the server ends the client's own attempts.
    if (error.message.startsWith("AUTH_") && !(await renew())) return location.reload();
    setTimeout(() => socket.connect(), 1000);
  });
  socket.on("token_expiring", async () => {
    if (await renew()) socket.emit("token_refresh", { token: tokens.accessToken });
  });
  socket.on("message", heard);
  socket.on("presence", presence);
  socket.on("ws:result", ({ requestId }) => asked.delete(requestId));
  socket.on("ws:error", ({ requestId, message }) => {
    asked.get(requestId)?.(message);
    asked.delete(requestId);
  });
  socket.on("rate_limited", ({ message }) => note(current, "error", message));
}

$("signin").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ email: $("email").value, password: $("password").value });
  const answer = await fetch("/auth/login", { method: "POST", headers: { "content-type": "application/json" }, body });
  const said = await answer.json();
  $("refused").textContent = answer.ok ? "" : said.message;
  if (!answer.ok) return;
  tokens = said;
  me = said.user;
  $("password").value = "";
  $("who").textContent = me.email;
  $("signin").hidden = true;
  $("app").hidden = false;
  connect();
});

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("channel").value;
  if (name === "" || !socket.connected) return;
  if (!channels.has(name)) {
    channels.set(name, { members: new Map(), lines: [], unread: 0, count: 0 });
    join(name);
    readMembers(name);
  }
  openChannel(name);
});

$("send").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (text === "" || !socket.connected || current === null) return;
  $("text").value = "";
  const channel = current;
  ask("publish", { channel, event: "message", data: { text } }, (message) => {
    if ($("text").value === "") $("text").value = text;
    note(channel, "error", message);
  });
});
