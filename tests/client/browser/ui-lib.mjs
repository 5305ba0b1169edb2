// What the tests of the admin UI share: a page that is signed in, and what must never happen in one.
import assert from "node:assert/strict";
import AxeBuilder from "@axe-core/playwright";
import { url } from "../lib.mjs";
import { browser } from "./launch.mjs";

const PATIENCE_MS = 120_000;
/** What the badge says when the server tells a page what happens. */
export const AT_WORK = /^Live$/;

/** What went wrong in any page: errors, what the policy refused, requests to others. */
const wrong = [];

/** A page of this size and theme; `at` is where the server is for it. */
export async function open({ width = 1440, theme = "light", at = url } = {}) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.setViewportSize({ width, height: width < 600 ? 760 : 900 });
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  page.on("pageerror", (error) => wrong.push(String(error.stack ?? error)));
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) wrong.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(at) && !/^(data|blob|ws):/.test(request.url())) wrong.push(`asked ${request.url()}`);
  });
  await page.goto(`${at}/_/`);
  return page;
}

/** Signs in on the page that is shown. */
export async function signIn(page, { email = process.env.GATEWRIGHT_TEST_EMAIL, password = process.env.GATEWRIGHT_TEST_PASSWORD } = {}) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Goes to a page of the app, and waits for what it is known by. */
export async function visit(page, hash, heading) {
  await page.evaluate((to) => (location.hash = to), hash);
  if (heading) await page.getByRole("heading", { name: heading, exact: true }).first().waitFor();
}

/** Writes a script in the place of the one that stands in the editor. It goes first: where Chromium replaces a text it gives
 *  the new one the style of the old, which the policy refuses. */
export async function write(page, script) {
  await page.getByRole("textbox", { name: "Script" }).click();
  await page.keyboard.press("Control+a");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(script);
}

/** What axe finds, and whether the page is wider than its window. */
export async function checkPage(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("\n  ")}`);
  assert.deepEqual(found, [], `${what}\n${found.join("\n")}`);
  const [scrolled, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(scrolled <= width, `${what} is ${scrolled} wide in ${width}`);
}

/** Nothing went wrong in any page so far. */
export async function end() {
  assert.deepEqual(wrong, []);
  await browser.close();
}
