// The page of `/demo/hubtel`: the pack as any client would use it, in one channel at a time and in some of its rooms. Whatever
// others wrote is shown as text.
const MOUNT = "/hubtel", LINES_MAX = 500;
const $ = (id) => document.getElementById(id);
const socket = io(MOUNT, { path: "/socket.io" });

/** How many are in each channel. */
let online = {};
/** Where this page is: a channel, and one of its rooms or (null) all of it. */
let channel = "lobby", room = null;
/** What is known of the places that were joined, by the rooms' names; null: the channel itself. */
const places = new Map([[null, newPlace()]]);

function newPlace() {
  return { lines: [], unread: 0, online: 0 };
}

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}

/** What is sent: the pack says to others who it was, whatever stands here. */
const envelope = (roomId = null, message = "") => ({
  data: { message, roomId, roomChannel: channel },
  time: new Date().toISOString(),
  clientId: socket.id,
  source: { platform: "web", appName: "Gatewright demo", appVersion: "1", clientId: socket.id, userName: $("name").value.trim(), channel },
});

const nameOf = ({ clientId, source }) =>
  (clientId === socket.id ? "You" : String(source?.userName || `Guest ${String(clientId).slice(0, 5)}`));

function add(where, className, ...content) {
  const place = places.get(where);
  if (!place) return;
  const line = element("li", className, ...content);
  place.lines.push(line);
  if (place.lines.length > LINES_MAX) place.lines.shift().remove();
  if (where === room) {
    $("log").append(line);
    $("log").scrollTop = $("log").scrollHeight;
  } else if (className === "") {
    place.unread += 1;
    showRooms();
  }
}

function showChannels() {
  const names = [...new Set([...Object.keys(online), channel])].sort();
  $("channels").replaceChildren(...names.map((name) => {
    const count = element("span", "count", String(online[name] ?? 0));
    const button = element("button", "", element("span", "", name), count);
    button.setAttribute("aria-current", name === channel);
    button.onclick = () => enterChannel(name);
    return element("li", "", button);
  }));
}

function showRooms() {
  const here = room === null ? online[channel] : places.get(room).online;
  $("title").textContent = room === null ? channel : `${channel}: ${room}`;
  $("here").textContent = here ? `${here} here` : "";
  $("rooms").replaceChildren(...[...places].map(([name, { unread }]) => {
    const label = name ?? "All of it";
    const button = element("button", "", unread ? `${label} (${unread})` : label);
    button.setAttribute("aria-current", name === room);
    button.onclick = () => turnTo(name);
    const item = element("li", "", button);
    if (name !== null) {
      const leave = element("button", "leave", "×");
      leave.setAttribute("aria-label", `Leave ${name}`);
      leave.onclick = () => leaveRoom(name);
      item.append(leave);
    }
    return item;
  }));
}

function turnTo(name) {
  room = name;
  const place = places.get(name);
  place.unread = 0;
  $("log").replaceChildren(...place.lines);
  $("log").scrollTop = $("log").scrollHeight;
  showRooms();
}

function enterChannel(name) {
  if (name === channel) return turnTo(null);
  // Its rooms are left with it.
  tell("leave-channel", envelope());
  channel = name;
  places.clear();
  places.set(null, newPlace());
  tell("join-channel", envelope());
  showChannels();
  turnTo(null);
}

function enterRoom(name) {
  if (!places.has(name)) {
    places.set(name, newPlace());
    tell("join-room", envelope(name));
  }
  turnTo(name);
}

function leaveRoom(name) {
  tell("leave-room", envelope(name));
  places.delete(name);
  turnTo(room === name ? null : room);
}

/** Emits while connected: a new connection joins by itself what this page is in. */
function tell(event, payload, refused = () => {}) {
  if (!socket.connected) return;
  const fail = (message) => {
    refused();
    add(room, "error", message);
  };
  try {
    socket.emit(event, payload, (ack) => ack.accepted || fail(ack.error.message));
  } catch (error) {
    // Some names belong to Socket.IO, and no client can emit them.
    fail(error.message);
  }
}

function state(text, isOn) {
  $("state").textContent = text;
  $("state").classList.toggle("on", isOn);
  $("send").querySelector("button").disabled = !isOn;
}

socket.on("connect", () => {
  state("connected", true);
  tell("join-channel", envelope());
  for (const name of places.keys()) if (name !== null) tell("join-room", envelope(name));
});
socket.on("disconnect", (reason) => {
  state(`${reason}; connecting again…`, false);
  // An end by the server ends the client's own attempts.
  if (!socket.active) setTimeout(() => socket.connect(), 1000);
});
socket.on("connect_error", ({ message }) => {
  state(message, false);
  if (!socket.active) setTimeout(() => socket.connect(), 2000);
});

/** Envelopes about where this page is, by their event. */
const heard = {
  "join-channel": (message) => add(null, "note", `${nameOf(message)} joined`),
  "leave-channel": (message) => add(null, "note", `${nameOf(message)} left`),
  "join-room": (message) => add(message.data.roomId, "note", `${nameOf(message)} entered`),
  "leave-room": (message) => add(message.data.roomId, "note", `${nameOf(message)} left the room`),
  "notify-room": (message) => say(message.data.roomId, message),
  "room-online-users": ({ data }) => {
    if (places.has(data.roomId)) places.get(data.roomId).online = data.onlineUsers;
    showRooms();
  },
};

function say(where, message) {
  const { message: said } = message.data;
  add(where, "", element("b", "", `${nameOf(message)}: `), typeof said === "string" ? said : JSON.stringify(said) ?? "");
}

// A channel's id, which is the event of its messages, may be anything: so all events are looked at.
socket.onAny((event, message) => {
  if (event === "online-users") {
    online = message.data.onlineUsers;
    showChannels();
    showRooms();
  } else if (event === "ws:error" || event === "rate_limited") {
    add(room, "error", message.message);
  } else if (message?.data?.roomChannel === channel) {
    if (Object.hasOwn(heard, event)) heard[event](message);
    else if (event === channel) say(null, message);
  }
});

function onSubmit(form, input, act) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $(input).value.trim();
    if (socket.connected && text !== "") act(text);
  });
}

onSubmit("join", "channel", enterChannel);
onSubmit("enter", "room", (name) => {
  $("room").value = "";
  enterRoom(name);
});
onSubmit("send", "text", (text) => {
  $("text").value = "";
  const giveBack = () => { $("text").value ||= text; };
  if (room === null) tell(channel, envelope(null, text), giveBack);
  else tell("notify-room", envelope(room, text), giveBack);
});
showChannels();
turnTo(null);
