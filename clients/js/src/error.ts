/** What a failure consists of. */
export interface Failure {
  code: string;
  message: string;
  details?: unknown;
  requestId?: string | undefined;
  logs?: unknown[];
}

/**
 * Why a call failed. `code` is one of the server's, or one of this package: `TIMEOUT`, `ABORTED`, `CLOSED`,
 * `DISCONNECTED`, `CONNECTION_LOST`, `CONNECTION_FAILED`, `OFFLINE_QUEUE_FULL`, `TOKEN_FAILED`.
 */
export class GatewrightError extends Error {
  /** Stable: programs decide by it. */
  declare readonly code: string;
  /** What the script gave to `@THROW`, or the place of its mistake. */
  declare readonly details: unknown;
  /** Finds the run in the server's log; undefined where the event did not get there. */
  declare readonly requestId: string | undefined;
  /** What the script logged before it failed. */
  declare readonly logs: unknown[];

  constructor({ code, message, details, requestId, logs = [] }: Failure, cause?: unknown) {
    super(message, { cause });
    Object.assign(this, { name: "GatewrightError", code, details, requestId, logs });
  }
}

/** An error of this package's own. */
export const failure = (code: string, message: string, cause?: unknown, requestId?: string): GatewrightError =>
  new GatewrightError({ code, message, requestId }, cause);

/** The server's refusal of a connection: its message begins with the code. */
export function refusal({ message }: Error): GatewrightError {
  const [, code = "REFUSED", text = message] = /^([A-Z_]+): ([^]*)$/.exec(message) ?? [];
  return failure(message === "Invalid namespace" ? "INVALID_NAMESPACE" : code, text);
}
