// Hooks. None owns a connection: a component that is shown twice, as StrictMode does, only listens twice.
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { CallOptions, Gateway } from "./gateway.js";
import type { GatewrightError } from "./error.js";
import type { Arguments, Emits, EventName, GatewayTypes, Payload, Result, State } from "./types.js";

/** What there is of a result. */
export interface Outcome<R> {
  result?: R;
  error?: GatewrightError;
}

/** What {@link useCall} gives. */
export interface Caller<T extends GatewayTypes, E> extends Outcome<Result<T, E>> {
  isPending: boolean;
  call(...rest: Arguments<Payload<T, E>, CallOptions>): Promise<Result<T, E>>;
}

/** The state of a gateway's connection. */
export function useConnection(gateway: Gateway<any>): State {
  const listen = useCallback((told: () => void) => gateway.onState(told), [gateway]);
  return useSyncExternalStore(listen, () => gateway.state, () => "connecting");
}

/** Hears what the server sends, for as long as the component is there. */
export function useEvent<T extends GatewayTypes, E extends keyof Emits<T> & string>(
  gateway: Gateway<T>,
  event: E,
  listener: (data: Emits<T>[E]) => void,
): void {
  const latest = useRef(listener);
  useEffect(() => void (latest.current = listener));
  useEffect(() => gateway.on(event, (data) => latest.current(data)), [gateway, event]);
}

/** Sends an event now and after each reconnect, such as joining a room, for as long as the component is there. */
export function useKeep<T extends GatewayTypes, E extends EventName<T>>(
  gateway: Gateway<T>,
  event: E,
  payload: Payload<T, E>,
): Outcome<Result<T, E>> {
  const [outcome, set] = useState<Outcome<Result<T, E>>>({});
  const text = JSON.stringify(payload);
  useEffect(() => {
    let isHere = true;
    const tell = (outcome: Outcome<Result<T, E>>) => isHere && set(outcome);
    const kept = gateway.keep(event, payload, (result) => tell({ result }));
    kept.result.catch((error) => tell({ error }));
    return () => {
      isHere = false;
      kept.stop();
    };
  }, [gateway, event, text]);
  return outcome;
}

/** Calls an event, with what came of the last call. */
export function useCall<T extends GatewayTypes, E extends EventName<T>>(gateway: Gateway<T>, event: E): Caller<T, E> {
  const [now, set] = useState<Outcome<Result<T, E>> & { isPending: boolean }>({ isPending: false });
  const number = useRef(0);
  const call = useCallback(
    async (...rest: Arguments<Payload<T, E>, CallOptions>) => {
      const mine = ++number.current;
      const tell = (outcome: Outcome<Result<T, E>>, isPending = false) =>
        mine === number.current && set({ ...outcome, isPending });
      tell({}, true);
      try {
        const result = await gateway.call(event, ...rest);
        tell({ result });
        return result;
      } catch (error) {
        tell({ error: error as GatewrightError });
        throw error;
      }
    },
    [gateway, event],
  );
  return { ...now, call };
}
