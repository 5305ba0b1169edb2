// The server is started again under an open page; the test beside this does it when it is told to.
import { createInterface } from "node:readline";
import { connect, run, scenario } from "../lib.mjs";
import { AT_WORK, end, open, signIn, visit } from "./ui-lib.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const page = await open();

await scenario({
  async "a restart is seen, and got over without signing in"() {
    await signIn(page);
    await page.getByText(AT_WORK).waitFor();
    await visit(page, "#/runs", "Runs");
    console.log("stop it");
    await lines.next();
    await page.getByText("Reconnecting…").or(page.getByText("The server does not answer", { exact: false })).first().waitFor();
    console.log("start it");
    await lines.next();
    await page.getByText(AT_WORK).waitFor();
    await run(await connect("/chat"), "joinRoom", { roomId: "lobby" });
    await page.getByRole("listbox").getByRole("option", { name: /joinRoom/ }).waitFor();
    await page.getByRole("alert").waitFor({ state: "detached" });
  },
  async "nothing broke"() {
    await end();
  },
});
