// The admin UI behind a proxy that has put a prefix before all paths.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { scenario, url } from "../lib.mjs";
import { AT_WORK, checkPage, end, open, signIn } from "./ui-lib.mjs";

const PREFIX = "/gate/way";
const server = new URL(url);

/** The path for the server; nothing where it is not for it. */
const pathOf = (request) => (request.url.startsWith(`${PREFIX}/`) ? request.url.slice(PREFIX.length) : undefined);

const proxy = http.createServer((request, response) => {
  const path = pathOf(request);
  if (path === undefined) return response.writeHead(404).end();
  const { hostname: host, port } = server;
  const forward = http.request({ host, port, path, method: request.method, headers: request.headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(response);
  });
  forward.on("error", () => response.destroy());
  request.pipe(forward);
});
proxy.on("upgrade", (request, client, head) => {
  const path = pathOf(request);
  if (path === undefined) return client.destroy();
  const to = net.connect(server.port, server.hostname, () => {
    const headers = [];
    for (let at = 0; at < request.rawHeaders.length; at += 2) headers.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    to.write(`GET ${path} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
    to.write(head);
    client.pipe(to).pipe(client);
  });
  for (const [one, other] of [[client, to], [to, client]]) one.on("error", () => other.destroy());
});
await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
const at = `http://127.0.0.1:${proxy.address().port}${PREFIX}`;

await scenario({
  async "it signs in, works and is live there"() {
    const page = await open({ at });
    await signIn(page);
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    await page.getByText(AT_WORK).waitFor();
    await checkPage(page, "behind a prefix");
    await page.getByRole("link", { name: "Gateways" }).click();
    await page.getByRole("treeitem", { name: /message/ }).first().click();
    await page.getByText("No errors").waitFor();
    await page.reload();
    await page.getByText("No errors").waitFor();
  },
  async "a snippet to connect names the prefix"() {
    const page = await open({ at });
    await page.getByRole("link", { name: "Gateways" }).click();
    await page.getByRole("treeitem", { name: /^\/chat/ }).click();
    await page.getByRole("link", { name: "Connect", exact: true }).click();
    await page.getByText(`path: "${PREFIX}/socket.io/"`, { exact: false }).waitFor();
  },
  async "every page of the navigation works there"() {
    const page = await open({ at });
    const links = page.getByRole("navigation", { name: "Pages" }).locator("ul").getByRole("link");
    await links.first().waitFor();
    const names = (await links.allInnerTexts()).map((name) => name.trim());
    assert.ok(names.length >= 14, names.join());
    for (const name of names) {
      await links.filter({ hasText: name }).click();
      await page.getByRole("heading", { name, exact: true, level: 1 }).waitFor();
      await checkPage(page, `${name} behind a prefix`);
    }
  },
  async "the bare prefix leads to it"() {
    const page = await open({ at });
    await page.goto(`${at}/`);
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    await end();
  },
});
