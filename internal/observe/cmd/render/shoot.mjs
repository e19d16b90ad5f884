// Makes PNGs of the page that render wrote:
//
//	node shoot.mjs PAGE.html OUT.png            the whole
//	node shoot.mjs PAGE.html OUT.png panel-201  one panel (the ids are Grafana's), or a row by its title
//
// OLLAMA_RAG_BROWSER is the folder whose node_modules has playwright-core; the browser is Debian's chromium.
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [page, out, part] = process.argv.slice(2);
if (!out || !process.env.OLLAMA_RAG_BROWSER) {
  console.error('OLLAMA_RAG_BROWSER=FOLDER node shoot.mjs PAGE.html OUT.png [panel-N | ROW]');
  process.exit(2);
}
const { chromium } = createRequire(path.join(path.resolve(process.env.OLLAMA_RAG_BROWSER), 'x.js'))('playwright-core');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  const tab = await browser.newPage({ viewport: { width: 1760, height: 1000 } });
  await tab.goto(pathToFileURL(path.resolve(page)).href);
  if (part) await (part.startsWith('panel-') ? tab.locator(`#${part}`) : tab.locator('.row', { has: tab.getByRole('heading', { name: part, level: 2, exact: true }) })).screenshot({ path: out });
  else await tab.screenshot({ path: out, fullPage: true });
} finally {
  await browser.close();
}
