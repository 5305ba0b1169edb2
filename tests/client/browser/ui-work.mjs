// What an admin does in the UI, from a new gateway to its end: the editor, test runs, revisions, runs, guards.
import assert from "node:assert/strict";
import { admin, connect, next, run, scenario, until } from "../lib.mjs";
import { browser } from "./launch.mjs";
import { AT_WORK, end, open, signIn, visit, write } from "./ui-lib.mjs";

const page = await open();
const script = () => page.getByRole("textbox", { name: "Script" });
const dialog = (name) => page.getByRole("dialog", { name });
const panel = () => page.getByRole("region", { name: "Try it" });
/** A socket of the step: all are closed at its end. */
const shop = () => connect("/shop");
let event;

await scenario({
  async "a gateway and an event are made"() {
    await signIn(page);
    await page.getByText(AT_WORK).waitFor();
    await visit(page, "#/gateways", "Gateways");
    await page.getByRole("button", { name: "Make a gateway" }).click();
    await dialog("New gateway").getByLabel("Path").fill("/shop");
    await dialog("New gateway").getByRole("button", { name: "Make gateway" }).click();
    await page.getByRole("button", { name: "New event" }).click();
    await dialog("New event of /shop").getByLabel("Name").fill("greet");
    await dialog("New event of /shop").getByRole("button", { name: "Make event" }).click();
    await script().waitFor();
    await page.getByText("No errors").waitFor();
    const { result } = await run(await shop(), "greet", { name: "Ada" });
    assert.deepEqual(result, { text: "Hello, Ada!" });
    event = await page.evaluate(() => location.hash.split("/")[2]);
  },
  async "an error stands under the text as it is typed, with the Rhai way"() {
    await write(page, "return { ok: true };");
    await page.locator(".cm-lintRange-error").first().waitFor();
    await page.getByRole("status").getByText("#{ ok: true }", { exact: false }).waitFor();
  },
  async "completion knows macros, calls, tables and columns"() {
    await admin("POST", "/admin/tables", { name: "parcel", columns: [{ name: "weight", type: "integer" }] });
    const choices = page.getByRole("listbox", { name: "Completions" }).getByRole("option");
    for (const [typed, choice] of [
      ["@SOC", "@SOCKET"],
      ["@SOCKET.emitToC", "emitToCurrentRoom"],
      ["#parc", "#parcel"],
      ["#parcel.find", "findOne"],
      ["#parcel.find(#{ filter: #{ wei", "weight"],
      ["let total = 1; tot", "total"],
    ]) {
      // The tables are asked for when the catalog has told of the new one.
      await until(async () => {
        await write(page, typed);
        await page.keyboard.press("Control+Space");
        return choices.filter({ hasText: choice }).first().waitFor({ timeout: 2000 }).then(() => true, () => false);
      }, `${choice} for ${typed}`);
      await page.keyboard.press("Escape");
    }
  },
  async "the pointer explains"() {
    await write(page, "@SOCKET.reply(#{ a: 1 });");
    const about = page.locator(".cm-tooltip .cm-about");
    await until(async () => {
      await page.mouse.move(0, 0);
      await page.locator(".cm-line").getByText("reply", { exact: true }).first().hover();
      return about.waitFor({ timeout: 2000 }).then(() => true, () => false);
    }, "a tooltip");
    await about.locator("strong").getByText("reply(", { exact: false }).waitFor();
  },
  async "what is typed is a draft that outlives the page, and is not live"() {
    await write(page, "return #{ text: `Hi ${@BODY.name}` };");
    await page.getByText("No errors").waitFor();
    await page.getByText("not saved").waitFor();
    await page.reload();
    await page.getByText("This is your draft from before").waitFor();
    assert.equal(await script().innerText(), "return #{ text: `Hi ${@BODY.name}` };");
    assert.equal((await run(await shop(), "greet", { name: "Ada" })).result.text, "Hello, Ada!");
  },
  async "a test run shows the draft beside what is live, and nothing leaves"() {
    await panel().getByLabel("Payload").fill('{"name": ');
    await panel().getByRole("button", { name: "Run" }).click();
    await panel().getByRole("alert").getByText("The payload is no JSON", { exact: false }).waitFor();
    await panel().getByLabel("Payload").fill('{"name": "Grace"}');
    await panel().getByLabel("Beside what is live").check();
    await panel().getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Draft: result" }).getByText("Hi Grace", { exact: false }).waitFor();
    await page.getByRole("article", { name: "Live: result" }).getByText("Hello, Grace!", { exact: false }).waitFor();
    await page.getByRole("article", { name: "Draft: result" }).getByText(/operations/).waitFor();
  },
  async "what stays is asked for"() {
    await panel().getByLabel("Keep what it writes").check();
    await panel().getByRole("button", { name: "Run" }).click();
    await dialog("Run for real").getByRole("button", { name: "Cancel" }).click();
    await panel().getByLabel("Keep what it writes").uncheck();
  },
  async "a save is live at once, for sockets that stay"() {
    const socket = await shop();
    await script().click();
    await page.keyboard.press("Control+s");
    await dialog("Save").getByLabel("What is different").fill("a shorter greeting");
    await page.keyboard.press("Enter");
    await page.getByText(/live now. 0 sockets dropped/).waitFor();
    assert.equal((await run(socket, "greet", { name: "Ada" })).result.text, "Hi Ada", "on the same socket");
  },
  async "somebody else's save is not overwritten unasked"() {
    await write(page, "return 1;");
    await page.getByText("not saved").waitFor();
    await admin("PATCH", `/admin/events/${event}`, { sourceCode: "return 2;" });
    await page.keyboard.press("Control+s");
    await dialog("Save").getByRole("button", { name: "Save", exact: true }).click();
    const asked = dialog("Somebody else has saved this script");
    await asked.getByText("return 2;", { exact: false }).first().waitFor();
    assert.equal((await run(await shop(), "greet", {})).result, 2);
    await asked.getByRole("button", { name: "Overwrite with mine" }).click();
    await asked.waitFor({ state: "detached" });
    await page.getByText("live", { exact: true }).waitFor();
    assert.equal((await run(await shop(), "greet", {})).result, 1);
  },
  async "an earlier revision is compared and restored"() {
    await page.getByRole("link", { name: "Revisions" }).click();
    const list = page.getByRole("region", { name: "Revisions" });
    await list.getByRole("button").filter({ hasText: "1" }).last().click();
    await page.getByRole("region", { name: "Difference" }).getByText("Hello", { exact: false }).first().waitFor();
    await page.getByRole("button", { name: "Restore revision 1" }).click();
    await dialog("Restore revision 1").getByRole("button", { name: "Restore" }).click();
    await page.getByText(/is live again. 0 sockets dropped/).waitFor();
    assert.equal((await run(await shop(), "greet", { name: "Ada" })).result.text, "Hello, Ada!");
  },
  async "runs appear as they happen, and are found"() {
    await visit(page, "#/runs?gateway=%2Fshop", "Runs");
    const socket = await shop();
    await page.getByRole("listbox", { name: "Runs, newest first" }).waitFor();
    const before = Number(await page.locator("h1 + .quiet").innerText().then((text) => parseInt(text)));
    await run(socket, "greet", { name: "Ada" });
    await page.getByText(`${before + 1} that match`).waitFor();
    await page.getByLabel("Outcome").selectOption("error");
    await page.getByText("No run matches.", { exact: false }).waitFor();
    assert.match(await page.evaluate(() => location.hash), /outcome=error/);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Go on" }).click();
  },
  async "disabling says whom it cuts"() {
    const id = (await admin("GET", "/admin/gateways")).data[0].id;
    const socket = await shop();
    await visit(page, `#/gateways/${id}`, "/shop");
    await page.getByText("1 socket", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Disable" }).click();
    const gone = next(socket, "disconnect");
    await dialog("Disable /shop").getByRole("button", { name: "Disable and cut 1 socket" }).click();
    await gone;
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("/shop is enabled").waitFor();
    await shop();
  },
  async "what clients hear stands in the settings; what is no JSON is told"() {
    await page.getByRole("link", { name: "Settings", exact: true }).last().click();
    const heard = page.getByLabel("What clients hear");
    await heard.fill('{ "greeted": ');
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("alert").getByText("is no JSON", { exact: false }).waitFor();
    await heard.fill('{ "greeted": { "type": "object" } }');
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("alert").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Save", exact: true }).and(page.locator(":disabled")).waitFor();
    assert.deepEqual((await admin("GET", "/admin/gateways")).data[0].emits, { greeted: { type: "object" } });
  },
  async "a gateway is cloned with its events"() {
    await page.getByRole("button", { name: "Clone" }).click();
    await dialog("Clone /shop").getByLabel("Path").fill("/shop-two");
    await dialog("Clone /shop").getByRole("button", { name: "Clone" }).click();
    await page.getByRole("heading", { name: "/shop-two" }).waitFor();
    const copy = await connect("/shop-two");
    assert.equal((await run(copy, "greet", { name: "Ada" })).result.text, "Hello, Ada!");
  },
  async "deleting asks for the name"() {
    await page.getByRole("button", { name: "Delete" }).click();
    const asked = dialog("Delete /shop-two");
    assert.ok(await asked.getByRole("button", { name: "Delete" }).isDisabled());
    await asked.getByRole("textbox").fill("/shop-two");
    await asked.getByRole("button", { name: "Delete" }).click();
    await page.getByText("/shop-two is deleted").waitFor();
    assert.equal((await admin("GET", "/admin/gateways")).data.length, 1);
  },
  async "a session that ends elsewhere leads to the sign-in, and back to where one was"() {
    await visit(page, `#/events/${event}`, "greet");
    const me = await admin("GET", "/me");
    await admin("POST", `/admin/users/${me.id}/revoke-tokens`);
    await page.getByText("Your session has ended.", { exact: false }).waitFor();
    await signIn(page);
    await page.getByRole("heading", { name: "greet" }).waitFor();
  },
  async "signing out leaves nothing behind"() {
    await page.getByRole("navigation", { name: "Pages" }).getByText(process.env.GATEWRIGHT_TEST_EMAIL).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    assert.deepEqual((await browser.cookies()).filter(({ value }) => value), []);
  },
  async "nothing broke"() {
    await end();
  },
});
