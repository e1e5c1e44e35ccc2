// What a text means: links, mentions, code, *emphasis*, **strong**, and nothing else; and how much of it is drawn. Text in, parts
// out; no DOM.
//
// Work is bounded for any text: one pattern, in which no alternative looks at a character more than a few times, and at most so
// many parts; the rest of such a text is plain.

import { BEFORE, UNSPACED, WORD, keyOf } from './room.js';

const PARTS_MAX = 100;
// Joiners and skin tones go on with what is before them.
const AFTER = `(?<!\\u200d)(?=$|[${UNSPACED}]|[^${WORD}*\\u200c\\u200d\\u{1f3fb}-\\u{1f3ff}])`;
// Within a Korean name there are no particles.
const HANGUL = /^\p{sc=Hang}/u;
// Of 、。「」 and the like, and of brackets as wide as these: no address holds them. Nor what is invisible or turns the direction.
const NOT_IN_LINK = '\\s<>"\\p{C}\\p{DI}\\u2800\\ufffc\\u3001-\\u3003\\u3008-\\u3011\\u3014-\\u3020\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff3d\\uff5b-\\uff65';
const LINK_TAIL = /[\p{Pe}\p{Pf}\p{Pi}\p{Po}_~\u2013\u2014]/u;
const LINK_TAIL_NOT = '/#&%@\\';
// Hosts in other scripts, in a mixture of them, or with signs like slashes, are shown as the browser opens them.
const PLAIN_HOSTS = ['Latn', 'Cyrl', 'Grek', 'Arab', 'Hebr', 'Deva', 'Thai', 'Latn}\\p{sc=Han}\\p{sc=Hira}\\p{sc=Kana}\\u30fc\\p{sc=Hang'];
// Here and below a look ahead at one character comes first: it is cheaper than what it saves.
const starred = (name, stars) => `(?=\\*)${BEFORE}${stars}(?=\\S)(?<${name}>[^*\\n]+)(?<=\\S)${stars}${AFTER}`;
// A run of backticks (\x60) ends at a run of as many (CommonMark, section 6.1).
const ticked = (ticks, run, name, char) => `(?=\\x60)(?<!\\x60)(?<${ticks}>\\x60${run})(?!\\x60)(?<${name}>${char}+?)(?<!\\x60)\\k<${ticks}>(?!\\x60)`;
// In capitals or not; a pattern for letters in any case would take some milliseconds more.
const FORMS = [
  ticked('fence', '{3,}', 'pre', '[^]'),
  ticked('ticks', '{1,2}', 'code', '[^\\n]'),
  starred('strong', '\\*\\*'),
  starred('em', '\\*'),
  `\\b[Hh][Tt][Tt][Pp][Ss]?:\\/\\/(?:(?!\\p{Pf}[${UNSPACED}])[^${NOT_IN_LINK}])+`,
  `(?=@)${BEFORE}@(?=[^\\s@])`,
];
/** Compiled for the first text: the page is loaded without. */
let form = null;
// Seven marks on one letter occur in Burmese; a browser lays out thousands in seconds, and draws even dozens over other lines.
const MARKS_MAX = 8;
// Marks, and what is invisible between them: a joiner would begin a new run, but not a new letter.
const TOO_MANY_MARKS = new RegExp(`([\\p{M}\\p{Cf}\\p{DI}]{${MARKS_MAX}})[\\p{M}\\p{Cf}\\p{DI}]+`, 'gu');
// About one screen of a phone.
const SHORT_CHARS = 1200;
const SHORT_ROWS = 20;
const ROW_ENDS = /[\n\v\f\r\x85\u2028\u2029]/g;

/** Returns parts as `{ tag, text }`, with `parts` instead of a text where they nest; a link has `href`; `mark` is a mention of `me`. */
export function parseText(text, me) {
  form ??= new RegExp(FORMS.join('|'), 'gu');
  const parts = [];
  let from = 0;
  let mentionsLeft = PARTS_MAX;
  for (const { 0: match, index, groups } of text.matchAll(form)) {
    if (parts.length >= PARTS_MAX) break;
    if (index < from) continue;
    const part = match === '@' ? mentionsLeft-- > 0 && mentionAt(text, index, me) : partOf(match, text.slice(Math.max(0, index - 4), index), groups, me);
    if (!part) continue;
    if (index > from) parts.push({ tag: 'span', text: text.slice(from, index) });
    from = index + (part.length ?? match.length);
    parts.push(part);
  }
  if (from < text.length) parts.push({ tag: 'span', text: text.slice(from) });
  return parts;
}

