// Routes, hooks and libraries in the admin UI: made, tried, ordered, found and taken away; both themes, phone and desk.
import assert from "node:assert/strict";
import { admin, call, scenario, until, url } from "../lib.mjs";
import { browser } from "./launch.mjs";
import { AT_WORK, checkPage, end, open, signIn, visit, write } from "./ui-lib.mjs";

const page = await open();
await browser.grantPermissions(["clipboard-read", "clipboard-write"]);
const dialog = (name) => page.getByRole("dialog", { name });
const panel = () => page.getByRole("region", { name: "Try it" });
const tests = () => page.getByRole("region", { name: "Saved tests" });
const idOf = () => page.evaluate(() => location.hash.split("/")[2]);
/** Keeps what the last run gave as a test, and runs it. */
async function keepAsTest(name) {
  await tests().getByRole("button", { name: "Save as test…" }).click();
  await dialog("Save as test").getByLabel("Name").fill(name);
  await dialog("Save as test").getByRole("button", { name: "Save test" }).click();
  await tests().getByText(name, { exact: true }).waitFor();
  await tests().getByRole("button", { name: "Run all" }).click();
  await tests().getByText("passed").waitFor();
}
/** Saves what is typed; it is live when this is done. */
async function save() {
  await page.keyboard.press("Control+s");
  await dialog("Save").getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("live", { exact: true }).waitFor();
}
const HOSTILE = '<img src=x onerror=alert(1)> \u202egnp.exe';
let routeId;
let hookIds;
let libraryId;

