// The `node` baseline: answers like Gatewright does, with no script and no queue.
// Usage: node server.mjs HOST:PORT

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const [host, port] = (process.argv[2] ?? "127.0.0.1:0").split(":");

const http = createServer((request, response) => {
  response.writeHead(request.url === "/health/ready" ? 200 : 404).end();
});
const io = new Server(http, { serveClient: false });

function answer(socket, eventName, ack, result) {
  const requestId = randomUUID();
  ack?.({ accepted: true, queued: true, requestId, eventName });
  socket.emit("ws:result", { requestId, eventName, success: true, result, logs: [] });
}

io.of("/bench").on("connection", (socket) => {
  socket.on("message", (_body, ack) => answer(socket, "message", ack, { sent: true }));
  socket.on("join", (body, ack) => {
    socket.join(body.room);
    answer(socket, "join", ack, { joined: body.room });
  });
  socket.on("publish", (body, ack) => {
    io.of("/bench").to(body.room).emit("tick", body.data);
    answer(socket, "publish", ack, { published: true });
  });
});

// Node sets TCP_NODELAY on the connections of an HTTP server by default.
http.listen(Number(port), host);
