// A socket of socket.io-client without a server: it notes what is sent, and a test says what comes.
import { EventEmitter } from "node:events";

/** A socket whose test plays the server. */
export class FakeSocket extends EventEmitter {
  connected = false;
  active = true;
  /** `{event, args, ack}`, oldest first. */
  sent = [];

  connect() {
    this.active = true;
    return this;
  }

  disconnect() {
    this.active = false;
    this.#end("io client disconnect");
    return this;
  }

  timeout() {
    return { emitWithAck: (event, data) => new Promise((ack) => this.sent.push({ event, args: [data], ack })) };
  }

  off(event, listener) {
    return super.off(event, listener);
  }

  /** As the client does: sent, never to this side's listeners. */
  emit(event, ...args) {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    this.sent.push({ event, args, ack });
    return true;
  }

  /** Something comes from the server. */
  comes(event, data) {
    super.emit(event, data);
  }

  opens() {
    this.connected = true;
    super.emit("connect");
  }

  /** The transport is lost. */
  breaks() {
    this.#end("transport close");
  }

  /** The server ends it. */
  kicks() {
    this.active = false;
    this.#end("io server disconnect");
  }

  /** The server refuses the connection. */
  refuses(message) {
    this.active = false;
    super.emit("connect_error", new Error(message));
  }

  /** What was sent since the last look. */
  take() {
    return this.sent.splice(0);
  }

  #end(reason) {
    if (!this.connected) return;
    this.connected = false;
    super.emit("disconnect", reason);
  }
}

/** Lets promises that can, go on. */
export const turn = () => new Promise(setImmediate);
