// One socket and its token: connects with the token of the moment, renews it in place before it ends, and says in
// which state the connection is. Knows nothing of events.
import type { Socket } from "socket.io-client";
import { failure, GatewrightError, refusal } from "./error.js";
import type { State, Token } from "./types.js";

/** What a socket shows. */
export interface Credentials {
  token: Token;
  appToken?: string | undefined;
  clientKey?: string | undefined;
}

/** Whom a link tells. */
export interface Told {
  /** The connection is in another state; the error says why it ended, where it did. */
  state(state: State, error?: GatewrightError): void;
  /** Something failed that nobody waits for. */
  error(error: GatewrightError): void;
}

/** A token is renewed so long before its end: when the server warns. */
export const WARNING_MS = 60_000;
/** How long the server may take to answer a connection. */
const ANSWER_MS = 20_000;

const after = (ms: number) => new Promise((done) => setTimeout(done, ms));
const asToken = (cause: unknown) =>
  cause instanceof GatewrightError ? cause : failure("TOKEN_FAILED", `No token: ${cause}`, cause);

/** When a token ends, in milliseconds; NaN where it does not say. */
export function endOf(token: string | null | undefined): number {
  try {
    return JSON.parse(atob(token!.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/"))).exp * 1000;
  } catch {
    return NaN;
  }
}

/** A connection that looks after its token. */
export class Link {
  #socket: Socket;
  #credentials: Credentials;
  #told: Told;
  #ask: (() => unknown) | undefined;
  #attempt = 0;
  #shown: string | undefined;
  #mayRetry = true;
  #isExpired = false;
  #isRefreshing = false;
  #state: State = "disconnected";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: Socket, credentials: Credentials, told: Told) {
    this.#socket = socket;
    this.#credentials = credentials;
    this.#told = told;
    const { token } = credentials;
    this.#ask = typeof token === "function" ? token : undefined;
    socket.auth = (give) => void this.#authenticate(give);
    socket
      .on("connect", () => {
        this.#mayRetry = true;
        this.#isExpired = false;
        this.#become("connected");
      })
      .on("connect_error", (error) => this.#failed(error))
      .on("disconnect", (reason) => this.#lost(reason))
      .on("token_expiring", () => void this.#refresh())
      .on("token_expired", () => (this.#isExpired = true));
  }

  get state(): State {
    return this.#state;
  }

  /** Connects, unless it does already. */
  connect(): void {
    if (this.#state !== "disconnected") return;
    this.#mayRetry = true;
    this.#listen("addEventListener");
    this.#become("connecting");
    this.#socket.connect();
  }

  /** Ends the connection for good. */
  close(): void {
    this.#become("disconnected", failure("CLOSED", "The connection was closed"));
    this.#socket.disconnect();
  }

  #become(state: State, error?: GatewrightError): void {
    clearTimeout(this.#timer);
    if (this.#state === state) return;
    this.#state = state;
    if (error) {
      this.#attempt++;
      this.#listen("removeEventListener");
    }
    this.#told.state(state, error);
  }

  #end(error: GatewrightError): void {
    this.#told.error(error);
    this.#become("disconnected", error);
  }

  async #token(): Promise<string | undefined> {
    const token = this.#ask ? await this.#ask() : this.#credentials.token;
    return (token as string | null) ?? undefined;
  }

  /** Shows the token of the moment; where there is none to be had, asks again, ever more slowly. */
  async #authenticate(give: (data: object) => void): Promise<void> {
    const mine = ++this.#attempt;
    for (let wait = 1000; mine === this.#attempt; wait = Math.min(wait * 2, 30_000)) {
      try {
        const token = await this.#token();
        if (mine !== this.#attempt) return;
        this.#shown = token;
        give({ ...this.#credentials, token });
        // A server that has not let go of the connection before this one does not answer.
        this.#timer = setTimeout(() => this.#socket.disconnect().connect(), ANSWER_MS);
        return;
      } catch (cause) {
        this.#told.error(asToken(cause));
        await after(wait);
      }
    }
  }

  #failed(error: Error): void {
    if (this.#socket.active) {
      this.#told.error(failure("CONNECTION_FAILED", `No connection: ${error.message}`, error));
      return this.#become("reconnecting");
    }
    const refused = refusal(error);
    // The token may have ended on its way: the next is asked for, once.
    if (this.#ask && this.#mayRetry && refused.code === "AUTH_INVALID") {
      this.#mayRetry = false;
      this.#socket.connect();
    } else this.#end(refused);
  }

  #lost(reason: string): void {
    if (this.#state === "disconnected") return;
    if (this.#socket.active) this.#become("reconnecting");
    else if (reason === "io client disconnect") this.close();
    else if (this.#isExpired && this.#ask) {
      this.#become("reconnecting");
      this.#timer = setTimeout(() => this.#socket.connect(), 100);
    } else this.#end(failure(this.#isExpired ? "TOKEN_EXPIRED" : "DISCONNECTED", "The server ended the connection"));
  }

  /** Shows a newer token without a new connection. What fails is tried again until the token ends. */
  async #refresh(): Promise<void> {
    if (!this.#ask || this.#isRefreshing) return;
    this.#isRefreshing = true;
    for (let tries = 0; tries < 5 && this.#socket.connected; tries++) {
      await after(tries * 4000);
      try {
        const token = await this.#token();
        const { ok, error } = await this.#socket.timeout(ANSWER_MS).emitWithAck("token_refresh", { token });
        if (!ok) throw new GatewrightError(error);
        this.#shown = token;
        break;
      } catch (cause) {
        this.#told.error(asToken(cause));
      }
    }
    // A token of less than a minute is warned of at once.
    await after(5000);
    this.#isRefreshing = false;
    this.#wake();
  }

  /** A page that slept may have missed the server's warning. */
  readonly #wake = () => {
    if (this.#socket.connected && endOf(this.#shown) - Date.now() < WARNING_MS) void this.#refresh();
  };

  #listen(how: "addEventListener" | "removeEventListener"): void {
    for (const event of ["visibilitychange", "online"]) globalThis[how]?.(event, this.#wake);
  }
}
