import { Manager, type ManagerOptions, type SocketOptions } from "socket.io-client";
import { failure, type GatewrightError } from "./error.js";
import { Gateway } from "./gateway.js";
import { socketClient, type SocketClient } from "./socket_client.js";
import type { AnyGateways, At, Off, State, Token } from "./types.js";

/** How to connect. */
export interface RealtimeOptions {
  /**
   * Who the user is. A function is asked before each connection and whenever the token is about to end, so that it
   * is renewed without a reconnect.
   */
  token?: Token;
  /** An app key, for gateways that want one. */
  appToken?: string;
  /** Tells guests apart, so that their durable events are known again. Keep it to have that over reloads too. */
  clientKey?: string;
  /** How many calls wait for a connection at most; 100 unless given. */
  queueLimit?: number;
  /** Options of socket.io-client. */
  socket?: Partial<ManagerOptions & SocketOptions>;
}

/** What `connection` tells. */
export interface ConnectionEvent {
  state: State;
  /** The path of the gateway whose connection it is. */
  gateway: string;
}

/** Where a URL leads: to a server, and to the gateway of its path. */
export function place(url: string): [origin: string, path: string] {
  const { origin, pathname } = new URL(url, globalThis.location?.href);
  return [origin, pathname.replace(/(.)\/+$/, "$1")];
}

/** WebSockets first: what keeps them out is rare, and polling needs all requests to reach one server. */
export const transports = { transports: ["websocket", "polling"], tryAllTransports: true };

/** A server: its gateways, over one transport. */
export interface Realtime<G extends object = AnyGateways> {
  /** Channels, messages and topics of the gateway at the URL's path; connects it. */
  readonly socketClient: SocketClient;
  /** The gateway at a path; connects it. One path has one. */
  gateway<P extends keyof G & string>(path: P): Gateway<At<G, P>>;
  /** The states of connections. Listening connects the gateway of the URL's path, unless another is in use. */
  on(event: "connection", listener: (event: ConnectionEvent) => void): Off;
  /** What fails and nobody waits for. */
  on(event: "error", listener: (error: GatewrightError) => void): Off;
  /** What the gateway of the URL's path sends. */
  on(event: string, listener: (data: any) => void): Off;
  /** Connects again what has ended, such as after signing in. */
  connect(): void;
  /** Ends all connections. What waits fails with `CLOSED`. */
  close(): void;
}

/**
 * The realtime side of a server. The URL's path names the gateway of `socketClient`: that of
 * `https://gateway.example` is `/`.
 */
export function createRealtime<G extends object = AnyGateways>(
  url: string,
  { token, appToken, clientKey, queueLimit = 100, socket }: RealtimeOptions = {},
): Realtime<G> {
  const [origin, path] = place(url);
  const manager = new Manager(origin, { ...transports, ...socket, autoConnect: false });
  const gateways = new Map<string, Gateway<any>>();
  const listeners: Record<string, Set<(data: any) => void>> = { connection: new Set(), error: new Set() };
  let client: SocketClient | undefined;
  let asked: ReturnType<typeof ask> | undefined;

  const ask = async () => (typeof token === "function" ? await token() : token);
  const credentials = {
    // Gateways that want a token at once get the same.
    token: typeof token === "function" ? () => (asked ??= ask().finally(() => (asked = undefined))) : token,
    appToken,
    clientKey: clientKey ?? globalThis.crypto?.randomUUID?.() ?? `${Math.random()}`,
  };
  // A moment later, so that whoever listens after a gateway was made hears that it connects.
  const tell = (event: "connection" | "error", data: ConnectionEvent | GatewrightError) =>
    queueMicrotask(() => {
      const all = listeners[event]!;
      if ("code" in data && !all.size) console.error(`gatewright: ${data.code}: ${data.message}`);
      for (const listener of [...all]) listener(data);
    });
  const gateway = (path: string): Gateway<any> => {
    let found = gateways.get(path);
    if (!found) {
      const report = (error: GatewrightError) => tell("error", error);
      found = new Gateway(path, manager.socket(path, socket), credentials, report, queueLimit);
      found.onState((state) => tell("connection", { state, gateway: path }));
      gateways.set(path, found.connect());
    }
    return found;
  };
  const main = () => (client ??= socketClient(gateway(path)));

  return {
    get socketClient() {
      return main();
    },
    gateway,
    on(event: string, listener: (data: any) => void) {
      const all = Object.hasOwn(listeners, event) && listeners[event];
      if (!all) return main().on(event, listener);
      all.add(listener);
      queueMicrotask(() => gateways.size || main());
      return () => void all.delete(listener);
    },
    connect: () => gateways.forEach((gateway) => gateway.connect()),
    close: () => gateways.forEach((gateway) => gateway.close()),
  };
}
