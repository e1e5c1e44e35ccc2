// The field for a message: it grows, Enter says it, Shift+Enter breaks the line, Tab completes a name, the up arrow brings back
// what was said. Never sends anything itself.

import { byId, onSubmit } from './dom.js';
import { completions } from './room.js';

const LEFT_SHOWN = 500;

/** `submitLine(text)`, `names()` */
let writer;

export function setUpWriting(hooks) {
  writer = hooks;
}

const field = byId('text');
const said = [];
let recalled = 0;
/** `{ from, found, at, rest, value }`: the name that stands there now, and the value that it made. */
let completing = null;

field.oninput = fit;
field.onkeydown = (event) => {
  if (does(event)) event.preventDefault();
};
onSubmit('text-form', () => {
  const line = field.value.trimEnd().toWellFormed();
  field.focus();
  if (!line) return;
  recalled = said.push(line);
  setDraft();
  writer.submitLine(line);
});

/** Lines that could not be said go back to where they were written. */
export function setDraft(...lines) {
  field.value = lines.filter(Boolean).join('\n');
  fit();
}

/** Whether a key does something else than usual. */
function does({ key, shiftKey, isComposing, keyCode }) {
  // While an input method composes, Enter chooses a word. Safari tells that only by the code 229.
  if (shiftKey || isComposing || keyCode === 229) return false;
  if (key === 'Tab') return complete();
  if (key === 'ArrowUp') return recall(-1);
  if (key === 'ArrowDown') return recall(1);
  if (key === 'Enter') byId('text-form').requestSubmit();
  return key === 'Enter';
}

/** Only over an empty field, or over what was recalled before and not changed. */
function recall(step) {
  const at = recalled + step;
  if (field.value !== (said[recalled] ?? '') || at < 0 || at > said.length) return false;
  recalled = at;
  setDraft(said[at]);
  return true;
}

/** The next of the names that begin so. */
function complete() {
  const { value, selectionEnd: caret } = field;
  // Once round, then Tab goes on to the next control.
  if (completing?.value === value && completing.at + 1 < completing.found.length) completing.at += 1;
  else completing = completions(value, caret, writer.names());
  if (!completing) return false;
  const { from, found, at, rest } = completing;
  const head = `${value.slice(0, from)}@${found[at]} `;
  setDraft(head + rest);
  field.setSelectionRange(head.length, head.length);
  completing.value = field.value;
  return true;
}

function fit() {
  // Only without a height of its own does the field tell how much it needs.
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  const left = field.maxLength - field.value.length;
  byId('left').textContent = left < LEFT_SHOWN ? `${left} characters left` : '';
}
