// The demo page of the oneentry pack in a Chromium: a shop that writes rows, and two customers who hear of what concerns them.
import assert from "node:assert/strict";
import { scenario, until, url } from "../lib.mjs";
import { browser } from "./launch.mjs";

const errors = [];
const page = await browser.newPage();
page.setDefaultTimeout(60_000);
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (message) => { if (/Content Security Policy/.test(message.text())) errors.push(message.text()); });
const panel = (name) => page.getByRole("region", { name, exact: true });
const press = (name) => page.getByRole("button", { name, exact: true }).click();
const [shop, ada, grace] = [panel("The shop"), panel("Ada"), panel("Grace")];
const heard = (customer, text) => customer.locator(".log li", { hasText: text });

await scenario({
  async "the index leads there"() {
    await page.goto(`${url}/demo`);
    await page.getByRole("link", { name: /An order that ships/ }).click();
    for (const customer of [ada, grace]) await customer.getByText("connected", { exact: true }).waitFor();
    await shop.getByText("Oak board", { exact: true }).waitFor();
  },
  async "who ordered hears of it, and nobody else"() {
    // The socket is in its user's room a moment after it has connected.
    for (const [customer, name] of [[ada, "Ada"], [grace, "Grace"]]) {
      await until(async () => {
        await press(`Order Linen apron for ${name}`);
        return (await heard(customer, "Linen apron: pending").count()) > 0;
      }, `an order of ${name}`);
    }
    await press("Order Enamel cup for Ada");
    await heard(ada, "Enamel cup: pending").waitFor();
    for (const status of ["paid", "packed", "shipped"]) {
      await press(`Enamel cup for Ada is ${status}`);
      await heard(ada, `Enamel cup: ${status}`).first().waitFor();
    }
    const shipped = heard(ada, "order_shipped");
    await shipped.getByText("It is on its way to you").waitFor();
    assert.equal(await shipped.count(), 1);
    await ada.locator(".parcels").getByText("€ 14 · shipped").waitFor();
    assert.equal(await grace.getByText("Enamel cup").count(), 0);
  },
  async "an event that the admin defines, and one that is turned off"() {
    await page.getByLabel("Name of the event").fill("order_here");
    await page.getByLabel("Status").selectOption("delivered");
    await press("Define");
    await shop.getByText("order_here", { exact: true }).waitFor();
    await press("Turn off order_changed");
    await page.getByRole("button", { name: "Turn on order_changed" }).waitFor();
    await press("Enamel cup for Ada is delivered");
    await heard(ada, "order_here").getByText("Your order is delivered").waitFor();
    assert.equal(await heard(ada, "order_changed").filter({ hasText: "delivered" }).count(), 0);
    await press("Turn on order_changed");
    await page.getByRole("button", { name: "Turn off order_changed" }).waitFor();
  },
  async "a definition that makes no sense is refused, and shown as text"() {
    await page.getByLabel("Name of the event").fill("ws:result");
    await press("Define");
    await page.getByRole("alert").getByText(/reserved/).waitFor();
    await page.getByLabel("Name of the event").fill("<img src=x>");
    await press("Define");
    await shop.getByText("<img src=x>", { exact: true }).waitFor();
    assert.equal(await page.locator("img").count(), 0, "text is never HTML");
  },
  async "prices are heard of by who follows them"() {
    await grace.getByRole("button", { name: "Follow the prices" }).click();
    await grace.getByRole("button", { name: "Do not follow them any more" }).waitFor();
    await press("Lower the price of Oak board");
    await heard(grace, "Oak board: € 51").waitFor();
    await grace.getByRole("button", { name: "Do not follow them any more" }).click();
    await grace.getByRole("button", { name: "Follow the prices" }).waitFor();
    await press("Lower the price of Oak board");
    await shop.getByText("€ 50", { exact: true }).waitFor();
    // What comes to Grace after that came after it.
    await press("Order Enamel cup for Grace");
    await heard(grace, "Enamel cup: pending").waitFor();
    assert.equal(await heard(grace, "€ 50").count(), 0);
    assert.equal(await heard(ada, "Oak board").count(), 0);
  },
  async "it fits a small screen, light and dark"() {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const width of [375, 800, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        const [inner, scrolled] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
        assert.ok(scrolled <= inner, `${scrolled} in ${inner}`);
        if (process.env.GATEWRIGHT_TEST_SHOTS) await page.screenshot({ path: `${process.env.GATEWRIGHT_TEST_SHOTS}/oneentry-${colorScheme}-${width}.png`, fullPage: true });
      }
    }
  },
  async "nothing broke"() {
    assert.deepEqual(errors, []);
    await browser.close();
  },
});
