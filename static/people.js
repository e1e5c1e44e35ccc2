// The list of who is in: beside the log, or behind a button on a small screen.

import { byId, element, framed, nameNode } from './dom.js';
import { people } from './words.js';

const NAMES_MAX = 200;

const root = byId('people');
const button = byId('people-button');
const draw = framed(render);
let presence;
let me;

button.onclick = () => open(button.ariaExpanded !== 'true');
document.onclick = ({ target }) => target === button || root.contains(target) || open(false);
document.onkeydown = ({ key }) => {
  if (key !== 'Escape' || button.ariaExpanded !== 'true') return;
  open(false);
  button.focus();
};

export function showPeople(...shown) {
  [presence, me] = shown;
  draw();
}

function open(isOpen) {
  button.ariaExpanded = isOpen;
  root.classList.toggle('open', isOpen);
}

function render() {
  const { count, names } = presence;
  button.textContent = people(count);
  byId('people-count').textContent = `${people(count)} here`;
  const items = names.slice(0, NAMES_MAX).map(itemNode);
  if (count > items.length) items.push(element('li', 'note', `and ${people(count - items.length)} more`));
  byId('people-list').replaceChildren(...items);
}

function itemNode(name) {
  const item = element('li');
  item.append(nameNode(name), element('span', 'note', name === me ? ' you' : ''));
  return item;
}
