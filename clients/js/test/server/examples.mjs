// The example for Node, as built, in a room of the chat with another client.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createRealtime } from "gatewright";
import { scenario, until, url } from "../../../../tests/client/lib.mjs";

const main = fileURLToPath(new URL("../../examples/node/dist/main.js", import.meta.url));

await scenario({
  async "the example for Node"() {
    const rt = createRealtime(url);
    const chat = rt.gateway("/chat");
    const heard = [];
    chat.on("newMessage", ({ text }) => heard.push(text));
    await chat.call("joinRoom", { roomId: "lobby" });
    const example = spawn(process.execPath, [main, "Hello"], { env: { ...process.env, GATEWAY_URL: url } });
    let said = "";
    for (const stream of [example.stdout, example.stderr]) stream.on("data", (data) => (said += data));
    await until(() => heard.includes("Hello"), () => `Hello: ${said}`);
    await chat.call("message", { roomId: "lobby", text: "Welcome" });
    await until(() => said.includes(": Welcome"), () => said);
    const ended = new Promise((resolve) => example.once("exit", resolve));
    example.kill("SIGINT");
    assert.equal(await ended, 0, said);
    rt.close();
  },
});
