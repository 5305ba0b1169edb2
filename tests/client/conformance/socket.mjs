// Socket.IO, protocol 5: namespaces, events, acks, binary, and packets that are none, as stock clients
// and the official suite expect them.
import { gateway, scenario } from "../lib.mjs";
import { Socket, connected, equal } from "./raw.mjs";

const echo = { echo: `@SOCKET.reply("back", @BODY);`, many: `return @ARGS;` };
const auth = { connectionScript: `@SOCKET.reply("auth", @DATA.auth);` };
await gateway("/", echo, auth);
await gateway("/custom", echo, auth);

const isEvent = (name, prefix = "") => (frame) => frame.startsWith?.(`42${prefix}["${name}"`);

/** A transport that no namespace is connected on. */
async function transport() {
  const socket = await Socket.open();
  await socket.next();
  return socket;
}

await scenario({
  "connect: the main namespace": async () => {
    const socket = await transport();
    socket.send("40");
    const answer = await socket.next();
    const { sid } = JSON.parse(answer.slice(2));
    if (answer.slice(0, 2) !== "40" || typeof sid !== "string") throw new Error(answer);
    equal(await socket.nextWhere(isEvent("auth")), `42["auth",{}]`, "auth, where none was sent");
    socket.close();
  },
  "connect: with auth": async () => {
    const socket = await transport();
    socket.send(`40{"id":"ü"}`);
    await socket.next();
    equal(await socket.nextWhere(isEvent("auth")), `42["auth",{"id":"ü"}]`, "auth");
    socket.close();
  },
  "connect: another namespace": async () => {
    const socket = await transport();
    socket.send("40/custom,");
    const answer = await socket.next();
    if (!/^40\/custom,\{"sid":".+"\}$/.test(answer)) throw new Error(answer);
    socket.close();
  },
  "connect: another namespace, with auth": async () => {
    const socket = await transport();
    socket.send(`40/custom,{"token2":"abc"}`);
    await socket.next();
    equal(await socket.nextWhere(isEvent("auth", "/custom,")), `42/custom,["auth",{"token2":"abc"}]`, "auth");
    socket.close();
  },
  "connect: one that does not exist": async () => {
    const socket = await transport();
    socket.send("40/random,");
    equal(await socket.next(), `44/random,{"message":"Invalid namespace"}`, "the refusal");
    socket.close();
  },
  "connect: two on one transport, apart from each other": async () => {
    const socket = await transport();
    socket.send("40", "40/custom,");
    const seen = new Set();
    while (seen.size < 2) {
      const frame = await socket.next();
      if (frame.startsWith("40/custom,")) seen.add("custom");
      else if (frame.startsWith("40{")) seen.add("main");
    }
    socket.send(`42/custom,["echo",1]`);
    equal(await socket.nextWhere(isEvent("back", "/custom,")), `42/custom,["back",1]`, "the echo");
    socket.send("41/custom,", `42["echo",2]`);
    equal(await socket.nextWhere(isEvent("back")), `42["back",2]`, "the echo after the other has gone");
    socket.close();
  },
  "connect: what comes first must be CONNECT": async () => {
    for (const packet of [`42["echo",1]`, `43["ack"]`, "41"]) {
      const socket = await transport();
      socket.send(packet, `42["echo",1]`, "40");
      const frames = [];
      try {
        while (frames.at(-1)?.startsWith("40") !== true) frames.push(await socket.next());
      } catch {
        // A server may close it; what it must not do is answer the event.
      }
      if (frames.some(isEvent("back"))) throw new Error(`${packet}: ${frames}`);
      socket.close();
    }
  },
  "disconnect: the namespace alone": async () => {
    const socket = await connected();
    socket.send("41", "40/custom,");
    const answer = await socket.nextWhere((frame) => !isEvent("auth")(frame));
    if (!answer.startsWith("40/custom,{")) throw new Error(answer);
    socket.close();
  },
  "disconnect: and again": async () => {
    const socket = await connected();
    socket.send("41");
    // The official suite asks once, in the same moment, which socketioxide ignores: see "Known limits".
    const asking = setInterval(() => socket.send("40"), 20);
    await socket.nextWhere((frame) => frame.startsWith("40{"));
    clearInterval(asking);
    socket.send(`42["echo","again"]`);
    equal(await socket.nextWhere(isEvent("back")), `42["back","again"]`, "the echo");
    socket.close();
  },
  "event: every kind of JSON": async () => {
    const socket = await connected();
    for (const value of [1, "2", { 3: [] }, [4], null, false, "", 0, 1.5, { a: { b: ["\u2028", "\\", '"'] } }]) {
      socket.send(`42${JSON.stringify(["echo", value])}`);
      equal(JSON.parse((await socket.nextWhere(isEvent("back"))).slice(2)), ["back", value], "the echo");
    }
    socket.close();
  },
  "event: several arguments and an ack": async () => {
    const socket = await connected("/custom");
    socket.send(`42/custom,456["many",1,"2",{"3":[false]}]`);
    const ack = await socket.nextWhere((frame) => frame.startsWith("43"));
    const [answer] = JSON.parse(ack.replace(/^43\/custom,456/, ""));
    equal([answer.accepted, answer.eventName], [true, "many"], "the ack");
    const result = JSON.parse((await socket.nextWhere(isEvent("ws:result", "/custom,"))).slice("42/custom,".length));
    equal(result[1].result, [1, "2", { 3: [false] }], "the arguments");
    socket.close();
  },
  "event: acks have the numbers of their events": async () => {
    const socket = await connected();
    socket.send(`427["echo",1]`, `420["echo",2]`, `42123456789["echo",3]`);
    const ids = [];
    while (ids.length < 3) ids.push((await socket.nextWhere((frame) => frame.startsWith("43"))).match(/^43(\d+)\[/)[1]);
    equal(ids, ["7", "0", "123456789"], "the numbers");
    socket.close();
  },
  "binary: two attachments at their places": async () => {
    const socket = await connected();
    socket.send(
      `452-["echo",[{"_placeholder":true,"num":0},{"deep":{"_placeholder":true,"num":1}}]]`,
      Buffer.from([1, 2, 3]),
      Buffer.from([4, 5]),
    );
    const head = await socket.nextWhere((frame) => frame.startsWith?.("45"));
    equal(head, `452-["back",[{"_placeholder":true,"num":0},{"deep":{"_placeholder":true,"num":1}}]]`, "the packet");
    equal([...(await socket.next())], [1, 2, 3], "the first");
    equal([...(await socket.next())], [4, 5], "the second");
    socket.close();
  },
  "binary: with an ack, in a namespace": async () => {
    const socket = await connected("/custom");
    socket.send(`451-/custom,789["echo",{"_placeholder":true,"num":0}]`, Buffer.from([9]));
    const ack = await socket.nextWhere((frame) => frame.startsWith?.("43/custom,789["));
    equal(JSON.parse(ack.slice("43/custom,789".length))[0].accepted, true, "the ack");
    const head = await socket.nextWhere((frame) => frame.startsWith?.("451-/custom,"));
    equal(head, `451-/custom,["back",{"_placeholder":true,"num":0}]`, "the packet");
    equal([...(await socket.next())], [9], "the attachment");
    socket.close();
  },
  "packets that are none close the transport": async () => {
    for (const packet of ["4abc", "42{}", "42abc", "42[]", "42[null,1]", `4zzz["echo",1]`, `45["echo",1]`]) {
      const socket = await connected();
      socket.send(packet);
      try {
        await socket.isClosed();
      } catch {
        throw new Error(`${packet} leaves it open`);
      }
    }
  },
});
