// The admin UI where something is wrong: two admins at one script, no live data, a network that is slow or gone, a script
// that is suspended, text of a size that no page is made for.
import assert from "node:assert/strict";
import { admin, ask, connect, gateway, run, scenario, until, url, user } from "../lib.mjs";
import { browser } from "./launch.mjs";
import { AT_WORK, checkPage, end, open, signIn, visit, write } from "./ui-lib.mjs";

const page = await open();
const script = (of = page) => of.getByRole("textbox", { name: "Script" });
const runs = () => page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option");
let shop, other;

/** Saves what is typed in the editor, whatever earlier notes still say. */
async function save(of = page) {
  await of.getByText("not saved").waitFor();
  await of.keyboard.press("Control+s");
  await of.getByRole("dialog", { name: "Save" }).getByRole("button", { name: "Save", exact: true }).click();
  await of.getByText("not saved").waitFor({ state: "detached" });
}

await scenario({
  async "two admins write the same script; the second to save sees both"() {
    shop = await gateway("/shop", { greet: "return 0;" });
    const colleague = await user({ role: "admin" });
    // Another name of the same server: cookies and drafts of its own.
    other = await open({ at: url.replace("127.0.0.1", "localhost") });
    await signIn(page);
    await signIn(other, colleague);
    for (const one of [page, other]) {
      await one.getByText(AT_WORK).waitFor();
      await visit(one, `#/events/${shop.events.greet.id}`, "greet");
      await one.getByText("No errors").waitFor();
    }
    await write(page, "return 1;");
    await write(other, "return 2;");
    await save(other);
    await page.getByText("Somebody has saved this script since you began").waitFor();
    await page.keyboard.press("Control+s");
    await page.getByRole("dialog", { name: "Save" }).getByRole("button", { name: "Save", exact: true }).click();
    const asked = page.getByRole("dialog", { name: "Somebody else has saved this script" });
    await asked.getByText("return 2;", { exact: false }).first().waitFor();
    await checkPage(page, "a conflict");
    await asked.getByRole("button", { name: "Overwrite with mine" }).click();
    await asked.waitFor({ state: "detached" });
    assert.equal((await run(await connect("/shop"), "greet", {})).result, 1);
  },
  async "who has typed nothing sees the other's save as it comes"() {
    await other.getByText("return 1;", { exact: false }).waitFor();
    assert.equal(await script(other).innerText(), "return 1;");
    await other.close();
  },
  async "a save that does not reach the server is told, and nothing typed is lost"() {
    await write(page, "return 3;");
    await browser.setOffline(true);
    await page.keyboard.press("Control+s");
    await page.getByRole("dialog", { name: "Save" }).getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("The server does not answer", { exact: false }).first().waitFor();
    assert.equal(await script().innerText(), "return 3;");
    await browser.setOffline(false);
    await page.getByText(AT_WORK).waitFor();
    await save();
    assert.equal((await run(await connect("/shop"), "greet", {})).result, 3);
  },
  async "without live data pages ask, and the badge says so"() {
    const polling = await open();
    await polling.route("**/socket.io/**", (route) => route.abort());
    await polling.routeWebSocket(/socket\.io/, (socket) => socket.close());
    await polling.reload();
    await polling.getByText("Reconnecting…").waitFor();
    await visit(polling, "#/runs?gateway=%2Fshop&eventName=greet", "Runs");
    await polling.getByText("every 2 s").waitFor();
    const shown = polling.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option");
    await shown.first().waitFor();
    const before = await shown.count();
    await run(await connect("/shop"), "greet", {});
    await shown.nth(before).waitFor();
    await polling.close();
  },
  async "on a slow line the page says that it loads, and works"() {
    const slow = await open();
    await slow.getByText(AT_WORK).waitFor();
    const network = await browser.newCDPSession(slow);
    await network.send("Network.enable");
    await network.send("Network.setCacheDisabled", { cacheDisabled: true });
    const line = { offline: false, latency: 300, downloadThroughput: 50_000, uploadThroughput: 20_000 };
    await network.send("Network.emulateNetworkConditions", line);
    await slow.goto(`${url}/_/#/events/${shop.events.greet.id}`);
    await slow.reload({ waitUntil: "commit" });
    await slow.getByText("Loading the editor…").waitFor();
    await slow.getByText("No errors").waitFor();
    await write(slow, "return 4;");
    await save(slow);
    await slow.close();
  },
  async "a suspended script is seen on the overview, and resumed there"() {
    const leak = 'let f = #{}; f.big = ""; f.big.pad(2000, "x"); f.me = || f; let g = f; return 1;';
    await gateway("/leaky", { leak });
    const socket = await connect("/leaky");
    // What is left behind is counted when a run has ended; the next is refused.
    await until(async () => !(await ask(socket, "leak", {})).accepted, "suspended");
    await visit(page, "#/", "Overview");
    const suspended = page.getByRole("region", { name: "Suspended" });
    await suspended.getByText("/leaky").waitFor();
    await checkPage(page, "a suspended script");
    await suspended.getByRole("button", { name: "Resume" }).click();
    await page.getByText("/leaky leak runs again").waitFor();
    await suspended.waitFor({ state: "detached" });
    assert.equal((await run(socket, "leak", {})).result, 1);
  },
  async "a result of a million characters is shown as text that stays in its place"() {
    const long = `let line = "<b>\u202e<script>alert(1)</script>"; line.pad(1000000, "x"); @LOGS(line.sub_string(0, 60000)); return line;`;
    await admin("PATCH", `/admin/events/${shop.events.greet.id}`, { sourceCode: long });
    await visit(page, `#/events/${shop.events.greet.id}`, "greet");
    await page.getByText("sub_string", { exact: false }).first().waitFor();
    await page.getByRole("region", { name: "Try it" }).getByRole("button", { name: "Run" }).click();
    const result = page.getByRole("article", { name: "Live: result" });
    await result.getByText("alert(1)", { exact: false }).first().waitFor();
    assert.equal(await page.locator("main b, main script").count(), 0);
    for (const width of [1440, 375]) {
      await page.setViewportSize({ width, height: 800 });
      const [scrolled, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(scrolled <= inner, `the page is ${scrolled} wide in ${inner}`);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
    await run(await connect("/shop"), "greet", {});
    await visit(page, "#/runs?gateway=%2Fshop&eventName=greet", "Runs");
    await runs().first().click();
    await page.getByRole("complementary", { name: "A run" }).getByText("alert(1)", { exact: false }).waitFor();
    await checkPage(page, "a run with a long line");
  },
  async "nothing broke"() {
    await end();
  },
});
