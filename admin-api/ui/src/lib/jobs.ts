/** Jobs as the pages have them. */
import type { Schemas } from "../api/client";
import type { Query } from "./route.svelte";

export type Job = Schemas["JobView"];

/** In the order in which they pass through them. */
export const JOB_STATES = ["waiting", "scheduled", "running", "retrying", "failed", "dead", "done", "discarded"];
/** Those that are still to run. */
export const OPEN_STATES = ["waiting", "running", "retrying"];

export function toneOf(state: string): "good" | "warn" | "bad" | "" {
  switch (state) {
    case "done":
      return "good";
    case "retrying":
      return "warn";
    case "failed":
    case "dead":
      return "bad";
    default:
      return "";
  }
}

/** The filter that stands in the address. */
export function jobParams(query: Query) {
  const { state, gateway, event, q } = query;
  return { state: state || undefined, gateway: gateway || undefined, event: event || undefined, q: q || undefined };
}

/** The same as a body has it. */
export function bodyOf(filter: ReturnType<typeof jobParams>) {
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as Record<string, string>;
}

/** How many jobs there are of each state, and since when: of one gateway, or of all. */
export function totals(counts: Schemas["JobCountView"][], gateway: string | undefined) {
  const totals = new Map<string, { jobs: number; oldestAt: string }>();
  for (const one of counts) {
    if (gateway && one.gateway !== gateway) continue;
    const before = totals.get(one.state);
    const oldestAt = before && before.oldestAt < one.oldestAt ? before.oldestAt : one.oldestAt;
    totals.set(one.state, { jobs: (before?.jobs ?? 0) + one.jobs, oldestAt });
  }
  return totals;
}
