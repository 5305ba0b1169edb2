/** What is known of a gateway; `gatewright types` writes it. */
export interface GatewayTypes {
  /** What clients send, with what comes back. */
  events: object;
  /** What the server sends. */
  emits: object;
}

/** Gateways of which nothing is known: every name and every payload goes. */
export interface AnyGateways {
  [path: string]: {
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    events: { [event: string]: { payload: any; result: any } };
    emits: { [event: string]: any };
  };
}

/** The gateway at a path. */
export type At<G, P> = P extends keyof G ? (G[P] extends GatewayTypes ? G[P] : never) : never;

/** The names of events that clients send. */
export type EventName<T extends GatewayTypes> = keyof T["events"] & string;

/** What an event takes. */
export type Payload<T extends GatewayTypes, E> = E extends keyof T["events"]
  ? T["events"][E] extends { payload: infer P } ? P : never
  : never;

/** What an event gives back. */
export type Result<T extends GatewayTypes, E> = E extends keyof T["events"]
  ? T["events"][E] extends { result: infer R } ? R : never
  : never;

/** The arguments behind an event's name: the payload may be left out where it may be undefined. */
export type Arguments<P, O> = undefined extends P ? [payload?: P, options?: O] : [payload: P, options?: O];

/** What every gateway may send. */
export interface ProductEmits {
  presence: { action: "join" | "leave"; room: string; member: { socketId: string; userId: string | null }; count: number };
  event: { subscriptionId: string; topic: string; data: any; timestamp: string };
  rate_limited: { message: string; limit: number; retryAfterMs: number };
}

/** What the server sends, by name. */
export type Emits<T extends GatewayTypes> = T["emits"] & ProductEmits;

/** The life of a connection. */
export type State = "connecting" | "connected" | "reconnecting" | "disconnected";

/** Takes it back: the listener hears no more. */
export type Off = () => void;

/** Where a token comes from: itself, or whoever has the one of the moment. */
export type Token = string | null | undefined | (() => string | null | undefined | Promise<string | null | undefined>);
