// A gateway: calls that give back what their scripts do, and what is said again after each reconnect. Of one call at
// most one outcome is told, and an event that may have arrived is sent again only where the server knows it again.
import type { Socket } from "socket.io-client";
import { failure, GatewrightError, type Failure } from "./error.js";
import { Link, type Credentials } from "./link.js";
import type { Arguments, Emits, EventName, GatewayTypes, Off, Payload, Result, State } from "./types.js";

/** How one call is to go. */
export interface CallOptions {
  /** How long to wait for the result; 30,000 unless given, 0 means for as long as it takes. */
  timeoutMs?: number;
  /** Gives the call up. What the server has by then it still does. */
  signal?: AbortSignal;
  /** Your own id of this event, for durable events: sent again after a lost connection, it is done once. */
  eventId?: string;
}

/** An event that is sent after each reconnect. */
export interface Kept<R> {
  /** What came of it the first time. */
  result: Promise<R>;
  /** It is not sent again. */
  stop(): void;
}

/** The answer to an event. */
interface Ack {
  accepted: boolean;
  requestId: string;
  error?: Failure;
  state?: string;
  result?: unknown;
}

interface Call {
  event: string;
  payload: unknown;
  eventId: string | undefined;
  /** Not since the connection was lost. */
  isSent: boolean;
  /** Known once the server has accepted it. */
  requestId?: string;
  poll?: ReturnType<typeof setTimeout>;
  settle(error: GatewrightError | undefined, result?: unknown): void;
}

const TIMEOUT_MS = 30_000;
/** What a kept event is sent again for, without a new connection. */
const FOR_NOW = /^(RATE_|QUEUE_|UNAVAIL|SERVICE_)/;

const lost = (call: Call, what: string) =>
  failure("CONNECTION_LOST", `The connection was lost; ${what} is not known`, undefined, call.requestId);

/** A connection to one gateway (a namespace of Socket.IO). */
export class Gateway<T extends GatewayTypes = GatewayTypes> {
  /** The socket of socket.io-client beneath. */
  readonly socket: Socket;
  #link: Link;
  #report: (error: GatewrightError) => void;
  #queueLimit: number;
  /** Those without an outcome, oldest first. */
  #calls = new Set<Call>();
  /** What sends each again, once its first has gone well. */
  #keeps = new Set<() => void>();
  #states = new Set<(state: State) => void>();
  #end: GatewrightError | undefined;

