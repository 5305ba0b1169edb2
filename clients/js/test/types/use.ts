// Checked by tsc, never run: what goes with the types that `gatewright types` has written, and what does not.
import { createRealtime, type Result } from "gatewright";
import { useCall, useEvent, useKeep } from "gatewright/react";
import type { Gateways, Routes, Tables } from "./generated/gatewright.js";

const rt = createRealtime<Gateways>("https://gateway.example", { token: async () => "t" });
const shop = rt.gateway("/shop");
// @ts-expect-error There is no such gateway.
rt.gateway("/nothing");

export async function calls(): Promise<void> {
  const order = await shop.call("buy", { item: "book", count: 2 }, { eventId: "1", timeoutMs: 100 });
  const id: string = order.id;
  const state: "paid" | "open" = order.state;
  // @ts-expect-error The result has no such field.
  order.price;
  // @ts-expect-error The payload wants an item.
  await shop.call("buy", { count: 2 });
  // @ts-expect-error A count is a number.
  await shop.call("buy", { item: "book", count: "2" });
  // @ts-expect-error The payload has no such field.
  await shop.call("buy", { item: "book", counts: 2 });
  // @ts-expect-error There is no such event.
  await shop.call("sell", {});
  // @ts-expect-error A payload that is wanted may not be left out.
  await shop.call("buy");
  const anything: unknown = await shop.call("plain");
  await shop.call("chat:anything", { any: [1] });
  await shop.call("chat:send", "text");
  const tree: Result<Gateways["/shop"], "tree"> = await shop.call("tree", null);
  tree.children?.[0]?.children?.[0]?.name satisfies string | undefined;
  void [id, state, anything];
}

shop.on("sold", (count) => count satisfies number);
// @ts-expect-error It sends no such event.
shop.on("bought", () => {});
rt.gateway("/shop/alias").call("buy", { item: "book" }).then(({ id }) => id satisfies string);
shop.on("presence", ({ member }) => member.socketId satisfies string);
shop.keep("buy", { item: "book" }, ({ id }) => id satisfies string);
rt.gateway("/other.name~-1/x").call("a \"b\" ${c} //");

export function Part(): null {
  useEvent(shop, "rate_limited", ({ retryAfterMs }) => retryAfterMs satisfies number);
  const { result } = useKeep(shop, "buy", { item: "book" });
  result?.id satisfies string | undefined;
  const { call } = useCall(shop, "buy");
  void call({ item: "book" });
  // @ts-expect-error The payload wants an item.
  void call({});
  return null;
}

export const row: Tables["typed"] = {
  id: "1", text: "t", count: null, state: "a b", data: { any: 1 }, createdAt: "", updatedAt: "",
};
export const params: Routes["POST /typed/{id}/ship"]["params"] = { id: "1" };

// Without types, all goes.
const any = createRealtime("https://gateway.example").gateway("/any");
export const free: Promise<number> = any.call("whatever", { a: 1 });
any.on("whatever", (data) => data.anything);
