// The wire by hand: long polling with fetch, WebSocket with `ws`. What comes is waited for, never timed.
import WebSocket from "ws";
import { until, url } from "../lib.mjs";

const base = `${url}/socket.io/`;
/** Between the packets of one polling body. */
export const SEPARATOR = "\x1e";

/** That two things are the same, as JSON. */
export function equal(found, expected, what = "") {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what} is ${a}, not ${b}`);
}

/** A request of the polling transport. */
export async function http(query, options = {}) {
  const response = await fetch(base + query, options);
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** A session on long polling. */
export class Polling {
  #packets = [];

  static async open(query = "") {
    const { status, text } = await http(`?EIO=4&transport=polling${query}`);
    equal(status, 200, "the handshake's status");
    const [first, ...more] = text.split(SEPARATOR);
    equal(first[0], "0", "the first packet's type");
    const session = new Polling();
    session.open = JSON.parse(first.slice(1));
    session.query = `?EIO=4&transport=polling&sid=${session.open.sid}`;
    session.#packets = more;
    return session;
  }

  get() {
    return http(this.query);
  }

  post(...packets) {
    return http(this.query, { method: "POST", body: packets.join(SEPARATOR), headers: { "content-type": "text/plain;charset=UTF-8" } });
  }

  /** The next packet; pings are answered on the way. */
  async next() {
    for (;;) {
      while (this.#packets.length === 0) {
        const { status, text } = await this.get();
        if (status !== 200) throw new Error(`the session is over: ${status} ${text}`);
        this.#packets = text.split(SEPARATOR).filter((packet) => packet !== "");
      }
      const packet = this.#packets.shift();
      if (packet !== "2") return packet;
      await this.post("3");
    }
  }
}

/** A WebSocket whose frames are the test's own business. */
export class Socket {
  #frames = [];
  #ended = false;

  /** Opens; `closed` tells how it ended, if it did not open at all. */
  static async open(query = "?EIO=4&transport=websocket") {
    const made = new Socket();
    made.ws = new WebSocket(base.replace("http", "ws") + query);
    made.ws.binaryType = "nodebuffer";
    made.closed = new Promise((resolve) => {
      made.ws.on("close", () => resolve((made.#ended = true)));
      made.ws.on("unexpected-response", (_, response) => resolve(response.statusCode));
      made.ws.on("error", () => {});
    });
    made.ws.on("message", (data, isBinary) => made.#frames.push(isBinary ? data : data.toString()));
    made.refused = await Promise.race([new Promise((resolve) => made.ws.on("open", () => resolve(undefined))), made.closed]);
    return made;
  }

  send(...frames) {
    for (const frame of frames) this.ws.send(frame);
  }

  /** The next frame; pings are answered on the way. */
  next() {
    return this.nextWhere(() => true);
  }

  /** The next such frame. */
  async nextWhere(matches) {
    const passed = [];
    const found = await until(() => {
      while (this.#frames.length > 0) {
        const frame = this.#frames.shift();
        if (frame === "2") this.send("3");
        else if (matches(frame)) return { frame };
        else passed.push(frame);
      }
      return this.#ended && { frame: undefined };
    }, () => `the frame that is waited for, after ${JSON.stringify(passed)}`);
    if (found.frame === undefined) throw new Error(`the socket is closed, after ${JSON.stringify(passed)}`);
    return found.frame;
  }

  /** Waits until the server has closed it. */
  async isClosed() {
    await until(() => this.#ended, "the end of the socket");
  }

  close() {
    this.ws.close();
  }
}

/** A socket past both handshakes. */
export async function connected(namespace = "/", auth) {
  const socket = await Socket.open();
  equal((await socket.next())[0], "0", "the handshake");
  const prefix = namespace === "/" ? "" : `${namespace},`;
  socket.send(`40${prefix}${auth === undefined ? "" : JSON.stringify(auth)}`);
  const answer = await socket.next();
  if (!answer.startsWith(`40${prefix}{`)) throw new Error(`not connected: ${answer}`);
  return socket;
}
