// The page of `/demo/engagefabric`: two players of the pack, each with a socket of its own, and the game's server, whose part the
// buttons play. Whatever others wrote is shown as text.
const MOUNT = "/engage", BOARD = "this-week", QUEST = "warm-up";
const $ = (id) => document.getElementById(id);
const LOG_LINES = 50;

/** What the game's server would send. */
let tell;

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function note(log, className, text) {
  log.append(element("li", className, text));
  while (log.children.length > LOG_LINES) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}

/** Shows the first ten; a row that has moved glides to its new place. */
function showRankings(rankings, own) {
  const list = $("rankings");
  const before = new Map([...list.children].map((row) => [row.dataset.player, row.getBoundingClientRect().top]));
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  list.replaceChildren(...rankings.map(({ rank, playerId, playerName, score }) => {
    const row = element("li", own.has(playerId) ? "own" : "", "");
    row.dataset.player = playerId;
    row.append(element("span", "place", `${rank}.`), element("span", "name", playerName), element("span", "points", String(score)));
    return row;
  }));
  for (const row of list.children) {
    const by = (before.get(row.dataset.player) ?? Infinity) - row.getBoundingClientRect().top;
    if (isCalm || by === 0) continue;
    row.classList.toggle("up", by > 0);
    const from = Number.isFinite(by) ? { transform: `translateY(${by}px)` } : { opacity: 0 };
    row.animate([from, { transform: "none", opacity: 1 }], { duration: 450, easing: "ease-out" });
  }
}

/** Who is in the lobby, as the sockets tell. */
const members = new Map();
function showMembers() {
  $("members").replaceChildren(...[...members.values()].map(({ name, ready }) =>
    element("li", ready ? "ready" : "", ready ? `${name} is ready` : name)));
}

/** The panel of a player, and the socket behind it. */
function play({ id, name, token, isHost }, lobbyId, own) {
  const panel = $("player").content.firstElementChild.cloneNode(true);
  const find = (selector) => panel.querySelector(selector);
  const log = find(".log");
  find("h2").textContent = name;
  panel.setAttribute("aria-label", name);
  find("input").setAttribute("aria-label", `What ${name} says`);
  document.querySelector("main").append(panel);

  const socket = io(MOUNT, { path: "/socket.io", auth: { token }, forceNew: true });
  let isIn = false, isReady = false;
  const show = () => {
    find(".join").textContent = isIn ? "Leave the lobby" : "Join the lobby";
    find(".ready").textContent = isReady ? "Not ready" : "Ready";
    find(".ready").disabled = !isIn;
    find(".start").hidden = !isHost;
    find(".start").disabled = !isIn;
    find("form button").disabled = !isIn;
  };
  const watchLobby = () => {
    socket.emit("subscribe", { channel: "lobby", lobbyId });
    socket.emit("subscribe", { channel: "chat", channelId: `${lobbyId}-chat` });
  };
  socket.on("connect", () => {
    note(log, "faint", "Connected");
    socket.emit("subscribe", { channel: "player", playerId: id });
    socket.emit("subscribe", { channel: "leaderboard", leaderboardId: BOARD });
    if (isIn || isHost) watchLobby();
  });
  socket.on("disconnect", (reason) => note(log, "faint", `${reason}: connecting again…`));
  socket.on("connect_error", ({ message }) => note(log, "error", message));
  socket.on("xp_updated", ({ xp, delta }) => {
    find(".xp").textContent = `${xp} xp`;
    find(".level").textContent = `Level ${1 + Math.floor(xp / 100)}`;
    find(".bar").setAttribute("aria-valuenow", xp % 100);
    find(".bar div").style.width = `${xp % 100}%`;
    note(log, "", `+${delta} xp`);
  });
  socket.on("level_up", ({ newLevel }) => note(log, "cheer", `Level ${newLevel}!`));
  socket.on("currency_updated", ({ balance }) => { find(".gold").textContent = `${balance} gold`; });
  socket.on("quest_progress", ({ progress, target }) => note(log, "", `Quest: ${progress} of ${target}`));
  socket.on("quest_completed", ({ questName }) => note(log, "cheer", `Quest completed: ${questName}`));
  socket.on("badge_earned", ({ badge }) => note(log, "cheer", `Badge: ${badge}`));
  socket.on("rank_changed", ({ rank, previousRank }) => {
    find(".rank").textContent = `Rank ${rank}`;
    note(log, previousRank === null || rank < previousRank ? "cheer" : "", `Your new rank: #${rank}`);
  });
  socket.on("ws:error", ({ message }) => note(log, "error", message));
  socket.on("rate_limited", ({ message }) => note(log, "error", message));
  socket.on("ws:result", ({ result }) => {
    if (result?.joined) { isIn = true; watchLobby(); }
    if (result?.left) { isIn = false; isReady = false; }
    if (result && "ready" in result) isReady = result.ready;
    show();
  });

  const score = () => 100 + Math.floor(Math.random() * 900);
  find(".win").onclick = () => tell(id, "xp_earned", { amount: 25 });
  find(".score").onclick = () => tell(id, "score_submitted", { leaderboardId: BOARD, score: score() });
  find(".quest").onclick = () => tell(id, "quest_advanced", { questId: QUEST, amount: 1 });
  find(".join").onclick = () => socket.emit(isIn ? "lobby:leave" : "lobby:join", { lobbyId });
  find(".ready").onclick = () => socket.emit("lobby:ready", { lobbyId, ready: !isReady });
  find(".start").onclick = () => socket.emit("lobby:start", { lobbyId });
  find("form").onsubmit = (event) => {
    event.preventDefault();
    socket.emit("chat:send", { channelId: `${lobbyId}-chat`, content: find("input").value });
    find("input").value = "";
  };
  own.add(id);
  show();
  return socket;
}

