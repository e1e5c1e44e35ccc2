// The lines on the screen: drawn once per frame, followed to the end, at most so many kept. No socket, no protocol.

import { called, showUnread } from './attention.js';
import { byId, element, framed, nameNode } from './dom.js';
import { calm, isCalling, pieces, shortened } from './format.js';
import { isMuted, judge } from './people.js';
import { Comings, keyOf } from './room.js';

const LINES_MAX = 500;
const SLACK = 50;
const END_PX = 40;
const SAME_HEAD_MS = 5 * 60_000;

const log = byId('log');
const newer = byId('newer');
const drawLog = framed(flush);
const format = (options) => new Intl.DateTimeFormat([], options).format;
const clock = format({ timeStyle: 'short' });
const date = format({ dateStyle: 'full' });
const dateAndClock = format({ dateStyle: 'full', timeStyle: 'medium' });
let reader = '';
let queue = [];
let pending = [];
let lines = 0;
let previous = null;
/** Comings and goings in a row, and how many they are. */
let comings = null;
let eventsInRow = 0;
let day = '';
let isAtEnd = true;
let size = '';
let unseen = 0;
let marker = null;
let aloudTimer = 0;

log.onscroll = () => {
  // Of another size, it was not the reader who moved it, and the observer comes next.
  if (sizeOf(log) === size) lookForEnd();
};
document.addEventListener('visibilitychange', see);
// A growing message or a phone's keyboard takes room, and the end must stay in sight.
new ResizeObserver(() => {
  size = sizeOf(log);
  if (isAtEnd) toEnd();
}).observe(log);
newer.onclick = () => {
  toEnd();
  log.focus();
};

/** An empty log for this reader. */
export function openLog(name) {
  reader = name;
  log.replaceChildren();
  queue = [];
  previous = marker = null;
  lines = eventsInRow = 0;
  day = dayOf(Date.now());
  toEnd();
}

/** What comes until `settle` is not read aloud. */
export function hush() {
  clearTimeout(aloudTimer);
  log.ariaLive = 'off';
}

export function settle() {
  flush();
  // A moment later, or the lines just drawn would still be read.
  aloudTimer = setTimeout(() => (log.ariaLive = 'polite'), 100);
}

/** A message, or `{ rule }` for a text between lines. What is for us alone may come without a time. */
export function add(line) {
  queue.push({ time: Date.now(), ...line });
  if (queue.length >= 2 * LINES_MAX) queue.splice(0, LINES_MAX);
  drawLog();
}

/** Our lines that the server has not said yet. */
export function setPending(waiting) {
  pending = waiting;
  drawLog();
}

function lookForEnd() {
  isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < END_PX;
  see();
}

export function toEnd() {
  log.scrollTop = log.scrollHeight;
  isAtEnd = true;
  see();
}

function flush() {
  // Asked before anything is added, for afterwards nobody is at the end.
  const follow = isAtEnd;
  for (const node of log.querySelectorAll('.pending')) node.remove();
  queue.splice(0).forEach(place);
  trim(follow);
  log.append(...pending.map(pendingNode));
  if (follow) toEnd();
  else tell();
}

function place(line) {
  const { rule, user, time, event } = line;
  if (rule) return placeRule(rule);
  if (dayOf(time) !== day) placeRule(date(time));
  day = dayOf(time);
  const isHeard = !event && user.name !== reader && !isMuted(keyOf(user.name));
  if (isHeard && isAway()) {
    if (unseen === 0) mark(time);
    unseen += 1;
  }
  const node = lineNode(line);
  if (event) placeEvent(line, node);
  else log.append(node);
  if (!event) eventsInRow = 0;
  if (isHeard && node.matches('.mention') && log.ariaLive !== 'off') called(line);
  previous = line;
  lines += 1;
}

function mark(time) {
  marker?.remove();
  marker = placeRule(`new since ${clock(time)}`);
  marker.classList.add('new');
}

function placeRule(text) {
  const node = element('div', 'rule', text);
  log.append(node);
  previous = null;
  eventsInRow = 0;
  return node;
}

