// The engagefabric pack: the client code of its guide, and what must hold when many play at once.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { io } from "socket.io-client";
import { admin, ask, call, collect, connect, connectError, next, run, scenario, settle, until, url, user } from "../lib.mjs";

const gateway = (await admin("GET", "/admin/gateways")).data.find(({ pack }) => pack === "engagefabric");
const mounted = gateway.path;
const prefix = mounted === "/" ? "" : mounted;
const { key } = await admin("POST", "/admin/app-keys", { name: "game", scopes: ["routes"] });
const headers = { "x-app-token": key };

/** A call of the application. */
const rest = (method, path, body) => call(method, prefix + path, body, { headers });

/** Sets how many events a socket may send, of sockets that connect from now on. */
const setRate = (limits) => admin("PATCH", `/admin/gateways/${gateway.id}`, { limits: { ...gateway.limits, ...limits } });

/** What the application tells of a player. */
async function track(playerId, type, fields) {
  const answer = await rest("POST", "/v1/events", { playerId, type, ...fields });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
}

/** A token of the issuer that the server trusts. */
function tokenOf(sub, name = sub) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub, name, iss: "https://players.example", aud: "game", exp })}`;
  return `${signed}.${createHmac("sha256", "a secret of the tests that is long enough").update(signed).digest("base64url")}`;
}

const player = (id) => connect(mounted, { auth: { token: tokenOf(id) } });

/** The value of an event that must succeed. */
async function value(client, event, payload) {
  const outcome = await run(client, event, payload);
  assert.equal(outcome.success, true, JSON.stringify(outcome));
  return outcome.result;
}

async function refused(client, event, payload) {
  const { success, code } = await run(client, event, payload);
  assert.equal(success, false, event);
  return code;
}

const rankings = async (id, limit) => (await rest("GET", `/v1/leaderboards/${id}?limit=${limit}`)).body.rankings;

/** Numbers that are the same in each run. */
function random(seed) {
  return (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

await scenario({
  async "10 events in a second"() {
    assert.deepEqual([gateway.limits.eventsPerSecond, gateway.limits.messageBytes], [10, 65536]);
    const console = { lines: [], warn(line) { this.lines.push(line); } };
    const socket = await player("hasty");
    socket.on("rate_limited", (data) => {
      console.warn(`Rate limited: ${data.message}`);
    });
    const sent = [...Array(30)].map(() => ask(socket, "unsubscribe", { channel: "player", playerId: "hasty" }));
    assert.ok((await Promise.all(sent)).some(({ error }) => error?.code === "RATE_LIMITED"));
    await until(() => console.lines.some((line) => line.startsWith("Rate limited: ")));
    socket.disconnect();
    // The rest goes as fast as it can.
    await setRate({ eventsPerSecond: 0 });
  },

  async "the guide, as it stands"() {
    const [ada, bob] = [await user({ name: "Ada" }), await user({ name: "Bob" })];
    const websocketToken = async () =>
      (await call("POST", "/auth/websocket-token", undefined, { token: ada.token })).body.token;
    const console = { lines: [], log(line) { this.lines.push(line); } };
    const said = (line) => until(() => console.lines.includes(line), () => `${line} in ${JSON.stringify(console.lines)}`);
    const seen = { rewards: [], rankings: [], started: [], messages: [], celebrations: 0 };
    const showRewards = (rewards) => seen.rewards.push(rewards);
    const showCelebration = () => { seen.celebrations += 1; };
    const updateLeaderboardUI = (all) => seen.rankings.push(all);
    const startGame = (data) => seen.started.push(data);
    const displayMessage = (message) => seen.messages.push(message);
    await rest("POST", "/v1/lobbies", { lobbyId: "lobby-abc", name: "Evening", hostId: bob.id });

    const socket = io(url + mounted, {
      auth: {
        token: await websocketToken(),
      },
      transports: ["websocket"],
      forceNew: true,
    });
    socket.on("connect", () => {
      console.log("Connected!");
    });
    socket.on("disconnect", () => {
      console.log("Disconnected");
    });
    await said("Connected!");
    const results = collect(socket, "ws:result");
    const subscribed = (count) => until(() => results.filter(({ eventName }) => eventName === "subscribe").length === count);

    // Subscribe to player updates
    socket.emit("subscribe", {
      channel: "player",
      playerId: ada.id,
    });
    // Listen for events
    socket.on("xp_updated", (data) => {
      console.log(`New XP: ${data.xp}`);
    });
    socket.on("level_up", (data) => {
      console.log(`Reached level ${data.newLevel}!`);
      showCelebration();
    });
    socket.on("quest_progress", (data) => {
      console.log(`Quest ${data.questId}: ${data.progress}/${data.target}`);
    });
    socket.on("quest_completed", (data) => {
      console.log(`Quest completed: ${data.questName}`);
      showRewards(data.rewards);
    });
    await subscribed(1);
    await admin("POST", "/data/quest", { questId: "win-3", name: "Win three", target: 3, minLevel: 2, rewards: { badge: "winner", currencies: { gold: 5 } } });
    const others = Object.fromEntries(
      ["quest_unlocked", "badge_earned", "currency_updated", "lives_updated"].map((event) => [event, collect(socket, event)]),
    );
    await track(ada.id, "xp_earned", { amount: 130 });
    await said("New XP: 130");
    await said("Reached level 2!");
    await track(ada.id, "quest_advanced", { questId: "win-3", amount: 1 });
    await said("Quest win-3: 1/3");
    await track(ada.id, "quest_advanced", { questId: "win-3", amount: 5 });
    await said("Quest completed: Win three");
    await track(ada.id, "lives_changed", { amount: 3 });
    await until(() => others.lives_updated.length === 1);
    assert.deepEqual(others, {
      quest_unlocked: [{ playerId: ada.id, questId: "win-3", questName: "Win three" }],
      badge_earned: [{ playerId: ada.id, badge: "winner" }],
      currency_updated: [{ playerId: ada.id, currency: "gold", balance: 5 }],
      lives_updated: [{ playerId: ada.id, lives: 3 }],
    });
    assert.deepEqual([seen.celebrations, seen.rewards], [1, [{ badge: "winner", currencies: { gold: 5 } }]]);
    const { body } = await rest("GET", `/v1/players/${ada.id}`);
    assert.deepEqual([body.playerName, body.xp, body.level, body.lives, body.currencies, body.badges], ["Ada", 130, 2, 3, { gold: 5 }, ["winner"]]);

    socket.emit("subscribe", {
      channel: "leaderboard",
      leaderboardId: "weekly-xp",
    });
    socket.on("leaderboard_updated", (data) => {
      // data.rankings contains updated top players
      updateLeaderboardUI(data.rankings);
    });
    socket.on("rank_changed", (data) => {
      // Player's rank changed
      console.log(`Your new rank: #${data.rank}`);
    });
    await subscribed(2);
    const highs = collect(socket, "new_high_score");
    await track(ada.id, "score_submitted", { leaderboardId: "weekly-xp", score: 100 });
    await said("Your new rank: #1");
    await track(bob.id, "score_submitted", { leaderboardId: "weekly-xp", score: 120 });
    await said("Your new rank: #2");
    await until(() => seen.rankings.length === 2);
    assert.deepEqual(seen.rankings[1], [
      { rank: 1, playerId: bob.id, playerName: "Bob", score: 120 },
      { rank: 2, playerId: ada.id, playerName: "Ada", score: 100 },
    ]);
    assert.deepEqual(highs.map(({ playerId, score }) => [playerId, score]), [[ada.id, 100], [bob.id, 120]]);
    await admin("PATCH", `/admin/users/${bob.id}`, { name: "Bobby" });
    await until(async () => (await rankings("weekly-xp", 1))[0].playerName === "Bobby", "the new name on the leaderboard");

    await value(socket, "lobby:join", { lobbyId: "lobby-abc" });
    socket.emit("subscribe", {
      channel: "lobby",
      lobbyId: "lobby-abc",
    });
    socket.on("player_joined", (data) => {
      console.log(`${data.playerName} joined the lobby`);
    });
    socket.on("player_left", (data) => {
      console.log(`${data.playerName} left the lobby`);
    });
    socket.on("player_ready", (data) => {
      console.log(`${data.playerName} is ready`);
    });
    socket.on("lobby_started", (data) => {
      console.log("Game starting!");
      startGame(data);
    });
    socket.emit("subscribe", {
      channel: "chat",
      channelId: "lobby-abc-chat",
    });
    socket.on("chat_message", (data) => {
      displayMessage({
        sender: data.senderName,
        content: data.content,
        timestamp: data.timestamp,
      });
    });
    await subscribed(4);
    const host = await connect(mounted, { auth: { token: bob.token } });
    await value(host, "lobby:join", { lobbyId: "lobby-abc" });
    await said("Bobby joined the lobby");
    // Send a chat message
    socket.emit("chat:send", {
      channelId: "lobby-abc-chat",
      content: "Hello everyone!",
    });
    await until(() => seen.messages.length === 1);
    assert.deepEqual([seen.messages[0].sender, seen.messages[0].content], ["Ada", "Hello everyone!"]);
    assert.ok(Date.parse(seen.messages[0].timestamp) > 0);
    // Set ready status in lobby
    socket.emit("lobby:ready", {
      lobbyId: "lobby-abc",
      ready: true,
    });
    await said("Ada is ready");
    assert.equal(await refused(host, "lobby:start", { lobbyId: "lobby-abc" }), "DUPLICATE_RESOURCE");
    await value(host, "lobby:ready", { lobbyId: "lobby-abc", ready: true });
    await value(host, "lobby:start", { lobbyId: "lobby-abc" });
    await said("Game starting!");
    assert.deepEqual(seen.started[0].players, [
      { playerId: ada.id, playerName: "Ada" },
      { playerId: bob.id, playerName: "Bobby" },
    ]);
    // Leave a lobby
    socket.emit("lobby:leave", {
      lobbyId: "lobby-abc",
    });
    await said("Ada left the lobby");
    const chat = collect(socket, "chat_message");
    await value(host, "chat:send", { channelId: "lobby-abc-chat", content: "Alone" });
    await settle(host, socket);
    assert.deepEqual(chat, [], "who left hears no more");

    socket.on("token_expired", async () => {
      const newToken = await websocketToken();
      socket.auth.token = newToken;
      socket.connect();
    });
    socket.disconnect();
    await said("Disconnected");
    host.disconnect();
  },

  async "who may watch what"() {
    assert.match(await connectError(mounted), /^AUTH_REQUIRED/);
    const [one, other] = [await player("one"), await player("other")];
    await rest("POST", "/v1/lobbies", { lobbyId: "private", name: "Private", hostId: "one" });
    for (const payload of [
      { channel: "player", playerId: "one" },
      { channel: "lobby", lobbyId: "private" },
      { channel: "chat", channelId: "private-chat" },
      { channel: "chat", channelId: "private" },
    ]) {
      assert.equal(await refused(other, "subscribe", payload), "AUTHORIZATION_ERROR", JSON.stringify(payload));
    }
    assert.equal(await refused(other, "chat:send", { channelId: "private-chat", content: "Hi" }), "AUTHORIZATION_ERROR");
    assert.equal(await refused(other, "player:gone", { playerId: "one" }), "RESOURCE_NOT_FOUND");
    await value(one, "subscribe", { channel: "lobby", lobbyId: "private" });
    assert.equal((await call("POST", `${prefix}/v1/events`, { playerId: "one", type: "xp_earned", amount: 1 })).status, 401);
    for (const client of [one, other]) client.disconnect();
  },

  async "50 subscriptions"() {
    const one = await player("collector");
    for (let n = 0; n < 50; n += 1) await value(one, "subscribe", { channel: "leaderboard", leaderboardId: `board ${n}` });
    assert.equal((await run(one, "subscribe", { channel: "leaderboard", leaderboardId: "one more" })).success, false);
    await value(one, "unsubscribe", { channel: "leaderboard", leaderboardId: "board 7" });
    await value(one, "subscribe", { channel: "leaderboard", leaderboardId: "one more" });
    one.disconnect();
  },

  async "100 at once: each xp is counted once"() {
    await track("busy", "xp_earned", { amount: 250 });
    const client = await player("busy");
    await value(client, "subscribe", { channel: "player", playerId: "busy" });
    const [updates, levels] = ["xp_updated", "level_up"].map((event) => collect(client, event));
    await Promise.all([...Array(100)].map(() => track("busy", "xp_earned", { amount: 1 })));
    await until(() => updates.length === 100);
    assert.deepEqual(updates.map(({ xp }) => xp), [...Array(100)].map((_, n) => 251 + n), "and told in that order");
    assert.deepEqual(levels.map(({ newLevel }) => newLevel), [4]);
    assert.equal((await rest("GET", "/v1/players/busy")).body.xp, 350);
    const spent = await Promise.all([...Array(20)].map(() => rest("POST", "/v1/events", { playerId: "busy", type: "lives_changed", amount: -1 })));
    assert.ok(spent.every(({ status, body }) => status === 422 && body.error.code === "VALIDATION_ERROR"));
    await track("busy", "currency_changed", { currency: "gold", amount: 7 });
    const paid = await Promise.all([...Array(20)].map(() => rest("POST", "/v1/events", { playerId: "busy", type: "currency_changed", currency: "gold", amount: -1 })));
    assert.equal(paid.filter(({ status }) => status === 200).length, 7, "nobody spends what is not there");
    const badges = collect(client, "badge_earned");
    await Promise.all([...Array(20)].map(() => track("busy", "badge_awarded", { badge: "first" })));
    await settle(client);
    assert.equal(badges.length, 1);
    client.disconnect();
  },

  async "100 scores at once: one ranking, and everybody's rank is told right"() {
    const pick = random(7);
    const names = [...Array(40)].map((_, n) => `runner ${n}`);
    const clients = await Promise.all(names.map(player));
    const watcher = await player("watcher");
    await value(watcher, "subscribe", { channel: "leaderboard", leaderboardId: "race" });
    const tops = collect(watcher, "leaderboard_updated");
    const ranks = clients.map((client) => collect(client, "rank_changed"));
    for (let turn = 0; turn < 2; turn += 1) {
      const scores = [...Array(100)].map(() => [names[pick(40)], pick(60)]);
      await Promise.all(scores.map(([name, score]) => track(name, "score_submitted", { leaderboardId: "race", score })));
    }
    await settle(watcher, ...clients);
    const final = await rankings("race", 100);
    assert.deepEqual(tops.at(-1).rankings, final.slice(0, 10));
    assert.deepEqual(final.map(({ rank }) => rank), final.map((_, n) => n + 1));
    for (let n = 1; n < final.length; n += 1) assert.ok(final[n - 1].score >= final[n].score);
    for (const [n, told] of ranks.entries()) {
      let rank = null;
      for (const change of told) {
        assert.equal(change.previousRank, rank, `${names[n]}: ${JSON.stringify(told)}`);
        assert.notEqual(change.rank, rank);
        rank = change.rank;
      }
      assert.equal(rank, final.find(({ playerId }) => playerId === names[n])?.rank ?? null, names[n]);
    }
    for (const client of [watcher, ...clients]) client.disconnect();
  },

  async "200 sockets in one lobby come, are ready and go"() {
    const names = [...Array(200)].map((_, n) => `guest ${n}`);
    await rest("POST", "/v1/lobbies", { lobbyId: "crowd", name: "Crowd", hostId: "keeper" });
    const keeper = await player("keeper");
    await value(keeper, "subscribe", { channel: "lobby", lobbyId: "crowd" });
    const state = new Map();
    const heard = [];
    keeper.on("player_joined", ({ playerId }) => { heard.push(playerId); state.set(playerId, false); });
    keeper.on("player_ready", ({ playerId, ready }) => { state.set(playerId, ready); });
    keeper.on("player_left", ({ playerId }) => { state.delete(playerId); });
    const clients = await Promise.all(names.map(player));
    const last = await Promise.all(clients.map(async (client, n) => {
      const pick = random(n + 1);
      let is = undefined;
      for (let turn = 0; turn < 6; turn += 1) {
        const lobbyId = "crowd";
        if (is === undefined) {
          await value(client, "lobby:join", { lobbyId });
          is = false;
        } else if (pick(3) === 0) {
          await value(client, "lobby:leave", { lobbyId });
          is = undefined;
        } else {
          is = pick(2) === 0;
          await value(client, "lobby:ready", { lobbyId, ready: is });
        }
      }
      return is;
    }));
    await settle(keeper);
    const { body } = await rest("GET", "/v1/lobbies/crowd");
    const stored = new Map(body.players.map(({ playerId, ready }) => [playerId, ready]));
    const expected = new Map(names.map((name, n) => [name, last[n]]).filter(([, is]) => is !== undefined));
    assert.ok(expected.size > 50 && expected.size < 200, `${expected.size} of 200`);
    const sorted = (map) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(sorted(stored), sorted(expected), "the database has what each did last");
    assert.deepEqual(sorted(state), sorted(expected), "and who listens knows it");
    const closed = next(keeper, "lobby_closed");
    await value(keeper, "lobby:close", { lobbyId: "crowd" });
    assert.deepEqual(await closed, { lobbyId: "crowd" });
    assert.deepEqual((await rest("GET", "/v1/lobbies/crowd")).body.players, []);
    for (const client of [keeper, ...clients]) client.disconnect();
  },

  async "who goes is waited for, who comes back stays"() {
    await rest("POST", "/v1/lobbies", { lobbyId: "patient", name: "Patient", hostId: "host" });
    const host = await player("host");
    await value(host, "subscribe", { channel: "lobby", lobbyId: "patient" });
    const [gone, back] = [await player("gone"), await player("back")];
    for (const client of [gone, back]) await value(client, "lobby:join", { lobbyId: "patient" });
    const left = next(host, "player_left");
    back.disconnect();
    await until(async () => (await admin("GET", "/admin/jobs?state=scheduled&q=back")).data.length > 0, "the wait for who comes back");
    const again = await player("back");
    gone.disconnect();
    // Who went first has been looked at by then.
    assert.equal((await left).playerId, "gone");
    assert.deepEqual((await rest("GET", "/v1/lobbies/patient")).body.players.map(({ playerId }) => playerId), ["back"]);
    for (const client of [host, again]) client.disconnect();
  },

  async "typing, and taking back"() {
    await rest("POST", "/v1/lobbies", { lobbyId: "talk", name: "Talk", hostId: "host" });
    const [one, other] = [await player("one"), await player("other")];
    for (const client of [one, other]) {
      await value(client, "lobby:join", { lobbyId: "talk" });
      await value(client, "subscribe", { channel: "chat", channelId: "talk-chat" });
    }
    const [typing, deleted] = ["player_typing", "message_deleted"].map((event) => collect(other, event));
    const ownTyping = collect(one, "player_typing");
    await value(one, "chat:typing", { channelId: "talk-chat" });
    const { messageId } = await value(one, "chat:send", { channelId: "talk-chat", content: "Oops" });
    assert.equal(await refused(other, "chat:delete", { messageId }), "AUTHORIZATION_ERROR");
    await value(one, "chat:delete", { messageId });
    await until(() => deleted.length === 1);
    assert.deepEqual([typing, ownTyping, deleted], [
      [{ channelId: "talk-chat", playerId: "one", playerName: "one", isTyping: true }],
      [],
      [{ messageId, channelId: "talk-chat" }],
    ]);
    for (const client of [one, other]) client.disconnect();
  },
});