/** What all may see is shown once, as the host's socket tells it. */
function follow(socket, own) {
  socket.on("leaderboard_updated", ({ rankings }) => showRankings(rankings, own));
  socket.on("new_high_score", ({ score }) => { $("high").textContent = `The best: ${score}`; });
  socket.on("player_joined", ({ playerId, playerName }) => { members.set(playerId, { name: playerName, ready: false }); showMembers(); });
  socket.on("player_ready", ({ playerId, playerName, ready }) => { members.set(playerId, { name: playerName, ready }); showMembers(); });
  socket.on("player_left", ({ playerId }) => { members.delete(playerId); showMembers(); });
  socket.on("lobby_started", ({ players }) => {
    $("status").textContent = "started";
    note($("chat"), "cheer", `The game begins: ${players.map(({ playerName }) => playerName).join(", ")}`);
  });
  socket.on("chat_message", ({ senderName, content }) => note($("chat"), "", `${senderName}: ${content}`));
}

async function begin() {
  const response = await fetch("/demo/engagefabric/users", { method: "POST" });
  if (!response.ok) throw new Error(`The demo did not start: ${response.status}`);
  const { key, users: players } = await response.json();
  const lobbyId = `demo-${players[0].id}`;
  const send = (path, body) => fetch(path, {
    method: "POST", headers: { "content-type": "application/json", "x-app-token": key }, body: JSON.stringify(body),
  });
  tell = (playerId, type, fields) => send(`${MOUNT}/v1/events`, { playerId, type, ...fields });
  // Refused where it is there already.
  await send("/data/quest", { questId: QUEST, name: "Warm up", target: 3, rewards: { xp: 40, badge: "Warmed up", currencies: { gold: 10 } } });
  await send(`${MOUNT}/v1/lobbies`, { lobbyId, name: "The demo's lobby", hostId: players[0].id });
  const own = new Set();
  const [host] = players.map((player, n) => play({ ...player, isHost: n === 0 }, lobbyId, own));
  follow(host, own);
  const now = await (await fetch(`${MOUNT}/v1/leaderboards/${BOARD}`, { headers: { "x-app-token": key } })).json();
  showRankings(now.rankings, own);
  $("rivals").onclick = () => {
    for (let n = 1; n <= 6; n += 1) tell(`Rival ${n}`, "score_submitted", { leaderboardId: BOARD, score: Math.floor(Math.random() * 1000) });
  };
}

begin().catch((error) => note($("chat"), "error", error.message));
