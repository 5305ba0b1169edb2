import { describe, expect, it } from "vitest";
import { emptyOf, kindOf } from "./payloadSchema";

describe("a payload's schema", () => {
  it("is a form as far as one can say it", () => {
    const fields = { properties: { a: { type: "string" } } };
    expect(kindOf({ type: "object", ...fields })).toBe("object");
    expect(kindOf({ type: "object" })).toBe("json");
    expect(kindOf({ type: "array", items: { type: "integer" } })).toBe("array");
    expect(kindOf({ type: "array", items: [{}] })).toBe("json");
    expect(kindOf({ type: "string", enum: ["a"] })).toBe("enum");
    expect(kindOf({ type: ["string", "null"] })).toBe("json");
    expect(kindOf({ type: "object", ...fields, oneOf: [] })).toBe("json");
    for (const odd of [true, null, undefined, "x", []]) expect(kindOf(odd)).toBe("json");
    expect(kindOf({ type: "object", ...fields }, 7)).toBe("json");
  });

  it("begins with what is needed", () => {
    const schema = {
      type: "object",
      required: ["name", "mood", "deep", "n", "list", "gone"],
      properties: {
        name: { type: "string" }, mood: { enum: ["good", "bad"] }, n: { type: "integer", minimum: 3 }, other: { type: "string" },
        deep: { type: "object", required: ["is"], properties: { is: { type: "boolean", default: true } } }, list: { type: "array", items: {} },
      },
    };
    expect(emptyOf(schema)).toEqual({ name: "", mood: "good", n: 3, deep: { is: true }, list: [], gone: null });
  });
});
