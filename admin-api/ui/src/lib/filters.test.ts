import { describe, expect, it } from "vitest";
import { conditionsOf, filterOf, valueOf } from "./filters";

const columns = [
  { name: "text", type: "string" },
  { name: "stars", type: "integer" },
  { name: "more", type: "json" },
];

describe("filters", () => {
  it("become what a form has, and back", () => {
    for (const filter of [
      undefined,
      { stars: { _gte: 5 } },
      { _and: [{ text: { _contains: "<b>" } }, { stars: { _in: [1, 2] } }, { more: { _is_null: false } }] },
    ]) {
      const conditions = conditionsOf(filter, columns);
      expect(conditions).toBeDefined();
      expect(filterOf(conditions!, columns)).toEqual(filter);
    }
  });

  it("that say more than a form can are left as they are", () => {
    for (const filter of [{ _or: [{ stars: 1 }] }, { nothing: 1 }, { stars: { _between: [1, 2] } }, { stars: null }, []]) {
      expect(conditionsOf(filter, columns)).toBeUndefined();
    }
  });

  it("take values of their type alone", () => {
    expect(valueOf("integer", " 5 ")).toBe(5);
    expect(valueOf("json", '{"a":1}')).toEqual({ a: 1 });
    for (const [type, text] of [["integer", "5.5"], ["integer", "9007199254740993"], ["float", ""], ["boolean", "yes"], ["json", "{"]]) {
      expect(() => valueOf(type!, text!)).toThrow();
    }
  });
});
