import { StrictMode, useEffect, useState, type FormEvent } from "react";
import { createRoot } from "react-dom/client";
import { useCall, useConnection, useEvent, useKeep } from "gatewright/react";
import { chat, type Message } from "./chat.js";

function Room({ roomId }: { roomId: string }) {
  const [messages, setMessages] = useState<Message[]>([]);
  const [text, setText] = useState("");
  const state = useConnection(chat);
  const joined = useKeep(chat, "joinRoom", { roomId });
  const sent = useCall(chat, "message");

  useEvent(chat, "newMessage", (message) => setMessages((all) => [...all, message]));
  // What was said before, or while the connection was away.
  useEffect(() => {
    if (joined.result) chat.call("history", { roomId }).then(setMessages, console.error);
  }, [joined.result, roomId]);

  const send = async (event: FormEvent) => {
    event.preventDefault();
    await sent.call({ roomId, text }).then(() => setText(""), () => {});
  };
  const error = joined.error ?? sent.error;
  return (
    <>
      <p>{state}</p>
      <ul>
        {messages.map(({ id, userId, text }) => (
          <li key={id}>{userId}: {text}</li>
        ))}
      </ul>
      <form onSubmit={send}>
        <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} required />
        <button disabled={sent.isPending}>Send</button>
      </form>
      {error && <p role="alert">{error.message}</p>}
    </>
  );
}

createRoot(document.getElementById("app")!).render(
  <StrictMode>
    <Room roomId="lobby" />
  </StrictMode>,
);
