import type { Gateway, Kept } from "./gateway.js";
import type { AnyGateways, Off } from "./types.js";

/** Channels, messages and topics, of a gateway such as that of the pack `socket-service`. */
export interface SocketClient {
  /** Joins a channel, and joins it again after each reconnect. */
  joinChannel(channel: string): Promise<any>;
  leaveChannel(channel: string): Promise<any>;
  /** Sends an event to all members of a channel that one has joined. */
  publish(channel: string, event: string, data?: unknown): Promise<any>;
  /** Sends an event to one connected client. */
  directMessage(socketId: string, event: string, data?: unknown): Promise<any>;
  /** Has what is published on a topic sent as `event`, also after a reconnect, and under the same id. */
  subscribe(topic: string, filter?: unknown): Promise<any>;
  unsubscribe(subscriptionId: string): Promise<any>;
  /** Hears what the server sends. */
  on(event: string, listener: (data: any) => void): Off;
}

/** The calls of a gateway by these names. */
export function socketClient(gateway: Gateway<AnyGateways[string]>): SocketClient {
  const channels = new Map<string, Kept<any>>();
  /** By the id that its subscriber knows; a reconnect gives each another. */
  const topics = new Map<string, Kept<any> & { id: string }>();

  const subscribe = (topic: string, filter?: unknown) => {
    let first: string;
    const kept = gateway.keep("subscribe", { topic, filter }, ({ subscriptionId: id }) =>
      topics.set((first ??= id), { ...kept, id }),
    );
    return kept.result;
  };
  return {
    joinChannel(channel) {
      if (channels.has(channel)) return gateway.call("joinChannel", { channel });
      const kept = gateway.keep("joinChannel", { channel });
      channels.set(channel, kept);
      kept.result.catch(() => channels.get(channel) === kept && channels.delete(channel));
      return kept.result;
    },
    leaveChannel(channel) {
      channels.get(channel)?.stop();
      channels.delete(channel);
      return gateway.call("leaveChannel", { channel });
    },
    publish: (channel, event, data) => gateway.call("publish", { channel, event, data }),
    directMessage: (socketId, event, data) => gateway.call("directMessage", { socketId, event, data }),
    subscribe,
    unsubscribe(subscriptionId) {
      const found = topics.get(subscriptionId);
      found?.stop();
      topics.delete(subscriptionId);
      return gateway.call("unsubscribe", { subscriptionId: found?.id ?? subscriptionId });
    },
    on: (event, listener) =>
      gateway.on(
        event,
        event !== "event"
          ? listener
          : (packet) => {
              const known = [...topics].find(([, { id }]) => id === packet.subscriptionId);
              listener(known ? { ...packet, subscriptionId: known[0] } : packet);
            },
      ),
  };
}
