/** What of a JSON Schema a form can show. What it cannot is written as JSON, in the place where it stands. */

export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema | Schema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  format?: string;
  [keyword: string]: unknown;
}

export type FieldKind = "object" | "array" | "string" | "number" | "integer" | "boolean" | "enum" | "json";

/** Keywords by which a value is more than its type says. */
const BEYOND = ["$ref", "$dynamicRef", "oneOf", "anyOf", "allOf", "not", "if", "patternProperties", "prefixItems", "const"];
const KINDS: FieldKind[] = ["object", "array", "string", "number", "integer", "boolean"];
/** Fields within fields; what is deeper is written as JSON. */
const DEPTH_MAX = 6;

export function kindOf(schema: unknown, depth = 0): FieldKind {
  if (typeof schema !== "object" || schema === null || depth > DEPTH_MAX) return "json";
  const given = schema as Schema;
  if (BEYOND.some((keyword) => keyword in given)) return "json";
  if (Array.isArray(given.enum) && given.enum.length) return "enum";
  const kind = KINDS.find((known) => known === given.type);
  if (kind === "object") return given.properties && Object.keys(given.properties).length ? "object" : "json";
  if (kind === "array") return given.items && !Array.isArray(given.items) ? "array" : "json";
  return kind ?? "json";
}

/** What stands in a field before anything is typed. */
export function emptyOf(schema: unknown, depth = 0): unknown {
  const given = (typeof schema === "object" && schema !== null ? schema : {}) as Schema;
  if ("default" in given) return structuredClone(given.default);
  if ("const" in given) return given.const;
  switch (kindOf(schema, depth)) {
    case "object":
      return Object.fromEntries((given.required ?? []).map((name) => [name, emptyOf(given.properties?.[name], depth + 1)]));
    case "array":
      return [];
    case "string":
      return "";
    case "number":
    case "integer":
      return given.minimum ?? 0;
    case "boolean":
      return false;
    case "enum":
      return given.enum?.[0];
    default:
      return given.type === "array" ? [] : given.type === "object" ? {} : null;
  }
}
