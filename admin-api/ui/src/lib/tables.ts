/** Rows of tables as the pages have them. */
import { api, ask, type Schemas } from "../api/client";
import type { Typed } from "./filters";

export type Row = Record<string, unknown>;
export type TableView = Schemas["TableView"];
export type Column = Schemas["ColumnBody"];

/** What every table has besides. */
export const SET_BY_SERVER = ["id", "createdAt", "updatedAt"];

/** All columns, in the order of the grid. */
export function columnsOf(table: TableView): (Typed & Partial<Column>)[] {
  const [id, ...times] = SET_BY_SERVER;
  return [{ name: id!, type: "uuid" }, ...table.columns, ...times.map((name) => ({ name, type: "datetime" }))];
}

export const TABLES = "tables";

/** What is asked for of tables. */
export const tableQueries = {
  counts: () => ({ queryKey: [TABLES, "counts"], queryFn: () => ask(api.GET("/admin/tables/counts")) }),
  count: (id: string, filter: string | undefined, as: string | undefined) => ({
    queryKey: [TABLES, "count", id, filter, as],
    queryFn: () => ask(api.GET("/admin/tables/{id}/count", { params: { path: { id }, query: { filter, as } } })),
    staleTime: 20_000,
  }),
};
