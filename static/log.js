// The lines on the screen: queued, drawn once per frame, at most LINES_MAX kept. No socket, no protocol.

import { notifyMention, withdrawMention } from './attention.js';
import { byId, element, oncePerFrame } from './dom.js';
import { appendEvent, endRow } from './folds.js';
import { countUnread, isFollowing, log, scrollToEnd, showCount, unread } from './follow.js';
import { limitMarks, parseText } from './format.js';
import { clock, lineNode, partNode } from './nodes.js';
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
let lastAdded = {};
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

/** The topic stands above the log. */
export function showTopic(text) {
  const topic = byId('topic');
  if (topic.textContent !== text) topic.replaceChildren(...parseText(limitMarks(text), '').map(partNode));
}

/** Adds a message, or `{ rule }` for a text between lines, once for many in a row. What is for us alone may come without a time. */
export function addLine(line) {
  const isRepeated = line.rule && line.rule === lastAdded.rule;
  lastAdded = line;
  if (isRepeated) return;
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
  log.querySelectorAll('.menu').forEach((node, at, { length }) => (node.tabIndex = at < length - 1 ? -1 : 0));
  if (follow) scrollToEnd();
  else showCount();
}

function append(line) {
  const { rule, id, user, time, event, of = [] } = line;
  if (rule) return appendRule(rule);
  if (dayOf(time) !== day) appendRule(date(time));
  day = dayOf(time);
  const counts = !event && user.name !== reader && !isMuted(keyOf(user.name));
  if (counts && countUnread(id)) appendUnreadRule(time);
  const node = lineNode(line, reader, isContinued(user, time));
  of.forEach(removeWords);
  if (/enter|leave/.test(event)) appendEvent(line, node);
  else {
    log.append(node);
    endRow();
  }
  if (counts && node.matches('.mention') && log.ariaLive !== 'off') notifyMention(line);
  previous = line;
  lines += 1;
}

/** Takes the words of a line away, and what was told of them. */
function removeWords(id) {
  unread.delete(id);
  withdrawMention(id);
  const line = log.querySelector(`.menu[value="${id}"]`)?.parentNode;
  if (!line) return;
  if (line.contains(document.activeElement)) log.focus();
  const { offsetHeight } = line;
  line.classList.remove('act', 'mention');
  line.replaceChildren(line.firstChild, element('div', 'text note', 'removed'));
  // What the reader looks at stays where it is.
  if (line.offsetTop - log.offsetTop < log.scrollTop) log.scrollTop += line.offsetHeight - offsetHeight;
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
