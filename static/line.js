// One line as a piece of the document: name, time, links, mentions. Knows nothing of the log around it.

import { element, nameNode } from './dom.js';

const CLOCK = new Intl.DateTimeFormat([], { timeStyle: 'short' });
const FULL = new Intl.DateTimeFormat([], { dateStyle: 'full', timeStyle: 'medium' });
const LINK = /\bhttps?:\/\/[^\s<>"]+/giu;
const LINK_TAIL = '.,;:!?\'")]}*_~…';

export const clock = (time) => CLOCK.format(time);

/** A message as a line for `me`; it `follows` when the one before is by the same person. */
export function lineNode({ id, user, text, time, event }, me, follows) {
  const node = element('div', 'line');
  if (event) {
    node.classList.add('event');
    node.append(nameNode(user.name), element('span', '', ` ${text} `), timeNode(time));
    return node;
  }
  const isOwn = user.name === me;
  const parts = pieces(text, me);
  node.classList.toggle('own', isOwn);
  node.classList.toggle('follows', follows);
  // The greeting has no id, and calls everybody.
  node.classList.toggle('mention', !isOwn && id > 0 && parts.some((part) => part.mention));
  node.append(headNode(user.name, isOwn, timeNode(time)), textNode(parts));
  return node;
}

/** A line of ours that the server has not said yet. */
export function pendingNode(text, me) {
  const node = element('div', 'line own pending');
  node.append(headNode(me, true, element('span', 'note', 'sending…')), textNode([{ text }]));
  return node;
}

/** A mark between lines: a new day, new lines, missing ones. */
export const ruleNode = (text) => element('div', 'rule', text);

function headNode(name, isOwn, when) {
  const head = element('div', 'head');
  head.append(nameNode(name), element('span', 'note', isOwn ? ' you ' : ' '), when);
  return head;
}

function timeNode(time) {
  const node = element('time', 'note', clock(time));
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

function partNode({ text, link, mention }) {
  const node = element(link ? 'a' : mention ? 'mark' : 'span', '', text);
  if (link) {
    node.href = text;
    node.target = '_blank';
    node.rel = 'noopener noreferrer nofollow ugc';
    node.dir = 'auto';
  }
  return node;
}

/** Cuts a text into words, links and mentions of `me`. One pass: a hostile line must cost no more than its length. */
export function pieces(text, me) {
  const mentions = mentionsOf(me);
  return cut(text, LINK, 'link', withoutTail).flatMap((part) =>
    part.link ? part : cut(part.text, mentions, 'mention', (match) => match),
  );
}

function cut(text, pattern, kind, shorten) {
  const parts = [];
  let from = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    const found = shorten(match);
    if (index > from) parts.push({ text: text.slice(from, index) });
    parts.push({ text: found, [kind]: true });
    from = index + found.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from) });
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
