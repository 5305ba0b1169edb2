import { expect, test } from "vitest";
import { changed } from "./definitions";
import { lines } from "./diff";
import { matches } from "./match";
import { Runs } from "./runs";
import { languages, snippet } from "./snippets";

test("a diff keeps what both share and tells the rest in order", () => {
  const signs = lines("a\nb\nc\nd", "a\nx\nc\nd\ne").map(({ kind, text }) => ({ same: " ", added: "+", removed: "-" })[kind] + text);
  expect(signs).toEqual([" a", "-b", "+x", " c", " d", "+e"]);
  expect(lines("", "")).toEqual([]);
  expect(lines("", "a")).toEqual([{ kind: "added", text: "a" }]);
});

test("a name is found by its letters, the closest first", () => {
  const found = (text: string) => matches(["/chat joinRoom", "/chat message", "/jobs room"], text, (name) => name);
  expect(found("room")).toEqual(["/jobs room", "/chat joinRoom"]);
  expect(found("cmsg")).toEqual(["/chat message"]);
  expect(found("zzz")).toEqual([]);
});

test("a save has only what is other", () => {
  expect(changed({ a: 1, b: { c: 2 } }, { a: 1, b: { c: 3 } })).toEqual({ b: { c: 3 } });
  expect(changed({ a: null }, { a: null })).toEqual({});
});

test("a run that comes twice is one, the newest first", () => {
  const view = (at: string, requestId: string) => ({ at, requestId, kind: "event", gateway: "/a", eventName: "b", operations: 1 }) as never;
  const runs = new Runs();
  const first = runs.add([], [view("2026-01-01T00:00:01Z", "1"), view("2026-01-01T00:00:02Z", "2")]);
  const then = runs.add(first, [view("2026-01-01T00:00:02Z", "2"), view("2026-01-01T00:00:03Z", "3")]);
  expect(then.map(({ view }) => view.requestId)).toEqual(["3", "2", "1"]);
  expect(runs.add(then, [])).toBe(then);
});

test("snippets name the prefix of a proxy, and what is quoted stays quoted", () => {
  for (const language of languages) {
    const plain = { server: new URL("https://a.example/"), gateway: "/", event: 'x"y', requireAuth: false };
    expect(snippet(language, plain)).toContain('x\\"y');
    expect(snippet(language, plain)).not.toContain("token");
    const behind = { ...plain, server: new URL("https://a.example/gw/"), gateway: "/chat", requireAuth: true };
    expect(snippet(language, behind)).toMatch(/gw\/socket\.io/);
    expect(snippet(language, behind)).toContain("token");
  }
});
