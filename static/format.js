// What a text means: links, mentions, code, *emphasis*, **strong**, and nothing else. Text in, parts out; no DOM.
//
// Work is bounded for any text: one pattern, in which no alternative looks at a character more than a few times,
// and so many parts at most; the rest of such a text is plain.

const PARTS_MAX = 100;
const LINK_TAIL = '.,;:!?\'")]}*_~…';
// A star within a word is one for multiplying.
const OUTSIDE_BEFORE = '(?<![\\p{L}\\p{N}_*])';
const OUTSIDE_AFTER = '(?![\\p{L}\\p{N}_*])';
const starred = (name, stars) => `${OUTSIDE_BEFORE}${stars}(?=\\S)(?<${name}>[^*\\n]+)(?<=\\S)${stars}${OUTSIDE_AFTER}`;
const FORMS = [
  '```\\n?(?<pre>[^]+?)```',
  '`(?<code>[^\\x60\\n]+)`',
  starred('strong', '\\*\\*'),
  starred('em', '\\*'),
  '\\b(?<a>https?:\\/\\/[^\\s<>"]+)',
];
const compiled = { me: null, pattern: null };

/** Parts as `{ tag, text }`, or with `parts` in the place of a text; `mark` is a mention of `me`. */
export function pieces(text, me) {
  const parts = [];
  let from = 0;
  for (const { 0: match, index, groups } of text.matchAll(patternFor(me))) {
    if (parts.length >= PARTS_MAX) break;
    const part = partOf(groups, me);
    if (index > from) parts.push({ tag: 'span', text: text.slice(from, index) });
    parts.push(part);
    from = index + (part.tag === 'a' ? part.text.length : match.length);
  }
  if (from < text.length) parts.push({ tag: 'span', text: text.slice(from) });
  return parts;
}

/** Whether these parts, at any depth, call for somebody's attention. */
export const isCalling = (parts) => parts.some(({ tag, parts }) => tag === 'mark' || (parts && isCalling(parts)));

function partOf(groups, me) {
  const [tag, text] = Object.entries(groups).find(([, text]) => text !== undefined);
  if (tag === 'a') return { tag, text: withoutTail(text) };
  // There are no stars within stars, so this goes no deeper.
  return tag === 'strong' || tag === 'em' ? { tag, parts: pieces(text, me) } : { tag, text };
}

/** `@me` in any case counts, but not within a longer word or an address. */
function patternFor(me) {
  if (compiled.me !== me) {
    const literal = me.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    const mention = `${OUTSIDE_BEFORE}(?<mark>@${literal})${OUTSIDE_AFTER}`;
    compiled.me = me;
    compiled.pattern = new RegExp([...FORMS, mention].join('|'), 'giu');
  }
  return compiled.pattern;
}

/** The marks of the sentence after a link are not the link's, but a bracket that was opened in it is. */
function withoutTail(link) {
  let end = link.length;
  while (LINK_TAIL.includes(link[end - 1])) end -= 1;
  return link.slice(0, link[end] === ')' && link.lastIndexOf('(', end) > 0 ? end + 1 : end);
}
