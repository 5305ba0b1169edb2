/** A handler, and what it is given: for a test run and for a test that is saved. */
import type { Schemas } from "../api/client";
import { fromJson } from "./format";

type Input = Schemas["TestRunBody"];

export interface Call {
  /** The handler, in the words of test runs. */
  run: Pick<Input, "kind" | "gatewayPath" | "eventName" | "routeId" | "method" | "params" | "hookId" | "on">;
  /** The same in the words of saved tests. */
  test: Record<string, unknown>;
  /** What both call alike. What is undefined is not given. */
  given: { [K in "payload" | "user" | "app" | "rooms" | "query" | "headers" | "old"]?: unknown };
}

/** JSON that was typed, and `undefined` for nothing; throws an error that says what has none. */
export function typed(what: string, text: string): unknown {
  return text.trim() ? fromJson(what, text) : undefined;
}

/** What a test expects of an answer, and of the answer to the same once more: what came both times. */
export function expectation(answer: Schemas["TestRunAnswer"]): Record<string, unknown> {
  const { success, result, emitted, writes, status, headers, error } = answer;
  if (!success) return { error: error?.code, message: error?.message };
  return { status: status ?? undefined, headers: headers && some(headers), result, emitted, writes: writes?.length ? writes : undefined };
}

/** The map, unless nothing is in it. */
export function some<T extends object>(map: T): T | undefined {
  return Object.keys(map).length ? map : undefined;
}
