/** The HTTP API of this server, typed by its own description. Sessions are cookies that no script can read; an
 *  access token that has run out is renewed once, and the request sent again. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** Where the server is: the UI is at `_/` of it, whatever prefix a proxy gives it. */
export const server = new URL("../", document.baseURI);

/** A request that failed, with the server's own sentence. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: unknown = undefined,
  ) {
    super(message);
  }
}

/** Called when a session has ended, here or elsewhere. */
let onEnd: () => void = () => {};
export function whenSessionEnds(then: () => void) {
  onEnd = then;
}

export const api = createClient<paths>({ baseUrl: server.href.replace(/\/$/, ""), fetch: send });

/** What a call answers; throws a `Failure`. */
export async function ask<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (response.ok) return data as T;
  throw failureOf(response, error);
}

function failureOf(response: Response, body: unknown): Failure {
  const answer = body as Partial<Schemas["ErrorAnswer"]> | undefined;
  const message = answer?.message ?? `The server answered ${response.status}`;
  return new Failure(response.status, answer?.error?.code ?? "", message, answer?.error?.details);
}

/** Where 401 says that the sign-in itself was refused. */
const SIGN_INS = ["/auth/login", "/auth/exchange"];

async function send(request: Request): Promise<Response> {
  const again = request.clone();
  const answer = await reach(request);
  if (answer.status !== 401 || SIGN_INS.some((path) => request.url.endsWith(path))) return answer;
  if (await renewed()) return reach(again);
  onEnd();
  return answer;
}

async function reach(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw new Failure(0, "UNREACHABLE", "The server does not answer. What is on the page may be old.");
  }
}

let renewal: Promise<boolean> | undefined;

/** Renews the session, at most once at a time: a refresh token that is used twice ends it. */
function renewed(): Promise<boolean> {
  renewal ??= alone(renew).finally(() => (renewal = undefined));
  return renewal;
}

async function renew(): Promise<boolean> {
  // Another tab may have done it while this one waited for its turn.
  if ((await reach(new Request(new URL("me", server)))).ok) return true;
  const answer = await reach(new Request(new URL("auth/refresh-token", server), { method: "POST" }));
  if (answer.status >= 500) throw new Failure(answer.status, "", "The server cannot renew the session now. Try again.");
  return answer.ok;
}

/** Tabs take turns. Without TLS browsers have no locks for that: there a pause of random length has to do. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  if (navigator.locks) return navigator.locks.request("gatewright-session", work);
  await new Promise((done) => setTimeout(done, Math.random() * 400));
  return work();
}
