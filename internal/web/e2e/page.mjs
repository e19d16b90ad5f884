// The page in a real browser, told as a person's visit. It runs a story against a server and fails on the first thing that
// is not as it should be, on any error of the console, any breach of the Content-Security-Policy, any request that fails and
// any request to another host.
//
//   node page.mjs PLAYWRIGHT_FOLDER CHROMIUM BASE_URL STORY
//
// TestPage... in cmd/ollama-rag starts the servers and sets the model server up for each story.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, chromium, base, story] = process.argv.slice(2);
const { chromium: engine } = createRequire(join(folder, "package.json"))("playwright-core");

const QUESTION = "When is the rent due?";
const SENTENCE = /^The rent is due on the third working day of each month\.?$/;

const stories = {
  /** Ask, read, check the evidence, look at the machine; bring a document in and take it out again. */
  async whole(page) {
    await page.goto(base);
    await page.getByText("2 documents").waitFor();
    await ask(page, QUESTION);
    await page.locator(".turn .cites li").first().waitFor();
    const grown = await page.evaluate(() => globalThis.seenLengths);
    assert.ok(grown.length >= 3, `the answer came in ${grown.length} steps: it does not stream`);
    assert.deepEqual(grown, grown.toSorted((a, b) => a - b), "the answer shrank while it was written");

    const chip = page.locator(".turn .prose .chip").first();
    assert.equal(await chip.textContent(), "1");
    assert.equal(await chip.getAttribute("data-verdict"), "supported");
    await chip.click();
    const card = page.locator(".turn .passage.active");
    assert.match(await card.locator("mark").first().textContent(), SENTENCE);
    await picture(page, "page");
    await card.getByText("Open document").click();
    const dialog = page.locator("dialog[open]");
    assert.match(await dialog.locator("mark").first().textContent(), SENTENCE);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });

    await ask(page, QUESTION);
    await page.getByText("From the cache").waitFor();
    await status(page);
    await documents(page);
    await narrow(page);
  },

  /** No model server: the answer is quoted, and the page says so and what to do. */
  async degraded(page) {
    await page.goto(base);
    await page.locator("#status-strip").getByText("No model server").waitFor();
    await ask(page, "How many consecutive failures open the breaker?");
    const banner = page.locator(".turn .banner.warn");
    await banner.getByText("No language model is available").waitFor();
    assert.match(await banner.textContent(), /ollama serve/);
    assert.match(await page.locator(".turn .prose").textContent(), /5 consecutive failures/);
    await page.locator('.turn .cites [data-verdict="quoted"]').first().waitFor();
    // The embedder in the binary finds an English passage for a Vietnamese question.
    await ask(page, "Khi nào phải trả tiền thuê nhà?");
    assert.match(await page.locator(".turn").last().locator(".prose").textContent(), /third working day/);
    await page.locator("#status-strip").click();
    await page.locator("#status-cards").getByText("Does not answer").waitFor();
    await page.keyboard.press("Escape");
    await telephone(page, banner.first());
  },

  /** The dashboard in an incident: what is wrong in words, since when in colours, what it does to people in curves. */
  async dashboard(page) {
    await page.goto(base);
    await page.getByRole("link", { name: "Dashboard" }).click();
    const summary = page.locator("#summary");
    await summary.getByText("No model server answers").waitFor();
    assert.equal(await summary.getAttribute("data-look"), "bad");
    await page.locator(".tile", { hasText: "Model hosts" }).getByText("0 of 1").waitFor();
    await page.locator(".host-row").getByText(/^last failure \d\d:\d\d: connection refused$/).waitFor();
    await page.getByRole("img", { name: /^ollama_client: closed from .*, open from / }).waitFor();
    const chart = (name) => page.getByRole("img", { name });
    for (const name of [/^Requests: served [1-9<]/, /^Questions: answered /, /^First word: median \d+/, /^Answer cache: same question /, /^Tokens: written /]) await chart(name).waitFor();
    assert.ok((await page.locator(".chart polyline").count()) >= 10, "the charts have no lines");
    assert.ok((await page.locator(".plot .mark.open").count()) >= 1, "the breaker's opening is in no chart");
    const box = await page.locator(".plot").first().boundingBox();
    await page.mouse.move(box.x + box.width - 60, box.y + 40);
    await page.locator(".plot .cursor").first().waitFor({ state: "attached" });
    await page.getByText("5 min", { exact: true }).click();
    await page.getByText("The last 5 minutes").waitFor();
    await page.mouse.move(0, 0);
    await picture(page, "dashboard");
    await page.locator("[data-toggle-theme]").click();
    await picture(page, "dashboard-dark");
    await page.setViewportSize({ width: 360, height: 740 });
    await fits(page, "the dashboard");
    await picture(page, "dashboard-phone");
  },
};

