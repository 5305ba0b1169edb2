// Composables. None owns a connection; what they listen to ends with the component's scope.
import { onScopeDispose, readonly, ref, shallowRef, toValue, watch, type MaybeRefOrGetter, type Ref, type ShallowRef } from "vue";
import type { CallOptions, Gateway } from "./gateway.js";
import type { GatewrightError } from "./error.js";
import type { Arguments, Emits, EventName, GatewayTypes, Payload, Result, State } from "./types.js";

/** What there is of a result. */
export interface Outcome<R> {
  result: Readonly<ShallowRef<R | undefined>>;
  error: Readonly<ShallowRef<GatewrightError | undefined>>;
}

/** What {@link useCall} gives. */
export interface Caller<T extends GatewayTypes, E> extends Outcome<Result<T, E>> {
  isPending: Readonly<Ref<boolean>>;
  call(...rest: Arguments<Payload<T, E>, CallOptions>): Promise<Result<T, E>>;
}

/** The state of a gateway's connection. */
export function useConnection(gateway: Gateway<any>): Readonly<Ref<State>> {
  const state = ref(gateway.state);
  onScopeDispose(gateway.onState((now) => (state.value = now)));
  return readonly(state);
}

/** Hears what the server sends, for as long as the component is there. */
export function useEvent<T extends GatewayTypes, E extends keyof Emits<T> & string>(
  gateway: Gateway<T>,
  event: E,
  listener: (data: Emits<T>[E]) => void,
): void {
  onScopeDispose(gateway.on(event, listener));
}

/** Sends an event now and after each reconnect, such as joining a room; a payload that changes is sent anew. */
export function useKeep<T extends GatewayTypes, E extends EventName<T>>(
  gateway: Gateway<T>,
  event: E,
  payload: MaybeRefOrGetter<Payload<T, E>>,
): Outcome<Result<T, E>> {
  const result = shallowRef<Result<T, E>>();
  const error = shallowRef<GatewrightError>();
  watch(
    () => JSON.stringify(toValue(payload)),
    (_now, _before, onCleanup) => {
      let isHere = true;
      result.value = error.value = undefined;
      const kept = gateway.keep(event, toValue(payload) as Payload<T, E>, (told) => isHere && (result.value = told));
      kept.result.catch((told) => isHere && (error.value = told));
      onCleanup(() => {
        isHere = false;
        kept.stop();
      });
    },
    { immediate: true },
  );
  return { result, error };
}

/** Calls an event, with what came of the last call. */
export function useCall<T extends GatewayTypes, E extends EventName<T>>(gateway: Gateway<T>, event: E): Caller<T, E> {
  const result = shallowRef<Result<T, E>>();
  const error = shallowRef<GatewrightError>();
  const isPending = ref(false);
  let number = 0;
  const call = async (...rest: Arguments<Payload<T, E>, CallOptions>) => {
    const mine = ++number;
    const tell = (pending: boolean, value?: Result<T, E>, failed?: GatewrightError) => {
      if (mine === number) [isPending.value, result.value, error.value] = [pending, value, failed];
    };
    tell(true);
    try {
      const value = await gateway.call(event, ...rest);
      tell(false, value);
      return value;
    } catch (failed) {
      tell(false, undefined, failed as GatewrightError);
      throw failed;
    }
  };
  return { result, error, isPending, call };
}
