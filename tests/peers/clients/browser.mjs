// A browser: Debian's headless Chromium, driven by npm playwright-core, with npm axe-core to look at what it shows.
//
//   {"cmd":"open","scheme":"light"|"dark","width":1280,"height":900,"script":true}   a fresh one, with no cookies
//   {"cmd":"resize","scheme":..,"width":..,"height":..}                              the same one in another window
//   {"cmd":"enter"}                                                                  presses Enter, waits for the page it leads to
//   {"cmd":"submit","url":URL}                                                       a page that leads on by itself: waits for where
//   {"cmd":"goto","url":URL} {"cmd":"reload"} {"cmd":"back"}                         the status and the URL it ends at
//   {"cmd":"click","role":"button","name":"Log in"}                                  waits for the page it leads to
//   {"cmd":"fill","label":"Name","text":"a"} {"cmd":"check","label":"..."} {"cmd":"summary","text":"..."}
//   {"cmd":"text"} {"cmd":"html"} {"cmd":"rows"}                                     what stands there; tables as lists of objects
//   {"cmd":"keys","keys":["Tab","Enter"]}                                            and what has the focus then
//   {"cmd":"axe"}                                                                    violations, by rule
//   {"cmd":"wide"}                                                                   by how much the page is wider than the window
//   {"cmd":"shot","path":"a.png"}
//   {"cmd":"elsewhere","html":HTML}                                                  a page of another site: its URL
//   {"cmd":"frames"}                                                                 the text in each frame
//   {"cmd":"clipboard"}                                                              what was copied
//   {"cmd":"told"}                                                                   dialogs and errors of the console since the last question
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serve, failure, version } from '../peer.mjs';

const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const patience = 20_000;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  // It runs as root in a container, where its own sandbox does not.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
});
let context, page, elsewhere, told = [];

await serve({ peer: 'chromium', version: browser.version(), playwright: version('playwright-core') }, answer);

async function answer(asked) {
  switch (asked.cmd) {
    case 'open': return open(asked);
    case 'goto': return went(await page.goto(asked.url));
    case 'resize':
      await page.emulateMedia({ colorScheme: asked.scheme });
      await page.setViewportSize({ width: asked.width, height: asked.height });
      return { ok: true };
    case 'enter': { const [response] = await Promise.all([next(), page.keyboard.press('Enter')]); return went(response); }
    case 'submit': return submit(asked.url);
    case 'reload': return went(await page.reload().catch(() => null));
    case 'back': return went(await page.goBack().catch(() => null));
    case 'click': return click(asked);
    case 'fill': await page.getByLabel(asked.label, { exact: false }).first().fill(asked.text); return { ok: true };
    case 'check': await page.getByLabel(asked.label, { exact: false }).first().check(); return { ok: true };
    case 'summary': await page.locator('summary', { hasText: asked.text }).first().click(); return { ok: true };
    case 'text': return { ok: true, text: await page.locator('body').innerText() };
    case 'html': return { ok: true, html: await page.content() };
    case 'rows': return { ok: true, rows: await page.locator('main table').evaluateAll(rows) };
    case 'keys': return keys(asked.keys);
    case 'axe': return look();
    case 'wide': return { ok: true, by: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth) };
    case 'shot': await page.screenshot({ path: asked.path, fullPage: true }); return { ok: true };
    case 'elsewhere': return { ok: true, url: await another(asked.html) };
    case 'frames': return { ok: true, frames: await Promise.all(page.frames().slice(1).map(frame)) };
    case 'clipboard': return { ok: true, text: await page.evaluate(() => navigator.clipboard.readText()) };
    case 'told': { const all = told; told = []; return { ok: true, told: all }; }
    default: return failure(null, 'unknown_command', asked.cmd);
  }
}

async function open({ scheme = 'light', width = 1280, height = 900, script = true }) {
  await context?.close();
  context = await browser.newContext({
    colorScheme: scheme, viewport: { width, height }, javaScriptEnabled: script,
    permissions: ['clipboard-read', 'clipboard-write'], ignoreHTTPSErrors: true, locale: 'en', timezoneId: 'UTC',
  });
  context.setDefaultTimeout(patience);
  page = await context.newPage();
  told = [];
  page.on('dialog', (dialog) => { told.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('console', (line) => { if (line.type() === 'error') told.push(line.text()); });
  page.on('pageerror', (error) => told.push(String(error)));
  return { ok: true };
}

function went(response) {
  return { ok: true, status: response?.status() ?? null, url: page.url() };
}

// A click on what leads somewhere: until the next page is there.
async function click({ role, name, stays }) {
  const target = page.getByRole(role, { name, exact: true }).first();
  if (stays) { await target.click(); return { ok: true }; }
  const [response] = await Promise.all([next(), target.click()]);
  return went(response);
}

async function submit(url) {
  const before = new URL(url).origin;
  await page.goto(url).catch(() => null);
  await page.waitForURL((at) => at.origin !== before);
  await page.waitForLoadState('load');
  return went(null);
}

// The answer of the last hop of a navigation of the page itself, once it is shown.
async function next() {
  const last = (response) => {
    const request = response.request();
    const redirects = response.status() >= 300 && response.status() < 400;
    return request.isNavigationRequest() && request.frame() === page.mainFrame() && !redirects;
  };
  const [answer] = await Promise.all([page.waitForResponse(last), page.waitForEvent('load')]);
  return answer;
}

async function keys(keys) {
  for (const key of keys) {
    if (key.startsWith('"')) await page.keyboard.type(key.slice(1));
    else await page.keyboard.press(key);
  }
  await page.waitForLoadState('load');
  const focus = await page.evaluate(() => {
    const at = document.activeElement;
    const style = getComputedStyle(at);
    return {
      tag: at.tagName.toLowerCase(), text: (at.getAttribute('aria-label') ?? at.innerText ?? '').trim(),
      name: at.getAttribute('name'), visible: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    };
  });
  return { ok: true, focus, url: page.url() };
}

// The page's own policy lets no script in: axe comes by the debugger.
async function look() {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return { ok: true, violations: violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map((node) => node.html) })) };
}

function rows(tables) {
  return tables.flatMap((table) => [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => Object.fromEntries(
    [...row.cells].map((cell) => [cell.dataset.label ?? cell.cellIndex, cell.innerText.trim()]))));
}

async function another(html) {
  elsewhere?.close();
  elsewhere = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  await new Promise((listening) => elsewhere.listen(0, '127.0.0.1', listening));
  // By another name than what it attacks: another site.
  return `http://localhost:${elsewhere.address().port}/`;
}

async function frame(frame) {
  return { url: frame.url(), text: await frame.locator('body').innerText({ timeout: 2000 }).catch(() => '') };
}
