/** The runs that a page has seen, newest first; what comes twice, by the socket and by a look, is one. */
import type { Schemas } from "../api/client";

export interface Run {
  /** Within the page. */
  key: string;
  view: Schemas["RunView"];
}

/** The oldest are forgotten beyond. */
const RUNS_MAX = 2000;

export class Runs {
  #keys = new Map<string, string>();
  #next = 0;

  /** These and those before, newest first. */
  add(before: Run[], views: Schemas["RunView"][]): Run[] {
    const fresh = views.flatMap((view) => {
      const content = [view.requestId, view.kind, view.gateway, view.eventName, view.at, view.operations].join("\n");
      if (this.#keys.has(content)) return [];
      const key = String(this.#next++);
      this.#keys.set(content, key);
      return [{ key, view }];
    });
    if (!fresh.length) return before;
    const all = [...fresh, ...before].sort((a, b) => Date.parse(b.view.at) - Date.parse(a.view.at));
    if (all.length > RUNS_MAX) {
      const gone = new Set(all.slice(RUNS_MAX).map(({ key }) => key));
      for (const [content, key] of this.#keys) if (gone.has(key)) this.#keys.delete(content);
    }
    return all.slice(0, RUNS_MAX);
  }
}
