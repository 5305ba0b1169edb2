/** Parts of the API that the description does not have yet. */
import { api, ask, type Schemas } from "./client";

type Call<T> = (path: string, init: unknown) => Promise<{ data?: T; error?: unknown; response: Response }>;
export const later = api as unknown as { GET: Call<never>; POST: Call<never> };

export interface TreeEvent {
  id: string;
  eventName: string;
  isEnabled: boolean;
  delivery: string;
  count: number;
  errors: number;
  suspended: string | null;
}
export interface TreeGateway {
  id: string;
  path: string;
  isEnabled: boolean;
  isPaused: boolean;
  connections: number;
  count: number;
  errors: number;
  suspended: string | null;
  events: TreeEvent[];
}
export interface Tree {
  gateways: TreeGateway[];
}
export interface StatsPoint {
  at: string;
  connections: number;
  eventsPerSecond: number;
  errorsPerSecond: number;
  queueDepth: number;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
}
export interface ScriptCall {
  macro: string;
  /** None: it is the macro itself. */
  call?: string | null;
  signature: string;
  gives: string;
  /** The kinds of scripts that it is for. */
  contexts: string[];
  doc: string;
  example: string;
  errors: string;
}
export interface ScriptApi {
  calls: ScriptCall[];
}
/** What a save takes and a read gives where revisions are asked for. */
export interface Versioned {
  revision?: number;
}

/** The tree in one call, or put together from the lists where a server does not have that call. */
export async function completeTree(): Promise<Tree> {
  const got = await later.GET("/admin/tree", {}) as { data?: Tree; response: Response };
  if (got.response.ok && got.data) return got.data;
  const [gateways, stats] = await Promise.all([
    ask(api.GET("/admin/gateways", { params: { query: { limit: 1000, sort: "path" } } })),
    ask(api.GET("/admin/stats")),
  ]);
  const counted = (path: string, name: string) => stats.handlers.find((one) => one.gateway === path && one.eventName === name);
  const rows = await Promise.all(gateways.data.map(async (gateway) => {
    const events = await ask(
      api.GET("/admin/gateways/{id}/events", { params: { path: { id: gateway.id }, query: { limit: 1000, sort: "eventName" } } }),
    );
    const suspended = (one?: Schemas["HandlerStats"]) => one?.suspended ?? null;
    const of = events.data.map((event) => {
      const found = counted(gateway.path, event.eventName);
      return { ...event, count: found?.count ?? 0, errors: found?.errors ?? 0, suspended: suspended(found) };
    });
    const own = ["connection", "disconnection"].map((name) => counted(gateway.path, name)).find((one) => one?.suspended);
    return {
      ...gateway,
      connections: stats.connections.gateways[gateway.path] ?? 0,
      count: of.reduce((sum, one) => sum + one.count, 0),
      errors: of.reduce((sum, one) => sum + one.errors, 0),
      suspended: suspended(own),
      events: of,
    };
  }));
  return { gateways: rows };
}
