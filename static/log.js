// The lines on the screen: drawn once per frame, followed to the end, at most so many kept. No socket, no protocol.

import { byId, element, framed } from './dom.js';
import { lineNode } from './line.js';

const LINES_MAX = 500;
const END_PX = 40;
const SAME_HEAD_MS = 5 * 60_000;
const DAY = new Intl.DateTimeFormat([], { dateStyle: 'full' });
const SITE = document.title;

const root = byId('log');
const newer = byId('newer');
const draw = framed(flush);
let me = '';
let queue = [];
let pending = [];
let lines = 0;
let previous = null;
let day = '';
let isAtEnd = true;
let unseen = 0;
let timer = 0;

root.onscroll = moved;
document.addEventListener('visibilitychange', see);
// A growing message or a phone's keyboard takes room, and the end must stay in sight.
new ResizeObserver(() => isAtEnd && toEnd()).observe(root);
newer.onclick = () => {
  toEnd();
  root.focus();
};

/** An empty log for this reader. */
export function open(name) {
  me = name;
  root.replaceChildren();
  queue = [];
  pending = [];
  lines = 0;
  previous = null;
  day = new Date().toDateString();
  toEnd();
}

/** What comes until `settle` is not read aloud. */
export function hush() {
  clearTimeout(timer);
  root.ariaLive = 'off';
}

export function settle() {
  flush();
  // A moment later, or the lines just drawn would still be read.
  timer = setTimeout(() => (root.ariaLive = 'polite'), 100);
}

/** A message; those for us alone come without a time. */
export const add = (message) => push({ time: Date.now(), ...message });
export const rule = (text) => push({ rule: text });

/** Our lines that the server has not said yet. */
export function setPending(texts) {
  pending = texts;
  draw();
}

export function toEnd() {
  root.scrollTop = root.scrollHeight;
  isAtEnd = true;
  see();
}

function push(entry) {
  queue.push(entry);
  if (queue.length >= 2 * LINES_MAX) queue.splice(0, LINES_MAX);
  draw();
}

function flush() {
  // Asked before anything is added, for afterwards nobody is at the end.
  const follow = isAtEnd;
  for (const node of root.querySelectorAll('.pending')) node.remove();
  queue.splice(0).forEach(place);
  trim(follow);
  root.append(...pending.map(pendingNode));
  if (follow) toEnd();
  else tell();
}

/** A line, or a rule between lines: a new day, a gap. */
function place(line) {
  if (line.rule) return placeRule(line.rule);
  const itsDay = new Date(line.time).toDateString();
  if (itsDay !== day) placeRule(DAY.format(line.time));
  day = itsDay;
  if (isAway() && !line.event && line.user.name !== me) unseen += 1;
  root.append(lineNode(line, me, isContinued(line)));
  previous = line;
  lines += 1;
}

function pendingNode(text) {
  const line = { user: { name: me }, text, time: Date.now() };
  const node = lineNode(line, me, isContinued(line));
  node.classList.add('pending');
  node.ariaLive = 'off';
  return node;
}

function placeRule(text) {
  root.append(element('div', 'rule', text));
  previous = null;
}

/** Lines of one person in a row share one head. */
function isContinued({ user, time, event }) {
  if (!previous || event || previous.event) return false;
  return previous.user.name === user.name && time - previous.time < SAME_HEAD_MS;
}

/** Drops the oldest lines, and holds those still that the reader looks at. */
function trim(follow) {
  if (lines <= LINES_MAX) return;
  const left = follow || root.scrollHeight - root.scrollTop;
  while (lines > LINES_MAX) {
    const oldest = root.firstElementChild;
    if (oldest.matches('.line')) lines -= 1;
    oldest.remove();
  }
  if (!follow) root.scrollTop = root.scrollHeight - left;
}

function moved() {
  isAtEnd = root.scrollHeight - root.scrollTop - root.clientHeight < END_PX;
  see();
}

function isAway() {
  return !isAtEnd || document.hidden;
}

function see() {
  if (!isAway()) unseen = 0;
  tell();
}

function tell() {
  newer.hidden = isAtEnd || unseen === 0;
  newer.textContent = `${unseen} new ↓`;
  document.title = unseen > 0 ? `(${unseen}) ${SITE}` : SITE;
}
