// Says something in a room and prints what others say there: `npm start -- Hello`.
import { GatewrightError } from "gatewright";
import { chat, rt } from "./chat.js";

const [roomId, text] = ["lobby", process.argv[2]];

rt.on("error", ({ code, message }) => console.error(code, message));
chat.on("newMessage", ({ userId, text }) => console.log(`${userId}: ${text}`));
chat.keep("joinRoom", { roomId }, () => console.log(`in the room ${roomId}`));

try {
  for (const { userId, text } of await chat.call("history", { roomId, limit: 10 }).catch(() => [])) {
    console.log(`${userId}: ${text} (before)`);
  }
  if (text) await chat.call("message", { roomId, text });
} catch (error) {
  if (!(error instanceof GatewrightError)) throw error;
  console.error(`not sent: ${error.code} ${error.message}`);
}

process.once("SIGINT", () => rt.close());
