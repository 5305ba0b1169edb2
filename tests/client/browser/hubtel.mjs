// The demo page of the hubtel pack in a Chromium: two windows in channels and their rooms, and who is online.
import assert from "node:assert/strict";
import { scenario, url } from "../lib.mjs";
import { browser } from "./launch.mjs";

const errors = [];

async function opened(path, name) {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (/Content Security Policy/.test(message.text())) errors.push(message.text()); });
  await page.goto(url + path);
  if (path === "/demo") await page.getByRole("link", { name: /Rooms within channels/ }).click();
  await page.getByLabel("Your name").fill(name);
  await page.getByText("connected", { exact: true }).waitFor();
  return page;
}

const log = (page) => page.locator("#log");
const title = (page, text) => page.getByRole("heading", { name: text, exact: true }).waitFor();
const here = (page, count) => page.locator("#here", { hasText: `${count} here` }).waitFor();
const counted = (page, channel, count) => page.locator("#channels").getByRole("button", { name: `${channel} ${count}`, exact: true }).waitFor();

async function say(page, text) {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

async function go(page, what, name, button) {
  await page.getByLabel(what, { exact: true }).fill(name);
  await page.getByRole("button", { name: button, exact: true }).click();
}

let [one, other] = [];

await scenario({
  async "what one says in a channel, the other reads, as text"() {
    one = await opened("/demo", "Ada");
    other = await opened("/demo/hubtel", "Grace");
    await Promise.all([counted(one, "lobby", 2), counted(other, "lobby", 2)]);
    await here(one, 2);
    await say(one, "Hello <b>there</b>");
    await log(other).getByText("Hello <b>there</b>").waitFor();
    await log(other).getByText("Ada:").waitFor();
    await log(one).getByText("You:").waitFor();
    assert.equal(await log(other).locator("b b").count(), 0, "text is never HTML");
  },
  async "another channel is another conversation, and all see who is where"() {
    const hostile = "<img src=x onerror=alert(1)>";
    await go(one, "Channel", hostile, "Join");
    await title(one, hostile);
    await log(other).getByText("Ada left", { exact: true }).waitFor();
    await counted(other, hostile, 1);
    await counted(other, "lobby", 1);
    await say(one, "only here");
    await log(one).getByText("only here").waitFor();
    assert.equal(await other.locator("img").count(), 0);
    await go(one, "Channel", "lobby", "Join");
    await counted(one, "lobby", 2);
    await log(other).getByText("Ada joined", { exact: true }).waitFor();
    assert.equal(await log(other).getByText("only here").count(), 0);
  },
  async "a room of a channel is for those in it"() {
    await go(one, "Room", "plans", "Enter");
    await title(one, "lobby: plans");
    await here(one, 1);
    await say(one, "nobody else reads this");
    await log(one).getByText("nobody else reads this").waitFor();
    await go(other, "Room", "plans", "Enter");
    await Promise.all([here(one, 2), here(other, 2)]);
    await log(one).getByText("Grace entered").waitFor();
    await say(one, "together now");
    await log(other).getByText("together now").waitFor();
    assert.equal(await log(other).getByText("nobody else reads this").count(), 0);
    await one.getByRole("button", { name: "All of it" }).click();
    await say(other, "in the room");
    await one.getByRole("button", { name: "plans (1)", exact: true }).click();
    await log(one).getByText("in the room").waitFor();
    await other.getByRole("button", { name: "Leave plans" }).click();
    await log(one).getByText("Grace left the room").waitFor();
    await here(one, 1);
  },
  async "a connection that was lost goes on where it was"() {
    await one.evaluate(() => socket.io.engine.close());
    await one.getByText("connecting again").waitFor();
    await one.getByText("connected", { exact: true }).waitFor();
    await here(one, 1);
    await go(other, "Room", "plans", "Enter");
    await here(other, 2);
    await say(other, "Still there?");
    await log(one).getByText("Still there?").waitFor();
  },
  async "what is refused is said"() {
    await go(one, "Channel", "disconnect", "Join");
    await title(one, "disconnect");
    await say(one, "Hello?");
    await log(one).locator(".error").first().waitFor();
    assert.equal(await one.getByLabel("Message").inputValue(), "Hello?");
  },
  async "it fits a small screen, light and dark"() {
    const long = "x".repeat(120);
    await go(one, "Channel", long, "Join");
    await go(one, "Room", "y".repeat(120), "Enter");
    await say(one, "z".repeat(500));
    await log(one).getByText("z".repeat(100)).waitFor();
    for (const colorScheme of ["light", "dark"]) {
      for (const page of [one, other]) {
        await page.emulateMedia({ colorScheme });
        for (const width of [375, 800, 1280]) {
          await page.setViewportSize({ width, height: 700 });
          const [inner, scrolled] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
          assert.ok(scrolled <= inner, `${scrolled} in ${inner}`);
          const send = await page.getByRole("button", { name: "Send" }).boundingBox();
          assert.ok(send.x + send.width <= width && send.y + send.height <= 700, JSON.stringify(send));
          if (process.env.GATEWRIGHT_TEST_SHOTS) await page.screenshot({ path: `${process.env.GATEWRIGHT_TEST_SHOTS}/hubtel-${page === one ? "long" : "room"}-${colorScheme}-${width}.png` });
        }
      }
    }
  },
  async "nothing broke"() {
    assert.deepEqual(errors, []);
    await browser.close();
  },
});
