// A Chromium with a profile of its own.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const folder = mkdtempSync(join(tmpdir(), "gatewright-browser-"));
export const browser = await chromium.launchPersistentContext(folder, {
  executablePath: process.env.GATEWRIGHT_TEST_BROWSER ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
