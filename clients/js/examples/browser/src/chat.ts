// The gateway of the pack `chat`. `gatewright types --out src/gatewright.ts` has written its types.
import { createRealtime } from "gatewright";
import type { Gateways } from "./gatewright.js";

/** Where `gatewright demo` listens. */
const URL = "http://127.0.0.1:4000";

export const rt = createRealtime<Gateways>(URL);
export const chat = rt.gateway("/chat");

/** What is said in a room. */
export type Message = Gateways["/chat"]["emits"]["newMessage"];
