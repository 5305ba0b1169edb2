import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { failure, GatewrightError } from "./error.js";
import { endOf, Link, WARNING_MS } from "./link.js";
import { place, transports } from "./realtime.js";

/** Whose projects these are. */
export interface OneEntryOptions {
  /** The app key of the project. */
  token: string;
  /** Options of socket.io-client. */
  socket?: Partial<ManagerOptions & SocketOptions>;
  /** Hears what nobody waits for, such as a session that ended. */
  onError?: (error: GatewrightError) => void;
}

/** Fields of a form of sign-in, as OneEntry has them. */
export interface AuthData {
  authData: { marker: string; value: string }[];
}

/** Who signed in. */
export interface Session {
  userIdentifier: string;
  authProviderIdentifier: string;
  accessToken: string;
  refreshToken: string;
  user: { id: string; email: string; name: string; role: string };
}

/** A project. */
export interface OneEntry {
  AuthProvider: {
    /** Signs in: by `(marker, {authData})`, or by `({email, password})`. */
    auth(marker: string, data: AuthData): Promise<Session>;
    auth(credentials: { email: string; password: string }): Promise<Session>;
    /** Signs out, and disconnects. */
    logout(): Promise<void>;
  };
  WS: {
    /** A socket that connects; its token is renewed for as long as the session lasts. */
    connect(): Promise<Socket>;
  };
}

/** The parts of a OneEntry project that are realtime. */
export function defineOneEntry(url: string, { token: appToken, socket: options, onError }: OneEntryOptions): OneEntry {
  const [origin, path] = place(url);
  const links = new Set<Link>();
  let session: Session | undefined;
  let renewal: Promise<Pick<Session, "accessToken" | "refreshToken">> | undefined;

  const post = async (to: string, body: unknown, headers: object = {}) => {
    const answer = await fetch(origin + to, {
      method: "POST",
      credentials: "omit",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const json: any = await answer.json().catch(() => ({}));
    if (answer.ok) return json;
    throw new GatewrightError(json.error ?? { code: "HTTP_ERROR", message: `${to}: ${answer.status}` });
  };
  const current = async () => {
    const before = session;
    if (!before) throw failure("AUTH_REQUIRED", "Call AuthProvider.auth(…) before WS.connect()");
    if (endOf(before.accessToken) - Date.now() > WARNING_MS) return before.accessToken;
    const { refreshToken } = before;
    renewal ??= post("/auth/refresh-token", { refreshToken }).finally(() => (renewal = undefined));
    const next = await renewal;
    if (session === before) session = { ...before, ...next };
    return next.accessToken;
  };

  return {
    AuthProvider: {
      async auth(marker: string | { email: string; password: string }, data?: AuthData) {
        const secret = data?.authData.find(({ marker }) => /password/i.test(marker));
        const name = data?.authData.find((field) => field !== secret);
        const answer = await post("/auth/login", data ? { email: name?.value, password: secret?.value } : marker);
        const authProviderIdentifier = data ? (marker as string) : "email";
        return (session = { ...answer, authProviderIdentifier, userIdentifier: answer.user.email });
      },
      async logout() {
        for (const link of links) link.close();
        links.clear();
        const ended = session;
        session = undefined;
        if (ended) await post("/auth/logout", {}, { authorization: `Bearer ${ended.accessToken}` });
      },
    },
    WS: {
      async connect() {
        await current();
        const socket = io(origin + path, { ...transports, ...options, forceNew: true, autoConnect: false });
        const link = new Link(socket, { token: current, appToken }, {
          state: (state) => void (state === "disconnected" && links.delete(link)),
          error: (error) => onError?.(error),
        });
        links.add(link);
        link.connect();
        return socket;
      },
    },
  };
}
