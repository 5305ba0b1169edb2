/** What pages ask for, by name: what two of them need is fetched once, and what has changed is fetched again. */
import { QueryClient } from "@tanstack/svelte-query";
import { api, ask, Failure, type Schemas } from "./client";

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

export const queries = {
  tree: () => ({ queryKey: [CATALOG, "tree"], queryFn: () => ask(api.GET("/admin/tree")) }),
  gateway: (id: string) => ({
    queryKey: [CATALOG, "gateway", id],
    queryFn: () => ask(api.GET("/admin/gateways/{id}", { params: { path: { id } } })),
  }),
  event: (id: string) => ({
    queryKey: [CATALOG, "event", id],
    queryFn: () => ask(api.GET("/admin/events/{id}", { params: { path: { id } } })),
  }),
  tables: () => ({
    queryKey: [CATALOG, "tables"],
    queryFn: async () => (await ask(api.GET("/admin/tables", { params: { query: { limit: LIMIT_MAX } } }))).data,
  }),
  routes: () => ({
    queryKey: [CATALOG, "routes"],
    queryFn: async () => (await ask(api.GET("/admin/routes", { params: { query: { limit: LIMIT_MAX } } }))).data,
  }),
  users: () => ({
    queryKey: ["users"],
    queryFn: async () => (await ask(api.GET("/admin/users", { params: { query: { limit: 100, sort: "email" } } }))).data,
  }),
  stats: () => ({ queryKey: ["stats"], queryFn: () => ask(api.GET("/admin/stats")) }),
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

export type Subject = { kind: "event" | "gateway"; id: string; script: string };

/** The last versions of a script, newest first. */
export function revisions({ kind, id, script }: Subject) {
  const params = { path: { id }, query: { limit: 100, filter: JSON.stringify({ script }) } };
  return {
    queryKey: [CATALOG, "revisions", kind, id, script],
    queryFn: async (): Promise<Schemas["Revision"][]> => {
      const found = kind === "event"
        ? await ask(api.GET("/admin/events/{id}/revisions", { params }))
        : await ask(api.GET("/admin/gateways/{id}/revisions", { params }));
      return found.data;
    },
  };
}
