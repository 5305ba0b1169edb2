// The first five minutes of a newcomer with `gatewright demo`: from the link that it prints to a page of their own. On its
// way it takes the pictures that the documents show.
import assert from "node:assert/strict";
import http from "node:http";
import { join } from "node:path";
import { admin, scenario, until, url } from "../lib.mjs";
import { browser } from "./launch.mjs";
import { AT_WORK, checkPage, end, open, visit, write } from "./ui-lib.mjs";

const link = process.env.GATEWRIGHT_TEST_LINK;
const page = await open();
const dialog = (name) => page.getByRole("dialog", { name });
const panel = page.getByRole("region", { name: "Try it" });
const picture = (name, of = page) => of.screenshot({ path: join(process.env.GATEWRIGHT_TEST_PICTURES, `${name}.png`) });
let windows, source;

/** A window with the chat; who is signed in here is so there. */
async function openChat() {
  const made = await browser.newPage();
  await made.setViewportSize({ width: 420, height: 560 });
  await made.goto(`${url}/demo/chat`);
  await made.getByText(/^you are /).waitFor();
  return made;
}

async function say(from, text) {
  await from.getByLabel("Message").fill(text);
  await from.getByRole("button", { name: "Send" }).click();
}

/** What both windows have to show. */
const bothRead = (text) => Promise.all(windows.map((one) => one.locator("#log").getByText(text).first().waitFor()));

await scenario({
  async "the link signs in, once"() {
    await page.goto(link);
    await page.reload();
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    await page.getByText(AT_WORK).waitFor();
    assert.ok(!page.url().includes("code="), page.url());
  },
  async "the password of the first start is spoken of, and put off"() {
    await page.getByText("You use the password of the first start", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Later" }).click();
    await page.getByText("You use the password of the first start", { exact: false }).waitFor({ state: "detached" });
  },
  async "the chat is there; what its pack would change is shown before it is installed again"() {
    await visit(page, "#/packs", "Packs");
    await page.getByRole("button", { name: "Compare chat" }).click();
    const shown = page.getByRole("dialog");
    await shown.getByText("chat", { exact: false }).first().waitFor();
    await page.keyboard.press("Escape");
    await shown.waitFor({ state: "detached" });
  },
  async "two windows chat, and the charts move"() {
    await visit(page, "#/", "Overview");
    windows = [await openChat(), await openChat()];
    await page.getByText("2 connected").waitFor();
    await say(windows[0], "Hello from one window");
    await bothRead("Hello from one window");
    await say(windows[1], "And from the other");
    await bothRead("And from the other");
    await page.getByRole("cell", { name: "/chat message" }).waitFor();
    const events = page.getByRole("figure").filter({ hasText: "Events a second" }).locator("strong");
    let said = 0;
    await until(async () => {
      // It goes on until a second with an event in it is shown.
      await say(windows[0], "…");
      said++;
      return (await events.innerText()) !== "0";
    }, "a rate above none");
    // All of them have run before the next step counts runs.
    await windows[0].locator("#log").getByText("…").nth(said - 1).waitFor();
    await picture("demo", windows[0]);
    await picture("admin");
  },
  async "a run appears, and its payload is there to be tried"() {
    await visit(page, "#/runs?gateway=%2Fchat&eventName=message", "Runs");
    const runs = page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option");
    await runs.first().waitFor();
    const before = await runs.count();
    await say(windows[0], "Try me");
    await runs.nth(before).waitFor();
    await runs.first().click();
    const run = page.getByRole("complementary", { name: "A run" });
    await run.getByText("Try me", { exact: false }).first().waitFor();
    await picture("admin-runs");
    await run.getByRole("link", { name: "Test with this payload" }).click();
    await page.getByText("No errors").waitFor();
    await until(async () => (await panel.getByLabel("Payload").inputValue()).includes("Try me"), "the payload in the panel");
  },
  async "a habit from JavaScript is answered with the Rhai way"() {
    source = await page.getByRole("textbox", { name: "Script" }).innerText();
    await write(page, "return { ok: true };");
    await page.getByRole("status").getByText("#{ ok: true }", { exact: false }).waitFor();
  },
  async "a change is tried beside what is live: what it would emit, and its time"() {
    const { id } = (await admin("GET", "/admin/tree")).gateways.find(({ path }) => path === "/chat").events.find(({ eventName }) => eventName === "message");
    source = (await admin("GET", `/admin/events/${id}`)).sourceCode;
    await write(page, source.replace("text.trim();", "text.trim();\ntext += \" (seen by a script)\";"));
    await page.getByText("No errors").waitFor();
    await panel.getByRole("button", { name: "Run" }).click();
    const result = page.getByRole("article", { name: "Draft: result" });
    await result.getByText("emitToCurrentRoom").waitFor();
    await result.getByText("(seen by a script)", { exact: false }).first().waitFor();
    await result.getByText(/ms · .* operations/).waitFor();
    await picture("admin-editor");
    await checkPage(page, "the panel, filled in from a run");
  },
  async "saved, both windows get the new reply, and nobody was dropped"() {
    await page.getByRole("textbox", { name: "Script" }).click();
    await page.keyboard.press("Control+s");
    await dialog("Save").getByLabel("What is different").fill("says that a script was here");
    await page.keyboard.press("Enter");
    await page.getByText(/live now. 0 sockets dropped/).waitFor();
    await say(windows[0], "After the save");
    await bothRead("After the save (seen by a script)");
  },
  async "it is saved as a test, which passes"() {
    await panel.getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Live: result" }).waitFor();
    await page.getByRole("button", { name: "Save as test…" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill("a message says that it was seen");
    await page.getByRole("dialog").getByRole("button", { name: "Save test" }).click();
    await page.getByRole("button", { name: "Run a message says that it was seen" }).click();
    await page.getByText("passed", { exact: true }).waitFor();
  },
  async "the version before is compared and restored"() {
    await page.getByRole("link", { name: "Revisions" }).click();
    const list = page.getByRole("region", { name: "Revisions" });
    await list.getByRole("button").filter({ hasText: "1" }).last().click();
    await page.getByRole("region", { name: "Difference" }).getByText("seen by a script", { exact: false }).first().waitFor();
    await picture("admin-revisions");
    await page.getByRole("button", { name: "Restore revision 1" }).click();
    await dialog("Restore revision 1").getByRole("button", { name: "Restore" }).click();
    await page.getByText(/is live again. 0 sockets dropped/).waitFor();
    await say(windows[1], "As before");
    await bothRead(/^.*As before$/);
  },
  async "the snippet of the Connect tab is a page that works"() {
    await visit(page, "#/gateways", "Gateways");
    await page.getByRole("treeitem", { name: /^\/chat/ }).click();
    await page.getByRole("link", { name: "Connect", exact: true }).click();
    await page.getByRole("group", { name: "Language" }).getByRole("button", { name: "HTML" }).click();
    const snippet = await page.locator("pre.code").filter({ hasText: "<!doctype html>" }).innerText();
    const elsewhere = http.createServer((_, response) => response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(snippet));
    await new Promise((listening) => elsewhere.listen(0, "127.0.0.1", listening));
    const theirs = await browser.newPage();
    await theirs.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
    await theirs.locator("#log").getByText("connected as").waitFor();
    await theirs.locator("#log").getByText('"accepted":true').waitFor();
    await theirs.close();
    elsewhere.close();
  },
  async "nothing broke"() {
    await end();
  },
});
