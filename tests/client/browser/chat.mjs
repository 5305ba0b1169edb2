// The page of `gatewright demo` in a Chromium: two guests who chat.
import assert from "node:assert/strict";
import { scenario, url } from "../lib.mjs";
import { browser } from "./launch.mjs";

const errors = [];

async function guest() {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`${url}/demo/chat`);
  await page.getByText(/^you are guest-/).waitFor();
  return page;
}

const field = (page) => page.getByLabel("Message");
const log = (page) => page.locator("#log");

async function say(page, text) {
  await field(page).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

let [one, other] = [];

await scenario({
  async "what one says, the other reads"() {
    [one, other] = [await guest(), await guest()];
    await say(one, "Hello <b>there</b>");
    await log(other).getByText("Hello <b>there</b>").waitFor();
    assert.equal(await log(other).locator("li b b").count(), 0, "text is never HTML");
    assert.equal(await field(one).inputValue(), "");
  },
  async "who types is shown until they send, or go"() {
    const types = other.locator("#typing", { hasText: "is typing…" });
    await field(one).pressSequentially("H");
    await types.waitFor();
    await say(one, "A word");
    await log(other).getByText("A word").waitFor();
    await types.waitFor({ state: "detached" });
    await field(one).pressSequentially("T");
    await types.waitFor();
    await one.close();
    await types.waitFor({ state: "detached" });
    one = await guest();
  },
  async "a long word stays in its box"() {
    await say(one, "x".repeat(2000));
    await log(other).getByText("x".repeat(100)).waitFor();
    const [width, scrolled] = await log(other).evaluate((box) => [box.clientWidth, box.scrollWidth]);
    assert.ok(scrolled <= width, `${scrolled} in ${width}`);
  },
  async "a text that is refused is given back"() {
    const long = "y".repeat(4001);
    await say(one, long);
    await log(one).locator(".error").waitFor();
    assert.equal(await field(one).inputValue(), long);
    await field(one).fill("");
  },
  async "a connection that was lost goes on in the room"() {
    await one.getByLabel("Room").fill("attic");
    await one.getByRole("button", { name: "Join" }).click();
    await other.getByLabel("Room").fill("attic");
    await other.getByRole("button", { name: "Join" }).click();
    await log(one).getByText("joined").last().waitFor();
    // What is typed there and not joined is no room.
    await one.getByLabel("Room").fill("cellar");
    await one.evaluate(() => socket.io.engine.close());
    await one.getByText(/^you are guest-/).waitFor();
    await say(other, "Still there?");
    await log(one).getByText("Still there?").waitFor();
  },
  async "nothing broke"() {
    assert.deepEqual(errors, []);
    await browser.close();
  },
});
