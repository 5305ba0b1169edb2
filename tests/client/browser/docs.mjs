// The page at /docs in a Chromium: sign in, authorize, try operations out. What the page loads comes
// from the server alone.
import { admin, scenario, url } from "../lib.mjs";
import { browser } from "./launch.mjs";

const page = await browser.newPage();
page.setDefaultTimeout(60_000);
const [errors, elsewhere] = [[], []];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("request", (request) => {
  if (!request.url().startsWith(url) && !request.url().startsWith("data:")) elsewhere.push(request.url());
});

/** Tries an operation out; its status and its body. */
async function tryOut(operation, body) {
  const block = page.locator(`.opblock[id$="-${operation}"]`);
  await block.locator(".opblock-summary-control").click();
  await block.getByRole("button", { name: "Try it out" }).click();
  if (body !== undefined) await block.locator("textarea.body-param__text").fill(JSON.stringify(body));
  await block.getByRole("button", { name: "Execute" }).click();
  const answer = block.locator(".live-responses-table .response");
  const status = Number((await answer.locator(".response-col_status").innerText()).trim().split(/\s/)[0]);
  const text = await answer.locator(".response-col_description pre").first().innerText().catch(() => "");
  return { status, text };
}

function check(condition, what) {
  if (!condition) throw new Error(`${what}\n${errors.join("\n")}`);
}

await scenario({
  "the page shows the API": async () => {
    await page.goto(`${url}/docs/`);
    await page.locator('.opblock[id$="-listGateways"]').waitFor();
  },
  "before signing in, an operation is refused": async () => {
    const { status, text } = await tryOut("listGateways");
    check(status === 401 && text.includes("AUTHENTICATION_ERROR"), `${status} ${text}`);
  },
  "signing in, and Authorize with the token": async () => {
    const signedIn = await tryOut("login", {
      email: process.env.GATEWRIGHT_TEST_EMAIL,
      password: process.env.GATEWRIGHT_TEST_PASSWORD,
    });
    check(signedIn.status === 200, `${signedIn.status} ${signedIn.text}`);
    // The cookies that came with it are not to do the token's work.
    await browser.clearCookies();
    const token = signedIn.text.match(/"accessToken":\s*"([^"]+)"/)[1];
    await page.getByRole("button", { name: "Authorize" }).first().click();
    const dialog = page.locator(".modal-ux");
    const form = dialog.locator(".auth-container", { hasText: "(http, Bearer)" }).first();
    await form.locator("input").first().fill(token);
    await form.getByRole("button", { name: /Apply credentials|Authorize/ }).click();
    await dialog.getByRole("button", { name: "Close" }).first().click();
  },
  "an operation that reads": async () => {
    const block = page.locator('.opblock[id$="-listGateways"]');
    await block.getByRole("button", { name: "Execute" }).click();
    await block.locator(".live-responses-table .response-col_status", { hasText: "200" }).waitFor();
  },
  "an operation that makes something, from its example": async () => {
    const { status, text } = await tryOut("createGateway");
    check(status === 201 && text.includes('"/example"'), `${status} ${text}`);
    const { data } = await admin("GET", "/admin/gateways");
    check(data.some(({ path }) => path === "/example"), JSON.stringify(data));
  },
  "nothing broke, and nothing came from elsewhere": async () => {
    check(errors.length === 0, errors.join("\n"));
    check(elsewhere.length === 0, elsewhere.join("\n"));
    await browser.close();
  },
});
