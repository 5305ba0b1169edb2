// Engine.IO, protocol 4: handshakes, messages, the upgrade and the end of a session, as stock clients
// and the official suite expect them.
import { gateway, scenario, until } from "../lib.mjs";
import { Polling, SEPARATOR, Socket, connected, equal, http } from "./raw.mjs";

await gateway("/", { echo: `@SOCKET.reply("back", @BODY);` });

function checkHandshake(open) {
  for (const name of ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]) {
    if (open[name] === undefined) throw new Error(`no ${name} in ${JSON.stringify(open)}`);
  }
  equal(typeof open.sid, "string", "the sid");
  for (const name of ["pingInterval", "pingTimeout", "maxPayload"]) {
    if (!(open[name] > 0)) throw new Error(`${name} is ${open[name]}`);
  }
}

async function connectPolling() {
  const session = await Polling.open();
  equal((await session.post("40")).status, 200, "CONNECT");
  const answer = await session.next();
  if (!answer.startsWith("40{")) throw new Error(answer);
  return session;
}

/** That requests of a session are refused from some moment on. */
const isOver = (session) =>
  until(async () => (await session.post("40")).status === 400 && (await session.get()).status === 400, "the end of the session");

await scenario({
  "polling: the handshake": async () => {
    const session = await Polling.open();
    checkHandshake(session.open);
    equal(session.open.upgrades, ["websocket"], "the upgrades");
  },
  "polling: another or no protocol version is refused": async () => {
    for (const query of ["?transport=polling", "?EIO=abc&transport=polling", "?EIO=9&transport=polling"]) {
      equal((await http(query)).status, 400, query);
    }
  },
  "polling: another or no transport is refused": async () => {
    for (const query of ["?EIO=4", "?EIO=4&transport=abc", "?EIO=4&transport="]) equal((await http(query)).status, 400, query);
  },
  "polling: a handshake is a GET": async () => {
    for (const method of ["POST", "PUT", "DELETE"]) {
      const { status } = await http("?EIO=4&transport=polling", { method });
      if (status < 400) throw new Error(`${method}: ${status}`);
    }
  },
  "polling: a session that does not exist is refused": async () => {
    for (const options of [{}, { method: "POST", body: "40" }]) {
      equal((await http("?EIO=4&transport=polling&sid=zzz", options)).status, 400, JSON.stringify(options));
      equal((await http("?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", options)).status, 400, JSON.stringify(options));
    }
  },
  "polling: several packets in one body, in order": async () => {
    const session = await connectPolling();
    equal((await session.post(`42["echo",1]`, `42["echo",2]`, `42["echo",3]`)).status, 200, "the POST");
    const back = [];
    while (back.length < 3) {
      const packet = await session.next();
      if (packet.startsWith(`42["back"`)) back.push(JSON.parse(packet.slice(2))[1]);
    }
    equal(back, [1, 2, 3], "the echo");
  },
  "polling: text beyond ASCII": async () => {
    const session = await connectPolling();
    await session.post(`42["echo","ünï€ 🚀"]`);
    for (;;) {
      const packet = await session.next();
      if (packet.startsWith(`42["back"`)) return equal(packet, `42["back","ünï€ 🚀"]`, "the echo");
    }
  },
  "polling: binary is base64 after a b": async () => {
    const session = await connectPolling();
    await session.post(`451-["echo",{"_placeholder":true,"num":0}]`, `bAQIDBA==`);
    for (;;) {
      const packet = await session.next();
      if (packet.startsWith("b")) return equal(packet, "bAQIDBA==", "the attachment");
    }
  },
  "polling: what is no packet ends the session": async () => {
    const session = await Polling.open();
    equal((await session.post("abc")).status, 400, "a POST of no packet");
    await isOver(session);
  },
  "polling: two polls at once end the session": async () => {
    const session = await connectPolling();
    const answers = await Promise.all([session.get(), session.get()]);
    const refused = answers.filter(({ status }) => status === 400).length;
    if (refused < 1) throw new Error(JSON.stringify(answers));
    await isOver(session);
  },
  "polling: a close packet ends the session": async () => {
    const session = await connectPolling();
    const poll = session.get();
    await session.post("1");
    const { status, text } = await poll;
    if (status === 200 && !text.split(SEPARATOR).every((packet) => packet === "6" || packet === "2" || packet === "1")) throw new Error(text);
    await isOver(session);
  },
  "polling: a body over maxPayload is refused": async () => {
    const session = await Polling.open();
    const { status } = await session.post(`42["echo","${"x".repeat(session.open.maxPayload)}"]`);
    if (status !== 413 && status !== 400) throw new Error(`${status}`);
  },
  "websocket: the handshake": async () => {
    const socket = await Socket.open();
    const open = await socket.next();
    equal(open[0], "0", "the first packet's type");
    checkHandshake(JSON.parse(open.slice(1)));
    equal(JSON.parse(open.slice(1)).upgrades, [], "the upgrades");
    socket.close();
  },
  "websocket: another or no protocol version is refused": async () => {
    for (const query of ["?transport=websocket", "?EIO=abc&transport=websocket", "?EIO=9&transport=websocket"]) {
      equal((await Socket.open(query)).refused, 400, query);
    }
  },
  "websocket: another or no transport is refused": async () => {
    for (const query of ["?EIO=4", "?EIO=4&transport=abc"]) equal((await Socket.open(query)).refused, 400, query);
  },
  "websocket: text and binary come back": async () => {
    const socket = await connected();
    socket.send(`42["echo","ünï"]`);
    equal(await socket.nextWhere((frame) => frame.startsWith?.(`42["back"`)), `42["back","ünï"]`, "the text");
    socket.send(`451-["echo",{"_placeholder":true,"num":0}]`, Buffer.from([1, 2, 3, 4]));
    const bytes = await socket.nextWhere((frame) => Buffer.isBuffer(frame));
    equal([...bytes], [1, 2, 3, 4], "the bytes");
    socket.close();
  },
  "websocket: what is no packet closes it": async () => {
    const socket = await Socket.open();
    await socket.next();
    socket.send("abc");
    await socket.isClosed();
  },
  "websocket: a close packet closes it": async () => {
    const socket = await connected();
    socket.send("1");
    await socket.isClosed();
  },
  "upgrade: probe, noop to the poll that waits, upgrade": async () => {
    const session = await connectPolling();
    const socket = await Socket.open(`?EIO=4&transport=websocket&sid=${session.open.sid}`);
    socket.send("2probe");
    equal(await socket.next(), "3probe", "the answer to the probe");
    const poll = await session.get();
    equal(poll.status, 200, "the poll");
    if (!poll.text.split(SEPARATOR).includes("6") && poll.text !== "2") throw new Error(poll.text);
    socket.send("5", `42["echo",7]`);
    equal(await socket.nextWhere((frame) => frame.startsWith?.(`42["back"`)), `42["back",7]`, "the echo");
    socket.close();
  },
  "upgrade: polling is over then": async () => {
    const session = await connectPolling();
    const socket = await Socket.open(`?EIO=4&transport=websocket&sid=${session.open.sid}`);
    socket.send("2probe");
    equal(await socket.next(), "3probe", "the answer to the probe");
    await session.get();
    socket.send("5", `42["echo",7]`);
    await socket.nextWhere((frame) => frame.startsWith?.(`42["back"`));
    equal((await session.get()).status, 400, "a poll");
    equal((await session.post(`42["echo",8]`)).status, 400, "a POST");
    socket.send(`42["echo",9]`);
    equal(await socket.nextWhere((frame) => frame.startsWith?.(`42["back"`)), `42["back",9]`, "the echo");
    socket.close();
  },
  "upgrade: a second one is refused and changes nothing": async () => {
    const socket = await Socket.open();
    const { sid } = JSON.parse((await socket.next()).slice(1));
    socket.send("40");
    await socket.next();
    const second = await Socket.open(`?EIO=4&transport=websocket&sid=${sid}`);
    if (second.refused === undefined) await second.isClosed();
    socket.send(`42["echo",1]`);
    equal(await socket.nextWhere((frame) => frame.startsWith?.(`42["back"`)), `42["back",1]`, "the echo");
    socket.close();
  },
});
