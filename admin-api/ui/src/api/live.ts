/** What the namespace `/@admin` sends, which the description of the HTTP API does not cover. */
import type { Schemas } from "./client";

export type StatsNow = Schemas["Figures"];

export interface Events {
  /** Once a second. */
  stats: StatsNow;
  /** Every 250 ms where there are any, the newest last; of a flood the rest is only counted. */
  runs: { runs: Schemas["RunView"][]; dropped: number };
  /** Once a second. */
  sockets: Schemas["SocketFigures"];
  /** Once a second; less often where there are so many that counting takes long. */
  jobs: Schemas["JobCountsView"];
  /** A definition has changed. */
  catalog: Record<string, never>;
}
