// The message field: it grows, Enter sends, Shift+Enter breaks the line, Tab completes a name or a command, the up arrow brings
// back what was sent. Never sends anything itself.

import { byId, element, onSubmit, tab } from './dom.js';
import { isVisible, textError } from './input.js';
import { completions } from './room.js';

/** `submitLine(text)`, `names()`, and `askCommands()`, which returns `[]` if they were asked for. */
let writingHooks;

export function setUpWriting(hooks) {
  writingHooks = hooks;
  setDraft(tab.get().draft);
}

const field = byId('text');
const hints = byId('hints');
/** Rows such as `/kick NAME [WHY]: logs someone out`, once the server was asked. */
let commands = null;
/** Why the text in the field came back. */
let refusal = '';
const sent = [];
let recalled = 0;
/** `{ from, found, at, rest, value }`: the name that stands there now, and the value that it made. */
let completing = null;
let isShifted = false;

field.oninput = showDraft;
hints.onclick = ({ target }) => {
  if (!target.value) return;
  setDraft(field.value.replace(/\/\w*\s?/, `/${target.value} `));
  field.focus();
};
field.onkeydown = (event) => {
  isShifted = event.shiftKey;
  if (handleKey(event)) event.preventDefault();
};
// Some keyboards on phones name no key, or send none.
field.addEventListener('beforeinput', (event) => {
  if (isShifted || !/^insert(LineBreak|Paragraph)$/.test(event.inputType)) return;
  event.preventDefault();
  byId('text-form').requestSubmit();
});
onSubmit('text-form', () => {
  const line = field.value.trimEnd().toWellFormed();
  field.focus();
  // An act is shown without its command, and code without its backticks.
  if (!isVisible(line.replace(/^\/me\b|(?<=[^`])`+|`+(?=[^`])/g, '')) || textError(line)) return;
  recalled = sent.push(line);
  setDraft();
  writingHooks.submitLine(line);
});

/** Lines that could not be sent go back to where they were written. */
export function setDraft(...lines) {
  field.value = lines.filter(Boolean).join('\n');
  showDraft();
}

/** A refused line goes back as well, whatever was written since. A command goes first, for elsewhere it would be said. */
export function takeBack(line, why) {
  const { value, selectionStart: caret } = field;
  refusal = why;
  if (/^\s*\//.test(line)) return setDraft(line, value);
  setDraft(value, line);
  if (value) field.setSelectionRange(caret, caret);
}

/** Takes the answer to `/help`. Without it, the server will be asked anew. */
export function setCommands(text) {
  commands = text ? text.split('\n') : null;
  showDraft();
}

const wordOf = (row) => row.split(/\W/)[1];

/** Whether a key does something else than usual. */
function handleKey({ key, shiftKey, keyCode }) {
  // The code 229 says that an input method has the key, also in Safari, where composing has ended by then. `isComposing` does
  // not: keyboards on Android compose each word, and still mean Enter.
  if (shiftKey || keyCode === 229) return false;
  if (key === 'Tab') return complete();
  if (key === 'ArrowUp') return recall(-1);
  if (key === 'ArrowDown') return recall(1);
  if (key === 'Enter') byId('text-form').requestSubmit();
  return key === 'Enter';
}

/** Only over an empty field, or over what was recalled before and not changed. */
function recall(step) {
  const at = recalled + step;
  if (field.value !== (sent[recalled] ?? '') || at < 0 || at > sent.length) return false;
  const show = () => {
    recalled = at;
    setDraft(sent[at]);
  };
  const caret = field.selectionStart;
  const hasOneRow = field.clientHeight < 2.5 * parseFloat(getComputedStyle(field).lineHeight);
  if (hasOneRow) show();
  // Among several rows the caret moves first, and only where it cannot, another line comes.
  else setTimeout(() => field.selectionStart === caret && show());
  return hasOneRow;
}

/** The next of the names or commands that begin so. */
function complete() {
  const { value, selectionEnd: caret } = field;
  // Once round, then Tab goes on to the next control.
  if (completing?.value === value && completing.at + 1 < completing.found.length) completing.at += 1;
  else completing = completions(value, caret, writingHooks.names(), commands?.map(wordOf));
  if (!completing) return false;
  const { from, found, at, rest } = completing;
  const head = `${value.slice(0, from + 1)}${found[at]} `;
  setDraft(head + rest);
  field.setSelectionRange(head.length, head.length);
  completing.value = field.value;
  return true;
}

/** Keeps the draft for a reload, and shows all of it. */
function showDraft() {
  tab.set({ draft: field.value });
  // Only without a height of its own does the field tell how much it needs.
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  if (!field.value) refusal = '';
  byId('text-error').textContent = textError(field.value.trimEnd()) || refusal;
  showHints();
}

/** Shows what the command in the field does, or all that begin so. */
function showHints() {
  const typed = /^\s*(\/[a-z]*)(\s|$)/.exec(field.value);
  if (typed) commands ||= writingHooks.askCommands();
  const rows = ((typed && commands) || []).filter((row) => (typed[2] ? `/${wordOf(row)}` === typed[1] : row.startsWith(typed[1])));
  if (hints.textContent === rows.join('')) return;
  // A single one is read to who cannot see it, and not all of them.
  hints.ariaLive = rows.length === 1 ? 'polite' : 'off';
  hints.replaceChildren(...rows.map((row) => Object.assign(element('button', 'link', row), { value: wordOf(row) })));
}
