import { expect, test } from "vitest";
import { inOrder, moved, type Ordered } from "./order";

const order = (hooks: Ordered[]) => inOrder(hooks).map(({ id }) => id).join("");
function after(hooks: Ordered[], id: string, by: -1 | 1) {
  const moves = moved(hooks, id, by);
  return { order: order(hooks.map((one) => ({ ...one, ...moves.find((move) => move.id === one.id) }))), changed: moves.length };
}

test("a hook goes one place earlier or later, with few changes", () => {
  const alike = ["a", "b", "c"].map((id) => ({ id, priority: 0 }));
  expect(order(alike)).toBe("abc");
  expect(after(alike, "c", -1)).toEqual({ order: "acb", changed: 1 });
  expect(after(alike, "a", 1)).toEqual({ order: "bac", changed: 2 });
  const apart = [{ id: "c", priority: -5 }, { id: "a", priority: 10 }, { id: "b", priority: 20 }];
  expect(after(apart, "b", -1)).toEqual({ order: "cba", changed: 1 });
  expect(after(apart, "a", -1).order).toBe("acb");
});

test("the first goes no earlier, the last no later", () => {
  const two = [{ id: "a", priority: 1 }, { id: "b", priority: 2 }];
  expect([moved(two, "a", -1), moved(two, "b", 1), moved(two, "x", 1)]).toEqual([[], [], []]);
});
