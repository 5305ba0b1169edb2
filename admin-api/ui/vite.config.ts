import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vitest/config";

/** The server embeds each file a second time, compressed, so that it never compresses anything itself. */
function compressed(): Plugin {
  let folder = "";
  return {
    name: "compressed",
    apply: "build",
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle() {
      for (const name of readdirSync(join(folder, "assets"))) {
        const file = join(folder, "assets", name);
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  // Relative, so that the server may stand behind any prefix.
  base: "./",
  plugins: [
    // Named by what they say and not by where they stand: the build is the same in every folder.
    svelte({ compilerOptions: { cssHash: ({ hash, css }) => `s-${hash(css)}` } }),
    compressed(),
  ],
  // The server puts a fresh one in for each page.
  html: { cspNonce: "GATEWRIGHT_NONCE" },
  build: { target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0, reportCompressedSize: false },
  server: { proxy: { "^/(admin|auth|me|openapi.json|socket.io|data)": { target: "http://127.0.0.1:4000", ws: true } } },
  test: { include: ["src/**/*.test.ts"] },
});
