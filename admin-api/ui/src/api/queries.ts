/** What pages ask for, by name: what two of them need is fetched once, and what has changed is fetched again. */
import { QueryClient } from "@tanstack/svelte-query";
import { api, ask, Failure, type Schemas } from "./client";
import * as definitions from "./definitions";
import type { Kind, Subject } from "./definitions";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      refetchOnWindowFocus: true,
      // What the server has refused it will refuse again.
      retry: (times, error) => times < 2 && error instanceof Failure && (error.status === 0 || error.status >= 500),
    },
  },
});

/** All that changes when an admin saves something. */
const CATALOG = "catalog";

export function catalogChanged() {
  return client.invalidateQueries({ queryKey: [CATALOG] });
}

const LIMIT_MAX = 1000;

/** All rows of a list, page after page. */
async function all<T>(page: (query: { limit: number; page: number }) => Promise<{ data: T[] }>): Promise<T[]> {
  const rows: T[] = [];
  for (let number = 1; ; number++) {
    const { data } = await page({ limit: LIMIT_MAX, page: number });
    rows.push(...data);
    if (data.length < LIMIT_MAX) return rows;
  }
}

function definition<K extends Kind>(kind: K, id: string) {
  return { queryKey: [CATALOG, kind, id], queryFn: () => definitions.get(kind, id) };
}

const STATS_MS = 5000;

function stats() {
  return { queryKey: ["stats"], queryFn: () => ask(api.GET("/admin/stats")) };
}

/** What lists show of definitions: all but their scripts. */
const ROUTE = "id,method,path,description,isEnabled,access,pack,suspended";
const HOOK = "id,table,when,on,description,isEnabled,priority,pack,suspended";
const LIBRARY = "id,name,description,pack";

export type RouteRow = Omit<Schemas["RouteView"], "sourceCode">;
export type HookRow = Omit<Schemas["HookView"], "sourceCode">;
export type LibraryRow = Omit<Schemas["LibraryView"], "sourceCode">;

export const queries = {
  tree: () => ({ queryKey: [CATALOG, "tree"], queryFn: () => ask(api.GET("/admin/tree")) }),
  definition,
  gateway: (id: string) => definition("gateway", id),
  revisions: (subject: Subject) => ({
    queryKey: [CATALOG, "revisions", subject.kind, subject.id, subject.script],
    queryFn: () => definitions.revisions(subject),
  }),
  tables: () => ({
    queryKey: [CATALOG, "tables"],
    queryFn: async () => (await ask(api.GET("/admin/tables", { params: { query: { limit: LIMIT_MAX } } }))).data,
  }),
  routes: () => ({
    queryKey: [CATALOG, "routes"],
    queryFn: (): Promise<RouteRow[]> => all((page) => ask(api.GET("/admin/routes", { params: { query: { ...page, fields: ROUTE, sort: "path,method" } } }))),
  }),
  hooks: () => ({
    queryKey: [CATALOG, "hooks"],
    queryFn: (): Promise<HookRow[]> => all((page) => ask(api.GET("/admin/hooks", { params: { query: { ...page, fields: HOOK, sort: "table,priority,id" } } }))),
  }),
  libraries: () => ({
    queryKey: [CATALOG, "libraries"],
    queryFn: (): Promise<LibraryRow[]> => all((page) => ask(api.GET("/admin/libraries", { params: { query: { ...page, fields: LIBRARY, sort: "name,id" } } }))),
  }),
  users: () => ({
    queryKey: ["users"],
    queryFn: async () => (await ask(api.GET("/admin/users", { params: { query: { limit: 100, sort: "email" } } }))).data,
  }),
  captures: () => ({ queryKey: ["captures"], queryFn: () => ask(api.GET("/admin/captures")) }),
  run: (requestId: string) => ({
    queryKey: ["run", requestId],
    queryFn: () => ask(api.GET("/admin/logs/{requestId}", { params: { path: { requestId } } })),
  }),
  appKeys: () => ({
    queryKey: ["appKeys"],
    queryFn: async () => (await ask(api.GET("/admin/app-keys", { params: { query: { limit: LIMIT_MAX, sort: "name" } } }))).data,
  }),
  stats,
  socket: (id: string, gateway: string) => ({
    queryKey: ["socket", id, gateway],
    queryFn: () => ask(api.GET("/admin/sockets/{id}", { params: { path: { id }, query: { gateway } } })),
    refetchInterval: STATS_MS,
  }),
  /** The same again and again, for rates. */
  statsNow: () => ({ ...stats(), refetchInterval: STATS_MS }),
  history: (window: string) => ({
    queryKey: ["history", window],
    queryFn: () => ask(api.GET("/admin/stats/history", { params: { query: { window } } })),
  }),
  scriptApi: () => ({
    queryKey: ["scriptApi"],
    queryFn: () => ask(api.GET("/admin/script/api")),
    staleTime: Infinity,
  }),
};
