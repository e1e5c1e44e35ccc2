// Builds the elements of one line: its head, its text, its time. Keeps no state, and never touches the log.

import { element, nameNode } from './dom.js';
import { hasMention, limitMarks, parseCut, parseText, shortened } from './format.js';
import { updateAtEnd } from './follow.js';
import { menuNode } from './menu.js';
import { applyMute } from './people.js';
import { keyOf } from './room.js';

const format = (options) => new Intl.DateTimeFormat([], options).format;
export const clock = format({ timeStyle: 'short' });
const dateAndClock = format({ dateStyle: 'full', timeStyle: 'medium' });

/** `isContinued`: the line above has the same author, and they share its head. */
export function lineNode(line, reader, isContinued) {
  const { user, text, time, event } = line;
  const node = element('div', event ? 'line event' : 'line');
  node.dataset.by = keyOf(user.name);
  // Drawn with an arrow or a dot, which no text can imitate.
  if (event) node.dataset.event = event;
  if (event) node.append(nameNode(user.name), element('bdi', '', ` ${limitMarks(text)} `), timeNode(time));
  else fill(node, line, reader, isContinued);
  applyMute(node);
  return node;
}

function fill(node, { id, user, text, time }, reader, isContinued) {
  const isAct = text.startsWith('/me ');
  const isOwn = user.name === reader;
  const full = limitMarks(isAct ? text.slice(4) : text);
  const short = shortened(full);
  const parts = parseText(full, reader);
  const head = element('div', 'head');
  // Whatever a text looks like, it is drawn within its margin; heads and events are not.
  const words = element('div', 'text');
  words.append(...(short === full ? parts : parseCut(short, reader)).map(partNode));
  head.append(nameNode(user.name), element('span', 'note', isOwn && !isAct ? ' you ' : ' '), timeNode(time), ' ');
  words.dir = 'auto';
  // The greeting has no id, and mentions everybody.
  const isMention = !isOwn && id > 0 && hasMention(parts);
  const is = { act: isAct, own: isOwn, follows: !isAct && isContinued, mention: isMention };
  node.classList.add(...Object.keys(is).filter((name) => is[name]));
  node.append(head, words);
  if (short !== full) node.append(moreNode(words, short, full, reader));
  if (id) node.append(menuNode(user.name, id));
}

/** Expands a long text, which is shown shortened at first. */
function moreNode(words, short, full, reader) {
  const button = element('button', 'link', 'Show more');
  button.ariaExpanded = 'false';
  button.onclick = () => {
    const isOpen = button.ariaExpanded === 'false';
    button.ariaExpanded = isOpen;
    button.textContent = isOpen ? 'Show less' : 'Show more';
    words.replaceChildren(...(isOpen ? parseText(full, reader) : parseCut(short, reader)).map(partNode));
    // The reader stays here: the next line must not scroll to the end.
    updateAtEnd();
  };
  return button;
}

export function partNode({ tag, text, parts = [] }) {
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
