// The field for a message: Enter says it, Shift+Enter breaks the line, and it grows. Knows nobody to say it to.

import { byId, onSubmit } from './dom.js';
import { wellFormed } from './protocol.js';

const LEFT_SHOWN = 500;

const form = byId('text-form');
const field = byId('text');

field.oninput = fit;
field.onkeydown = (event) => {
  // While an input method composes, Enter chooses a word. Safari tells that only by the code 229.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  form.requestSubmit();
};

export function onLine(say) {
  onSubmit(form, () => {
    const line = wellFormed(field.value.trimEnd());
    field.focus();
    if (!line) return;
    write();
    say(line);
  });
}

/** Lines that could not be said go back to where they were written. */
export function write(...lines) {
  field.value = lines.filter(Boolean).join('\n');
  fit();
}

function fit() {
  // Only without a height of its own does the field tell how much it needs.
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  const left = field.maxLength - field.value.length;
  byId('left').textContent = left < LEFT_SHOWN ? `${left} characters left` : '';
}
