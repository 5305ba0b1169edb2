// The pages for operators: users, app keys, packs and settings; what they do, in both themes, on a phone and on a desk, by the
// keyboard, and with names full of markup.
import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { admin, call, connect, gateway, login, run, scenario, tryAdmin, until } from "../lib.mjs";
import { checkPage, end, open, signIn, visit } from "./ui-lib.mjs";

const HOSTILE = '<img src=x onerror=alert(1)><b>x</b> \u202egnp.exe';
const PASSWORD = "some password";
let page, ada, socket;
const dialog = (name) => page.getByRole("dialog", { name });
const closed = () => page.waitForFunction(() => !document.querySelector("dialog"));
const card = (name) => page.getByRole("listitem").filter({ has: page.getByRole("heading", { name, exact: true }) });

/** A ZIP of files that are not compressed. */
function zip(files) {
  const [local, central] = [[], []];
  let at = 0;
  for (const [name, text] of Object.entries(files)) {
    const [path, data] = [Buffer.from(name), Buffer.from(text)];
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt32LE(crc32(data), 10);
    shared.writeUInt32LE(data.length, 14);
    shared.writeUInt32LE(data.length, 18);
    shared.writeUInt16LE(path.length, 22);
    const head = Buffer.concat([Buffer.from("PK\x03\x04"), shared, path, data]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), shared, place, path]));
    local.push(head);
    at += head.length;
  }
  const directory = Buffer.concat(central);
  const tail = Buffer.alloc(22);
  tail.write("PK\x05\x06", "latin1");
  tail.writeUInt16LE(central.length, 8);
  tail.writeUInt16LE(central.length, 10);
  tail.writeUInt32LE(directory.length, 12);
  tail.writeUInt32LE(at, 16);
  return Buffer.concat([...local, directory, tail]);
}

