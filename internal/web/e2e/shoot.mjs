// Makes a PNG of a page of a running server, whole, once its figures are there:
//
//   node shoot.mjs PLAYWRIGHT_FOLDER URL OUT.png

import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, url, out] = process.argv.slice(2);
const { chromium } = createRequire(join(folder, "package.json"))("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--headless", "--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(url);
  await page.locator(".tile").first().waitFor();
  await page.screenshot({ path: out, fullPage: true });
} finally {
  await browser.close();
}
