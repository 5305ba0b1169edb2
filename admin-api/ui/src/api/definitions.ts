/** The definitions that have scripts: where the API has each kind, and what can be done with all of them alike. */
import { api, ask, type Schemas } from "./client";

export interface Definitions {
  event: Schemas["EventView"];
  gateway: Schemas["GatewayView"];
  route: Schemas["RouteView"];
  hook: Schemas["HookView"];
  library: Schemas["LibraryView"];
}
export type Kind = keyof Definitions;
export type Definition = Definitions[Kind];

/** A script of a definition, by the field that it stands in. */
export type Subject = { kind: Kind; id: string; script: string };

const PATHS = {
  event: "/admin/events/{id}",
  gateway: "/admin/gateways/{id}",
  route: "/admin/routes/{id}",
  hook: "/admin/hooks/{id}",
  library: "/admin/libraries/{id}",
} as const satisfies Record<Kind, string>;

/** The paths of all kinds take and answer the same, but for the fields of the definition: one stands for all. */
type Path = (typeof PATHS)["event"];
const at = (kind: Kind) => PATHS[kind] as Path;

export function get<K extends Kind>(kind: K, id: string): Promise<Definitions[K]> {
  return ask(api.GET(at(kind), { params: { path: { id } } })) as Promise<Definition> as Promise<Definitions[K]>;
}

/** Makes one that stands alone; events are made within their gateway. */
export function make<K extends "route" | "hook" | "library">(kind: K, body: Record<string, unknown>): Promise<Definitions[K]> {
  const path = at(kind).replace("/{id}", "") as "/admin/routes";
  return ask(api.POST(path, { body })) as Promise<Definition> as Promise<Definitions[K]>;
}

export function change<K extends Kind>(kind: K, id: string, body: Record<string, unknown>): Promise<Definitions[K]> {
  return ask(api.PATCH(at(kind), { params: { path: { id } }, body })) as Promise<Definition> as Promise<Definitions[K]>;
}

export function remove(kind: Kind, id: string): Promise<unknown> {
  return ask(api.DELETE(at(kind), { params: { path: { id } } }));
}

/** Lets a suspended one run again; a library is never suspended. */
export function resume(kind: Exclude<Kind, "library">, id: string): Promise<unknown> {
  return ask(api.POST(`${at(kind)}/resume` as `${Path}/resume`, { params: { path: { id } } }));
}

/** The last versions of a script, newest first. */
export async function revisions({ kind, id, script }: Subject): Promise<Schemas["Revision"][]> {
  const params = { path: { id }, query: { limit: 100, filter: JSON.stringify({ script }) } };
  return (await ask(api.GET(`${at(kind)}/revisions` as `${Path}/revisions`, { params }))).data;
}

export function restore({ kind, id }: Subject, number: number): Promise<unknown> {
  const path = `${at(kind)}/revisions/{number}/restore` as `${Path}/revisions/{number}/restore`;
  return ask(api.POST(path, { params: { path: { id, number } } }));
}