/** The same for the beginning of a text: a link that was cut would lead elsewhere. */
export function parseCut(text, me) {
  const at = text.search(/https?:\/\/\S*$/i);
  return at < 0 ? parseText(text, me) : [...parseText(text.slice(0, at), me), { tag: 'span', text: text.slice(at) }];
}

/** Drops marks that nobody could read. */
export const limitMarks = (text) => text.replace(TOO_MANY_MARKS, '$1');

/** Returns the beginning of a long text, of so many characters and rows at most; another text unchanged. */
export function shortened(text) {
  if (text.length <= SHORT_CHARS && rowsOf(text).length < SHORT_ROWS) return text;
  const cut = text.slice(0, SHORT_CHARS);
  const end = rowsOf(cut)[SHORT_ROWS - 1]?.index ?? cut.length;
  // Half a character would be drawn as a question mark.
  return cut.slice(0, end).replace(/[\ud800-\udbff]$/, '');
}

const rowsOf = (text) => [...text.matchAll(ROW_ENDS)];

/** Whether these parts, at any depth, mention the reader. */
export const hasMention = (parts) => parts.some(({ tag, parts }) => tag === 'mark' || (parts && hasMention(parts)));

function partOf(match, before, { pre, code, strong, em }, me) {
  if (strong) return { tag: 'strong', parts: parseText(strong, me) };
  // There are no stars within stars, so this goes no deeper.
  if (em) return { tag: 'em', parts: parseText(em, me) };
  if (code) return { tag: 'code', text: /^ .* $/.test(code) && code.trim() ? code.slice(1, -1) : code };
  if (pre) return preOf(pre, /(^|\n) {0,3}$/.test(before));
  return linkOf(match);
}

/** A fence that begins a line may name a language, with attributes in braces. Other words are code that begins there. */
function preOf(text, isAtStart) {
  const code = text.replace(isAtStart ? /^[ \t]*([\w+#.,:/-]+[ \t]*)?(\{.*\}[ \t]*)?\r?\n/ : /^\r?\n/, '');
  return code && { tag: 'pre', text: code };
}

/** The mention that begins at this `@`, by the rule for names. */
function mentionAt(text, at, me) {
  const key = keyOf(me);
  // Decomposed, a name can be some times longer.
  const rest = text.slice(at + 1, at + 2 + 3 * me.length);
  if (!key || !keyOf(rest).startsWith(key)) return null;
  for (let end = 1; end <= rest.length; end += 1) {
    const name = rest.slice(0, end);
    const after = text.slice(at + 1 + end, at + 3 + end);
    if (keyOf(name) === key && new RegExp(`^.${AFTER}`, 'su').test(name.at(-1) + after) && !(HANGUL.test(me) && HANGUL.test(after))) return { tag: 'mark', text: `@${name}`, length: end + 1 };
  }
  return null;
}

const isPlain = (host) => PLAIN_HOSTS.some((scripts) => new RegExp(`^(?!.*[\\u01c0-\\u01c3])[\\p{sc=${scripts}}\\d.:_[\\]-]*$`, 'u').test(host));

/** The marks of the sentence after a link are not the link's, nor is a bracket that was not opened in it. */
function linkOf(text) {
  const chars = [...text];
  const count = (char) => text.split(char).length;
  const surplus = { ')': count(')') - count('('), ']': count(']') - count('['), '}': count('}') - count('{') };
  for (let last; (last = chars.at(-1)) in surplus ? surplus[last]-- > 0 : LINK_TAIL.test(last) && !LINK_TAIL_NOT.includes(last); ) chars.pop();
  const href = chars.join('');
  try {
    const url = new URL(href);
    // A name before the host looks like the host.
    if (url.username || !/\/\/[\p{L}\p{N}\p{So}[]/u.test(href)) return null;
    const host = /\/\/([^/?#\\]*)/.exec(href)[1];
    return { tag: 'a', href, text: isPlain(host) ? href : url.href, length: href.length };
  } catch {
    return null;
  }
}
