export { GatewrightError, type Failure } from "./error.js";
export type { CallOptions, Gateway, Kept } from "./gateway.js";
export { defineOneEntry, type AuthData, type OneEntry, type OneEntryOptions, type Session } from "./oneentry.js";
export { createRealtime, type ConnectionEvent, type Realtime, type RealtimeOptions } from "./realtime.js";
export type { SocketClient } from "./socket_client.js";
export type { AnyGateways, Emits, EventName, GatewayTypes, Off, Payload, ProductEmits, Result, State, Token } from "./types.js";
