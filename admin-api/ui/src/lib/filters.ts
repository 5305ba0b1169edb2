/** Conditions on rows as a form has them, and the filters of the API that say the same. */

export interface Condition {
  field: string;
  operator: string;
  /** As it is typed; of `_in` one value a line. */
  value: string;
}

export interface Typed {
  name: string;
  type: string;
}

/** The operators that go with a type, and how they are said. */
const TEXT: [string, string][] = [
  ["_eq", "is"], ["_neq", "is not"], ["_contains", "contains"], ["_starts_with", "begins with"], ["_ends_with", "ends with"],
  ["_in", "is one of"], ["_nin", "is none of"],
];
const ORDER: [string, string][] = [
  ["_eq", "="], ["_neq", "≠"], ["_gt", ">"], ["_gte", "≥"], ["_lt", "<"], ["_lte", "≤"], ["_in", "is one of"], ["_nin", "is none of"],
];
const EQUAL: [string, string][] = [["_eq", "is"], ["_neq", "is not"]];
const EMPTY: [string, string][] = [["_is_null", "is empty"], ["_not_null", "is not empty"]];

export function operatorsOf(type: string): [string, string][] {
  switch (type) {
    case "integer":
    case "float":
    case "datetime":
      return [...ORDER, ...EMPTY];
    case "boolean":
    case "json":
      return [...EQUAL, ...EMPTY];
    case "uuid":
    case "enum":
      return [...EQUAL, ["_in", "is one of"], ["_nin", "is none of"], ...EMPTY];
    default:
      return [...TEXT, ...EMPTY];
  }
}

export const takesValue = (operator: string) => operator !== "_is_null" && operator !== "_not_null";
const takesList = (operator: string) => operator === "_in" || operator === "_nin";

/** What a cell or a field of a form says, as the column's type has it; throws with what it takes. */
export function valueOf(type: string, text: string): unknown {
  switch (type) {
    case "integer": {
      if (!/^\s*-?\d+\s*$/.test(text)) throw new Error("takes an integer");
      const number = Number(text);
      if (!Number.isSafeInteger(number)) throw new Error("is too large to be typed here: use a CSV file");
      return number;
    }
    case "float": {
      const number = Number(text);
      if (!text.trim() || !Number.isFinite(number)) throw new Error("takes a number");
      return number;
    }
    case "boolean":
      if (text !== "true" && text !== "false") throw new Error("takes true or false");
      return text === "true";
    case "json":
      try {
        return JSON.parse(text) as unknown;
      } catch (error) {
        throw new Error(`takes JSON: ${error instanceof Error ? error.message : String(error)}`);
      }
    default:
      return text;
  }
}

/** A value as it is typed. */
export function textOf(type: string, value: unknown): string {
  if (value === null || value === undefined) return "";
  return type === "json" ? JSON.stringify(value) : String(value);
}

/** The filter that asks for all of these; none: all rows. */
export function filterOf(conditions: Condition[], columns: Typed[]): Record<string, unknown> | undefined {
  const terms = conditions.map(({ field, operator, value }) => {
    const type = columns.find((column) => column.name === field)?.type ?? "string";
    if (!takesValue(operator)) return { [field]: { _is_null: operator === "_is_null" } };
    const values = takesList(operator) ? value.split("\n").filter(Boolean).map((line) => valueOf(type, line)) : valueOf(type, value);
    return { [field]: { [operator]: values } };
  });
  return terms.length > 1 ? { _and: terms } : terms[0];
}

/** The conditions that a filter has; nothing where it says more than a form can. */
export function conditionsOf(filter: unknown, columns: Typed[]): Condition[] | undefined {
  if (filter === undefined) return [];
  if (!isObject(filter)) return undefined;
  const found: Condition[] = [];
  for (const [field, asked] of Object.entries(filter)) {
    if (field === "_and" && Array.isArray(asked)) {
      for (const one of asked) {
        const inner = conditionsOf(one, columns);
        if (!inner) return undefined;
        found.push(...inner);
      }
      continue;
    }
    const type = columns.find((column) => column.name === field)?.type;
    if (!type) return undefined;
    const isBare = !isObject(asked) || !Object.keys(asked).some((key) => key.startsWith("_"));
    for (const [operator, value] of Object.entries(isBare ? { _eq: asked } : (asked as Record<string, unknown>))) {
      const name = operator === "_is_null" && value === false ? "_not_null" : operator;
      if (!operatorsOf(type).some(([known]) => known === name) || value === null) return undefined;
      const text = takesList(name)
        ? (value as unknown[]).map((one) => textOf(type, one)).join("\n")
        : takesValue(name) ? textOf(type, value) : "";
      found.push({ field, operator: name, value: text });
    }
  }
  return found;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
