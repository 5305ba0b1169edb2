// Checks the types of the examples and builds them, with the packages of this one: what their own `npm run build` does.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const itself = `${here}../node_modules/gatewright`;
if (!existsSync(itself)) symlinkSync("..", itself);

for (const [name, entry] of [["browser", "main.ts"], ["react", "main.tsx"], ["vue", "main.ts"], ["node", "main.ts"]]) {
  const project = `${here}${name}`;
  execFileSync(process.execPath, [tsc, "--project", project, "--noEmit"], { stdio: "inherit" });
  const outdir = `${project}/${name === "node" ? "dist" : "public"}`;
  const { scripts } = JSON.parse(readFileSync(`${project}/package.json`, "utf8"));
  const alias = Object.fromEntries([...(scripts.build ?? "").matchAll(/--alias:(\w+)=(\S+)/g)].map(([, from, to]) => [from, to]));
  const options = name === "node" ? { platform: "node", format: "esm", packages: "external" } : { minify: true };
  await build({ entryPoints: [`${project}/src/${entry}`], bundle: true, outdir, alias, logLevel: "warning", ...options });
}
