// Tables, jobs and schedules in the admin UI: by mouse and by keyboard, in both themes, on a phone and on a desk, held against
// axe; what rows and payloads say is text, whatever it is.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { admin, call, gateway, scenario, until, user } from "../lib.mjs";
import { checkPage, end, open, signIn, visit } from "./ui-lib.mjs";

const HOSTILE = '<img src=x onerror=alert(1)> \u202egnp.exe =1+1';
const page = await open();
let notes;
const grid = () => page.getByRole("grid", { name: /^Rows of/ });
const cell = (text) => grid().getByRole("gridcell", { name: text, exact: true });
const dialog = (name) => page.getByRole("dialog", { name });
const rows = async (filter = {}) => (await admin("GET", `/data/note?limit=1000&sort=id&filter=${encodeURIComponent(JSON.stringify(filter))}`)).data;
const jobs = () => page.getByRole("listbox", { name: "Jobs, newest first" }).getByRole("option");

/** Chooses a file that does not stand on a disk. */
async function chooseFile(text) {
  await dialog("Rows from a CSV file").getByLabel("File").setInputFiles({ name: "rows.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
}

await scenario({
  async "a table is made with its columns"() {
    await signIn(page);
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await page.getByText("There is no table yet").waitFor();
    await checkPage(page, "no tables");
    await page.getByRole("button", { name: "Make a table" }).click();
    const form = dialog("New table");
    await form.getByRole("textbox", { name: /^Name Scripts/ }).fill("note");
    const columns = [["text", "string"], ["stars", "integer"], ["mood", "enum"], ["more", "json"], ["ownerId", "string"]];
    for (const [index, [name, type]] of columns.entries()) {
      if (index) await form.getByRole("button", { name: "Column", exact: true }).click();
      await form.getByLabel(`Name of column ${index + 1}`).fill(name);
      await form.getByLabel(`Type of column ${index + 1}`).selectOption(type);
    }
    await form.getByLabel("values").fill("good, bad");
    await form.getByLabel("Default of column 3").fill("good");
    await checkPage(page, "a new table");
    await form.getByRole("button", { name: "Make table" }).click();
    await page.getByRole("heading", { name: "note", exact: true }).waitFor();
    notes = (await admin("GET", "/admin/tables")).data.find(({ name }) => name === "note");
    assert.deepEqual(notes.columns.map(({ name, type }) => [name, type]), columns);
    assert.deepEqual([notes.columns[2].values, notes.columns[2].default], [["good", "bad"], "good"]);
  },
  async "rows are made, and shown as text"() {
    await page.getByRole("link", { name: "Rows" }).click();
    await page.getByText("There is no row.").waitFor();
    await page.getByRole("button", { name: "Row", exact: true }).click();
    const form = dialog("New row of note");
    await form.getByLabel("text", { exact: true }).fill(HOSTILE);
    await form.getByLabel("stars", { exact: true }).fill("many");
    await form.getByRole("button", { name: "Make row" }).click();
    await form.getByRole("alert").filter({ hasText: "takes an integer" }).waitFor();
    await form.getByLabel("stars", { exact: true }).fill("5");
    await form.getByLabel("more", { exact: true }).fill('{"<b>": "</script><script>alert(1)</script>"}');
    await checkPage(page, "a new row");
    await form.getByRole("button", { name: "Make row" }).click();
    await cell(HOSTILE).waitFor();
    await cell('{"<b>":"</script><script>alert(1)</script>"}').waitFor();
    assert.equal(await page.locator("main img, main b, main script").count(), 0);
    const [row] = await rows();
    assert.deepEqual([row.text, row.stars, row.mood], [HOSTILE, 5, "good"]);
  },
  async "cells are edited by keyboard alone"() {
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await admin("POST", `/admin/tables/${notes.id}/batch`, { create: [{ text: "second", stars: 1 }, { text: "third", stars: 2 }] });
    await page.reload();
    await cell("third").waitFor();
    await grid().focus();
    // To the cell with the stars of the second row.
    await press("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "Enter");
    await grid().getByRole("textbox", { name: "stars" }).waitFor();
    await page.keyboard.type("many");
    await press("Enter");
    await grid().getByRole("alert").filter({ hasText: "takes an integer" }).waitFor();
    await press("Escape");
    await page.keyboard.type("77");
    await press("Tab");
    await page.getByText("stars is saved").waitFor();
    await cell("77").waitFor();
    assert.equal((await rows({ text: "second" }))[0].stars, 77);
    // Tab has gone on to the mood.
    await press("Enter");
    await grid().getByRole("combobox", { name: "mood" }).selectOption("bad");
    await press("Enter");
    await cell("bad").waitFor();
    await page.getByText("mood is saved").waitFor();
    await page.getByRole("button", { name: "Undo" }).last().click();
    await until(async () => (await rows({ text: "second" }))[0].mood === "good", "the undone edit");
    // What is more than a line is edited in a form.
    await grid().focus();
    await press("ArrowRight", "Enter");
    await dialog("Row of note").waitFor();
    await press("Escape");
    await dialog("Row of note").waitFor({ state: "detached" });
  },
  async "rows are chosen and deleted, after a question"() {
    await grid().focus();
    await page.keyboard.press("Control+Home");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Space");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Space");
    await page.keyboard.press("Delete");
    const question = dialog("Delete 2 rows");
    await checkPage(page, "the question before rows are deleted");
    await question.getByRole("button", { name: "Cancel" }).click();
    assert.equal((await rows()).length, 3);
    await page.getByRole("button", { name: "Delete 2", exact: true }).click();
    await question.getByRole("button", { name: "Delete 2 rows" }).click();
    await cell("third").waitFor({ state: "detached" });
    assert.deepEqual((await rows()).map(({ text }) => text), [HOSTILE]);
  },
  async "a file says what is wrong with it, then its rows are there"() {
    await page.getByRole("button", { name: "CSV" }).first().click();
    await chooseFile("text,stars\nfirst of file,1\nsecond of file,<b>many</b>\n");
    const form = dialog("Rows from a CSV file");
    await form.getByRole("cell", { name: "<b>many</b>" }).waitFor();
    await checkPage(page, "a file with a mistake");
    assert.equal(await form.getByRole("button", { name: /^Write/ }).isDisabled(), true);
    const lines = Array.from({ length: 1500 }, (_, n) => `row ${n},${n}`);
    await chooseFile(`text,stars\n${lines.join("\n")}\n`);
    await form.getByRole("button", { name: "Write 1,500 rows" }).click();
    await form.waitFor({ state: "detached" });
    await page.getByText("1,501 rows").waitFor();
    assert.equal((await admin("GET", `/admin/tables/${notes.id}/count`)).count, 1501);
  },
  async "filter and sort stand in the address, and pages come as one goes down"() {
    await page.getByRole("button", { name: "Filter" }).click();
    await page.getByRole("button", { name: "Condition", exact: true }).click();
    await page.getByLabel("Column 1").selectOption("stars");
    await page.getByLabel("Operator 1").selectOption("_gte");
    await page.getByLabel("Value 1").fill("1000");
    await checkPage(page, "a filter");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("500 rows that match").waitFor();
    await page.waitForURL(/filter=/);
    await grid().getByRole("button", { name: "stars" }).click();
    await cell("row 1000").waitFor();
    await grid().getByRole("button", { name: "stars" }).click();
    await cell("row 1499").waitFor();
    await page.waitForURL(/sort=-stars/);
    // With nothing but the keyboard to the last of 500, page by page.
    await grid().focus();
    await until(async () => {
      await page.keyboard.press("Control+End");
      return (await cell("row 1000").count()) > 0;
    }, "the last row");
    await page.reload();
    await cell("row 1499").waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "CSV" }).last().click();
    const text = readFileSync(await (await download).path(), "utf8");
    assert.equal(text.trim().split("\r\n").length, 501, "the rows that the filter and the sort show");
    assert.match(text.split("\r\n")[1], /,row 1499,1499,/);
    await page.getByRole("button", { name: "Filter" }).click();
    await page.getByRole("button", { name: "All rows" }).click();
    await page.getByText("1,501 rows").waitFor();
  },
  async "rules are sentences, and rows can be seen as somebody"() {
    const ann = await user();
    await admin("POST", `/admin/tables/${notes.id}/batch`, { create: [{ text: "hers", ownerId: ann.id }] });
    await page.getByRole("link", { name: "Access" }).click();
    await page.getByText("Only admins may read rows.").waitFor();
    await page.getByLabel("Who may read").selectOption("owner");
    await page.getByLabel("Column with the id of the owner").selectOption("ownerId");
    await page.getByRole("button", { name: "Save rules" }).click();
    await page.getByText("Users may read rows whose ownerId is their own id.").waitFor();
    await page.getByRole("combobox", { name: /^Who choose|^Who$/ }).selectOption({ label: `${ann.email} (user)` });
    await page.getByText("read: yes").waitFor();
    await page.getByText("delete: no").waitFor();
    await checkPage(page, "what somebody may do");
    await page.getByRole("link", { name: "The rows that they get" }).click();
    await page.getByText(`These are the rows that ${ann.email} gets.`).waitFor();
    await cell("hers").waitFor();
    await page.getByText("1 row", { exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Row", exact: true }).count(), 0, "one looks, and changes nothing");
    await checkPage(page, "rows as somebody sees them");
    const own = await call("GET", "/data/note", undefined, { token: ann.token });
    assert.deepEqual(own.body.data.map(({ text }) => text), ["hers"]);
  },
  async "a change of columns tells what would be lost, and wants the name"() {
    await visit(page, `#/tables/${notes.id}?tab=schema`, "note");
    await page.getByRole("button", { name: "Drop column stars" }).click();
    await page.getByLabel("Name of column 1").fill("words");
    await page.getByRole("button", { name: "See what this would do" }).click();
    const change = dialog("Change note");
    await change.getByText("1,501 values of stars").waitFor();
    await checkPage(page, "what a change would lose");
    const apply = change.getByRole("button", { name: "Change it" });
    assert.equal(await apply.isDisabled(), true);
    assert.equal((await admin("GET", `/admin/tables/${notes.id}`)).columns.length, 5, "nothing is changed yet");
    await change.getByLabel("to lose these values").fill("note");
    await apply.click();
    await change.waitFor({ state: "detached" });
    assert.deepEqual((await admin("GET", `/admin/tables/${notes.id}`)).columns.map(({ name }) => name), ["words", "mood", "more", "ownerId"]);
    assert.equal((await rows({ words: "row 7" })).length, 1, "a new name loses nothing");
    await page.getByLabel("Default of column 1").waitFor();
    await page.getByRole("checkbox", { name: "required" }).nth(3).check();
    await page.getByRole("button", { name: "See what this would do" }).click();
    await change.getByRole("alert").filter({ hasText: "1,501 rows have no value" }).waitFor();
    assert.equal(await apply.isDisabled(), true);
    await change.getByRole("button", { name: "Cancel" }).click();
  },
  async "jobs: hostile payloads are text, beside the failure, attempts newest first"() {
    await gateway("/shop", {
      order: { sourceCode: "if @BODY.ok == true { return 1; } if @JOB.attempt == 1 { @JOB.retry(1); } @THROW.http(500, `no <b>way</b> ${@BODY.text}`);", delivery: "durable" },
    });
    for (const body of [`#{ text: ${JSON.stringify(HOSTILE).replaceAll("\\u202e", "")} }`, "#{ text: \"other\" }", "#{ ok: true }"]) {
      await admin("POST", "/admin/test/run", { kind: "script", commit: true, script: `@JOB.after(0, "/shop", "order", ${body});` });
    }
    await page.keyboard.press("Escape");
    await visit(page, "#/jobs?gateway=%2Fshop&state=failed", "Jobs");
    await until(async () => (await jobs().count()) === 2, "two jobs that failed");
    await jobs().last().click();
    const job = page.getByRole("complementary", { name: "A job" });
    await job.getByText("no <b>way</b>", { exact: false }).first().waitFor();
    await job.getByText("<img src=x onerror=alert(1)>", { exact: false }).first().waitFor();
    assert.equal(await page.locator("main img, main b").count(), 0);
    const attempts = await job.locator("ol > li strong").allTextContents();
    assert.deepEqual(attempts, ["#2", "#1"]);
    // A link shows another admin the same.
    await page.waitForURL(/job=/);
  },
  async "one is retried, all that match are discarded after a question with the number"() {
    const job = page.getByRole("complementary", { name: "A job" });
    await job.getByRole("button", { name: "Retry" }).click();
    await page.getByText("The job runs again").waitFor();
    await until(async () => (await admin("GET", "/admin/jobs?state=failed&limit=10")).data.some(({ attempt }) => attempt > 2), "another attempt");
    await page.getByRole("button", { name: "Close" }).click();
    await until(async () => (await admin("GET", "/admin/jobs?state=failed&limit=10")).data.length === 2, "both have failed again");
    await page.getByRole("button", { name: "Discard all…" }).click();
    const question = dialog("Discard 2 jobs");
    await checkPage(page, "the question before jobs are discarded");
    await question.getByRole("button", { name: "Discard 2 jobs" }).click();
    await page.getByText("2 jobs discarded").waitFor();
    // The number comes by itself.
    await page.getByRole("button", { name: /discarded\s*2/ }).waitFor();
    assert.equal((await admin("GET", "/admin/jobs?state=discarded&limit=10")).data.length, 2);
  },
  async "the jobs of a gateway are paused here, and seen on its page"() {
    await page.getByRole("button", { name: "Pause /shop" }).click();
    await page.getByRole("button", { name: "Resume /shop" }).waitFor();
    await admin("POST", "/admin/test/run", { kind: "script", commit: true, script: '@JOB.after(0, "/shop", "order", #{ ok: true });' });
    await visit(page, "#/jobs?gateway=%2Fshop&state=scheduled", "Jobs");
    await jobs().first().waitFor();
    const { id } = (await admin("GET", "/admin/gateways")).data[0];
    await visit(page, `#/gateways/${id}`, "/shop");
    await page.getByText("Its durable events and jobs wait.").waitFor();
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("button", { name: "Pause jobs" }).waitFor();
    await until(async () => (await admin("GET", "/admin/jobs?state=done&limit=10")).data.length === 2, "what waited is done");
  },
  async "a schedule is made with a look at its times, run, disabled and deleted"() {
    await visit(page, "#/schedules", "Schedules");
    await page.getByText("There is no schedule yet").waitFor();
    await page.getByRole("button", { name: "Make a schedule" }).click();
    const form = dialog("New schedule");
    await form.getByLabel("Name", { exact: true }).fill("<b>nightly</b>");
    await form.getByLabel("Times, as cron").fill("61 * * * *");
    await form.getByText("the minute (field 1 of 5)", { exact: false }).waitFor();
    await form.getByLabel("Times, as cron").fill("30 2 1 1 *");
    await form.getByLabel("Time zone").fill("Europe/Berlin");
    await form.getByText("1 Jan", { exact: false }).first().waitFor();
    assert.match((await form.getByRole("listitem").first().textContent()) ?? "", /02:30:00/);
    await form.getByLabel("Gateway").fill("/shop");
    await form.getByLabel("Event").fill("order");
    await form.getByLabel("Payload, as JSON").fill('{"ok": true}');
    await checkPage(page, "a new schedule");
    await form.getByRole("button", { name: "Save" }).click();
    const one = page.getByRole("listitem", { name: "<b>nightly</b>" });
    await one.getByText("02:30:00", { exact: false }).waitFor();
    await one.getByText("Europe/Berlin", { exact: false }).waitFor();
    await one.getByRole("button", { name: "Run now" }).click();
    await page.getByRole("button", { name: "See it" }).click();
    await page.getByRole("complementary", { name: "A job" }).getByText("/shop order").waitFor();
    await visit(page, "#/schedules", "Schedules");
    await one.getByRole("button", { name: "Disable" }).click();
    await one.getByText("not while it is disabled").waitFor();
    await one.getByRole("button", { name: "Edit" }).click();
    await dialog("Schedule <b>nightly</b>").getByLabel("Times, as cron").fill("0 0 1 1 *");
    await dialog("Schedule <b>nightly</b>").getByRole("button", { name: "Save" }).click();
    await one.getByText("0 0 1 1 *").waitFor();
  },
  async "each page, both themes, phone and desk"() {
    const pages = [
      ["#/tables", () => page.getByRole("option", { name: /note/ })],
      [`#/tables/${notes.id}`, () => cell("row 7")],
      [`#/tables/${notes.id}?tab=schema`, () => page.getByLabel("Name of column 1")],
      [`#/tables/${notes.id}?tab=access&who=public`, () => page.getByText("read: no")],
      ["#/jobs", () => jobs().first()],
      ["#/schedules", () => page.getByRole("button", { name: "Run now" })],
    ];
    for (const theme of ["light", "dark"]) {
      for (const width of [375, 1440]) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width, height: width < 600 ? 760 : 900 });
        for (const [hash, shown] of pages) {
          await visit(page, hash);
          await shown().waitFor();
          await checkPage(page, `${hash}, ${theme}, ${width}`);
        }
        await visit(page, "#/jobs", "Jobs");
        await jobs().first().click();
        await page.getByRole("complementary", { name: "A job" }).getByText("Accepted").waitFor();
        await checkPage(page, `a job, ${theme}, ${width}`);
        await page.getByRole("button", { name: "Close" }).click();
      }
    }
  },
  async "what is gone wants its name typed"() {
    await visit(page, "#/schedules", "Schedules");
    await page.getByRole("button", { name: "Delete" }).click();
    const schedule = dialog("Delete <b>nightly</b>");
    assert.equal(await schedule.getByRole("button", { name: "Delete" }).isDisabled(), true);
    await schedule.getByRole("textbox").fill("<b>nightly</b>");
    await schedule.getByRole("button", { name: "Delete" }).click();
    await page.getByText("There is no schedule yet").waitFor();
    await visit(page, `#/tables/${notes.id}?tab=schema`, "note");
    await page.getByRole("button", { name: "Delete table…" }).click();
    const table = dialog("Delete note");
    await table.getByText("1502 rows").waitFor();
    await table.getByRole("textbox").fill("note");
    await table.getByRole("button", { name: "Delete" }).click();
    await page.getByText("There is no table yet").waitFor();
    assert.deepEqual((await admin("GET", "/admin/tables")).data, []);
    assert.equal(await page.locator("main b, main img").count(), 0);
  },
  async "nothing broke"() {
    await end();
  },
});