/** A picture for whoever wants to look: only where OLLAMA_RAG_PICTURES names a folder. */
async function picture(page, name) {
  const folder = process.env.OLLAMA_RAG_PICTURES;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

async function ask(page, question) {
  await page.locator("#question").fill(question);
  await page.keyboard.press("Enter");
  const turn = page.locator(".turn").last();
  await turn.locator('.prose[aria-busy="false"]').waitFor();
}

/** Breaker, pool and cache in the panel, with the figures of what was just done. */
async function status(page) {
  await page.locator("#status-strip").click();
  const cards = page.locator("#status-cards");
  const card = (title) => cards.locator(".status-card", { has: page.getByRole("heading", { name: title, exact: true }) });
  await card("Answer cache").getByRole("img", { name: "1 hits of 2" }).waitFor();
  await card("Model server").getByText("Answers").waitFor();
  assert.match(await card("Circuit breaker").textContent(), /ollama_client.*closed/);
  assert.match(await card("Connection pool").textContent(), /At most\s*20/);
  assert.doesNotMatch(await card("Connection pool").textContent(), /Requests so far0/);
  await page.keyboard.press("Escape");
  await page.locator("#status-panel").waitFor({ state: "hidden" });
}

async function documents(page) {
  await page.locator("#nav-documents").click();
  const rows = page.locator(".doc-table tbody tr");
  await rows.nth(1).waitFor();
  await page.locator("#pick-files").setInputFiles({ name: "<b>été.md", mimeType: "text/markdown", buffer: Buffer.from("# Summer\n\nThe holidays begin on the fifth of July.\n") });
  await page.locator(".upload .counts").getByText("1 added").waitFor();
  const row = rows.filter({ hasText: "<b>été.md" }); // a name is text, whatever is in it
  await row.waitFor();
  assert.match(await row.textContent(), /Summer.*Markdown/);
  assert.equal(await rows.count(), 3);
  await row.getByRole("button", { name: /^Delete / }).click();
  await page.locator("dialog[open]").getByRole("button", { name: "Delete document" }).click();
  await row.waitFor({ state: "detached" });
  assert.equal(await rows.count(), 2);
}

/** On a telephone nothing sticks out to the side. */
async function narrow(page) {
  await page.setViewportSize({ width: 360, height: 740 });
  for (const view of ["#nav-documents", "#nav-ask"]) {
    await page.locator(view).click();
    await fits(page, view);
  }
}

/** On a telephone the picker has a name, a banner its width, and the line at the bottom nothing that is cut. */
async function telephone(page, banner) {
  await page.setViewportSize({ width: 390, height: 760 });
  await fits(page, "a degraded answer");
  const picker = await page.locator("#base").boundingBox();
  assert.ok(picker.width >= 120, `the picker is ${picker.width} pixels wide`);
  const text = await banner.locator(".banner-text").boundingBox();
  const button = await banner.getByRole("button", { name: "Ask again" }).boundingBox();
  assert.ok(button.y >= text.y + text.height, "the button stands beside the notice");
  const strip = await page.locator("#status-strip").boundingBox();
  const bottom = strip.y + strip.height;
  const parts = await page.locator("#status-strip > span").all();
  for (const part of parts) {
    const box = await part.boundingBox();
    const isCut = box && box.y < bottom && (box.y + box.height > bottom || box.x + box.width > strip.x + strip.width);
    assert.ok(!isCut, `the line at the bottom cuts ${await part.textContent()}`);
  }
  await picture(page, "telephone");
}

async function fits(page, what) {
  await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth, null, { timeout: 3000 }).catch(() => {});
  const [wide, inner, out] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    innerWidth,
    [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => `${e.tagName}.${e.getAttribute("class")}`),
  ]);
  assert.ok(wide <= inner, `${what}: the page is ${wide} pixels wide on a screen of ${inner}: ${out.slice(0, 10).join(", ")}`);
}

/** Everything that goes wrong without anybody seeing it. */
function watch(page) {
  const faults = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && faults.push(`console: ${m.text()} (${m.location().url})`));
  page.on("pageerror", (e) => faults.push(`uncaught: ${e.stack ?? e}`));
  // Chromium calls one in five streams aborted that a script read to its end, before it heard of the end itself. What the page
  // made of a stream that really broke would be on the page.
  const isRace = (r) => r.url().endsWith("/api/stream_query") && r.failure()?.errorText === "net::ERR_ABORTED";
  page.on("requestfailed", (r) => isRace(r) || faults.push(`failed: ${r.method()} ${r.url()}: ${r.failure()?.errorText}`));
  page.on("request", (r) => /^(data|blob):/.test(r.url()) || r.url().startsWith(`${base}/`) || faults.push(`foreign: ${r.url()}`));
  page.on("response", (r) => r.status() >= 400 && faults.push(`${r.status()}: ${r.request().method()} ${r.url()}`));
  return faults;
}

/** Runs in the page before its own scripts: notes breaches of the policy, and how long the answer is each time it changes. */
function spy() {
  globalThis.seenLengths = [];
  document.addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  new MutationObserver(() => {
    const prose = document.querySelector('.turn .prose[aria-busy="true"]');
    const now = prose?.textContent.length ?? 0;
    if (now > 0 && now !== globalThis.seenLengths.at(-1)) globalThis.seenLengths.push(now);
  }).observe(document, { subtree: true, childList: true, characterData: true });
}

const browser = await engine.launch({
  executablePath: chromium,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
let page;
try {
  page = await browser.newPage({ reducedMotion: "reduce" });
  page.setDefaultTimeout(20_000);
  await page.addInitScript(spy);
  const faults = watch(page);
  await stories[story](page);
  assert.deepEqual(faults, []);
} catch (err) {
  console.error(err.stack);
  console.error("The page shows:\n", await page?.locator("body").innerText().catch(() => "nothing"));
  process.exitCode = 1;
} finally {
  await browser.close();
}
