// What the package weighs, and that both of its forms are the same.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BYTES_MAX = { index: 4096, react: 1024, vue: 1024 };
const require = createRequire(import.meta.url);

for (const [name, max] of Object.entries(BYTES_MAX)) {
  test(`${name} is small`, async () => {
    const entry = fileURLToPath(new URL(`../../dist/esm/${name}.js`, import.meta.url));
    const options = { bundle: true, minify: true, write: false, format: "esm", target: "es2022", packages: "external" };
    const { outputFiles } = await build({ entryPoints: [entry], ...options });
    const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
    assert.ok(bytes <= max, `${bytes} bytes; at most ${max}`);
  });
}

for (const name of ["gatewright", "gatewright/react", "gatewright/vue"]) {
  test(`${name} is imported and required`, async () => {
    assert.deepEqual(Object.keys(require(name)).sort(), Object.keys(await import(name)).sort());
  });
}
