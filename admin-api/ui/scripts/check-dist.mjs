// Holds `dist` against a build that was just made (its folder is the argument), and holds the budget: what a
// page loads first, what the editor adds, and all that the server has within it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";

const KIB = 1024;
const FIRST_MAX = 130 * KIB;
const EDITOR_MAX = 150 * KIB;
const ALL_MAX = 1536 * KIB;

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const built = process.argv[2];
const wrong = [];

const committed = filesOf(dist);
const fresh = filesOf(built);
// How well a file is compressed is not the same with every Node: what counts is what comes out.
for (const name of new Set([...committed.keys(), ...fresh.keys()])) {
  const contents = [committed.get(name), fresh.get(name)];
  if (contents.includes(undefined)) wrong.push(`${name} is only in the ${contents[0] ? "committed" : "fresh"} build`);
  else if (!same(name, ...contents)) wrong.push(`${name} is not what the sources make`);
}
for (const name of committed.keys()) {
  if (name.endsWith(".gz") || name === "index.html") continue;
  const compressed = committed.get(`${name}.gz`);
  if (!compressed || !gunzipSync(compressed).equals(committed.get(name))) wrong.push(`${name}.gz is not ${name}`);
}

const index = committed.get("index.html")?.toString() ?? "";
const first = [...index.matchAll(/(?:src|href)="\.\/([^"]+\.(?:js|css))"/g)].map(([, name]) => name);
const size = (names) => names.reduce((sum, name) => sum + gzipSync(committed.get(name)).length, 0);
const editor = [...committed.keys()].filter((name) => /\/EditorPage-.*\.(js|css)$/.test(name));
hold("the first load", size(first) + gzipSync(index).length, FIRST_MAX);
hold("the editor", size(editor), EDITOR_MAX);
hold("all that is embedded", [...committed.values()].reduce((sum, content) => sum + content.length, 0), ALL_MAX);
if (first.length < 2 || editor.length < 2) wrong.push("the build has other names: this check has gone blind");

if (wrong.length) {
  console.error(`${wrong.join("\n")}\nIn admin-api/ui: npm ci && npm run build`);
  process.exit(1);
}

function hold(what, bytes, max) {
  console.log(`${what}: ${Math.ceil(bytes / KIB)} of ${max / KIB} KiB`);
  if (bytes > max) wrong.push(`${what} has ${bytes} bytes, at most ${max}`);
}

function same(name, one, other) {
  return name.endsWith(".gz") ? gunzipSync(one).equals(gunzipSync(other)) : one.equals(other);
}

function filesOf(folder) {
  const names = readdirSync(folder, { recursive: true }).filter((name) => statSync(join(folder, name)).isFile());
  return new Map(names.map((name) => [relative(".", name), readFileSync(join(folder, name))]));
}