await scenario({
  async "the first password is told until it is another"() {
    page = await open();
    await signIn(page);
    await page.getByText("You use the password of the first start", { exact: false }).waitFor();
    await checkPage(page, "the notice of the first password");
    await page.getByRole("button", { name: "Change it" }).click();
    const change = dialog("Change your password");
    await change.getByLabel("Present password").fill("not this one");
    await change.getByLabel(/New password\s+At least/).fill("my own password");
    await change.getByLabel("New password, again").fill("my own");
    await change.getByRole("button", { name: "Change it" }).click();
    await change.getByText("The new passwords differ.").waitFor();
    await change.getByLabel("New password, again").fill("my own password");
    await change.getByRole("button", { name: "Change it" }).click();
    await change.getByRole("alert").filter({ hasText: "wrong" }).waitFor();
    await change.getByLabel("Present password").fill(process.env.GATEWRIGHT_TEST_PASSWORD);
    await checkPage(page, "a change of the password");
    await change.getByRole("button", { name: "Change it" }).click();
    await closed();
    await page.getByText("You use the password of the first start", { exact: false }).waitFor({ state: "detached" });
    // All that these tests do from here on is done with it.
    process.env.GATEWRIGHT_TEST_PASSWORD = "my own password";
    await admin("GET", "/me");
  },
  async "a user is made, found, changed; sessions and sockets are shown and ended"() {
    await gateway("/users", { e: "return 1;" }, { requireAuth: true });
    await visit(page, "#/users", "Users");
    await page.getByRole("button", { name: "New user" }).click();
    await dialog("New user").getByLabel("E-mail").fill("ada@example.com");
    await dialog("New user").getByLabel("Name").fill(HOSTILE);
    await dialog("New user").getByLabel("Password").fill(PASSWORD);
    await dialog("New user").getByRole("button", { name: "Make user" }).click();
    await closed();
    await page.getByLabel("E-mail has").fill("ADA@");
    await page.getByLabel("E-mail has").press("Enter");
    // Filters are in the address.
    await page.waitForURL(/email=ADA/);
    await page.getByText(process.env.GATEWRIGHT_TEST_EMAIL).and(page.getByRole("link")).waitFor({ state: "detached" });
    ada = await login("ada@example.com", PASSWORD);
    socket = await connect("/users", { auth: { token: ada.accessToken } });
    await page.getByRole("link", { name: "ada@example.com" }).click();
    const shown = dialog("ada@example.com");
    await shown.getByText(HOSTILE).waitFor();
    await shown.getByText("/users").waitFor();
    await checkPage(page, "a user");
    const cut = new Promise((done) => socket.once("disconnect", done));
    await shown.getByRole("button", { name: "End", exact: true }).click();
    await dialog("End the session").getByText("cuts 1 socket", { exact: false }).waitFor();
    await dialog("End the session").getByRole("button", { name: "End it" }).click();
    await cut;
    assert.equal((await call("GET", "/me", undefined, { token: ada.accessToken })).status, 401);
    await shown.getByText("the user is not signed in", { exact: false }).waitFor();
    await shown.getByRole("button", { name: "Change" }).click();
    await dialog("Change the user").getByLabel("Role").fill("moderator");
    await dialog("Change the user").getByText("ends the user's sessions", { exact: false }).waitFor();
    await dialog("Change the user").getByRole("button", { name: "Save" }).click();
    await shown.getByText("moderator").waitFor();
    await page.keyboard.press("Escape");
    await closed();
  },
  async "who leaves an open dialog, by the way back or to another page, comes there"() {
    const [me] = (await admin("GET", `/admin/users?filter=${encodeURIComponent(JSON.stringify({ role: "admin" }))}`)).data;
    await visit(page, "#/packs", "Packs");
    for (const leave of [() => page.goBack(), () => visit(page, "#/packs")]) {
      await visit(page, `#/users/${me.id}`);
      await dialog(me.email).waitFor();
      await leave();
      await page.getByRole("heading", { name: "Packs", exact: true }).waitFor();
      await closed();
      assert.match(page.url(), /#\/packs$/);
    }
  },
  async "the last admin stays; another user goes when the address is typed"() {
    await visit(page, "#/users", "Users");
    await page.getByRole("link", { name: process.env.GATEWRIGHT_TEST_EMAIL }).click();
    const email = process.env.GATEWRIGHT_TEST_EMAIL;
    await dialog(email).getByRole("button", { name: "Delete" }).click();
    const question = dialog("Delete the user");
    assert.equal(await question.getByRole("button", { name: "Delete" }).isDisabled(), true);
    await question.getByLabel(/Type/).fill(email);
    await question.getByRole("button", { name: "Delete" }).click();
    await question.getByRole("alert").filter({ hasText: "last admin" }).waitFor();
    await question.getByRole("button", { name: "Cancel" }).click();
    await page.keyboard.press("Escape");
    await closed();
    await page.getByRole("link", { name: "ada@example.com" }).click();
    await dialog("ada@example.com").getByRole("button", { name: "Delete" }).click();
    await question.getByLabel(/Type/).fill("ada@example.com");
    await question.getByRole("button", { name: "Delete" }).click();
    await closed();
    await page.getByRole("link", { name: "ada@example.com" }).waitFor({ state: "detached" });
  },
  async "a key is made by the keyboard, shown once, rotated, deleted"() {
    await page.locator("body").press("g");
    await page.keyboard.press("k");
    await page.getByRole("heading", { name: "App keys", exact: true }).waitFor();
    await page.getByRole("button", { name: "New key" }).focus();
    await page.keyboard.press("Enter");
    await dialog("New app key").waitFor();
    await page.keyboard.type(HOSTILE.replace("\u202e", ""));
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await page.keyboard.press("Enter");
    const once = page.getByRole("dialog", { name: /The key of/ });
    const first = await once.getByTestId("secret").innerText();
    assert.match(first, /^gwk_/);
    await checkPage(page, "a key that is shown once");
    await once.getByRole("button", { name: "I have it" }).click();
    await closed();
    await page.getByText("Never used", { exact: false }).waitFor();
    const metrics = async (key) => (await call("GET", "/metrics", undefined, { headers: { "x-app-token": key } })).status;
    assert.equal(await metrics(first), 200);
    await until(async () => (await admin("GET", "/admin/app-keys")).data[0].lastUsedAt, "the use is written");
    await page.getByRole("button", { name: /^Rotate/ }).click();
    await page.getByRole("dialog", { name: /^Rotate/ }).getByRole("button", { name: "Rotate", exact: true }).click();
    await once.waitFor();
    const second = await once.getByTestId("secret").innerText();
    await once.getByRole("button", { name: "I have it" }).click();
    assert.deepEqual([await metrics(first), await metrics(second)], [401, 200]);
    await page.getByText("Last used", { exact: false }).waitFor();
    await checkPage(page, "a key with a hostile name");
    await page.getByRole("button", { name: /^Delete/ }).click();
    await page.getByRole("dialog", { name: /^Delete/ }).getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText("There are none yet.").waitFor();
    assert.equal(await metrics(second), 401);
  },
  async "a pack is installed, edited, tested, compared, and uninstalled"() {
    await visit(page, "#/packs", "Packs");
    await page.getByRole("button", { name: "Install chat" }).click();
    await dialog("Install chat").getByRole("button", { name: "Install", exact: true }).click();
    await closed();
    await card("chat").getByText("installed", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Test chat" }).click();
    await dialog("Tests of chat").getByText("0 failed").waitFor();
    await checkPage(page, "tests that pass");
    await dialog("Tests of chat").getByRole("button", { name: "Done" }).click();

    const { gateways } = await admin("GET", "/admin/tree");
    const { id } = gateways.find(({ path }) => path === "/chat").events.find(({ eventName }) => eventName === "typing");
    await admin("PATCH", `/admin/events/${id}`, { sourceCode: `@SOCKET.reply("typing", ${JSON.stringify(HOSTILE)});` });
    await card("chat").getByText("1 edited since").waitFor();
    await page.getByRole("button", { name: "Test chat" }).click();
    await dialog("Tests of chat").getByText("failed", { exact: true }).first().waitFor();
    await dialog("Tests of chat").getByText("<img src=x", { exact: false }).first().waitFor();
    await checkPage(page, "tests that fail");
    await dialog("Tests of chat").getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Compare chat" }).click();
    const install = dialog("Install chat");
    await install.getByText("edited since, or not of this pack").waitFor();
    assert.equal(await install.getByRole("button", { name: "Install", exact: true }).isDisabled(), true);
    await install.getByText("/chat typing").click();
    await checkPage(page, "a pack with edits");
    await install.getByLabel(/Overwrite/).check();
    await install.getByRole("button", { name: "Install", exact: true }).click();
    await closed();
    await card("chat").getByText("1 edited since").waitFor({ state: "detached" });

    const guest = await connect("/chat");
    await run(guest, "joinRoom", { roomId: "lobby" });
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export chat" }).click()]);
    assert.equal(download.suggestedFilename(), "chat.zip");
    const cut = new Promise((done) => guest.once("disconnect", done));
    await page.getByRole("button", { name: "Uninstall chat" }).click();
    await dialog("Uninstall chat").getByText("cuts 1 socket", { exact: false }).waitFor();
    await dialog("Uninstall chat").getByLabel(/Type/).fill("chat");
    await dialog("Uninstall chat").getByRole("button", { name: "Uninstall" }).click();
    await closed();
    await cut;
    await page.getByRole("button", { name: "Install chat" }).waitFor();
  },
  async "a ZIP is shown before it is installed; one that is none is refused"() {
    const upload = (name, buffer) => page.getByLabel("Pack as a ZIP").setInputFiles({ name, mimeType: "application/zip", buffer });
    await upload("none.zip", Buffer.from("no zip at all"));
    await dialog("Install none.zip").getByRole("alert").filter({ hasText: "ZIP" }).waitFor();
    await page.keyboard.press("Escape");
    await closed();
    const manifest = `name = "own"\ndescription = ${JSON.stringify(HOSTILE.replace("\u202e", ""))}\n[[gateways]]\npath = "/own"\n`;
    await upload("own.zip", zip({ "pack.toml": manifest, "../evil.rhai": "1" }));
    await dialog("Install own.zip").getByRole("alert").filter({ hasText: "leads out" }).waitFor();
    await page.keyboard.press("Escape");
    await closed();
    await upload("own.zip", zip({ "pack.toml": manifest }));
    await dialog("Install own.zip").getByText("/own").first().waitFor();
    assert.equal((await tryAdmin("GET", "/admin/packs/own")).status, 404, "so far nothing is installed");
    await dialog("Install own.zip").getByLabel("Under the path").fill("/m");
    await dialog("Install own.zip").getByLabel("Under the path").press("Tab");
    await dialog("Install own.zip").getByText("/m/own").first().waitFor();
    await dialog("Install own.zip").getByRole("button", { name: "Install", exact: true }).click();
    await closed();
    await card("own").getByText("under /m").waitFor();
    await checkPage(page, "packs");
  },
  async "health, configuration, audit and a backup"() {
    await visit(page, "#/settings", "Settings");
    await page.getByText(/SQLite, round trip|PostgreSQL, round trip/).waitFor();
    await page.getByText("this one").waitFor();
    await page.getByRole("link", { name: "Configuration" }).click();
    await page.getByRole("cell", { name: "limits.burst", exact: true }).waitFor();
    await page.getByLabel("Setting has").fill("admin_pass");
    await page.getByRole("cell", { name: "(secret)" }).waitFor();
    await page.waitForURL(/q=admin_pass/);
    await page.getByRole("link", { name: "Audit" }).click();
    await page.getByRole("cell", { name: "rotate" }).waitFor();
    await page.getByText(HOSTILE.replace("\u202e", "")).first().waitFor();
    await page.getByLabel("Kind").selectOption("pack");
    await page.getByRole("cell", { name: "rotate" }).waitFor({ state: "detached" });
    await page.getByRole("cell", { name: "upload" }).waitFor();
    await page.getByRole("link", { name: "Backups" }).click();
    if (process.env.GATEWRIGHT_TEST_DATABASE === "postgres") {
      await page.getByText("pg_dump --format=custom", { exact: false }).waitFor();
      return;
    }
    await page.getByRole("button", { name: "Make a backup" }).click();
    const link = page.getByRole("link", { name: /^Download gatewright-/ });
    await link.waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
    assert.match(download.suggestedFilename(), /^gatewright-.*\.db$/);
    await page.getByRole("button", { name: /^Delete gatewright-/ }).click();
    await dialog("Delete the backup").getByRole("button", { name: "Delete" }).click();
    await page.getByText("There are none yet.").waitFor();
  },
  async "the palette finds what the server has, and lines of scripts"() {
    const made = await gateway("/found", { target: "// here\nlet needle = 1;" });
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox", { name: "Page, gateway or event" }).fill("needle");
    await page.getByRole("option", { name: /\/found target sourceCode line 2/ }).waitFor();
    await checkPage(page, "the palette with a line");
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(made.events.target.id));
  },
  async "each page, both themes, phone and desk"() {
    const pages = [
      ["#/users", "Users", () => page.getByRole("link", { name: process.env.GATEWRIGHT_TEST_EMAIL })],
      ["#/users?new=1", "Users", () => dialog("New user")],
      ["#/app-keys", "App keys", () => page.getByText("There are none yet.")],
      ["#/app-keys?new=1", "App keys", () => dialog("New app key")],
      ["#/packs", "Packs", () => card("chat")],
      ["#/settings", "Settings", () => page.getByText("this one")],
      ["#/settings/configuration", "Settings", () => page.getByRole("cell", { name: "listen", exact: true })],
      ["#/settings/audit", "Settings", () => page.getByRole("cell", { name: "upload" })],
      ["#/settings/backups", "Settings", () => page.getByText(/There are none yet|pg_restore/)],
    ];
    for (const theme of ["light", "dark"]) {
      for (const width of [375, 1440]) {
        await page.emulateMedia({ colorScheme: theme });
        await page.setViewportSize({ width, height: width < 600 ? 760 : 900 });
        for (const [hash, heading, shown] of pages) {
          await visit(page, hash, hash.includes("new=") ? undefined : heading);
          await shown().waitFor();
          await checkPage(page, `${hash}, ${theme}, ${width}`);
        }
      }
    }
    assert.equal(await page.locator("main img, main b").count(), 0, "what others say is text");
  },
  async "nothing broke"() {
    await end();
  },
});
