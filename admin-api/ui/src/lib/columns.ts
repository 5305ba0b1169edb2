/** Columns of a table as a form has them, and as the API takes them. */
import type { Column } from "./tables";

export const TYPES = ["string", "text", "integer", "float", "boolean", "datetime", "json", "uuid", "enum"];

export interface ColumnDraft {
  /** Within the form. */
  key: string;
  /** The name that it has now; none: it is new. */
  before?: string;
  name: string;
  type: string;
  required: boolean;
  unique: boolean;
  index: boolean;
  /** As JSON; empty: none. */
  default: string;
  references: string;
  /** With commas. */
  values: string;
}

let next = 0;

export function newColumn(): ColumnDraft {
  const off = { required: false, unique: false, index: false };
  return { key: String(next++), name: "", type: "string", ...off, default: "", references: "", values: "" };
}

export function draftOf(column: Column): ColumnDraft {
  return {
    key: String(next++),
    before: column.name,
    name: column.name,
    type: column.type,
    required: column.required ?? false,
    unique: column.unique ?? false,
    index: column.index ?? false,
    default: column.default === undefined || column.default === null ? "" : JSON.stringify(column.default),
    references: column.references ?? "",
    values: column.values?.join(", ") ?? "",
  };
}

/** A column as the API takes it. A default that is no JSON is the text that it is. */
export function columnOf(draft: ColumnDraft): Column {
  const canBeIndexed = draft.type !== "text" && draft.type !== "json";
  const column: Column = { name: draft.name.trim(), type: draft.type };
  if (draft.required) column.required = true;
  if (draft.unique && canBeIndexed) column.unique = true;
  if (draft.index && canBeIndexed) column.index = true;
  if (draft.default.trim()) column.default = parsed(draft.default);
  if (draft.references && draft.type === "uuid") column.references = draft.references;
  if (draft.type === "enum") column.values = draft.values.split(",").map((value) => value.trim()).filter(Boolean);
  return column;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text.trim();
  }
}

/** The change of a table whose columns are to be these: all of them, and which had other names. */
export function changeOf(drafts: ColumnDraft[]) {
  const renamed = drafts.filter(({ before, name }) => before && before !== name.trim());
  const rename = Object.fromEntries(renamed.map(({ before, name }) => [before!, name.trim()]));
  return { columns: drafts.map(columnOf), rename };
}

/** Groups of columns that are unique together: one a line, names with commas. */
export function groupsOf(text: string): string[][] {
  const groups = text.split("\n").map((line) => line.split(",").map((name) => name.trim()).filter(Boolean));
  return groups.filter((group) => group.length > 0);
}
