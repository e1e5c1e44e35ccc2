// The doors to the browser that all parts share: document and storage. Text goes in as textContent, and in no other way.

import { limitMarks } from './format.js';
import { keyOf } from './room.js';

export const byId = (id) => document.getElementById(id);

export function element(tag, className = '', text = '') {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** In a `bdi`: a name in another script must not turn the line around it. Always in the same of ten colours (FNV-1a). */
export function nameNode(name) {
  const node = element('bdi', 'name', limitMarks(`@${name}`));
  let hash = 0x811c9dc5;
  for (const char of keyOf(name)) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193) >>> 0;
  node.style.setProperty('--hue', (hash % 10) * 36);
  return node;
}

/** `submit` on Enter or on its button. */
export function onSubmit(id, submit) {
  byId(id).onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
}

/** The session lasts as long as its tab, the rest as long as the browser wants. Never a code. */
export const session = kept('sessionStorage', 'session');
export const person = kept('localStorage', 'person');
export const settings = kept('localStorage', 'settings');

function kept(store, key) {
  let held;
  try {
    held = JSON.parse(window[store].getItem(`plume.${key}`));
  } catch {
    // Forbidden: then `held` lasts until the next reload.
  }
  return {
    get: () => held ?? {},
    set(value) {
      held = value && { ...held, ...value };
      try {
        window[store].setItem(`plume.${key}`, JSON.stringify(held));
      } catch {
        // As above.
      }
    },
  };
}

/** However often it is called, `draw` runs once, in the next frame. A page that nobody sees gets no frames. */
export function oncePerFrame(draw) {
  let isDue = false;
  const run = () => {
    isDue = false;
    draw();
  };
  return () => {
    if (!isDue) document.hidden ? setTimeout(run, 250) : requestAnimationFrame(run);
    isDue = true;
  };
}
