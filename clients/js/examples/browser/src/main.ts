import { chat, rt, type Message } from "./chat.js";

const roomId = "lobby";
const find = <E extends HTMLElement>(id: string) => document.getElementById(id) as E;

function show({ userId, text }: Message): void {
  const item = document.createElement("li");
  item.textContent = `${userId}: ${text}`;
  find("messages").append(item);
}

rt.on("connection", ({ state }) => (find("state").textContent = state));
rt.on("error", (error) => (find("error").textContent = error.message));
chat.on("newMessage", show);

// In the room now, and again after each reconnect; what was said before, or meanwhile, is read then.
chat.keep("joinRoom", { roomId }, async () => {
  const messages = await chat.call("history", { roomId });
  find("messages").replaceChildren();
  messages.forEach(show);
});

const form = find<HTMLFormElement>("form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = form.elements.namedItem("text") as HTMLInputElement;
  try {
    await chat.call("message", { roomId, text: input.value });
    input.value = find("error").textContent = "";
  } catch (error) {
    find("error").textContent = (error as Error).message;
  }
});
