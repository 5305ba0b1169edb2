// The page of `gatewright demo`: the chat pack as any client would use it.
const $ = (id) => document.getElementById(id);
const socket = io("/chat", { path: "/socket.io" });
let room = null, me = null;

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

function join(name) {
  if (room && room !== name) socket.emit("leaveRoom", { roomId: room });
  room = name;
  $("log").replaceChildren();
  socket.emit("joinRoom", { roomId: room });
  socket.emit("history", { roomId: room, limit: 20 });
}

socket.on("connect", () => { $("state").textContent = "connected"; join($("room").value); });
socket.on("disconnect", (reason) => { $("state").textContent = reason; });
socket.on("connect_error", (error) => { $("state").textContent = error.message; });
socket.on("connected", ({ userId }) => { me = userId; $("state").textContent = "you are " + userId; });
socket.on("userJoined", ({ userId, name }) => add("note", null, (name || userId) + " joined"));
socket.on("userLeft", ({ userId }) => add("note", null, userId + " left"));
socket.on("newMessage", (message) => add(...said(message)));
socket.on("ws:result", ({ eventName, result }) => {
  if (eventName === "history") $("log").prepend(...result.map((message) => line(...said(message))));
});
socket.on("kicked", ({ reason }) => add("error", null, reason));
socket.on("typing", ({ userId, isTyping }) => { $("typing").textContent = isTyping ? userId + " is typing…" : ""; });
socket.on("ws:error", ({ message }) => add("error", null, message));
socket.on("rate_limited", ({ message }) => add("error", null, message));

let typing = false;
function setTyping(now) {
  if (now !== typing) { typing = now; socket.emit("typing", { roomId: room, isTyping: now }); }
}
$("text").addEventListener("input", () => setTyping($("text").value !== ""));
$("send").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  socket.emit("message", { text, roomId: room }, (ack) => {
    if (!ack.accepted) add("error", null, ack.error.message);
  });
  $("text").value = "";
  setTyping(false);
});
$("join").addEventListener("submit", (event) => { event.preventDefault(); join($("room").value); });
