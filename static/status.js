// The line that says how the connection stands, with a button for the impatient.

import { byId, element } from './dom.js';

const root = byId('status');
const button = byId('now');
let ticker = 0;

/** `isIn`: the server has let us in on this connection. `reason`: what it said before it went. */
export function showStatus({ is, at }, isIn, reason) {
  clearInterval(ticker);
  const isWaiting = is === 'waiting';
  root.className = isIn ? 'good' : 'bad';
  button.hidden = !isWaiting && is !== 'refused';
  button.textContent = isWaiting ? 'Now' : 'Connect again';
  if (is === 'refused') return say(`${reason} Disconnected.`);
  if (!isWaiting) return say(isIn ? 'Connected' : 'Connecting…');
  const words = `${reason} ${navigator.onLine ? 'Reconnecting' : 'You are offline. Trying again'}`;
  const tick = () => say(words, ` in ${Math.max(1, Math.ceil((at - Date.now()) / 1000))} s`);
  ticker = setInterval(tick, 1000);
  tick();
}

/** The seconds are for the eyes alone, or a screen reader would read each of them. */
function say(text, seconds = '') {
  const words = text.trim();
  if (root.firstChild?.textContent !== words) root.replaceChildren(element('span', '', words), element('span'));
  root.lastChild.ariaHidden = 'true';
  root.lastChild.textContent = seconds;
}
