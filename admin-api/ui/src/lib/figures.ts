/** What has come of scripts, by the id of their definition. */
import type { Schemas } from "../api/client";
import type { FiguresById } from "../parts/DefinitionList.svelte";

export function handlerFigures(stats: Schemas["Stats"] | undefined): FiguresById | undefined {
  return stats && new Map(stats.handlers.map((handler) => [handler.id, handler]));
}