  constructor(
    readonly path: string,
    socket: Socket,
    credentials: Credentials,
    report: (error: GatewrightError) => void,
    queueLimit: number,
  ) {
    this.socket = socket;
    this.#report = report;
    this.#queueLimit = queueLimit;
    this.#link = new Link(socket, credentials, {
      state: (state, error) => this.#became(state, error),
      error: report,
    });
    socket.on("ws:result", ({ requestId, result }) => this.#settle(requestId, undefined, result));
    socket.on("ws:error", (told: Failure) => {
      const error = new GatewrightError(told);
      if (!this.#settle(told.requestId, error)) report(error);
    });
  }

  get state(): State {
    return this.#link.state;
  }

  /** Hears of each state of the connection, until the function that comes back is called. */
  onState(listener: (state: State) => void): Off {
    this.#states.add(listener);
    return () => void this.#states.delete(listener);
  }

  /** Connects again after the connection has ended: refused, kicked, or closed. */
  connect(): this {
    this.#end = undefined;
    this.#link.connect();
    return this;
  }

  /** Ends the connection. What waits fails with `CLOSED`. */
  close(): void {
    this.#link.close();
  }

  /**
   * Sends an event; what its script gives back. While the connection is away it waits for it. What was sent, and the
   * connection lost before the server said that it has it, fails with `CONNECTION_LOST`, unless there is an `eventId`.
   */
  call<E extends EventName<T>>(event: E, ...rest: Arguments<Payload<T, E>, CallOptions>): Promise<Result<T, E>> {
    const [payload, { timeoutMs = TIMEOUT_MS, signal, eventId } = {}] = rest as [unknown, CallOptions?];
    return new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      if (!this.socket.connected && this.#calls.size >= this.#queueLimit) {
        return reject(failure("OFFLINE_QUEUE_FULL", `Not connected; ${this.#queueLimit} calls wait`));
      }
      const abort = () => call.settle(failure("ABORTED", `${event} was given up`, signal?.reason, call.requestId));
      const call: Call = {
        event,
        payload,
        eventId,
        isSent: false,
        settle: (error, result) => {
          if (!this.#calls.delete(call)) return;
          clearTimeout(timer);
          clearTimeout(call.poll);
          signal?.removeEventListener("abort", abort);
          error ? reject(error) : resolve(result as Result<T, E>);
        },
      };
      const late = () =>
        call.settle(failure("TIMEOUT", `${event}: no result within ${timeoutMs} ms`, undefined, call.requestId));
      const timer = timeoutMs > 0 ? setTimeout(late, timeoutMs) : undefined;
      this.#calls.add(call);
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      if (this.socket.connected) this.#send(call);
    });
  }

  /**
   * Calls an event in its turn, and again first thing after each reconnect, such as joining a room. Where the first call
   * is refused it is not kept; what fails later is told to the listeners of `error`. `onResult` hears each result.
   */
  keep<E extends EventName<T>>(
    event: E,
    payload: Payload<T, E>,
    onResult?: (result: Result<T, E>) => void,
  ): Kept<Result<T, E>> {
    let number = 0;
    let isKept = false;
    const again = () => void (isKept && send());
    let send: () => Promise<void>;
    const result = new Promise<Result<T, E>>((resolve, reject) => {
      send = async () => {
        const mine = ++number;
        const isOn = () => mine === number && this.#keeps.has(again);
        try {
          const rest = [payload, { timeoutMs: 0 }] as unknown as Arguments<Payload<T, E>, CallOptions>;
          const result = await this.call(event, ...rest);
          resolve(result);
          if (isOn()) {
            isKept = true;
            onResult?.(result);
          }
        } catch (cause) {
          const error = cause as GatewrightError;
          if (!isOn()) reject(error);
          else if (error.code === "CONNECTION_LOST") isKept || void send();
          else if (FOR_NOW.test(error.code)) {
            setTimeout(() => isOn() && (!isKept || this.socket.connected) && send(), 1000);
          } else if (isKept) this.#report(error);
          else {
            this.#keeps.delete(again);
            reject(error);
          }
        }
      };
    });
    // Whoever does not ask for it need not hear of it.
    result.catch(() => {});
    this.#keeps.add(again);
    void send!();
    return { result, stop: () => void this.#keeps.delete(again) };
  }

  /** Hears what the server sends, until the function that comes back is called. */
  on<E extends keyof Emits<T> & string>(event: E, listener: (data: Emits<T>[E]) => void): Off {
    this.socket.on(event as string, listener);
    return () => void this.socket.off(event as string, listener);
  }

  #became(state: State, error?: GatewrightError): void {
    if (state === "connected") this.#resume();
    else this.#lost();
    if (state === "disconnected") {
      this.#end = error!;
      for (const call of [...this.#calls]) call.settle(error);
    }
    for (const listener of [...this.#states]) listener(state);
  }

  /** What is kept goes first, so that calls find the rooms joined; then all that waits, in its order. */
  #resume(): void {
    const calls = [...this.#calls];
    for (const again of this.#keeps) again();
    for (const call of calls) call.requestId ? this.#poll(call, 0) : this.#send(call);
  }

  #lost(): void {
    for (const call of [...this.#calls]) {
      clearTimeout(call.poll);
      if (call.isSent && !call.requestId && !call.eventId) {
        call.settle(lost(call, `whether ${call.event} arrived`));
      }
      call.isSent = false;
    }
  }

  #send(call: Call): void {
    const { event, payload, eventId } = call;
    call.isSent = true;
    const all = eventId ? [payload ?? {}, { eventId }] : payload === undefined ? [] : [payload];
    this.socket.emit(event, ...all, (ack: Ack) => {
      if (!this.#calls.has(call)) return;
      if (ack.accepted) {
        call.requestId = ack.requestId;
        if (ack.state) this.#told(call, ack);
      } else if (ack.error?.code === "SHUTTING_DOWN") {
        // It was not taken: the next server gets it.
        call.isSent = false;
      } else {
        call.settle(new GatewrightError({ ...ack.error!, requestId: ack.requestId }));
      }
    });
  }

  #settle(requestId: string | undefined, error: GatewrightError | undefined, result?: unknown): boolean {
    let isOurs = false;
    for (const call of this.#calls) {
      if (!requestId || call.requestId !== requestId) continue;
      isOurs = true;
      call.settle(error, result ?? null);
    }
    return isOurs;
  }

  /** What the server knows of an event that was sent on an earlier connection. */
  #told(call: Call, { state, result, error }: { state?: string; result?: unknown; error?: Failure }): void {
    const { requestId } = call;
    if (state === "done") call.settle(undefined, result ?? null);
    else if (/^(fail|dea|disc)/.test(state!)) {
      const what = error ?? { code: "DISCARDED", message: `${call.event} was discarded` };
      call.settle(new GatewrightError({ ...what, requestId }));
    } else if (!call.poll) this.#poll(call, 250);
  }

  /** Asks now and then: the result of an event goes to the socket that sent it, which may be gone. */
  #poll(call: Call, ms: number): void {
    call.poll = setTimeout(() => {
      this.#poll(call, Math.min(ms * 2 + 250, 5000));
      const { requestId } = call;
      this.socket.emit("job_status", { requestId }, (answer: { ok: boolean } & Ack) => {
        if (!this.#calls.has(call)) return;
        if (answer.ok) this.#told(call, answer);
        else if (answer.error?.code === "RESOURCE_NOT_FOUND") {
          call.settle(lost(call, `what came of ${call.event}`));
        }
      });
    }, ms);
  }
}
