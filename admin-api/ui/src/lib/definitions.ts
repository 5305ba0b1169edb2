/** What definitions are called, where their scripts are in the app, and what can be set of them. */
import type { Schemas } from "../api/client";
import type { Subject } from "../api/definitions";

export function routeName({ method, path }: { method: string; path: string }): string {
  return `${method} ${path}`;
}

export function hookName({ when, on, table }: { when: string; on: string[]; table: string }): string {
  return `${when} ${on.join(",")} ${table}`;
}

/** Where a script is edited. */
export function scriptPath({ kind, id, script }: Subject): string[] {
  if (kind === "event") return ["events", id];
  if (kind === "gateway") return ["gateways", id, script.replace("Script", "")];
  return [{ route: "routes", hook: "hooks", library: "libraries" }[kind], id, "script"];
}

type GatewayBody = Schemas["GatewayBody"];
type EventBody = Schemas["EventBody"];

/** Not its path and its other names, of which there is one each. */
const GATEWAY_FIELDS = [
  "description", "isEnabled", "requireAuth", "connectionScript", "disconnectionScript", "scriptTimeoutMs", "allowedOrigins",
  "limits", "presence", "presenceDebounceMs", "requireAppKey", "admissionScript", "emits",
] as const satisfies (keyof GatewayBody)[];
const EVENT_FIELDS = [
  "eventName", "description", "isEnabled", "sourceCode", "timeoutMs", "payloadSchema", "resultSchema", "delivery", "orderBy", "retries", "onDead",
] as const satisfies (keyof EventBody)[];

/** The settings of a definition, to make another of. */
export const copyOf = {
  gateway: (view: Schemas["GatewayView"]) => pick(view, GATEWAY_FIELDS),
  event: (view: Schemas["EventView"]) => pick(view, EVENT_FIELDS),
};

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}

/** Those fields that are other than they were: what a save sends, so that saves of other fields keep each other. */
export function changed<T extends object>(before: T, after: T): Partial<T> {
  const pairs = Object.entries(after).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(before[key as keyof T]));
  return Object.fromEntries(pairs) as Partial<T>;
}

/** A number of a field that may be empty. */
export function numberOrNull(value: number | null | undefined): number | null {
  return value ?? null;
}
