// Sockets and channels in the admin UI: found, looked at, spoken to, cut; live, by pages, in both themes, on a phone and a desk.
import assert from "node:assert/strict";
import { admin, collect, connect, gateway, next, run, scenario, settle, until, url, user } from "../lib.mjs";
import { AT_WORK, checkPage, end, open, signIn, visit } from "./ui-lib.mjs";

const HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe";
const page = await open();
const dialog = (name) => page.getByRole("dialog", { name });
const sockets = () => page.getByRole("listbox", { name: "Sockets, by gateway and id" });
const channels = () => page.getByRole("listbox", { name: "Channels, by gateway and name" });
const detail = () => page.getByRole("complementary", { name: "A socket" });
const option = (text) => page.getByRole("listbox").getByRole("option").filter({ hasText: text });
let someone;

/** Emits from the dialog that is open. */
async function emit(event, data) {
  await dialog("Emit").getByLabel("Event").fill(event);
  await dialog("Emit").getByLabel("Data").fill(JSON.stringify(data));
  await dialog("Emit").getByRole("button", { name: /^Emit to/ }).click();
  await dialog("Emit").waitFor({ state: "detached" });
}

await scenario({
  async "the Socket Service's address leads to the page"() {
    await gateway("/live", { join: "@SOCKET.join(@BODY);", fail: '@THROW.badRequest("no <b>way</b>");' });
    await gateway("/other", { join: "@SOCKET.join(@BODY);" });
    someone = await user({ name: HOSTILE });
    await page.goto(`${url}/socket`);
    assert.equal(page.url(), `${url}/_/#/sockets`);
    await signIn(page);
    await page.getByRole("heading", { name: "Sockets", exact: true }).waitFor();
    await page.getByText(AT_WORK).waitFor();
    await page.getByText("No socket is connected.").waitFor();
    await checkPage(page, "no socket");
  },
  async "who comes and goes is seen, with the figures of now"() {
    const figures = page.getByRole("list", { name: "Now" });
    const one = await connect("/live", { auth: { token: someone.token } });
    await option(one.id).waitFor();
    await run(one, "join", "lobby");
    await figures.getByText("1 connection").waitFor();
    await figures.getByText("1 channel").waitFor();
    const other = await connect("/other");
    const { id } = other;
    await option(id).waitFor();
    other.disconnect();
    await option(id).waitFor({ state: "detached" });
    await option(one.id).waitFor();
  },
  async "a socket is looked at, spoken to and cut"() {
    const [one, bystander] = [await connect("/live", { auth: { token: someone.token } }), await connect("/live")];
    const overheard = collect(bystander, "news");
    await run(one, "join", HOSTILE);
    await run(one, "fail");
    await option(one.id).click();
    await detail().getByText("127.0.0.1").waitFor();
    await detail().getByText("websocket").waitFor();
    await detail().getByText(someone.email).first().waitFor();
    await detail().getByRole("link", { name: HOSTILE }).waitFor();
    await detail().getByText("BUSINESS_LOGIC_ERROR").waitFor();
    await checkPage(page, "a socket");
    await detail().getByRole("button", { name: "Emit…" }).click();
    await dialog("Emit").getByText("this reaches 1 socket", { exact: false }).waitFor();
    await dialog("Emit").getByLabel("Event").fill("news");
    await dialog("Emit").getByLabel("Data").fill("{");
    await dialog("Emit").getByRole("button", { name: "Emit to 1 socket" }).click();
    await dialog("Emit").getByRole("alert").getByText("no JSON", { exact: false }).waitFor();
    await checkPage(page, "an emit");
    const heard = next(one, "news");
    await emit("news", { text: HOSTILE });
    assert.deepEqual(await heard, { text: HOSTILE });
    await settle(bystander);
    assert.equal(overheard.length, 0);
    const [{ id }, ended] = [one, next(one, "disconnect")];
    await detail().getByRole("button", { name: "Disconnect…" }).click();
    await dialog("Disconnect a socket").getByText("This cuts the connection", { exact: false }).waitFor();
    assert.equal(one.connected, true, "it is asked first");
    await dialog("Disconnect a socket").getByRole("button", { name: "Disconnect 1 socket" }).click();
    assert.equal((await ended)[0], "io server disconnect");
    await option(id).waitFor({ state: "detached" });
    await option(bystander.id).waitFor();
  },
  async "channels have members, and are spoken to"() {
    const members = await Promise.all([1, 2, 3].map(() => connect("/live")));
    const outside = await connect("/live");
    const overheard = collect(outside, "news");
    for (const one of members) await run(one, "join", HOSTILE);
    await run(members[0], "join", "alone");
    await page.getByRole("link", { name: "Channels" }).click();
    await channels().waitFor();
    await option("alone").getByText("1 member", { exact: false }).waitFor();
    await option(HOSTILE).getByText("3 members", { exact: false }).waitFor();
    await checkPage(page, "channels");
    await page.getByRole("searchbox", { name: "Name" }).fill("ALO");
    await option(HOSTILE).waitFor({ state: "detached" });
    await option("alone").waitFor();
    await page.getByRole("searchbox", { name: "Name" }).fill("");
    await option(HOSTILE).click();
    await page.getByText("Members of").waitFor();
    for (const one of members) await option(one.id).waitFor();
    assert.equal(await option(outside.id).count(), 0);
    assert.match(await page.evaluate(() => location.hash), /room=/);
    await page.getByRole("button", { name: "Emit to the channel…" }).click();
    await dialog("Emit").getByText("this reaches 3 sockets", { exact: false }).waitFor();
    const heard = Promise.all(members.map((one) => next(one, "news")));
    await emit("news", [1]);
    assert.deepEqual(await heard, [[1], [1], [1]]);
    await settle(outside);
    assert.equal(overheard.length, 0);
    await page.getByRole("button", { name: "Show all" }).click();
    await option(outside.id).waitFor();
  },
  async "a gateway is spoken to"() {
    const [here, there] = [await connect("/live"), await connect("/other")];
    const overheard = collect(there, "news");
    await visit(page, "#/sockets?gateway=%2Flive", "Sockets");
    await option(here.id).waitFor();
    assert.equal(await option(there.id).count(), 0);
    await page.getByRole("button", { name: "Emit to the gateway…" }).click();
    const heard = next(here, "news");
    await emit("news", "all");
    assert.equal(await heard, "all");
    await settle(there);
    assert.equal(overheard.length, 0);
  },
  async "many come by pages, and are found by a few letters"() {
    const CROWD = 430;
    await visit(page, "#/sockets", "Sockets");
    const crowd = [];
    for (let from = 0; from < CROWD; from += 43) crowd.push(...(await Promise.all(Array.from({ length: 43 }, () => connect("/live")))));
    await page.getByRole("list", { name: "Now" }).getByText(`${CROWD} connections`).waitFor();
    await page.getByRole("button", { name: "Look again" }).click();
    const size = async () => Number(await sockets().getByRole("option").first().getAttribute("aria-setsize"));
    await until(async () => (await size()) >= 200 && (await size()) < CROWD, "a page of them");
    await sockets().focus();
    await until(async () => {
      await page.keyboard.press("End");
      return (await size()) === CROWD;
    }, "all of them");
    assert.ok((await sockets().getByRole("option").count()) < 100, "only those that are seen are in the page");
    const wanted = crowd[Math.floor(CROWD / 2)].id;
    await page.getByRole("searchbox", { name: "Id, user or address" }).fill(wanted.toUpperCase());
    await until(async () => (await size()) === 1, "one of them");
    await option(wanted).waitFor();
    assert.equal((await admin("GET", "/api/socket/connections")).total, CROWD);
  },
  async "by keyboard alone"() {
    const one = await connect("/live");
    await visit(page, "#/", "Overview");
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await page.getByRole("heading", { name: "Sockets", exact: true }).waitFor();
    await option(one.id).waitFor();
    await sockets().focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    await detail().getByText(one.id).waitFor();
    await detail().getByRole("button", { name: "Close" }).press("Enter");
    await detail().waitFor({ state: "detached" });
  },
  async "both themes, phone and desk"() {
    const one = await connect("/live", { auth: { token: someone.token } });
    await run(one, "join", HOSTILE);
    for (const theme of ["light", "dark"]) {
      for (const width of [375, 1440]) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width, height: width < 600 ? 760 : 900 });
        await visit(page, "#/sockets?tab=rooms", "Sockets");
        await option(HOSTILE).waitFor();
        await checkPage(page, `channels, ${theme}, ${width}`);
        await visit(page, "#/sockets", "Sockets");
        await option(one.id).click();
        await detail().getByText("127.0.0.1").waitFor();
        await checkPage(page, `sockets, ${theme}, ${width}`);
        await detail().getByRole("button", { name: "Close" }).click();
      }
    }
    assert.equal(await page.locator("main img").count(), 0, "what others have written is text");
  },
  async "nothing broke"() {
    await end();
  },
});
