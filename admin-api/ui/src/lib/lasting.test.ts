import { expect, test } from "vitest";
import { lasting } from "./lasting";

test("what differs from run to run is anything, the rest stays", () => {
  const one = { id: "a", text: "x", at: "2020-01-01T00:00:00Z", list: [1, { id: "a" }], none: null };
  const other = { id: "b", text: "x", at: "2020-01-01T00:00:00Z", list: [1, { id: "b" }], none: null };
  expect(lasting(one, other)).toEqual({ ...one, id: "<any>", list: [1, { id: "<any>" }] });
  expect(lasting([1], [1, 2])).toBe("<any>");
  expect(lasting({ a: 1 }, { b: 1 })).toBe("<any>");
  expect(lasting(undefined, undefined)).toBe(undefined);
});

test("a moment of now is anything, even when two runs have the same", () => {
  const now = new Date().toISOString();
  expect(lasting({ at: now }, { at: now })).toEqual({ at: "<any>" });
});
