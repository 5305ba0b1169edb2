import { expect, test } from "vitest";
import { CursorList, type CursorPage } from "./cursor.svelte";

/** Numbers in pages of two, of which only every third is meant: some pages are empty. */
function pages(count: number): (cursor?: string) => Promise<CursorPage<number>> {
  return async (cursor) => {
    const from = Number(cursor ?? 0);
    const data = [from, from + 1].filter((one) => one < count && one % 3 === 0);
    return { data, nextCursor: from + 2 < count ? String(from + 2) : null };
  };
}

test("pages follow each other, over empty ones, to the end", async () => {
  const list = new CursorList(pages(20), String, 2);
  await list.reload();
  expect(list.items.map(({ item }) => item)).toEqual([0, 3]);
  expect(list.hasMore).toBe(true);
  for (let step = 0; step < 10; step++) await list.more();
  expect(list.items.map(({ item }) => item)).toEqual([0, 3, 6, 9, 12, 15, 18]);
  expect(list.hasMore).toBe(false);
});

test("what was asked for before a reload counts no more, and nothing comes twice", async () => {
  let release = () => {};
  let calls = 0;
  const list = new CursorList<number>(
    async () => {
      const call = ++calls;
      if (call === 1) await new Promise<void>((done) => (release = done));
      return { data: call === 1 ? [1] : [2, 2], nextCursor: null };
    },
    String,
    10,
  );
  const first = list.reload();
  await list.reload();
  release();
  await first;
  expect(list.items).toEqual([{ key: "2", item: 2 }]);
});

test("a failure is told, and what is there stays", async () => {
  let fails = false;
  const list = new CursorList<number>(async () => {
    if (fails) throw new Error("gone");
    return { data: [1], nextCursor: null };
  }, String, 10);
  await list.reload();
  fails = true;
  await list.reload();
  expect([list.failure, list.items.length, list.isLoading]).toEqual(["gone", 1, false]);
});
