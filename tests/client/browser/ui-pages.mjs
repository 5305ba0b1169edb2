// Every page of the admin UI on a server that begins empty: what a newcomer sees, then each page in both themes, on a
// phone and on a desk, held against axe.
import assert from "node:assert/strict";
import { admin, connect, gateway, run, scenario, url } from "../lib.mjs";
import { AT_WORK, checkPage, end, open, signIn, visit } from "./ui-lib.mjs";

let page;
const runs = () => page.getByRole("listbox", { name: "Runs, newest first" }).getByRole("option");

await scenario({
  async "a link that does not sign in is told, and leaves the address"() {
    page = await open();
    await page.goto(`${url}/_/#code=made-up`);
    await page.reload();
    await page.getByText("This link does not sign in", { exact: false }).waitFor();
    assert.equal(page.url(), `${url}/_/#/`);
    await page.close();
  },
  async "a wrong password is told, a right one goes on"() {
    page = await open();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await checkPage(page, "sign-in");
    await signIn(page, { password: "not this one" });
    await page.getByRole("alert").filter({ hasText: "wrong" }).waitFor();
    await signIn(page);
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    await page.getByText(AT_WORK).waitFor();
  },
  async "what a browser keeps is no token"() {
    const kept = await page.evaluate(() => [document.cookie, JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage })]);
    assert.deepEqual(kept, ["", "{}", "{}"]);
  },
  async "an empty server has three steps; the chat is shown before it is installed"() {
    await page.getByText("Three steps to a working gateway").waitFor();
    await checkPage(page, "first steps");
    await page.getByRole("button", { name: "Install the chat…" }).click();
    const dialog = page.getByRole("dialog", { name: "Install chat" });
    await dialog.locator("summary", { hasText: "/chat message" }).first().click();
    await dialog.getByText("@SOCKET.emitToCurrentRoom").filter({ visible: true }).first().waitFor();
    await checkPage(page, "a pack before it is installed");
    assert.deepEqual((await admin("GET", "/admin/gateways")).data, [], "so far nothing is installed");
    await dialog.getByRole("button", { name: "Install", exact: true }).click();
    await page.getByText(/chat is installed/).waitFor();
    await page.getByText('io("', { exact: false }).waitFor();
  },
  async "a connection and an event finish the steps"() {
    const socket = await connect("/chat");
    await page.getByText("Emit one from your client", { exact: false }).waitFor();
    await run(socket, "joinRoom", { roomId: "lobby" });
    await page.getByText("Three steps to a working gateway").waitFor({ state: "detached" });
    await page.getByRole("cell", { name: "/chat joinRoom" }).waitFor();
  },
  async "each page, both themes, phone and desk"() {
    const made = await gateway("/hostile", { fail: '@LOGS(@BODY); @THROW.badRequest("no <b>way</b>");' });
    const socket = await connect("/hostile");
    await run(socket, "fail", { text: "<img src=x onerror=alert(1)> \u202egnp.exe" });
    const event = made.events.fail;
    const pages = [
      ["#/", "Overview", () => page.getByRole("cell", { name: "/hostile fail" })],
      ["#/gateways", "Gateways", () => page.getByRole("treeitem").first()],
      [`#/gateways/${made.id}`, "/hostile", () => page.getByRole("heading", { name: "Scripts of the connection" })],
      [`#/gateways/${made.id}?tab=settings`, "/hostile", () => page.getByLabel("Path")],
      [`#/gateways/${made.id}?tab=connect`, "/hostile", () => page.getByText("import { io }", { exact: false })],
      [`#/events/${event.id}`, "fail", () => page.getByText("No errors")],
      [`#/events/${event.id}?view=revisions`, "fail", () => page.getByText("They are the same.")],
      [`#/events/${event.id}?view=settings`, "fail", () => page.getByLabel("Payload schema")],
      ["#/runs?gateway=%2Fhostile", "Runs", () => runs().first()],
    ];
    for (const theme of ["light", "dark"]) {
      for (const width of [375, 1440]) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width, height: width < 600 ? 760 : 900 });
        for (const [hash, heading, shown] of pages) {
          await visit(page, hash, width < 600 && hash.includes("gateways/") ? undefined : heading);
          await shown().waitFor();
          await checkPage(page, `${hash}, ${theme}, ${width}`);
        }
        await runs().first().click();
        await page.getByRole("complementary", { name: "A run" }).waitFor();
        await checkPage(page, `a run, ${theme}, ${width}`);
        await page.getByRole("button", { name: "Close" }).click();
        await page.keyboard.press("?");
        await page.getByRole("dialog", { name: "Keys" }).waitFor();
        await checkPage(page, `the keys, ${theme}, ${width}`);
        await page.keyboard.press("Escape");
        await page.keyboard.press("Control+k");
        await page.getByRole("combobox", { name: "Page, gateway or event" }).waitFor();
        await checkPage(page, `the palette, ${theme}, ${width}`);
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "detached" });
      }
    }
  },
  async "what clients and scripts say is text"() {
    await visit(page, "#/runs?gateway=%2Fhostile&eventName=fail", "Runs");
    await runs().first().click();
    const run = page.getByRole("complementary", { name: "A run" });
    await run.getByText("no <b>way</b>").waitFor();
    await run.getByText("<img src=x onerror=alert(1)>", { exact: false }).waitFor();
    assert.equal(await page.locator("main img, main b").count(), 0);
  },
  async "nothing broke"() {
    await end();
  },
});
