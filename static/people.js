// The list of the people present, beside the log or, on a small screen, a popover; and the names that this browser mutes.

import { byId, element, oncePerFrame, nameNode, settings } from './dom.js';
import { menuNode } from './menu.js';
import { keyOf } from './room.js';

const NAMES_MAX = 200;

const list = byId('people-list');
const drawPeople = oncePerFrame(renderPeople);
const muted = new Set(settings.get().muted);
let shownPresence;
let shownReader;

list.onclick = ({ target }) => {
  if (!target.matches('.link')) return;
  muted.delete(target.value) || muted.add(target.value);
  settings.set({ muted: [...muted] });
  showMute(target);
  document.querySelectorAll('#log .line').forEach(applyMute);
};

export const isMuted = (key) => muted.has(key);

export function showPeople(...shown) {
  [shownPresence, shownReader] = shown;
  drawPeople();
}

function renderPeople() {
  const { count, names } = shownPresence;
  const focused = list.contains(document.activeElement) && document.activeElement;
  const items = names.slice(0, NAMES_MAX).map((name) => {
    const item = element('li');
    item.append(nameNode(name), ...(name === shownReader ? [element('span', 'note', 'you')] : [muteNode(name), menuNode(name)]));
    return item;
  });
  if (count > items.length) items.push(element('li', 'note', `and ${count - items.length} more`));
  byId('people-button').textContent = byId('people-count').textContent = count === 1 ? '1 person' : `${count} people`;
  list.replaceChildren(...items);
  if (focused) list.querySelector(`.${focused.className}[value="${CSS.escape(focused.value)}"]`)?.focus();
}

function muteNode(name) {
  const node = element('button', 'link');
  node.value = keyOf(name);
  node.ariaLabel = `Mute ${name}`;
  showMute(node);
  return node;
}

function showMute(node) {
  const is = isMuted(node.value);
  node.ariaPressed = is;
  node.textContent = is ? 'muted' : 'mute';
}

/** Hides or shows a line by its author. */
export function applyMute(node) {
  node.hidden = isMuted(node.dataset.by);
}
