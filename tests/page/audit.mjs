// Accessibility by axe-core, of each view in both themes and three widths; and Lighthouse, which must give full marks.
//
//   npm install --no-package-lock --prefix tests/page
//   node tests/page/audit.mjs target/release/plume
//
// CHROMIUM names the browser, where it is not /usr/bin/chromium.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import lighthouse from 'lighthouse';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = [1200, 390, 320];
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const PERFORMANCE_RUNS = 3;
const faults = [];

const plume = await serve(process.argv[2] ?? 'target/release/plume');
const port = await freePort();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [...FLAGS, `--remote-debugging-port=${port}`],
});
try {
  await walk();
  await rate();
} finally {
  await browser.close();
  plume.child.kill();
}
for (const fault of faults) console.error(fault);
console.log(faults.length === 0 ? 'audit: nothing found' : `audit: ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;

/** Through all views, as a person. */
async function walk() {
  const page = await arrive();
  await inspect(page, 'enter');
  await page.click('#enter');
  await inspect(page, 'enter, refused');
  await askForCode(page, 'Ada');
  await inspect(page, 'verify');
  await page.fill('#code', '000000');
  await page.waitForFunction(() => document.querySelector('#verify-error').textContent.includes('left'));
  await inspect(page, 'verify, refused');
  await page.fill('#code', await plume.code('Ada'));
  await isIn(page);
  const others = await Promise.all(['Grace', 'Eve', 'Zoë'].map(enter));
  await say(page, '/topic See https://example.org/');
  await say(page, '/lock 1h');
  await say(page, '/unlock');
  const lines = ['Hi @ada, see https://example.org/', '/me waves', 'with `code`, *emphasis* and **strong**', '```\nmany\nlines\n```'];
  for (const line of lines) {
    await say(others[0], line);
    await say(page, line);
  }
  await page.waitForFunction(() => document.querySelectorAll('#log pre').length === 2 && !document.querySelector('.pending'));
  await inspect(page, 'room');
  await page.focus('#log .line:not(.event, .own) > .menu');
  await page.keyboard.press('Enter');
  await inspect(page, 'room, menu of a line');
  await page.keyboard.press('Escape');
  await page.click('#people-button');
  await page.click('#people-list .menu');
  await inspect(page, 'room, menu of a person');
  await page.keyboard.press('Escape');
  await say(page, '/kick nobody');
  await page.waitForFunction(() => document.querySelector('#text-error').textContent);
  await inspect(page, 'room, refused');
  await page.fill('#text', '/');
  await page.waitForSelector('#hints button');
  await inspect(page, 'room, commands');
  await page.fill('#text', '');
  await page.click('#options-button');
  await inspect(page, 'room, options');
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 390, height: 800 });
  await page.click('#people-button');
  await inspect(page, 'room, people');
  plume.child.kill('SIGKILL');
  await page.waitForFunction(() => document.querySelector('#status').textContent.includes('Reconnecting'));
  await say(page, 'not said yet');
  await page.waitForSelector('.pending');
  await inspect(page, 'room, disconnected');
}

async function inspect(page, view) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const { violations } = await page.evaluate(`${AXE}; axe.run({ resultTypes: ['violations'] })`);
      for (const { id, nodes } of violations) {
        faults.push(`${view}, ${colorScheme}, ${width}: ${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`);
      }
    }
  }
}

async function rate() {
  const fresh = await serve(process.argv[2] ?? 'target/release/plume');
  try {
    const options = { port, logLevel: 'error', onlyCategories: ['performance', 'accessibility', 'best-practices'] };
    let { lhr } = await lighthouse(fresh.url, options);
    // Performance is a measurement of time: what else the machine does can spoil one, but makes none better than the page is.
    for (let run = 1; run < PERFORMANCE_RUNS && lhr.categories.performance.score < 1; run++) {
      console.log(`lighthouse performance: ${lhr.categories.performance.score * 100}: ${failed(lhr, 'performance')}; measured again`);
      ({ lhr } = await lighthouse(fresh.url, options));
    }
    for (const { id, score } of Object.values(lhr.categories)) {
      console.log(`lighthouse ${id}: ${score * 100}`);
      if (score < 1) faults.push(`lighthouse ${id}: ${failed(lhr, id)}`);
    }
  } finally {
    fresh.child.kill();
  }
}

function failed({ categories, audits }, id) {
  const refs = categories[id].auditRefs.map((ref) => audits[ref.id]);
  return refs.filter(({ score }) => score !== null && score < 1).map((audit) => `${audit.id} ${audit.displayValue ?? ''}`).join(', ');
}

async function arrive() {
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  page.on('pageerror', (error) => faults.push(`page: ${error.stack}`));
  await page.goto(plume.url);
  await page.waitForSelector('#enter-view:not([hidden])');
  return page;
}

async function askForCode(page, name) {
  await page.fill('#name', name);
  await page.fill('#email', `${name.length}@example.org`);
  await page.click('#enter');
  await page.waitForSelector('#verify-view:not([hidden])');
}

async function enter(name) {
  const page = await arrive();
  await askForCode(page, name);
  await page.fill('#code', await plume.code(name));
  await isIn(page);
  return page;
}

function isIn(page) {
  return page.waitForFunction(() => document.querySelector('#status').textContent.includes('Connected'));
}

async function say(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

/** A server on a free port; it prints the codes that it would mail. */
async function serve(program) {
  const child = spawn(program, [], { env: { PLUME_LISTEN: '127.0.0.1:0', PLUME_MODERATORS: '3@example.org' }, stdio: ['ignore', 'ignore', 'pipe'] });
  const said = [];
  const waiting = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    said.push(line);
    for (const wake of waiting.splice(0)) wake();
  });
  const after = async (start) => {
    for (;;) {
      const line = said.find((line) => line.includes(start));
      if (line) return line.split(start)[1].trim();
      await new Promise((then) => waiting.push(then));
    }
  };
  const url = `http://${(await after('listening on http://')).replace(/\/$/, '')}/`;
  return { child, url, code: (name) => after(`login code for @${name}: `) };
}

function freePort() {
  return new Promise((then) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => then(port));
    });
  });
}
