// The demo page of the engagefabric pack in a Chromium: two players in a lobby, and a leaderboard that moves.
import assert from "node:assert/strict";
import { scenario, until, url } from "../lib.mjs";
import { browser } from "./launch.mjs";

const errors = [];
const page = await browser.newPage();
page.setDefaultTimeout(60_000);
page.on("pageerror", (error) => errors.push(String(error)));
const panel = (name) => page.getByRole("region", { name, exact: true });
const press = (of, name) => of.getByRole("button", { name, exact: true }).click();
const [ada, grace] = [panel("Ada"), panel("Grace")];
const rows = () => page.locator("#rankings .name").allTextContents();

await scenario({
  async "the index leads there"() {
    await page.goto(`${url}/demo`);
    await page.getByRole("link", { name: /leaderboard/ }).click();
    for (const player of [ada, grace]) await player.getByText("Connected").waitFor();
  },
  async "xp, levels and a quest"() {
    for (let n = 0; n < 4; n += 1) {
      await press(ada, "Win a round");
      await ada.getByText(`${(n + 1) * 25} xp`, { exact: true }).waitFor();
    }
    await ada.getByText("Level 2!").waitFor();
    assert.equal(await grace.getByText("Level 2").count(), 0);
    for (let n = 1; n <= 3; n += 1) {
      await press(grace, "Go on with the quest");
      await grace.getByText(`Quest: ${n} of 3`).waitFor();
    }
    await grace.getByText("Quest completed: Warm up").waitFor();
    await grace.getByText("10 gold").waitFor();
  },
  async "the leaderboard moves"() {
    await press(ada, "Submit a score");
    await ada.getByText("Rank 1", { exact: true }).waitFor();
    await press(page, "Let six rivals play");
    await until(async () => (await rows()).length === 7, "seven on the leaderboard");
    // Until Grace is among them, too; each score is another number.
    await until(async () => {
      await press(grace, "Submit a score");
      return (await rows()).includes("Grace");
    }, "Grace on the leaderboard");
    const points = await page.locator("#rankings .points").allTextContents();
    assert.deepEqual(points, [...points].sort((a, b) => b - a));
    await grace.getByText(/^Rank [1-8]$/).waitFor();
  },
  async "a lobby and its chat"() {
    for (const player of [ada, grace]) {
      await press(player, "Join the lobby");
      await player.getByRole("button", { name: "Leave the lobby" }).waitFor();
    }
    await page.locator("#members").getByText("Grace").waitFor();
    await grace.getByLabel("What Grace says").fill("Hello <b>there</b>");
    await press(grace, "Send");
    await page.locator("#chat").getByText("Grace: Hello <b>there</b>").waitFor();
    assert.equal(await page.locator("#chat b").count(), 0, "text is never HTML");
    for (const player of [ada, grace]) {
      await press(player, "Ready");
      await player.getByRole("button", { name: "Not ready" }).waitFor();
    }
    await page.locator("#members").getByText("Grace is ready").waitFor();
    await press(ada, "Start");
    await page.locator("#chat").getByText("The game begins: Ada, Grace").waitFor();
  },
  async "a telephone, and the dark"() {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const width of [375, 800, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        const [inner, scrolled] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
        assert.ok(scrolled <= inner, `${scrolled} in ${inner}`);
        if (process.env.GATEWRIGHT_TEST_SHOTS) await page.screenshot({ path: `${process.env.GATEWRIGHT_TEST_SHOTS}/${colorScheme}-${width}.png`, fullPage: true });
      }
    }
  },
  async "nothing broke"() {
    assert.deepEqual(errors, []);
    await browser.close();
  },
});
