/** What a script has emitted, written or logged, as lists show it. */
import { json } from "./format";

export interface Entry {
  name?: string;
  text: string;
  /** What is left out of it. */
  note?: string;
}

export function shown(value: unknown): string {
  return typeof value === "string" ? value : json(value);
}

export function emitsOf(all: unknown): Entry[] {
  const emits = (all ?? []) as { method: string; args: unknown[]; isCut?: boolean }[];
  return emits.map(({ method, args, isCut }) => ({ name: method, text: args.map(shown).join(", "), note: isCut ? "its data is left out" : undefined }));
}

export function writesOf(all: unknown): Entry[] {
  const writes = (all ?? []) as { table: string; operation: string; row: unknown; isCut?: boolean }[];
  return writes.map(({ table, operation, row, isCut }) => ({ name: `#${table} ${operation}`, text: json(row), note: isCut ? "without its columns" : undefined }));
}

export function valuesOf(all: unknown): Entry[] {
  return Array.isArray(all) ? all.map((value) => ({ text: shown(value) })) : [];
}
