/** What happens on the server as it happens: the namespace `/@admin` of its own Socket.IO. Where that cannot be
 *  had, each topic is polled instead, and the page says so. A hidden tab asks for nothing. */
import type { Socket } from "socket.io-client";
import { untrack } from "svelte";
import { api, ask, Failure, server } from "../api/client";
import type { Events } from "../api/live";
import { session } from "./session.svelte";

type Topic = keyof Events;

interface Watch<T extends Topic> {
  /** What is to come of the topic; by its content, so that the same is not asked for twice. */
  filter?: Record<string, unknown>;
  take: (data: Events[T]) => void;
  /** Gives the same without a socket. */
  poll: () => Promise<void>;
  pollMs: number;
}

export type LiveState = "connecting" | "live" | "polling" | "away" | "hidden";

/** After a refusal, when to ask again. */
const AGAIN_MS = 20_000;

let state = $state<LiveState>("connecting");
const watches = new Map<Topic, Watch<Topic>>();
const timers = new Map<Topic, ReturnType<typeof setTimeout>>();
let socket: Socket | undefined;
let again: ReturnType<typeof setTimeout> | undefined;

export const live = {
  get state() {
    return state;
  },
};

/** Watches a topic until the function that this gives back is called. One watch of a topic at a time. What an effect
 *  watches does not begin anew because the connection has changed: that is looked after here. */
export function watch<T extends Topic>(topic: T, what: Watch<T>): () => void {
  watches.set(topic, what as unknown as Watch<Topic>);
  untrack(() => begin(topic));
  return () => {
    if (watches.get(topic) !== (what as unknown as Watch<Topic>)) return;
    watches.delete(topic);
    stopPolling(topic);
    if (socket?.connected) socket.emit("unwatch", { topic });
  };
}

function begin(topic: Topic) {
  const watched = watches.get(topic);
  if (!watched || state === "hidden") return;
  if (!socket?.connected) return void poll(topic);
  stopPolling(topic);
  socket.emit("watch", { topic, filter: watched.filter }, (answer: { ok: boolean }) => {
    if (!answer.ok && watches.get(topic) === watched) void poll(topic);
  });
}

async function poll(topic: Topic) {
  stopPolling(topic);
  const watched = watches.get(topic);
  if (!watched) return;
  await watched.poll().catch(() => {});
  // Meanwhile it may have ended, begun anew or come alive.
  if (watches.get(topic) !== watched || socket?.connected || state === "hidden" || timers.has(topic)) return;
  timers.set(topic, setTimeout(() => poll(topic), watched.pollMs));
}

function stopPolling(topic: Topic) {
  clearTimeout(timers.get(topic));
  timers.delete(topic);
}

/** Connects, for as long as somebody is signed in. */
export async function connect() {
  disconnect();
  state = document.hidden ? "hidden" : "connecting";
  if (document.hidden) return;
  const { io } = await import("socket.io-client");
  if (socket || session.state !== "in" || document.hidden) return;
  const made = io(new URL("/@admin", server).href, {
    path: new URL("socket.io/", server).pathname,
    auth: (give) => void token().then((found) => give(found)),
    transports: ["websocket", "polling"],
  });
  socket = made;
  made.on("connect", () => {
    state = "live";
    for (const topic of watches.keys()) begin(topic);
  });
  made.on("connect_error", () => fallBack(made));
  made.on("disconnect", (reason) => {
    fallBack(made);
    state = "away";
    // The server ends a connection whose token has run out; who is still signed in comes back.
    if (reason === "io server disconnect") made.connect();
  });
  for (const topic of ["stats", "runs", "sockets", "jobs", "catalog"] as const) {
    made.on(topic, (data) => watches.get(topic)?.take(data as never));
  }
}

/** A refusal is not tried again by the client itself; a lost connection is. */
function fallBack(made: Socket) {
  if (made !== socket) return;
  state = made.active ? "away" : "polling";
  for (const topic of watches.keys()) if (!timers.has(topic)) void poll(topic);
  clearTimeout(again);
  if (!made.active) again = setTimeout(() => made === socket && made.connect(), AGAIN_MS);
}

async function token(): Promise<{ token?: string }> {
  try {
    return { token: (await ask(api.POST("/auth/websocket-token"))).token };
  } catch (error) {
    if (error instanceof Failure) return {};
    throw error;
  }
}

export function disconnect() {
  clearTimeout(again);
  const had = socket;
  socket = undefined;
  had?.disconnect();
  for (const topic of watches.keys()) stopPolling(topic);
}

document.addEventListener("visibilitychange", () => {
  if (session.state !== "in") return;
  if (document.hidden) {
    disconnect();
    state = "hidden";
  } else {
    void connect();
    for (const topic of watches.keys()) void poll(topic);
  }
});
