/** What of an answer is the same each time: of two answers to the same, without ids that are made up and moments of now. */

/** Stands for any value in what a test expects. */
const ANY = "<any>";
const MINUTE_MS = 60_000;

/** The first value, with `<any>` where the second differs or a moment of now stands. */
export function lasting(one: unknown, other: unknown): unknown {
  if (Array.isArray(one) && Array.isArray(other) && one.length === other.length) {
    return one.map((item, index) => lasting(item, other[index]));
  }
  if (isMap(one) && isMap(other) && Object.keys(one).join("\n") === Object.keys(other).join("\n")) {
    return Object.fromEntries(Object.entries(one).map(([name, value]) => [name, lasting(value, other[name])]));
  }
  const isSame = JSON.stringify(one) === JSON.stringify(other);
  return isSame && !isNow(one) ? one : ANY;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Two runs in the same millisecond have the same moment, and the next has not. */
function isNow(value: unknown): boolean {
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) && Math.abs(Date.parse(value) - Date.now()) < MINUTE_MS;
}
