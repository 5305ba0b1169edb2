// Captures, what a run was given and did, tests that begin with it and are kept, and hints, in a browser.
import assert from "node:assert/strict";
import { admin, connect, run, scenario, url } from "../lib.mjs";
import { checkPage, end, open, signIn, visit, write } from "./ui-lib.mjs";

const MARKUP = "<img src=x onerror=document.title='broken'><b>bold</b>";
const SCRIPT = "@SOCKET.join(\"lobby\"); @SOCKET.reply(\"got\", @BODY); return `Hello, ${@BODY.name}!`;";
const page = await open({ theme: "dark" });
const dialog = (name) => page.getByRole("dialog", { name });
const panel = () => page.getByRole("region", { name: "Try it" });
const detail = () => page.getByRole("complementary", { name: "A run" });
const tests = () => page.getByRole("region", { name: "Saved tests" });
let event;
let socket;

await scenario({
  async "a capture is started by keyboard alone"() {
    const gateway = await admin("POST", "/admin/gateways", { path: "/cap", requireAuth: false });
    const payloadSchema = {
      type: "object",
      required: ["name"],
      properties: { name: { type: "string" }, mood: { enum: ["good", "bad"] }, tags: { type: "array", items: { type: "string" } } },
    };
    event = await admin("POST", `/admin/gateways/${gateway.id}/events`, { eventName: "greet", sourceCode: SCRIPT, payloadSchema });
    await signIn(page);
    await visit(page, "#/runs", "Runs");
    await page.getByRole("button", { name: "Capture…" }).focus();
    await page.keyboard.press("Enter");
    await dialog("Capture runs").getByLabel("Handler").selectOption("/cap greet");
    await checkPage(page, "the question what to capture");
    await dialog("Capture runs").getByRole("button", { name: "Capture" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("list", { name: "Captures that are on" }).getByText("/cap greet").waitFor();
    const { data } = await admin("GET", "/admin/captures");
    assert.deepEqual([data[0].handler, data[0].minutes], ["/cap greet", 10]);
  },
  async "a run shows what it was given and did, as text"() {
    socket = await connect("/cap");
    await run(socket, "greet", { name: "first" });
    await run(socket, "greet", { name: MARKUP });
    // Both are there: what comes later would be the first.
    await page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option").nth(1).waitFor();
    await page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option").first().click();
    await detail().getByText(MARKUP, { exact: false }).first().waitFor();
    await detail().getByRole("definition").getByText("lobby", { exact: true }).waitFor();
    await detail().getByText("reply", { exact: true }).waitFor();
    await detail().getByRole("img", { name: /for the database/ }).waitFor();
    assert.equal(await detail().locator("img, b").count(), 0);
    assert.doesNotMatch(await page.title(), /broken/);
    await checkPage(page, "a captured run");
  },
  async "a test begins with its payload"() {
    await detail().getByRole("link", { name: "Test with this payload" }).click();
    await page.getByText("Filled in from a run.").waitFor();
    assert.deepEqual(JSON.parse(await panel().getByRole("textbox", { name: "Payload" }).inputValue()), { name: MARKUP });
    assert.equal(await panel().getByLabel("Rooms", { exact: false }).inputValue(), "lobby");
    await panel().getByRole("button", { name: "Run" }).click();
    const result = page.getByRole("article", { name: "Live: result" });
    await result.getByText("Hello, <img", { exact: false }).waitFor();
    assert.equal(await result.locator("img, b").count(), 0);
  },
  async "the payload is a form from its schema"() {
    await panel().getByLabel("Payload as a form, from its schema").check();
    await panel().getByRole("textbox", { name: "name needed" }).fill("Ada");
    await panel().getByRole("button", { name: "+ mood" }).click();
    await panel().getByRole("combobox", { name: "mood" }).selectOption("bad");
    await panel().getByRole("button", { name: "+ tags" }).click();
    await panel().getByRole("button", { name: "+ one more" }).click();
    await panel().getByRole("textbox", { name: "tags 1" }).fill("x");
    await checkPage(page, "a payload as a form");
    await panel().getByLabel("Payload as a form, from its schema").uncheck();
    assert.deepEqual(JSON.parse(await panel().getByRole("textbox", { name: "Payload" }).inputValue()), { name: "Ada", mood: "bad", tags: ["x"] });
    await panel().getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Live: result" }).getByText('"Hello, Ada!"').waitFor();
  },
  async "what came is kept as a test, which passes"() {
    await tests().getByRole("button", { name: "Save as test…" }).click();
    await dialog("Save as test").getByLabel("Name").fill(MARKUP);
    await checkPage(page, "a test to be saved");
    await dialog("Save as test").getByRole("button", { name: "Save test" }).click();
    await tests().getByText(MARKUP).waitFor();
    await tests().getByRole("button", { name: "Run all" }).click();
    await tests().getByText("passed").waitFor();
    const { data } = await admin("GET", `/admin/tests?handler=${event.id}`);
    assert.deepEqual([data[0].handler, data[0].test.expect.result, data[0].test.rooms], ["/cap greet", "Hello, Ada!", ["lobby"]]);
  },
  async "a draft that does something else fails it, with the difference"() {
    await write(page, "@SOCKET.reply(\"got\", @BODY); return `Bye, ${@BODY.name}!`;");
    await page.getByText("not saved").waitFor();
    await tests().getByRole("button", { name: "Run all" }).click();
    await tests().getByText("failed").waitFor();
    await tests().getByText("Bye, Ada!", { exact: false }).waitFor();
    await tests().getByText("Hello, Ada!", { exact: false }).waitFor();
    await checkPage(page, "a test that failed");
  },
  async "the draft stands beside a revision"() {
    await panel().getByLabel("Beside what is live").check();
    await panel().getByLabel("Beside which version").selectOption({ index: 1 });
    await panel().getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Draft: result" }).getByText("Bye, Ada!", { exact: false }).waitFor();
    await page.getByRole("article", { name: "Revision 1: result" }).getByText("Hello, Ada!", { exact: false }).waitFor();
  },
  async "a test is deleted, and comes back"() {
    await tests().getByRole("button", { name: `Delete ${MARKUP}` }).click();
    await tests().getByText("None yet.", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
    await tests().getByText(MARKUP).waitFor();
  },
  async "a hint stands apart, with its code as code"() {
    await write(page, "return { ok: true };");
    const wrong = page.locator(".cm-lintRange-error").first();
    await wrong.waitFor();
    await wrong.hover();
    await page.locator(".cm-tooltip .cm-hint code", { hasText: "#{ ok: true }" }).waitFor();
    await write(page, "return \"Hello ${@BODY.name}\";");
    await page.locator(".cm-lintRange-warning").first().waitFor();
    await page.getByText("No errors").waitFor();
    await page.getByRole("button", { name: "Discard", exact: true }).click();
  },
  async "all of it fits a phone"() {
    await page.setViewportSize({ width: 375, height: 760 });
    await tests().getByText(MARKUP).scrollIntoViewIfNeeded();
    await checkPage(page, "the panel on a phone");
    await visit(page, "#/runs?gateway=%2Fcap&kind=event", "Runs");
    await page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option").first().click();
    await detail().getByText("Payload", { exact: true }).waitFor();
    await checkPage(page, "a captured run on a phone");
    await detail().getByRole("button", { name: "Close" }).click();
    await page.setViewportSize({ width: 1440, height: 900 });
  },
  async "a test of a route begins with its request"() {
    await admin("POST", "/admin/routes", { method: "POST", path: "/things/{id}", access: "public", sourceCode: "return @PARAMS.id + @BODY.a;" });
    await admin("POST", "/admin/captures", { handler: "routes POST /things/{id}" });
    await fetch(`${url}/things/7?q=z`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ a: MARKUP }) });
    await visit(page, "#/runs?kind=route", "Runs");
    await page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option").first().click();
    await checkPage(page, "a captured request");
    await detail().getByRole("link", { name: "Test with this payload" }).click();
    await page.waitForFunction((text) => [...document.querySelectorAll("textarea")].some(({ value }) => value.includes(text)), MARKUP);
    assert.equal(await panel().getByRole("textbox", { name: "Query" }).inputValue(), "q=z");
    await panel().getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Live: result" }).getByText(`"7${MARKUP}"`).waitFor();
    await visit(page, "#/runs?gateway=%2Fcap&kind=event", "Runs");
  },
  async "a capture is stopped, and what it kept is gone"() {
    await page.getByRole("button", { name: "Stop capturing /cap greet" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("The capture of /cap greet has ended", { exact: false }).waitFor();
    await page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option").first().click();
    await detail().getByRole("button", { name: "Capture the next runs…" }).click();
    assert.equal(await dialog("Capture runs").getByLabel("Handler").inputValue(), "/cap greet");
    await dialog("Capture runs").getByRole("button", { name: "Cancel" }).click();
  },
  async "nothing broke"() {
    await end();
  },
});
