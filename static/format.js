// What a text means: links, mentions, code, *emphasis*, **strong**, and nothing else; and how much of it is drawn. Text in, parts
// out; no DOM.
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
// Seven marks on one letter occur in Burmese; a browser lays out thousands in seconds, and draws even dozens over other lines.
const MARKS_MAX = 8;
// Marks, and what is invisible between them: a joiner would begin a new run, but not a new letter.
const TOO_MANY_MARKS = new RegExp(`([\\p{M}\\p{Cf}\\p{DI}]{${MARKS_MAX}})[\\p{M}\\p{Cf}\\p{DI}]+`, 'gu');
// About one screen of a phone.
const SHORT_CHARS = 1200;
const SHORT_ROWS = 20;
const ROW_ENDS = /[\n\v\f\r\x85\u2028\u2029]/g;
const compiled = { me: null, pattern: null };

/** Parts as `{ tag, text }`, or with `parts` in the place of a text; `mark` is a mention of `me`. */
export function parseText(text, me) {
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

/** A text without the marks that nobody could read. */
export const limitMarks = (text) => text.replace(TOO_MANY_MARKS, '$1');

/** The beginning of a long text, of so many characters and rows at most; another text as it is. */
export function shortened(text) {
  if (text.length <= SHORT_CHARS && rowsOf(text).length < SHORT_ROWS) return text;
  const cut = text.slice(0, SHORT_CHARS);
  const end = rowsOf(cut)[SHORT_ROWS - 1]?.index ?? cut.length;
  // Half a character would be drawn as a question mark.
  return cut.slice(0, end).replace(/[\ud800-\udbff]$/, '');
}

const rowsOf = (text) => [...text.matchAll(ROW_ENDS)];

/** Whether these parts, at any depth, call for somebody's attention. */
export const hasMention = (parts) => parts.some(({ tag, parts }) => tag === 'mark' || (parts && hasMention(parts)));

function partOf(groups, me) {
  const [tag, text] = Object.entries(groups).find(([, text]) => text !== undefined);
  if (tag === 'a') return { tag, text: withoutTail(text) };
  // There are no stars within stars, so this goes no deeper.
  return tag === 'strong' || tag === 'em' ? { tag, parts: parseText(text, me) } : { tag, text };
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
