// The admin UI by the keyboard alone.
import assert from "node:assert/strict";
import { admin, gateway, scenario, until } from "../lib.mjs";
import { end, open, visit } from "./ui-lib.mjs";

const page = await open();
const press = async (...keys) => {
  for (const key of keys) await page.keyboard.press(key);
};
/** What has the focus, by its name. */
const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent?.trim() ?? "");

/** Tabs until something has the focus. */
async function tabTo(name) {
  for (let step = 0; step < 60; step++) {
    if ((await focused()).startsWith(name)) return;
    await press("Tab");
  }
  assert.fail(`Tab never comes to ${name}`);
}

let made;

await scenario({
  async "signing in"() {
    made = await gateway("/keys", { first: "return 1;", second: "return 2;" });
    await page.getByLabel("E-mail").focus();
    await page.keyboard.type(process.env.GATEWRIGHT_TEST_EMAIL);
    await press("Tab");
    await page.keyboard.type(process.env.GATEWRIGHT_TEST_PASSWORD);
    await press("Enter");
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
  },
  async "g and a letter go to pages, ? shows the keys"() {
    await press("g", "r");
    await page.getByRole("heading", { name: "Runs", exact: true }).waitFor();
    await press("g", "g");
    await page.getByRole("heading", { name: "Gateways", exact: true }).waitFor();
    await press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  },
  async "the tree: down, close, open, into an event"() {
    await page.getByRole("treeitem", { name: /first/ }).waitFor();
    await tabTo("Gateways and events");
    await press("Home", "ArrowLeft");
    await page.getByRole("treeitem", { name: /first/ }).waitFor({ state: "detached" });
    await press("ArrowRight");
    await page.getByRole("treeitem", { name: /first/ }).waitFor();
    await press("ArrowDown", "ArrowDown", "Enter");
    await page.getByRole("heading", { name: "second" }).waitFor();
  },
  async "the palette finds by a few letters"() {
    await press("Control+k");
    await page.getByRole("combobox", { name: "Page, gateway or event" }).waitFor();
    await page.keyboard.type("kfir");
    await page.getByRole("option", { name: "/keys first" }).waitFor();
    await press("Enter");
    await page.getByRole("heading", { name: "first" }).waitFor();
  },
  async "the editor: type, save, leave"() {
    await page.getByRole("textbox", { name: "Script" }).waitFor();
    await page.waitForFunction(() => document.activeElement?.classList.contains("cm-content"));
    await press("Control+a", "Delete");
    await page.keyboard.insertText("return 10;");
    await press("Control+s");
    await page.getByRole("dialog", { name: "Save" }).waitFor();
    await press("Enter");
    await page.getByText(/0 sockets dropped/).waitFor();
    assert.equal((await admin("GET", `/admin/events/${made.events.first.id}`)).sourceCode, "return 10;");
    await press("Control+Enter");
    await page.getByRole("article", { name: "Live: result" }).waitFor();
    await press("Escape", "Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.closest(".cm-editor") === null), true, "Tab leaves the editor");
  },
  async "a dialog keeps the focus, and gives it back"() {
    await visit(page, `#/gateways/${made.id}`, "/keys");
    await tabTo("Clone");
    await press("Enter");
    await page.getByRole("dialog", { name: "Clone /keys" }).waitFor();
    for (let step = 0; step < 8; step++) {
      await press("Tab");
      const inside = await page.evaluate(() => document.activeElement === document.body || !!document.activeElement?.closest("dialog"));
      assert.ok(inside, "the focus left the dialog");
    }
    await press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await until(async () => (await focused()) === "Clone", "the focus is back");
  },
  async "nothing broke"() {
    await end();
  },
});