await scenario({
  async "a route is made, tried with a request, and is the same with curl"() {
    await signIn(page);
    await page.getByText(AT_WORK).waitFor();
    await visit(page, "#/routes", "Routes");
    await page.getByText("There is no route yet").waitFor();
    await checkPage(page, "no route");
    await page.getByRole("button", { name: "Make a route" }).click();
    await dialog("New route").getByLabel("Path").fill("/orders/{id}/ship");
    await dialog("New route").getByLabel("Method").selectOption("POST");
    await dialog("New route").getByLabel("Who may call it").selectOption("public");
    await dialog("New route").getByLabel("Description").fill(HOSTILE);
    await checkPage(page, "a new route");
    await dialog("New route").getByRole("button", { name: "Make route" }).click();
    await page.getByRole("heading", { name: "POST /orders/{id}/ship" }).waitFor();
    routeId = await idOf();
    await write(page, "@STATUS(202);\nreturn #{ id: @PARAMS.id, fast: @QUERY.fast, by: @REQ.headers[\"x-by\"], note: @BODY.note };");
    await page.getByText("No errors").waitFor();
    await panel().getByRole("button", { name: "Run" }).click();
    await panel().getByRole("alert").getByText("{id}").waitFor();
    await panel().getByLabel("{id}").fill("a b");
    await panel().getByLabel("Query").fill("fast=yes");
    await panel().getByLabel("Headers").fill("x-by: tester");
    await panel().getByLabel("Body").fill('{"note": "it\'s"}');
    await panel().getByRole("button", { name: "Run" }).click();
    const result = page.getByRole("article", { name: "Draft: result" });
    for (const text of ['"a b"', '"yes"', '"tester"', "it's", "202"]) await result.getByText(text, { exact: false }).first().waitFor();
    await checkPage(page, "a route tried");
    await panel().getByText("The same with curl").click();
    await panel().getByRole("button", { name: "Copy" }).click();
    const command = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(command, /^curl -X POST '.*\/orders\/a%20b\/ship\?fast=yes'/);
    await save();
    const answer = await call("POST", "/orders/a%20b/ship?fast=yes", { note: "x" }, { headers: { "x-by": "me" } });
    assert.deepEqual([answer.status, answer.body], [202, { id: "a b", fast: "yes", by: "me", note: "x" }]);
    assert.ok(command.includes(`${url}/orders/a%20b/ship?fast=yes`));
  },
  async "what it answered is kept as a test, and stands beside a revision"() {
    await keepAsTest(HOSTILE);
    const { test, handler } = (await admin("GET", `/admin/tests?handler=${routeId}`)).data[0];
    assert.deepEqual([handler, test.path, test.query, test.expect.status], ["routes POST /orders/{id}/ship", "/orders/a%20b/ship", { fast: "yes" }, 202]);
    await panel().getByLabel("Beside what is live").check();
    await panel().getByLabel("Beside which version").selectOption({ label: "revision 1" });
    await panel().getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Revision 1: result" }).getByText("guest", { exact: false }).waitFor();
    await checkPage(page, "a route's test");
  },
  async "its revisions are those of any script"() {
    await page.getByRole("link", { name: "Revisions" }).click();
    await page.getByRole("button", { name: "Restore revision 1" }).click();
    await dialog("Restore revision 1").getByRole("button", { name: "Restore" }).click();
    await page.getByText(/is live again/).waitFor();
    const answer = await call("POST", "/orders/1/ship", {});
    assert.deepEqual(answer.body, { hello: "guest" });
  },
  async "settings, figures, disable with undo"() {
    await visit(page, `#/routes/${routeId}`, "POST /orders/{id}/ship");
    await page.getByText(/2 runs, 0 errors/).waitFor();
    await page.getByLabel("Time of a run").fill("900");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("Saved, live now").waitFor();
    assert.equal((await admin("GET", `/admin/routes/${routeId}`)).timeoutMs, 900);
    await page.getByRole("button", { name: "Disable" }).click();
    await page.getByText("disabled", { exact: true }).waitFor();
    assert.equal((await call("POST", "/orders/1/ship", {})).status, 404);
    await page.getByRole("button", { name: "Undo", exact: true }).click();
    await page.getByText("enabled", { exact: true }).waitFor();
    assert.equal((await call("POST", "/orders/1/ship", {})).status, 200);
    await page.getByLabel("Path").fill("/admin/mine");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("alert").getByText("served by Gatewright itself", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Undo changes" }).click();
  },
  async "a hook is made and tried; its condition is tried on a row"() {
    await admin("POST", "/admin/tables", { name: "product", columns: [{ name: "title", type: "string" }, { name: "price", type: "integer" }] });
    await visit(page, "#/hooks", "Hooks");
    await page.getByRole("button", { name: "Make a hook" }).click();
    await dialog("New hook").getByLabel("Table").selectOption("product");
    await dialog("New hook").getByLabel("updated").check();
    await dialog("New hook").getByLabel("Condition").fill('{"price": {"_gt": 10}}');
    await dialog("New hook").getByRole("button", { name: "Make hook" }).click();
    await page.getByRole("heading", { name: "before create,update product" }).waitFor();
    const first = await idOf();
    await write(page, "return #{ title: @DATA.title + \"!\" };");
    await page.getByText("No errors").waitFor();
    await panel().getByLabel("Row", { exact: false }).first().fill('{"title": "Chair"');
    await panel().getByRole("button", { name: "Run" }).click();
    await panel().getByRole("alert").getByText("The row is no JSON", { exact: false }).waitFor();
    await panel().getByLabel("Row", { exact: false }).first().fill('{"title": "Chair"}');
    await panel().getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Draft: result" }).getByText("Chair!", { exact: false }).waitFor();
    await panel().getByLabel("What is done").selectOption("update");
    await panel().getByLabel("Row before").waitFor();
    await checkPage(page, "a hook tried");
    await save();
    await keepAsTest("shouts");
    const { test } = (await admin("GET", `/admin/tests?handler=${first}`)).data[0];
    assert.deepEqual([test.table, test.operation, test.expect.result], ["product", "create", { title: "Chair!" }]);
    // A row that exists is there for the run alone.
    await write(page, "return #{ title: `${#product.count(#{})} rows` };");
    await page.getByText("No errors").waitFor();
    await panel().getByText("Rows that exist").click();
    await panel().getByLabel("Rows", { exact: false }).fill('{"product": [{}, {}]}');
    await panel().getByRole("button", { name: "Run" }).click();
    await page.getByRole("article", { name: "Draft: result" }).getByText("2 rows", { exact: false }).waitFor();
    await panel().getByLabel("Rows", { exact: false }).fill("{");
    await panel().getByRole("button", { name: "Run" }).click();
    await panel().getByRole("alert").getByText("no JSON", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Discard", exact: true }).click();
    await visit(page, `#/hooks/${first}`, "before create,update product");
    const match = page.getByRole("form", { name: "Would it run?" });
    await match.getByLabel("Row").fill('{"price": 5}');
    await match.getByRole("button", { name: "Try the condition" }).click();
    await match.getByText("It does not run").waitFor();
    await match.getByText("price", { exact: false }).last().waitFor();
    await match.getByLabel("Row").fill(JSON.stringify({ price: 11, title: HOSTILE }));
    await match.getByRole("button", { name: "Try the condition" }).click();
    await match.getByText("It runs", { exact: true }).waitFor();
    await match.getByLabel("Row").fill('{"cost": 5}');
    await match.getByRole("button", { name: "Try the condition" }).click();
    await match.getByRole("alert").getByText("no field cost", { exact: false }).waitFor();
    const second = await admin("POST", "/admin/hooks", { table: "product", when: "before", on: ["create"], sourceCode: "return;", description: HOSTILE });
    hookIds = [first, second.id];
  },
  async "hooks run in the order that the keys give them"() {
    await visit(page, "#/hooks", "Hooks");
    const options = page.getByRole("listbox", { name: "Hooks" }).getByRole("option");
    const names = async () => (await options.allInnerTexts()).map((text) => text.split("\n")[0].trim());
    await until(async () => (await names()).length === 2, "two hooks");
    assert.deepEqual(await names(), ["product before create,update", "product before create"]);
    await page.getByRole("listbox", { name: "Hooks" }).focus();
    await page.keyboard.press("End");
    await page.keyboard.press("Shift+ArrowUp");
    await page.getByText("runs earlier").waitFor();
    await until(async () => (await names())[0] === "product before create", names);
    const order = async () => {
      const rows = (await admin("GET", "/admin/hooks?sort=priority,id")).data;
      return rows.map(({ id }) => id);
    };
    assert.deepEqual(await order(), hookIds.toReversed());
    await page.getByRole("button", { name: "Undo", exact: true }).click();
    await until(async () => (await names())[0] === "product before create,update", names);
    assert.deepEqual(await order(), hookIds);
    await visit(page, `#/hooks/${hookIds[1]}`, "before create product");
    await page.getByRole("button", { name: "Earlier" }).click();
    await until(async () => (await order())[0] === hookIds[1], "the order is saved");
  },
  async "a library is checked as one, and its scripts find it"() {
    await visit(page, "#/libraries", "Libraries");
    await page.getByRole("button", { name: "Make a library" }).click();
    await dialog("New library").getByLabel("Name").fill("words");
    await dialog("New library").getByRole("button", { name: "Make library" }).click();
    await page.getByRole("heading", { name: "words", exact: true }).waitFor();
    libraryId = await idOf();
    await page.getByText("No errors").waitFor();
    await write(page, "let x = 1;");
    await page.locator(".cm-lintRange-error").first().waitFor();
    await write(page, "export const MAX = 3;\nfn shout(text) { `${text}!` }");
    await page.getByText("No errors").waitFor();
    await save();
    assert.match((await admin("GET", `/admin/libraries/${libraryId}`)).sourceCode, /shout/);
    await admin("PATCH", `/admin/routes/${routeId}`, { sourceCode: 'import "words" as words; return words::shout("hi");' });
    await visit(page, `#/libraries/${libraryId}`, "words");
    await page.getByRole("button", { name: "Delete…" }).click();
    await dialog("Delete words").getByLabel("Type words to go on").fill("words");
    await dialog("Delete words").getByRole("button", { name: "Delete" }).click();
    await dialog("Delete words").getByRole("alert").getByText("/orders/{id}/ship", { exact: false }).waitFor();
    await page.keyboard.press("Escape");
  },
  async "the palette finds them, g and a letter goes to their pages"() {
    for (const [letters, option] of [["ordship", "POST /orders/{id}/ship"], ["befcreapro", "before create product"], ["words", "words"]]) {
      await visit(page, "#/", "Overview");
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox", { name: "Page, gateway or event" }).fill(letters);
      await page.getByRole("option", { name: option, exact: false }).first().waitFor();
      await page.keyboard.press("Enter");
      await page.getByRole("textbox", { name: "Script" }).waitFor();
    }
    await visit(page, "#/", "Overview");
    for (const [letter, heading] of [["e", "Routes"], ["h", "Hooks"], ["l", "Libraries"]]) {
      await page.keyboard.press("g");
      await page.keyboard.press(letter);
      await page.getByRole("heading", { name: heading, exact: true }).waitFor();
    }
  },
  async "each page, both themes, phone and desk"() {
    const pages = [
      ["#/routes", "Routes", () => page.getByRole("listbox").getByRole("option").first()],
      [`#/routes/${routeId}`, "POST /orders/{id}/ship", () => page.getByLabel("Path")],
      [`#/routes/${routeId}/script`, "POST /orders/{id}/ship", () => page.getByText("No errors")],
      ["#/hooks", "Hooks", () => page.getByRole("listbox").getByRole("option").first()],
      [`#/hooks/${hookIds[0]}`, "before create,update product", () => page.getByRole("form", { name: "Would it run?" })],
      [`#/hooks/${hookIds[0]}/script`, "before create,update product", () => page.getByText("No errors")],
      ["#/libraries", "Libraries", () => page.getByRole("listbox").getByRole("option").first()],
      [`#/libraries/${libraryId}`, "words", () => page.getByLabel("Name")],
      [`#/libraries/${libraryId}/script`, "words", () => page.getByText("No errors")],
    ];
    for (const theme of ["light", "dark"]) {
      for (const width of [375, 1440]) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width, height: width < 600 ? 760 : 900 });
        for (const [hash, heading, shown] of pages) {
          await visit(page, hash, heading);
          await shown().waitFor();
          await checkPage(page, `${hash}, ${theme}, ${width}`);
        }
      }
    }
  },
  async "what others have written is text"() {
    await visit(page, `#/routes/${routeId}`, "POST /orders/{id}/ship");
    assert.equal(await page.getByLabel("Description").inputValue(), HOSTILE);
    assert.equal(await page.locator("main img").count(), 0);
  },
  async "what loses data wants the name typed"() {
    await page.getByRole("button", { name: "Delete…" }).click();
    const asked = dialog("Delete POST /orders/{id}/ship");
    assert.ok(await asked.getByRole("button", { name: "Delete" }).isDisabled());
    await asked.getByRole("textbox").fill("POST /orders/{id}/ship");
    await asked.getByRole("button", { name: "Delete" }).click();
    await page.getByText("There is no route yet").waitFor();
    assert.deepEqual((await admin("GET", "/admin/routes")).data, []);
  },
  async "nothing broke"() {
    await end();
  },
});
