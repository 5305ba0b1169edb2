// The gateway of the pack `chat`. `gatewright types --out src/gatewright.ts` has written its types.
import { createRealtime } from "gatewright";
import type { Gateways } from "./gatewright.js";

export const rt = createRealtime<Gateways>(process.env.GATEWAY_URL ?? "http://127.0.0.1:4000");
export const chat = rt.gateway("/chat");
