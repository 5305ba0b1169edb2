// The page of `gatewright demo`: the chat pack as any client would use it.
const $ = (id) => document.getElementById(id);
const socket = io("/chat", { path: "/socket.io" });
let room = null, me = null;
/** What was sent and is not handled yet, by request id: what is refused goes back into its field. */
const sent = new Map();
/** Who types, with the timer that forgets who has gone without a word. */
const typists = new Map();
const TYPING_MS = 5000;

function line(kind, who, text) {
  const line = document.createElement("li");
  line.className = kind;
  if (who) {
    const name = document.createElement("b");
    name.textContent = who + " ";
    line.append(name);
  }
  line.append(text);
  return line;
}

function add(...what) {
  $("log").append(line(...what));
  $("log").lastChild.scrollIntoView();
}

const said = ({ text, userId }) => ["", userId === me ? "you" : userId, text];

function setTypist(userId, types) {
  clearTimeout(typists.get(userId));
  typists.delete(userId);
  if (types) typists.set(userId, setTimeout(() => setTypist(userId, false), TYPING_MS));
  const names = [...typists.keys()];
  $("typing").textContent = names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
}

function nobodyTypes() {
  [...typists.keys()].forEach((userId) => setTypist(userId, false));
}

function setConnected(is) {
  $("send").querySelector("button").disabled = !is;
}

/** Gives a text that was refused back to who wrote it. */
function giveBack(text) {
  if (text !== undefined && $("text").value === "") $("text").value = text;
}

function join(name) {
  if (room && room !== name) socket.emit("leaveRoom", { roomId: room });
  room = name;
  nobodyTypes();
  $("log").replaceChildren();
  socket.emit("joinRoom", { roomId: room });
  socket.emit("history", { roomId: room, limit: 20 });
}

// A new connection is in no room: the one that was joined last is joined again.
socket.on("connect", () => { $("state").textContent = "connected"; setConnected(true); join(room ?? $("room").value); });
socket.on("disconnect", (reason) => {
  $("state").textContent = `${reason}; connecting again…`;
  setConnected(false);
  nobodyTypes();
  [...sent.values()].forEach(giveBack);
  sent.clear();
});
socket.on("connect_error", (error) => {
  $("state").textContent = error.message;
  // A refusal by the server ends the client's own attempts.
  if (!socket.active) setTimeout(() => socket.connect(), 2000);
});
socket.on("connected", ({ userId }) => { me = userId; $("state").textContent = "you are " + userId; });
socket.on("userJoined", ({ userId, name }) => add("note", null, (name || userId) + " joined"));
socket.on("userLeft", ({ userId }) => { setTypist(userId, false); add("note", null, userId + " left"); });
socket.on("newMessage", (message) => { setTypist(message.userId, false); add(...said(message)); });
socket.on("ws:result", ({ requestId, eventName, result }) => {
  sent.delete(requestId);
  if (eventName === "history") $("log").prepend(...result.map((message) => line(...said(message))));
});
socket.on("kicked", ({ reason }) => add("error", null, reason));
socket.on("typing", ({ userId, isTyping }) => setTypist(userId, isTyping));
socket.on("ws:error", ({ requestId, message }) => {
  giveBack(sent.get(requestId));
  sent.delete(requestId);
  add("error", null, message);
});
socket.on("rate_limited", ({ message }) => add("error", null, message));

let typedAt = 0;
function setTyping(now) {
  // Said again before others forget it.
  if (now ? Date.now() - typedAt < TYPING_MS / 2 : typedAt === 0) return;
  typedAt = now ? Date.now() : 0;
  socket.emit("typing", { roomId: room, isTyping: now });
}
$("text").addEventListener("input", () => setTyping($("text").value !== ""));
$("send").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!socket.connected) return;
  $("text").value = "";
  setTyping(false);
  socket.emit("message", { text, roomId: room }, (ack) => {
    if (ack.accepted) return sent.set(ack.requestId, text);
    giveBack(text);
    add("error", null, ack.error.message);
  });
});
$("join").addEventListener("submit", (event) => { event.preventDefault(); join($("room").value); });
