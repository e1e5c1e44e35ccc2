// The lines on the screen: queued, drawn once per frame, at most LINES_MAX kept. No socket, no protocol.

import { notifyMention } from './attention.js';
import { element, oncePerFrame } from './dom.js';
import { appendEvent, endRow } from './folds.js';
import { countUnread, isFollowing, log, scrollToEnd, showCount } from './follow.js';
import { clock, lineNode } from './nodes.js';
import { isMuted } from './people.js';
import { keyOf } from './room.js';

const LINES_MAX = 500;
const SLACK = 50;
const SAME_HEAD_MS = 5 * 60_000;

const drawLog = oncePerFrame(draw);
const date = new Intl.DateTimeFormat([], { dateStyle: 'full' }).format;
let reader = '';
let queue = [];
let pending = [];
let lines = 0;
let previous = null;
let day = '';
let unreadRule = null;
let announceTimer = 0;

/** Empties the log for this reader. */
export function openLog(name) {
  reader = name;
  log.replaceChildren();
  queue = [];
  previous = unreadRule = null;
  lines = 0;
  endRow();
  day = dayOf(Date.now());
  scrollToEnd();
}

/** Screen readers are not told of lines until `announce`. */
export function stopAnnouncing() {
  clearTimeout(announceTimer);
  log.ariaLive = 'off';
}

export function announce() {
  draw();
  // A moment later, or the lines just drawn would still be announced.
  announceTimer = setTimeout(() => (log.ariaLive = 'polite'), 100);
}

/** Adds a message, or `{ rule }` for a text between lines. What is for us alone may come without a time. */
export function addLine(line) {
  queue.push({ time: Date.now(), ...line });
  if (queue.length >= 2 * LINES_MAX) queue.splice(0, LINES_MAX);
  drawLog();
}

/** Shows our lines that the server has not confirmed yet. */
export function setPending(waiting) {
  pending = waiting;
  drawLog();
}

function draw() {
  // Asked before anything is added, for afterwards the reader is not at the end.
  const follow = isFollowing();
  for (const node of log.querySelectorAll('.pending')) node.remove();
  queue.splice(0).forEach(append);
  trim(follow);
  log.append(...pending.map(pendingNode));
  if (follow) scrollToEnd();
  else showCount();
}

function append(line) {
  const { rule, user, time, event } = line;
  if (rule) return appendRule(rule);
  if (dayOf(time) !== day) appendRule(date(time));
  day = dayOf(time);
  const counts = !event && user.name !== reader && !isMuted(keyOf(user.name));
  if (counts && countUnread()) appendUnreadRule(time);
  const node = lineNode(line, reader, isContinued(user, time));
  if (event) appendEvent(line, node);
  else log.append(node);
  if (!event) endRow();
  if (counts && node.matches('.mention') && log.ariaLive !== 'off') notifyMention(line);
  previous = line;
  lines += 1;
}

function appendUnreadRule(time) {
  unreadRule?.remove();
  unreadRule = appendRule(`new since ${clock(time)}`);
  unreadRule.classList.add('new');
}

function appendRule(text) {
  const node = element('div', 'rule', text);
  log.append(node);
  previous = null;
  endRow();
  return node;
}

function pendingNode({ text, time }) {
  const user = { name: reader };
  const node = lineNode({ user, text, time }, reader, isContinued(user, time));
  node.classList.add('pending');
  node.ariaLive = 'off';
  return node;
}

/** Lines of one person in a row share one head. */
function isContinued({ name }, time) {
  return previous && !previous.event && previous.user.name === name && time - previous.time < SAME_HEAD_MS;
}

const dayOf = (time) => new Date(time).toDateString();

/** Drops the oldest lines without moving those that the reader looks at. */
function trim(follow) {
  if (lines <= LINES_MAX + SLACK) return;
  const left = follow || log.scrollHeight - log.scrollTop;
  while (lines > LINES_MAX) {
    const oldest = log.firstChild;
    // A fold loses its lines one by one, and its summary with the last.
    const dropped = oldest.querySelector('.line') ?? oldest;
    if (dropped.matches('.line')) lines -= 1;
    dropped.remove();
  }
  if (!follow) log.scrollTop = log.scrollHeight - left;
}
