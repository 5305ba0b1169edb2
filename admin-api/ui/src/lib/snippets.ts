/** Programs that connect to a gateway and send an event, ready to be run. */

export interface Target {
  /** Where the server is, such as `https://example.com/`; what stands behind the host is a proxy's prefix. */
  server: URL;
  gateway: string;
  event: string;
  requireAuth: boolean;
}

export const languages = ["JavaScript", "HTML", "Vue", "React", "Python"] as const;
export type Language = (typeof languages)[number];

export function snippet(language: Language, target: Target): string {
  return { JavaScript: javaScript, HTML: html, Vue: vue, React: react, Python: python }[language](target);
}

const text = (value: string) => JSON.stringify(value);

/** The address and the options of the client. */
function call({ server, gateway, requireAuth }: Target): string {
  const path = new URL("socket.io/", server).pathname;
  const options = [
    ...(path === "/socket.io/" ? [] : [`path: ${text(path)}`]),
    ...(requireAuth ? ["auth: { token }"] : []),
  ];
  return `io(${text(server.origin + (gateway === "/" ? "" : gateway))}${options.length ? `, { ${options.join(", ")} }` : ""})`;
}

const tokenNote = (target: Target, mark: string) =>
  target.requireAuth ? `${mark} From your own server: POST ${new URL("auth/websocket-token", target.server).pathname}\n` : "";

function javaScript(target: Target): string {
  return `import { io } from "socket.io-client"; // npm install socket.io-client

${tokenNote(target, "//")}const socket = ${call(target)};
socket.on("connect", () => console.log("connected as", socket.id));
socket.on("connect_error", (error) => console.error(error.message));
socket.on("ws:result", ({ eventName, result }) => console.log(eventName, result));
socket.on("ws:error", ({ eventName, code, message }) => console.error(eventName, code, message));

socket.emit(${text(target.event)}, { text: "Hello" }, (ack) => console.log(ack));
`;
}

/** A whole page, with the client that the server itself has. */
function html(target: Target): string {
  return `<!doctype html>
<title>${target.gateway.replace(/[&<]/g, "")}</title>
<pre id="log"></pre>
<script src="${new URL("socket.io/socket.io.js", target.server).href}"></script>
<script>
  const log = (...what) => (document.getElementById("log").textContent += what.map((one) => JSON.stringify(one)).join(" ") + "\\n");
  ${tokenNote(target, "//").trim()}
  const socket = ${call(target)};
  socket.on("connect", () => log("connected as", socket.id));
  socket.on("connect_error", (error) => log(error.message));
  socket.on("ws:result", ({ eventName, result }) => log(eventName, result));
  socket.on("ws:error", ({ eventName, code, message }) => log(eventName, code, message));

  socket.emit(${text(target.event).replaceAll("<", "\\u003c")}, { text: "Hello" }, (ack) => log(ack));
</script>
`.replace(/^ +\n/m, "");
}

function vue(target: Target): string {
  return `<script setup>
import { io } from "socket.io-client"; // npm install socket.io-client
import { onUnmounted, ref } from "vue";

${target.requireAuth ? "const { token } = defineProps([\"token\"]);\n" : ""}const results = ref([]);
const socket = ${call(target)};
socket.on("ws:result", ({ result }) => results.value.push(result));
onUnmounted(() => socket.disconnect());

const send = () => socket.emit(${text(target.event)}, { text: "Hello" });
</script>

<template>
  <button @click="send">Send</button>
  <pre v-for="result in results">{{ result }}</pre>
</template>
`;
}

function react(target: Target): string {
  return `import { useEffect, useRef, useState } from "react";
import { io } from "socket.io-client"; // npm install socket.io-client

export function Gateway(${target.requireAuth ? "{ token }" : ""}) {
  const [results, setResults] = useState([]);
  const socket = useRef(null);
  useEffect(() => {
    const made = ${call(target)};
    made.on("ws:result", ({ result }) => setResults((all) => [...all, result]));
    socket.current = made;
    return () => made.disconnect();
  }, [${target.requireAuth ? "token" : ""}]);
  return (
    <>
      <button onClick={() => socket.current.emit(${text(target.event)}, { text: "Hello" })}>Send</button>
      {results.map((result, index) => <pre key={index}>{JSON.stringify(result)}</pre>)}
    </>
  );
}
`;
}

function python({ server, gateway, event, requireAuth }: Target): string {
  const path = new URL("socket.io/", server).pathname.slice(1, -1);
  const options = [
    `namespaces=[${text(gateway)}]`,
    ...(path === "socket.io" ? [] : [`socketio_path=${text(path)}`]),
    ...(requireAuth ? ['auth={"token": token}'] : []),
  ];
  return `import socketio  # pip install "python-socketio[client]"

client = socketio.Client()


@client.on("ws:result", namespace=${text(gateway)})
def on_result(packet):
    print(packet["eventName"], packet["result"])


${tokenNote({ server, gateway, event, requireAuth }, "#")}client.connect(${text(server.origin)}, ${options.join(", ")})
client.emit(${text(event)}, {"text": "Hello"}, namespace=${text(gateway)}, callback=print)
client.wait()
`;
}
