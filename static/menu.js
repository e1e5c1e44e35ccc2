// The menu of a line or a person: what can be done about them. Each item becomes a command; who may use it, the server decides.

import { byId, element, nameNode, onSubmit } from './dom.js';
import { log } from './follow.js';

/** `submitLine(text)`, `reader()` as `{ me, isModerator }` */
let menuHooks;

export function setUpMenu(hooks) {
  menuHooks = hooks;
}

const menu = byId('menu');
const why = byId('why');
/** Whom the open menu is about; without an `id` it is the person, and not a line. */
let menuOf;

onSubmit('menu', ({ submitter: { value } }) => {
  const { name, id } = menuOf;
  const isOfLine = id && /delete|report/.test(value);
  const rest = value !== 'delete' ? why.value : id ? '' : 'all';
  menu.hidePopover();
  // In quotes the name ends where it ends, also if another name or the reason goes on like it.
  menuHooks.submitLine(`/${value} ${isOfLine ? `#${id}` : `"${name.replaceAll('"', '')}"`} ${rest}`.trim());
});
// What had the focus before may be gone by now.
menu.ontoggle = () => document.activeElement === document.body && log.focus();
// Tab reaches the menu of the last line only, and the arrows those above.
log.onkeydown = (event) => {
  const all = [...log.querySelectorAll('.line:not([hidden]) > .menu')];
  const at = all.indexOf(event.target);
  const next = all[at + { ArrowUp: -1, ArrowDown: 1 }[event.key]];
  if (at < 0 || !next) return;
  event.preventDefault();
  next.focus();
};

/** A button that opens the menu. Not announced with each line. */
export function menuNode(name, id) {
  const node = element('button', 'menu', '⋯');
  node.value = id ?? name;
  node.ariaLabel = `Menu for @${name}`;
  node.ariaLive = 'off';
  node.onclick = () => openMenu(name, id);
  return node;
}

function openMenu(name, id) {
  const { me, isModerator } = menuHooks.reader();
  const isOwn = name === me;
  const only = isOwn ? 'delete' : !isModerator && 'report';
  menuOf = { name, id };
  byId('menu-of').replaceChildren(nameNode(name));
  for (const item of menu.querySelectorAll('button, small')) {
    item.hidden = only && item.value !== only;
    if (item.value === 'delete') item.textContent = id ? 'Delete' : 'Delete all lines';
  }
  why.value = '';
  why.parentNode.hidden = isOwn;
  menu.showPopover();
  menu.querySelector(isOwn ? '[value=delete]' : '#why').focus();
}
