/** What of the workbench depends on the kind of definition whose script is edited. */
import type { Component } from "svelte";
import type { Schemas } from "../api/client";
import type { Definition, Kind, Subject } from "../api/definitions";
import { hookName, routeName, scriptPath } from "../lib/definitions";

export interface PanelProps {
  subject: Subject;
  definition: Definition;
  /** Of an event, and of a gateway's own script. */
  gateway?: Schemas["GatewayView"] | undefined;
  /** The kind of its test runs. */
  context: string;
  draft: string;
  live: string;
}
type Panel = Component<PanelProps, { run: () => void }>;

export interface Aspects {
  name: string;
  /** Where one comes from. */
  parent: { name: string; path: string[] };
  path: string[];
  /** The kind of a test run, or `library`, which is never run by itself. */
  context: string;
  /** What tries it, unless it is never run by itself. */
  panel?: () => Promise<{ default: Panel }>;
}

/** The kind of a test run, for each field of a gateway that holds a script. */
const GATEWAY_CONTEXTS: Record<string, string> = {
  admissionScript: "websocket_admission",
  connectionScript: "websocket_connection",
  disconnectionScript: "websocket_disconnection",
};

// One function each: another would have the panel loaded, and filled in, anew.
const socketPanel = () => import("./SocketPanel.svelte");
const requestPanel = () => import("./RequestPanel.svelte");
const hookPanel = () => import("./HookPanel.svelte");

const BY_KIND: { [K in Kind]: (subject: Subject, definition: Definition, gateway?: Schemas["GatewayView"]) => Omit<Aspects, "path"> } = {
  event: (_, event, gateway) => ({
    name: (event as Schemas["EventView"]).eventName,
    parent: { name: gateway?.path ?? "", path: ["gateways", gateway?.id ?? ""] },
    context: "websocket_event",
    panel: socketPanel,
  }),
  gateway: ({ id, script }, gateway) => ({
    name: script.replace("Script", ""),
    parent: { name: (gateway as Schemas["GatewayView"]).path, path: ["gateways", id] },
    context: GATEWAY_CONTEXTS[script]!,
    panel: socketPanel,
  }),
  route: ({ id }, route) => ({
    name: routeName(route as Schemas["RouteView"]),
    parent: { name: "Routes", path: ["routes", id] },
    context: "http_route",
    panel: requestPanel,
  }),
  hook: ({ id }, hook) => ({
    name: hookName(hook as Schemas["HookView"]),
    parent: { name: "Hooks", path: ["hooks", id] },
    context: "table_hook",
    panel: hookPanel,
  }),
  library: ({ id }, library) => ({
    name: (library as Schemas["LibraryView"]).name,
    parent: { name: "Libraries", path: ["libraries", id] },
    context: "library",
  }),
};

export function aspects(subject: Subject, definition: Definition, gateway?: Schemas["GatewayView"]): Aspects {
  return { ...BY_KIND[subject.kind](subject, definition, gateway), path: scriptPath(subject) };
}
