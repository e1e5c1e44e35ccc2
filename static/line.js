// One line as a piece of the document: name, time, links, mentions. Knows nothing of the log around it.

import { element, nameNode } from './dom.js';

const CLOCK = new Intl.DateTimeFormat([], { timeStyle: 'short' });
const FULL = new Intl.DateTimeFormat([], { dateStyle: 'full', timeStyle: 'medium' });
const LINK = /\bhttps?:\/\/[^\s<>"]+/giu;
const PARTS_MAX = 100;
const LINK_TAIL = '.,;:!?\'")]}*_~…';

/** A message as a line for `me`; it `follows` when the one before is by the same person. */
export function lineNode(message, me, follows) {
  return message.event ? eventNode(message) : textLineNode(message, me, follows);
}

function eventNode({ user, text, time }) {
  const node = element('div', 'line event');
  node.append(nameNode(user.name), element('span', '', ` ${text} `), timeNode(time));
  return node;
}

function textLineNode({ id, user, text, time }, me, follows) {
  const node = element('div', 'line');
  const head = element('div', 'head');
  const isOwn = user.name === me;
  const parts = pieces(text, me);
  node.classList.toggle('own', isOwn);
  node.classList.toggle('follows', follows);
  // The greeting has no id, and calls everybody.
  node.classList.toggle('mention', !isOwn && id > 0 && parts.some(({ tag }) => tag === 'mark'));
  head.append(nameNode(user.name), element('span', 'note', isOwn ? ' you ' : ' '), timeNode(time));
  node.append(head, textNode(parts));
  return node;
}

function timeNode(time) {
  const node = element('time', 'note', CLOCK.format(time));
  node.dateTime = new Date(time).toISOString();
  node.title = FULL.format(time);
  return node;
}

function textNode(parts) {
  const node = element('p', 'text');
  node.dir = 'auto';
  node.append(...parts.map(partNode));
  return node;
}

function partNode({ tag, text }) {
  const node = element(tag, '', text);
  if (tag === 'a') {
    node.href = text;
    node.target = '_blank';
    node.rel = 'noopener noreferrer nofollow ugc';
    node.dir = 'auto';
  }
  return node;
}

/** Cuts a text into words, links and mentions: few parts, for a hostile line must not cost seconds. */
export function pieces(text, me) {
  return cut(text, LINK, 'a', withoutTail).flatMap((part) =>
    part.tag === 'a' ? part : cut(part.text, mentionsOf(me), 'mark'),
  );
}

function cut(text, pattern, tag, shorten = (match) => match) {
  const parts = [];
  let from = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (parts.length > PARTS_MAX) break;
    const found = shorten(match);
    if (index > from) parts.push({ tag: 'span', text: text.slice(from, index) });
    parts.push({ tag, text: found });
    from = index + found.length;
  }
  if (from < text.length) parts.push({ tag: 'span', text: text.slice(from) });
  return parts;
}

/** The marks of the sentence after a link are not the link's, but a bracket that was opened in it is. */
function withoutTail(link) {
  let end = link.length;
  while (LINK_TAIL.includes(link[end - 1])) end -= 1;
  return link.slice(0, link[end] === ')' && link.lastIndexOf('(', end) > 0 ? end + 1 : end);
}

/** `@me` in any case, but not within a longer word or an address. */
function mentionsOf(me) {
  const literal = me.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return new RegExp(`(?<![\\p{L}\\p{N}_])@${literal}(?![\\p{L}\\p{N}_])`, 'giu');
}
