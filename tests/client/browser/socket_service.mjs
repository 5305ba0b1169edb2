// The page of the socket-service pack in a Chromium: two windows in the same channels.
import assert from "node:assert/strict";
import { scenario, url } from "../lib.mjs";
import { browser } from "./launch.mjs";

const errors = [];
const { GATEWRIGHT_TEST_EMAIL: EMAIL, GATEWRIGHT_TEST_PASSWORD: PASSWORD } = process.env;

async function opened({ viewport, colorScheme } = {}) {
  const page = await browser.newPage();
  if (viewport) await page.setViewportSize(viewport);
  if (colorScheme) await page.emulateMedia({ colorScheme });
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (/Content Security Policy/.test(message.text())) errors.push(message.text()); });
  await page.goto(`${url}/demo/socket-service`);
  return page;
}

async function signIn(page, password = PASSWORD) {
  await page.getByLabel("E-mail").fill(EMAIL);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function join(page, channel) {
  await page.getByLabel("Channel", { exact: true }).fill(channel);
  await page.getByRole("button", { name: "Join" }).click();
  await page.locator("#title", { hasText: channel }).waitFor();
}

async function say(page, text) {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

const log = (page) => page.locator("#log");
const here = (page, count) => page.locator("#count", { hasText: `${count} here` }).waitFor();

let [one, other] = [];

await scenario({
  async "who is refused is told so"() {
    one = await opened();
    await signIn(one, "not the password");
    await one.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
    await signIn(one);
    await one.getByText("connected", { exact: true }).waitFor();
    other = await opened();
    await signIn(other);
    await other.getByText("connected", { exact: true }).waitFor();
  },
  async "a channel shows who is there, who comes and who goes"() {
    await join(one, "chat:room1");
    await here(one, 1);
    await join(other, "chat:room1");
    await Promise.all([here(one, 2), here(other, 2)]);
    await one.locator("#members li").nth(1).waitFor();
    await other.locator("#members li").nth(1).waitFor();
    await log(one).getByText("joined").waitFor();
    await other.getByRole("button", { name: "Leave chat:room1" }).click();
    await here(one, 1);
    await log(one).getByText("left").waitFor();
    await join(other, "chat:room1");
    await here(one, 2);
  },
  async "what one says, the other reads, as text"() {
    await say(one, "Hello <b>there</b>");
    await log(other).getByText("Hello <b>there</b>").waitFor();
    assert.equal(await log(other).locator("li b b").count(), 0, "text is never HTML");
    const hostile = "<img src=x onerror=alert(1)>\"'";
    for (const page of [one, other]) await join(page, hostile);
    await say(one, "In a channel with a name like that");
    await log(other).getByText("In a channel with a name like that").waitFor();
    assert.equal(await other.locator("img").count(), 0);
    await join(other, "chat:room1");
    await say(one, "Unread");
    await other.getByRole("button", { name: /\(1\)$/ }).waitFor();
  },
  async "a connection that was lost goes on in its channels"() {
    await join(one, "chat:room1");
    await one.evaluate(() => socket.io.engine.close());
    await one.getByText("connecting again").waitFor();
    await one.getByText("connected", { exact: true }).waitFor();
    await here(other, 2);
    await say(other, "Still there?");
    await log(one).getByText("Still there?").waitFor();
  },
  async "it fits a small screen, light and dark"() {
    for (const colorScheme of ["light", "dark"]) {
      const small = await opened({ viewport: { width: 375, height: 700 }, colorScheme });
      await signIn(small);
      await small.getByText("connected", { exact: true }).waitFor();
      await join(small, "x".repeat(200));
      await say(small, "y".repeat(500));
      await log(small).getByText("y".repeat(100)).waitFor();
      const [width, scrolled] = await small.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]);
      assert.ok(scrolled <= width, `${scrolled} in ${width}`);
      const send = await small.getByRole("button", { name: "Send" }).boundingBox();
      assert.ok(send.x + send.width <= 375 && send.y + send.height <= 700, JSON.stringify(send));
      await small.close();
    }
  },
  async "nothing broke"() {
    assert.deepEqual(errors, []);
    await browser.close();
  },
});
