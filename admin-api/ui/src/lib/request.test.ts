import { expect, test } from "vitest";
import { curl, filled, headersOf, parametersOf, queryOf } from "./request";

const draft = { method: "POST", path: "/orders/{id}/ship", params: { id: "a b/c" }, query: "", headers: "", body: "" };
const server = new URL("https://example.com/gw/");
const nobody = { asUser: false, withKey: false };

test("paths have their parameters filled in", () => {
  expect(parametersOf("/a/{one}/b/{two}")).toEqual(["one", "two"]);
  expect(filled("/a/{one}/{two}", { one: "ü /" })).toBe("/a/%C3%BC%20%2F/{two}");
});

test("headers and queries are read", () => {
  expect(headersOf("X-A: 1\n\n x-b :two: 3 ")).toEqual({ "x-a": "1", "x-b": "two: 3" });
  expect(() => headersOf("nothing")).toThrow(/name: value/);
  expect(queryOf("?a=1&a=2&b=x%20y")).toEqual({ a: "2", b: "x y" });
});

test("a request is a command that a shell takes as it is", () => {
  expect(curl(draft, server, nobody)).toBe("curl -X POST 'https://example.com/gw/orders/a%20b%2Fc/ship'");
  const whole = { ...draft, method: "PUT", query: "?x=1", headers: "X-Note: it's", body: "{\"a\": \"it's `id` $HOME\"}" };
  expect(curl(whole, server, { asUser: true, withKey: true })).toBe(
    [
      "curl -X PUT 'https://example.com/gw/orders/a%20b%2Fc/ship?x=1'",
      '-H "authorization: Bearer $TOKEN"',
      '-H "x-app-token: $APP_KEY"',
      "-H 'x-note: it'\\''s'",
      "-H 'content-type: application/json'",
      "-d '{\"a\": \"it'\\''s `id` $HOME\"}'",
    ].join(" \\\n  "),
  );
});
