// Access to document and storage, shared by all modules. Text goes in as textContent, and in no other way.

import { limitMarks } from './format.js';
import { keyOf } from './room.js';

export const byId = (id) => document.getElementById(id);

export function element(tag, className = '', text = '') {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** In a `bdi`: a name in another script must not turn the line around it. Always in the same of ten colours. */
export function nameNode(name) {
  const node = element('bdi', 'name', limitMarks(`@${name}`));
  let hash = 0;
  for (const char of keyOf(name)) hash = (13 * hash + char.codePointAt(0)) % 1009;
  node.style.setProperty('--hue', (hash % 10) * 36);
  return node;
}

/** `submit` on Enter or on its button. */
export function onSubmit(id, submit) {
  byId(id).onsubmit = (event) => {
    event.preventDefault();
    submit(event);
  };
}

/** `tab` lasts as long as its tab; the rest is for all tabs, as long as the browser wants. Never a code. */
export const tab = kept('sessionStorage', 'tab');
export const shared = kept('localStorage', 'session');
export const person = kept('localStorage', 'person');
export const settings = kept('localStorage', 'settings');

/** Named after the path that Plume lives under, for others may live beside it. */
function kept(store, key) {
  const name = `plume${new URL('.', document.baseURI).pathname}${key}`;
  let held = {};
  let isKept = true;
  return {
    name,
    get() {
      try {
        if (isKept) held = JSON.parse(window[store].getItem(name)) ?? {};
      } catch {
        // Forbidden: then `held` lasts until the next reload.
      }
      return held;
    },
    set(value) {
      held = value && { ...this.get(), ...value };
      try {
        window[store].setItem(name, JSON.stringify(held));
        isKept = true;
      } catch {
        // Forbidden, or full: then the stored value is an old one.
        isKept = false;
      }
      held ??= {};
    },
  };
}

/** However often it is called, `draw` runs once, in the next frame. A hidden page gets no frames. */
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
