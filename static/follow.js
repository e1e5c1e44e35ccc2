// Follows the end of the log, and counts the lines that arrive while the reader is elsewhere. Draws no line.

import { showUnread } from './attention.js';
import { byId } from './dom.js';

const END_PX = 40;

export const log = byId('log');
const newer = byId('newer');
let isAtEnd = true;
let size = '';
/** Ids of the lines that are counted. */
export const unread = new Set();

log.onscroll = () => {
  // If the size has changed, the browser scrolled and not the reader, and the observer is called next.
  if (sizeOf(log) === size) updateAtEnd();
};
document.addEventListener('visibilitychange', update);
// A growing message field or a phone's keyboard takes room, and the end must stay in sight.
new ResizeObserver(() => {
  size = sizeOf(log);
  if (isAtEnd) scrollToEnd();
}).observe(log);
newer.onclick = () => {
  scrollToEnd();
  log.focus();
};

export const isFollowing = () => isAtEnd;

/** Counts one line if the reader does not see it; returns whether it is the first such line. */
export function countUnread(id = Symbol()) {
  if (isAtEnd && !document.hidden) return false;
  unread.add(id);
  return unread.size === 1;
}

export function updateAtEnd() {
  isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < END_PX;
  update();
}

export function scrollToEnd() {
  log.scrollTop = log.scrollHeight;
  isAtEnd = true;
  update();
}

export function showCount() {
  newer.hidden = isAtEnd || unread.size === 0;
  newer.textContent = `${unread.size} new ↓`;
  showUnread(unread.size);
}

function update() {
  if (isAtEnd && !document.hidden) unread.clear();
  showCount();
}

const sizeOf = ({ clientWidth, clientHeight }) => `${clientWidth} ${clientHeight}`;