/** Two in a row stand as they are, more behind their summary. */
function placeEvent(line, node) {
  eventsInRow += 1;
  if (eventsInRow === 1) comings = new Comings();
  comings.hear(line);
  if (eventsInRow < 3) return log.append(node);
  if (eventsInRow === 3) {
    const fold = element('details', 'fold');
    fold.append(element('summary'), ...[...log.children].slice(-2));
    log.append(fold);
  }
  log.lastChild.append(node);
  log.lastChild.firstChild.textContent = calm(comings.words);
}

function lineNode(line) {
  const { user, text, time, event } = line;
  const node = element('div', event ? 'line event' : 'line');
  node.dataset.by = keyOf(user.name);
  // Drawn with an arrow that no text can stand in the place of.
  if (event) node.dataset.event = event;
  if (event) node.append(nameNode(user.name), element('span', '', ` ${text} `), timeNode(time));
  else fill(node, line);
  judge(node);
  return node;
}

function fill(node, { id, user, text, time }) {
  const isAct = text.startsWith('/me ');
  const isOwn = user.name === reader;
  const full = calm(isAct ? text.slice(4) : text);
  const short = shortened(full);
  const parts = pieces(full, reader);
  const head = element('div', 'head');
  // Whatever a text looks like, it is drawn within its margin, and heads, comings and goings are not.
  const words = element('div', 'text');
  words.append(...(short === full ? parts : pieces(short, reader)).map(partNode));
  head.append(nameNode(user.name), element('span', 'note', isOwn && !isAct ? ' you ' : ' '), timeNode(time));
  words.dir = 'auto';
  // The greeting has no id, and calls everybody.
  const isMention = !isOwn && id > 0 && isCalling(parts);
  const is = { act: isAct, own: isOwn, follows: !isAct && isContinued(user, time), mention: isMention };
  node.classList.add(...Object.keys(is).filter((name) => is[name]));
  node.append(head, words);
  if (short !== full) node.append(moreNode(words, short, full));
}

/** A long text stands there shortened, until somebody asks for the rest of it. */
function moreNode(words, short, full) {
  const button = element('button', 'link', 'Show more');
  button.ariaExpanded = 'false';
  button.onclick = () => {
    const isOpen = button.ariaExpanded === 'false';
    button.ariaExpanded = isOpen;
    button.textContent = isOpen ? 'Show less' : 'Show more';
    words.replaceChildren(...pieces(isOpen ? full : short, reader).map(partNode));
    // The reader stays here, and what comes next does not take them to the end.
    lookForEnd();
  };
  return button;
}

function partNode({ tag, text, parts = [] }) {
  const node = element(tag, '', text);
  node.append(...parts.map(partNode));
  if (tag !== 'a') return node;
  return Object.assign(node, { href: text, target: '_blank', rel: 'noopener noreferrer nofollow ugc', dir: 'auto' });
}

function timeNode(time) {
  const node = element('time', 'note', clock(time));
  node.dateTime = new Date(time).toISOString();
  node.title = dateAndClock(time);
  return node;
}

function pendingNode({ text, time }) {
  const node = lineNode({ user: { name: reader }, text, time });
  node.classList.add('pending');
  node.ariaLive = 'off';
  return node;
}

/** Lines of one person in a row share one head. */
function isContinued({ name }, time) {
  return previous && !previous.event && previous.user.name === name && time - previous.time < SAME_HEAD_MS;
}

const sizeOf = ({ clientWidth, clientHeight }) => `${clientWidth} ${clientHeight}`;
const dayOf = (time) => new Date(time).toDateString();

/** Drops the oldest lines, and holds those still that the reader looks at. */
function trim(follow) {
  if (lines <= LINES_MAX + SLACK) return;
  const left = follow || log.scrollHeight - log.scrollTop;
  while (lines > LINES_MAX) {
    const oldest = log.firstChild;
    // A fold loses its lines one by one, and goes with its summary.
    const gone = oldest.querySelector('.line') ?? oldest;
    if (gone.matches('.line')) lines -= 1;
    gone.remove();
  }
  if (!follow) log.scrollTop = log.scrollHeight - left;
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
  showUnread(unseen);
}
